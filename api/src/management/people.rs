//! The people who may log in, as the store keeps them.

use crate::error::ApiError;
use crate::management::attempts::Attempts;
use crate::management::password::{Passwords, Verdict};
use crate::management::session::Sessions;
use crate::management::{ClusterAuth, access};
use crate::state::bounded;
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::Mutex;
use weir_cluster::records::kinds::{User, read, write};
use weir_cluster::{Fields, Kind, Place, Query, Records};

/// Users, their passwords and sessions.
#[derive(Debug)]
pub(crate) struct People {
    records: Arc<dyn Records>,
    pub(crate) sessions: Sessions,
    pub(crate) attempts: Attempts,
    pub(crate) passwords: Passwords,
    /// Held while the first user is made, so that two at once are not both the first.
    first: Mutex<()>,
}

/// How a login went.
pub(crate) enum Login {
    /// Come in.
    Welcome(Box<User>),
    /// Nobody by that name with that password.
    Wrong,
    /// Too many tries.
    Blocked,
}

impl People {
    pub(crate) fn new(records: Arc<dyn Records>, auth: Arc<dyn ClusterAuth>) -> Self {
        Self {
            sessions: Sessions::new(Arc::clone(&records), auth),
            attempts: Attempts::new(Arc::clone(&records)),
            records,
            passwords: Passwords::new(),
            first: Mutex::default(),
        }
    }

    /// Tries a name and what the client sent as its password. A record of Ant Media's is written anew.
    pub(crate) async fn log_in(
        &self,
        email: &str,
        sent: &str,
        now_ms: i64,
    ) -> Result<Login, ApiError> {
        if self.attempts.is_blocked(email, now_ms).await {
            return Ok(Login::Blocked);
        }
        // Counted before it is known, so that many tries at once are no way around.
        self.attempts.failed(email, now_ms);
        let user = self.find(email).await?;
        let stored = user.as_ref().map(|user| user.password.clone());
        let verdict = self.passwords.verify(sent, stored).await?;
        if self.attempts.count(email, now_ms).await {
            return Ok(Login::Blocked);
        }
        let (Some(user), true) = (user, verdict != Verdict::Wrong) else {
            return Ok(Login::Wrong);
        };
        self.attempts.succeeded(email).await;
        if verdict == Verdict::RightButOld {
            self.set(email, Fields::from_iter([self.password(sent).await?]))
                .await?;
            tracing::info!("a user's MD5 password was replaced by an argon2id hash");
        }
        Ok(Login::Welcome(Box::new(user)))
    }

    /// The user's field that holds what is stored for `sent`.
    pub(crate) async fn password(&self, sent: &str) -> Result<(String, Value), ApiError> {
        let hash = self.passwords.hash(sent).await?;
        Ok(("password".to_owned(), Value::from(hash)))
    }

    pub(crate) async fn find(&self, email: &str) -> Result<Option<User>, ApiError> {
        let found = bounded(self.records.get(&place(email))).await?;
        Ok(found.map(|fields| read(&fields)))
    }

    /// Up to 250 users by name.
    pub(crate) async fn list(&self) -> Result<Vec<User>, ApiError> {
        let all = bounded(self.records.list(&Query::all(Kind::User, None))).await?;
        Ok(all.iter().map(read).collect())
    }

    /// True when nobody can log in yet.
    pub(crate) async fn is_empty(&self) -> Result<bool, ApiError> {
        let count = bounded(self.records.count(&Query::all(Kind::User, None))).await?;
        Ok(count == 0)
    }

    /// Adds the first user as an admin of the system; `false` when there is one already.
    pub(crate) async fn add_first(
        &self,
        mut user: User,
        sent: &str,
        now_ms: i64,
    ) -> Result<bool, ApiError> {
        let _alone = self.first.lock().await;
        if !self.is_empty().await? {
            return Ok(false);
        }
        user.user_type = Some("ADMIN".to_owned());
        user.scope = Some(access::SYSTEM.to_owned());
        user.app_name_user_type.clear();
        self.add(user, sent, now_ms).await
    }

    /// Adds a user; `false` when there is one by that name. Sessions of somebody who had the name before stay over.
    pub(crate) async fn add(&self, user: User, sent: &str, now_ms: i64) -> Result<bool, ApiError> {
        let mut fields = write(&user);
        fields.extend(Sessions::all_end(now_ms));
        fields.extend([self.password(sent).await?]);
        let added = bounded(self.records.insert(&place(&user.email), fields)).await?;
        self.sessions.forget(&user.email).await;
        Ok(added)
    }

    /// Sets fields of a user; `false` when there is none.
    pub(crate) async fn set(&self, email: &str, fields: Fields) -> Result<bool, ApiError> {
        let now = bounded(self.records.patch(&place(email), fields)).await?;
        self.sessions.forget(email).await;
        Ok(now.is_some())
    }

    /// Removes a user; `false` when there is none.
    pub(crate) async fn remove(&self, email: &str) -> Result<bool, ApiError> {
        let removed = bounded(self.records.delete(&place(email))).await?;
        self.sessions.forget(email).await;
        Ok(removed)
    }
}

fn place(email: &str) -> Place {
    Place::of_cluster(Kind::User, email)
}
