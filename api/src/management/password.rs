//! Passwords: what clients send, what is stored, how the two are compared.
//!
//! Ant Media's clients send the MD5 of a password, 32 hex digits, so that for a server that MD5 **is** the password;
//! a script that sends a password in clear is taken to mean its MD5. Stored is an argon2id PHC string of the MD5.
//! Ant Media's own records hold a bare MD5, of what was sent or of the MD5 of that; they are read, and replaced at
//! the next login.
//!
//! argon2id takes some 20 MB and tens of milliseconds a hash: it runs off the async threads, [`AT_ONCE`] at a time;
//! who has not had a turn within [`TURN_TIMEOUT`] is told to come again. A name that does not exist costs the
//! same work as one that does.

use crate::error::ApiError;
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use md5::{Digest as _, Md5};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;

/// Hashes made or compared at once.
const AT_ONCE: usize = 2;
/// How long somebody waits for a turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(3);
/// The longest password that is taken, bytes.
pub(crate) const PASSWORD_BYTES_MAX: usize = 256;

/// What comparing came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the password.
    Right,
    /// It is, and the record should be replaced: it holds a bare MD5.
    RightButOld,
    /// It is not.
    Wrong,
}

/// Makes and compares hashes.
#[derive(Clone, Debug)]
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// What is stored for `sent`.
    pub(crate) async fn hash(&self, sent: &str) -> Result<String, ApiError> {
        let secret = normal(sent);
        self.in_turn(move || make(&secret))
            .await?
            .ok_or_else(|| ApiError::Internal("the password could not be hashed".to_owned()))
    }

    /// Compares what a client sent with what is stored; `None` for a user there is none of.
    pub(crate) async fn verify(
        &self,
        sent: &str,
        stored: Option<String>,
    ) -> Result<Verdict, ApiError> {
        let secret = normal(sent);
        self.in_turn(move || compare(&secret, stored.as_deref()))
            .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let turn = Arc::clone(&self.turns).acquire_owned();
        let turn = tokio::time::timeout(TURN_TIMEOUT, turn).await;
        let Ok(Ok(turn)) = turn else {
            return Err(ApiError::Busy);
        };
        let work = move || {
            let done = work();
            drop(turn);
            done
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|_| ApiError::Internal("the password could not be checked".to_owned()))
    }
}

/// A hash of no password, compared with when there is no user.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5c3NhbHRub2JvZHk$\
                       6Y1rGqvbHFrbV3O0rxFpcRRNnXJ2vB1m4ZyQvT3zGdc";

fn make(secret: &str) -> Option<String> {
    let hash = Argon2::default().hash_password(secret.as_bytes());
    hash.ok().map(|hash| hash.to_string())
}

fn compare(secret: &str, stored: Option<&str>) -> Verdict {
    let twice = md5_hex(secret.as_bytes());
    if let Some(stored) = stored
        && is_md5(stored)
    {
        let stored = stored.to_ascii_lowercase();
        let thrice = md5_hex(twice.as_bytes());
        let equal = |form: &str| form.as_bytes().ct_eq(stored.as_bytes());
        let known = equal(secret) | equal(&twice) | equal(&thrice);
        return if bool::from(known) {
            Verdict::RightButOld
        } else {
            Verdict::Wrong
        };
    }
    let known = stored.is_some();
    let Ok(hash) = PasswordHash::new(stored.unwrap_or(NOBODYS)) else {
        return Verdict::Wrong;
    };
    let fits = |form: &str| {
        Argon2::default()
            .verify_password(form.as_bytes(), &hash)
            .is_ok()
    };
    if (fits(secret) || fits(&twice)) && known {
        Verdict::Right
    } else {
        Verdict::Wrong
    }
}

/// The form that counts: an MD5 as it is, anything else its MD5.
fn normal(sent: &str) -> String {
    if is_md5(sent) {
        sent.to_ascii_lowercase()
    } else {
        md5_hex(sent.as_bytes())
    }
}

fn is_md5(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn md5_hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(32);
    for byte in Md5::digest(bytes) {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET_MD5: &str = "5ebe2294ecd0e0f08eab7690d2a6ee69";

    #[test]
    fn md5_is_md5() {
        assert_eq!(md5_hex(b"secret"), SECRET_MD5);
    }

    #[tokio::test]
    async fn what_is_stored_is_argon2id_and_fits_each_form_a_client_sends() {
        let passwords = Passwords::new();
        for sent in ["secret", SECRET_MD5, &SECRET_MD5.to_ascii_uppercase()] {
            let stored = passwords.hash(sent).await.unwrap();
            assert!(
                stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
                "{stored}"
            );
            assert!(!stored.contains(SECRET_MD5));
            for tried in ["secret", SECRET_MD5] {
                let verdict = passwords.verify(tried, Some(stored.clone())).await.unwrap();
                assert_eq!(verdict, Verdict::Right);
            }
            let wrong = passwords
                .verify("Secret", Some(stored.clone()))
                .await
                .unwrap();
            assert_eq!(wrong, Verdict::Wrong);
            let hash_as_password = passwords
                .verify(&stored.clone(), Some(stored))
                .await
                .unwrap();
            assert_eq!(hash_as_password, Verdict::Wrong);
        }
    }

    #[tokio::test]
    async fn md5_of_md5_is_accepted() {
        let passwords = Passwords::new();
        let stored = passwords
            .hash(&md5_hex(SECRET_MD5.as_bytes()))
            .await
            .unwrap();
        let verdict = passwords.verify(SECRET_MD5, Some(stored)).await.unwrap();
        assert_eq!(verdict, Verdict::Right);
    }

    #[test]
    fn ant_medias_records_are_known_and_marked_old() {
        let twice = md5_hex(SECRET_MD5.as_bytes());
        let thrice = md5_hex(twice.as_bytes());
        for stored in [SECRET_MD5, &twice, &thrice] {
            assert_eq!(compare(SECRET_MD5, Some(stored)), Verdict::RightButOld);
            assert_eq!(compare(&md5_hex(b"other"), Some(stored)), Verdict::Wrong);
        }
    }

    #[test]
    fn nobody_and_a_damaged_record_are_wrong() {
        assert!(
            PasswordHash::new(NOBODYS).is_ok(),
            "or nobody would be told apart by time"
        );
        assert_eq!(compare(SECRET_MD5, None), Verdict::Wrong);
        for stored in [
            "",
            "secret",
            "$argon2id$",
            "$argon2id$v=19$m=1,t=1,p=1$c2FsdHNhbHQ$aGFzaA",
        ] {
            assert_eq!(
                compare(SECRET_MD5, Some(stored)),
                Verdict::Wrong,
                "{stored}"
            );
        }
    }
}
