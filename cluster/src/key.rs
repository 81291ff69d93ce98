//! The cluster key: how a node knows that a call comes from another node of its cluster.
//!
//! Each call between nodes carries a JWT of the kind Ant Media's nodes send: HS256 under a key
//! that all nodes share, valid for [`TOKEN_LIFETIME_MS`], in the header [`HEADER`]. It says "one of
//! us", never who. HMAC comes from ring; one algorithm and one claim do not earn a JWT library, and
//! what a token names as its algorithm is compared, never obeyed.
//!
//! **The key** is the setting `cluster.key`, or else a random one that the first node keeps in the
//! store ([`ClusterKey::settle`]) and all others find there. A node that cannot reach the store
//! goes on with a key of its own: it serves, and other nodes refuse its calls until it settled.
//!
//! **Clocks** of nodes differ: a token is taken up to [`CLOCK_SKEW_MS`] after it expired. Times are
//! ms since the Unix epoch. Neither key nor token is ever shown.

use crate::records::{Fields, Kind, Place, Records};
use crate::store::StoreError;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::Deserialize;
use serde_json::Value;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The header that carries the token (Ant Media's `ClusterAuthorization`; names of headers have no
/// case).
pub const HEADER: &str = "clusterauthorization";
/// How long a token is valid, ms (Ant Media: 5 s).
pub const TOKEN_LIFETIME_MS: i64 = 5_000;
/// How far the clocks of two nodes may be apart, ms.
pub const CLOCK_SKEW_MS: i64 = 120_000;
/// How long one token is used before the next is made, ms.
pub const TOKEN_REUSED_MS: i64 = 2_000;
/// The longest token that is looked at, bytes.
pub const TOKEN_BYTES_MAX: usize = 1_024;
/// The shortest key that is taken from the store, bytes.
pub const KEY_BYTES_MIN: usize = 16;

const KEY_BYTES: usize = 32;
const RECORD: &str = "clusterKey";
const FIELD: &str = "value";
const ALGORITHM: &str = "HS256";
const JOSE_HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
const MS_PER_S: i64 = 1_000;
const SETTLE_PERIOD: Duration = Duration::from_secs(1);
const SETTLE_TIMEOUT: Duration = Duration::from_secs(3);

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It is no token of ours at all.
    #[error("the cluster token is malformed")]
    Malformed,
    /// It was made with another key.
    #[error("the cluster token was made with another key: all nodes need the same cluster.key")]
    WrongKey,
    /// It is too old.
    #[error("the cluster token has expired: are the nodes' clocks more than 2 minutes apart?")]
    Expired,
    /// The system gives no random bytes to make a key from.
    #[error("the system's random generator failed")]
    NoRandom,
}

/// The key. Clones share it: what one settles holds for all.
#[derive(Clone)]
pub struct ClusterKey(Arc<Inner>);

struct Inner {
    key: RwLock<Key>,
    /// The token in use and when it was made.
    minted: Mutex<Option<(i64, String)>>,
}

struct Key {
    text: String,
    hmac: hmac::Key,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    /// Seconds since the Unix epoch.
    exp: f64,
}

impl ClusterKey {
    /// The key that the settings name.
    #[must_use]
    pub fn fixed(text: &str) -> Self {
        Self(Arc::new(Inner {
            key: RwLock::new(Key::new(text)),
            minted: Mutex::new(None),
        }))
    }

    /// A key that nobody else has.
    ///
    /// # Errors
    /// [`KeyError::NoRandom`].
    pub fn random() -> Result<Self, KeyError> {
        let mut bytes = [0; KEY_BYTES];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| KeyError::NoRandom)?;
        Ok(Self::fixed(&URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// A token for a call made at `now_ms`. One is used for [`TOKEN_REUSED_MS`], so that many calls
    /// cost one signature.
    #[must_use]
    pub fn mint(&self, now_ms: i64) -> String {
        // A panic elsewhere left the slot whole: it is set by one assignment.
        let mut minted = self.0.minted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at_ms, token)) = &*minted
            && (0..TOKEN_REUSED_MS).contains(&now_ms.saturating_sub(*at_ms))
        {
            return token.clone();
        }
        let token = self.token(now_ms.saturating_add(TOKEN_LIFETIME_MS));
        *minted = Some((now_ms, token.clone()));
        token
    }

    /// Whether `token` was made by a node of this cluster and is valid at `now_ms`.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn verify(&self, token: &str, now_ms: i64) -> Result<(), KeyError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(KeyError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(KeyError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(KeyError::Malformed)?;
        let signature = decode(signature)?;
        let header: Header = read(header)?;
        if header.alg != ALGORITHM {
            return Err(KeyError::Malformed);
        }
        // Compares in constant time.
        hmac::verify(&self.hmac(), signed.as_bytes(), &signature)
            .map_err(|_| KeyError::WrongKey)?;
        let claims: Claims = read(claims)?;
        #[expect(clippy::cast_precision_loss, reason = "ms of today fit an f64 exactly")]
        let late_ms = now_ms as f64 - claims.exp * MS_PER_S as f64;
        #[expect(clippy::cast_precision_loss, reason = "a small constant")]
        let in_time = late_ms <= CLOCK_SKEW_MS as f64;
        // A time that is no number is no time.
        if in_time {
            Ok(())
        } else {
            Err(KeyError::Expired)
        }
    }

    /// A signature of `bytes` that every node can check, good for `purpose` (a word without NUL) alone.
    #[must_use]
    pub fn sign(&self, purpose: &str, bytes: &[u8]) -> Vec<u8> {
        hmac::sign(&self.hmac(), &purposed(purpose, bytes))
            .as_ref()
            .to_vec()
    }

    /// Whether `signature` is one of [`ClusterKey::sign`]; compared in constant time.
    #[must_use]
    pub fn is_signed(&self, purpose: &str, bytes: &[u8], signature: &[u8]) -> bool {
        hmac::verify(&self.hmac(), &purposed(purpose, bytes), signature).is_ok()
    }

    /// Takes the key that the store keeps, or, when it keeps none, gives it this one to keep.
    ///
    /// # Errors
    /// [`StoreError`]; the key is as it was, and calling again is right.
    pub async fn settle(&self, records: &dyn Records) -> Result<(), StoreError> {
        let place = Place::of_cluster(Kind::Secret, RECORD);
        let own = self.key(|key| key.text.clone());
        let kept = match records.get(&place).await? {
            Some(kept) => Some(kept),
            None => {
                let fields = Fields::from_iter([(FIELD.to_owned(), Value::from(own))]);
                if records.insert(&place, fields).await? {
                    return Ok(());
                }
                // Another node was first.
                records.get(&place).await?
            }
        };
        let text = kept.as_ref().and_then(|fields| fields.get(FIELD)?.as_str());
        let text = text.filter(|text| text.len() >= KEY_BYTES_MIN);
        let text = text.ok_or_else(|| StoreError::Damaged {
            key: RECORD.to_owned(),
            reason: format!("field {FIELD:?} is no text of at least {KEY_BYTES_MIN} bytes"),
        })?;
        self.replace(text);
        Ok(())
    }

    /// [`ClusterKey::settle`], again each second until it succeeds or `shutdown`.
    pub async fn settle_in_time(&self, records: Arc<dyn Records>, shutdown: CancellationToken) {
        let mut told = false;
        loop {
            let settled = tokio::select! {
                () = shutdown.cancelled() => return,
                settled = timeout(SETTLE_TIMEOUT, self.settle(&*records)) => settled,
            };
            let reason = match settled {
                Ok(Ok(())) => break,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "the store took too long".to_owned(),
            };
            if !told {
                tracing::warn!(
                    reason,
                    "the cluster key cannot be read: other nodes refuse this one's calls"
                );
                told = true;
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = sleep(SETTLE_PERIOD) => {}
            }
        }
        if told {
            tracing::info!("the cluster key is known now");
        }
    }

    fn replace(&self, text: &str) {
        let mut key = self.0.key.write().unwrap_or_else(PoisonError::into_inner);
        if key.text != text {
            *key = Key::new(text);
            drop(key);
            let mut minted = self.0.minted.lock().unwrap_or_else(PoisonError::into_inner);
            *minted = None;
        }
    }

    fn token(&self, expires_ms: i64) -> String {
        let exp = expires_ms.div_euclid(MS_PER_S);
        let header = URL_SAFE_NO_PAD.encode(JOSE_HEADER);
        let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{exp}}}"#));
        let signed = format!("{header}.{claims}");
        let signature = hmac::sign(&self.hmac(), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn hmac(&self) -> hmac::Key {
        self.key(|key| key.hmac.clone())
    }

    fn key<T>(&self, read: impl FnOnce(&Key) -> T) -> T {
        read(&self.0.key.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Key {
    fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            hmac: hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes()),
        }
    }
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey(***)")
    }
}

/// A token's signed text is base64 with dots and has no NUL, so that neither can stand for the other.
fn purposed(purpose: &str, bytes: &[u8]) -> Vec<u8> {
    [purpose.as_bytes(), &[0], bytes].concat()
}

fn decode(part: &str) -> Result<Vec<u8>, KeyError> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| KeyError::Malformed)
}

fn read<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, KeyError> {
    serde_json::from_slice(&decode(part)?).map_err(|_| KeyError::Malformed)
}

#[cfg(test)]
mod tests;
