//! Key sets at a URL (`jwksURL`, RFC 7517): the public keys that an identity provider signs tokens for us with.
//!
//! A set is fetched when the first token for it comes. It is used for [`FRESH`]; from then on it is fetched again
//! beside the work it goes on doing. A token that names a key the set does not have asks at once, for that is how a
//! new key shows. Whatever the reason, a URL is asked at most once in [`ASK_PERIOD`], so that invented key names do
//! not make this node a nuisance to the provider. While it does not answer, the keys known from before hold until
//! they are [`KEPT`] old; then nothing passes. One fetch serves all who wait for it.
//!
//! **What is taken.** Signatures by RSA, elliptic curves and Ed25519. A shared secret in a set (`oct`) is left out: a
//! key that everybody may read proves nothing. The token's algorithm must be one that the key's type allows, and the
//! one that the key names when it names one; keys for encryption are left out.
//!
//! **Whom we ask.** Only an administrator sets the URL, and [`fetch`] goes nowhere else: no redirects, no proxy, no
//! credentials, nothing of the answer in a message.
//!
//! Limits: [`URLS_MAX`], [`KEYS_MAX`], [`fetch::BODY_BYTES_MAX`], [`fetch::FETCH_TIMEOUT`].

mod fetch;

pub(crate) use fetch::check_url;

use super::jwt;
use fetch::Fetcher;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a set is used before it is fetched again.
const FRESH: Duration = Duration::from_secs(600);
/// How old a set may become while its URL does not answer.
const KEPT: Duration = Duration::from_secs(3600);
/// How often one URL is asked at most.
const ASK_PERIOD: Duration = Duration::from_secs(10);
/// Sets kept; the least used go first.
const URLS_MAX: u64 = 256;
/// Keys of one set that are looked at.
const KEYS_MAX: usize = 64;

const _: () = assert!(ASK_PERIOD.as_secs() < FRESH.as_secs() && FRESH.as_secs() < KEPT.as_secs());

/// The key sets of all applications and of the server.
#[derive(Debug)]
pub(crate) struct KeySets {
    sets: moka::sync::Cache<String, Arc<KeySet>>,
    fetcher: Fetcher,
}

impl KeySets {
    pub(crate) fn new() -> Self {
        Self {
            sets: moka::sync::Cache::new(URLS_MAX),
            fetcher: Fetcher::new(),
        }
    }

    /// Whether `token` (`Bearer ` in front or not) was signed with a key of the set at `url` and holds at `now_ms`.
    pub(crate) async fn is_valid(&self, token: &str, url: &str, now_ms: i64) -> bool {
        let token = jwt::bare(token);
        if token.len() > jwt::TOKEN_BYTES_MAX {
            return false;
        }
        let Ok(header) = jsonwebtoken::decode_header(token) else {
            return false;
        };
        let set = self.sets.get_with_by_ref(url, || Arc::new(KeySet::at(url)));
        let keys = set.keys(header.kid.as_deref(), &self.fetcher).await;
        let named = named(&keys, header.kid.as_deref());
        let fits = |key: &&Key| key.algorithms.contains(&header.alg);
        let signed = |key: &Key| jwt::is_signed(token, &key.key, header.alg, now_ms);
        named.filter(fits).is_some_and(signed)
    }
}

/// The set at one URL.
#[derive(Debug)]
struct KeySet {
    url: String,
    known: Mutex<Known>,
    /// Held while the URL is asked.
    asking: Arc<tokio::sync::Mutex<()>>,
}

/// What is known of a set.
#[derive(Clone, Debug, Default)]
struct Known {
    keys: Arc<Vec<Key>>,
    /// When the keys came.
    fetched: Option<Instant>,
    /// When the URL was last asked.
    asked: Option<Instant>,
    /// It did not answer, and that was told.
    failing: bool,
}

/// What to do about a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// What is known decides.
    Use,
    /// What is known decides, and the URL is asked beside that.
    UseAndAsk,
    /// The URL is asked first.
    Ask,
}

/// One public key.
struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

impl KeySet {
    fn at(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            known: Mutex::default(),
            asking: Arc::default(),
        }
    }

    /// The keys to look for `id` in.
    async fn keys(self: &Arc<Self>, id: Option<&str>, fetcher: &Fetcher) -> Arc<Vec<Key>> {
        let next = self.known().next(id, Instant::now());
        match next {
            Next::Use => {}
            Next::UseAndAsk => {
                if let Ok(turn) = Arc::clone(&self.asking).try_lock_owned() {
                    drop(tokio::spawn(Arc::clone(self).ask(fetcher.clone(), turn)));
                }
            }
            Next::Ask => {
                let turn = Arc::clone(&self.asking).lock_owned().await;
                // Somebody else may have asked while this one waited for its turn.
                if self.known().next(id, Instant::now()) == Next::Ask {
                    // A task of its own: who hangs up takes no answer away from the others.
                    let asking = tokio::spawn(Arc::clone(self).ask(fetcher.clone(), turn));
                    let _ = asking.await;
                }
            }
        }
        let known = self.known();
        if known.is_too_old(Instant::now()) {
            Arc::default()
        } else {
            Arc::clone(&known.keys)
        }
    }

    async fn ask(self: Arc<Self>, fetcher: Fetcher, turn: tokio::sync::OwnedMutexGuard<()>) {
        self.known().asked = Some(Instant::now());
        let fetched = fetcher.fetch(&self.url).await;
        let fetched = fetched.and_then(|body| read(&body));
        let now = Instant::now();
        let mut known = self.known();
        let shown = fetch::shown(&self.url);
        match fetched {
            Ok(keys) => {
                tracing::debug!(url = %shown, keys = keys.len(), "a key set was read");
                known.keys = Arc::new(keys);
                known.fetched = Some(now);
                known.failing = false;
            }
            Err(reason) => {
                if !std::mem::replace(&mut known.failing, true) {
                    tracing::warn!(
                        url = %shown, reason,
                        "the key set at jwksURL cannot be read: tokens are judged by the keys known from before"
                    );
                }
            }
        }
        drop(known);
        drop(turn);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // A panic elsewhere left it whole: each field is set by one assignment.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// What a token that names key `id` asks for at `now`.
    fn next(&self, id: Option<&str>, now: Instant) -> Next {
        let passed = |since: Option<Instant>, at_least: Duration| {
            since.is_none_or(|since| now.duration_since(since) >= at_least)
        };
        if !passed(self.asked, ASK_PERIOD) {
            return Next::Use;
        }
        if self.is_too_old(now) || named(&self.keys, id).is_none() {
            Next::Ask
        } else if passed(self.fetched, FRESH) {
            Next::UseAndAsk
        } else {
            Next::Use
        }
    }

    fn is_too_old(&self, now: Instant) -> bool {
        self.fetched
            .is_none_or(|fetched| now.duration_since(fetched) >= KEPT)
    }
}

/// The key called `id`; without a name the only one there is.
fn named<'a>(keys: &'a [Key], id: Option<&str>) -> Option<&'a Key> {
    match (id, keys) {
        (Some(id), keys) => keys.iter().find(|key| key.id.as_deref() == Some(id)),
        (None, [only]) => Some(only),
        (None, _) => None,
    }
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// The keys of a set that can be used; one that cannot be read costs itself only.
fn read(body: &[u8]) -> Result<Vec<Key>, String> {
    let set: Set = serde_json::from_slice(body)
        .map_err(|error| format!("no key set (RFC 7517): line {}", error.line()))?;
    let keys = set.keys.into_iter().take(KEYS_MAX);
    Ok(keys.filter_map(usable).collect())
}

fn usable(value: Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let common = &jwk.common;
    if common.public_key_use == Some(PublicKeyUse::Encryption) {
        return None;
    }
    let mut algorithms = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => vec![
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
        ],
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => vec![Algorithm::ES256],
            EllipticCurve::P384 => vec![Algorithm::ES384],
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(_) => vec![Algorithm::EdDSA],
        _ => return None,
    };
    if let Some(only) = common.key_algorithm {
        algorithms.retain(|algorithm| format!("{algorithm:?}") == only.to_string());
    }
    Some(Key {
        id: common.key_id.clone(),
        algorithms,
        key: DecodingKey::from_jwk(&jwk).ok()?,
    })
}

#[cfg(test)]
mod tests;
