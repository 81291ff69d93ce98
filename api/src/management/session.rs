//! Sessions: a signed cookie, so that every node of a cluster knows it, whichever the balancer asks next.
//!
//! The cookie `JSESSIONID` holds a random name of 128 bits, the user, the times, and a signature under a key that
//! the nodes share ([`ClusterAuth`]). Nothing is kept for a session that goes on; what is kept is what ended: a
//! logout is remembered on this node at once and in the user's record for the others, who read that record at most
//! [`USER_AGE_MAX`] later. So do a changed role and a deleted user. More logouts than [`ENDED_MAX`] of one user
//! within a session's life end all sessions of that user.
//!
//! A session lasts [`SESSION_MS`] from login; a changed password ends those before it.

use crate::error::ApiError;
use crate::management::ClusterAuth;
use crate::state::bounded;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, header};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use weir_cluster::records::kinds::{User, read};
use weir_cluster::{Fields, Kind, Place, Records};

/// How long a session lasts, ms.
pub(crate) const SESSION_MS: i64 = 12 * 3_600_000;
/// How old this node's knowledge of a user may be.
const USER_AGE_MAX: Duration = Duration::from_secs(2);
/// Users known at once.
const USERS_MAX: u64 = 1_000;
/// Ended sessions remembered, of one user in the store and of all on this node.
const ENDED_MAX: usize = 64;
const ENDED_HERE_MAX: usize = 10_000;
/// The longest cookie that is looked at, bytes.
const COOKIE_BYTES_MAX: usize = 2_048;
const NAME: &str = "JSESSIONID";
const PURPOSE: &str = "session";
/// Our fields in a user's record.
const ENDED: &str = "weirEndedSessions";
const FROM_MS: &str = "weirSessionsFromMs";

/// What the cookie says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Session {
    /// Random.
    #[serde(rename = "i")]
    id: String,
    #[serde(rename = "e")]
    pub(crate) email: String,
    #[serde(rename = "s")]
    since_ms: i64,
    #[serde(rename = "u")]
    until_ms: i64,
}

/// A user and which of its sessions are over.
#[derive(Clone, Debug)]
struct Known {
    user: User,
    sessions_from_ms: i64,
    /// Name and end of each.
    ended: Vec<(String, i64)>,
}

/// Gives and checks cookies.
#[derive(Debug)]
pub(crate) struct Sessions {
    records: Arc<dyn Records>,
    auth: Arc<dyn ClusterAuth>,
    users: moka::future::Cache<String, Option<Arc<Known>>>,
    ended_here: Mutex<HashMap<String, i64>>,
}

impl Sessions {
    pub(crate) fn new(records: Arc<dyn Records>, auth: Arc<dyn ClusterAuth>) -> Self {
        let users = moka::future::Cache::builder()
            .max_capacity(USERS_MAX)
            .time_to_live(USER_AGE_MAX)
            .build();
        Self {
            records,
            auth,
            users,
            ended_here: Mutex::default(),
        }
    }

    /// A cookie for `email`, from now on.
    pub(crate) fn begin(&self, email: &str, now_ms: i64) -> Result<HeaderValue, ApiError> {
        let failed = |_| ApiError::Internal("no session can be made".to_owned());
        let mut id = [0_u8; 16];
        SystemRandom::new().fill(&mut id).map_err(failed)?;
        let session = Session {
            id: URL_SAFE_NO_PAD.encode(id),
            email: email.to_owned(),
            since_ms: now_ms,
            until_ms: now_ms.saturating_add(SESSION_MS),
        };
        let said = serde_json::to_vec(&session).unwrap_or_default();
        let said = URL_SAFE_NO_PAD.encode(said);
        let signature = URL_SAFE_NO_PAD.encode(self.auth.sign(PURPOSE, said.as_bytes()));
        cookie(&format!("{said}.{signature}"), SESSION_MS / 1000)
    }

    /// The session that the request shows, if it is ours and not over in time. Whether it was ended or its user is
    /// gone says [`Sessions::user`].
    pub(crate) fn shown(&self, headers: &HeaderMap, now_ms: i64) -> Option<Session> {
        let value = cookie_value(headers)?;
        let (said, signature) = value.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        if !self.auth.is_signed(PURPOSE, said.as_bytes(), &signature) {
            return None;
        }
        let session: Session = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(said).ok()?).ok()?;
        (now_ms < session.until_ms).then_some(session)
    }

    /// The user whose session the request shows, `None` without one.
    pub(crate) async fn user(
        &self,
        headers: &HeaderMap,
        now_ms: i64,
    ) -> Result<Option<User>, ApiError> {
        let Some(session) = self.shown(headers, now_ms) else {
            return Ok(None);
        };
        if self.is_ended_here(&session.id) {
            return Ok(None);
        }
        let known = self.known(&session.email).await?;
        let known = known.filter(|known| {
            session.since_ms >= known.sessions_from_ms
                && known.ended.iter().all(|(id, _)| *id != session.id)
        });
        Ok(known.map(|known| known.user.clone()))
    }

    /// Ends the session that the request shows, and returns a cookie that removes the browser's.
    pub(crate) async fn end(
        &self,
        headers: &HeaderMap,
        now_ms: i64,
    ) -> Result<HeaderValue, ApiError> {
        let gone = cookie("", 0)?;
        let Some(session) = self.shown(headers, now_ms) else {
            return Ok(gone);
        };
        self.end_here(&session, now_ms);
        if let Some(known) = self.known(&session.email).await? {
            let mut ended = known.ended.clone();
            ended.retain(|(_, until_ms)| *until_ms > now_ms);
            ended.push((session.id.clone(), session.until_ms));
            let mut set = Fields::new();
            if ended.len() > ENDED_MAX {
                ended.clear();
                set.insert(FROM_MS.to_owned(), Value::from(now_ms));
            }
            let ended: Vec<_> = ended
                .iter()
                .map(|(id, until)| format!("{id}:{until}"))
                .collect();
            set.insert(ENDED.to_owned(), Value::from(ended));
            let place = Place::of_cluster(Kind::User, &session.email);
            bounded(self.records.patch(&place, set)).await?;
            self.forget(&session.email).await;
        }
        Ok(gone)
    }

    /// The fields that end all sessions of a user begun before `now_ms`.
    pub(crate) fn all_end(now_ms: i64) -> Fields {
        Fields::from_iter([(FROM_MS.to_owned(), Value::from(now_ms))])
    }

    /// The user's record changed: read it again.
    pub(crate) async fn forget(&self, email: &str) {
        self.users.invalidate(email).await;
    }

    async fn known(&self, email: &str) -> Result<Option<Arc<Known>>, ApiError> {
        let place = Place::of_cluster(Kind::User, email);
        let look = async {
            let fields = bounded(self.records.get(&place)).await?;
            Ok::<_, ApiError>(fields.map(|fields| Arc::new(Known::read(&fields))))
        };
        let found = self.users.try_get_with(email.to_owned(), look).await;
        found.map_err(|error| (*error).clone())
    }

    fn is_ended_here(&self, id: &str) -> bool {
        let ended = self
            .ended_here
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        ended.contains_key(id)
    }

    fn end_here(&self, session: &Session, now_ms: i64) {
        let mut ended = self
            .ended_here
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if ended.len() >= ENDED_HERE_MAX {
            ended.retain(|_, until_ms| *until_ms > now_ms);
        }
        // Beyond the limit the user's record alone remembers.
        if ended.len() < ENDED_HERE_MAX {
            ended.insert(session.id.clone(), session.until_ms);
        }
    }
}

impl Known {
    fn read(fields: &Fields) -> Self {
        let ended = fields.get(ENDED).and_then(Value::as_array);
        let ended = ended.into_iter().flatten().filter_map(Value::as_str);
        let ended = ended.filter_map(|text| {
            let (id, until_ms) = text.rsplit_once(':')?;
            Some((id.to_owned(), until_ms.parse().ok()?))
        });
        Self {
            user: read(fields),
            sessions_from_ms: fields.get(FROM_MS).and_then(Value::as_i64).unwrap_or(0),
            ended: ended.collect(),
        }
    }
}

fn cookie(value: &str, age_s: i64) -> Result<HeaderValue, ApiError> {
    let text = format!("{NAME}={value}; Path=/; Max-Age={age_s}; HttpOnly; SameSite=Lax");
    HeaderValue::try_from(text).map_err(|_| ApiError::Internal("no session can be made".to_owned()))
}

fn cookie_value(headers: &HeaderMap) -> Option<&str> {
    let values = headers.get_all(header::COOKIE).into_iter();
    let pairs = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'));
    let mut named = pairs.filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = named.find(|(name, _)| *name == NAME)?;
    (value.len() <= COOKIE_BYTES_MAX).then_some(value)
}
