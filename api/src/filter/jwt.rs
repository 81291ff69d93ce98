//! Ant Media's JWT control: no claim required; `exp` and `nbf` hold when they are there.
//!
//! With a key set at a URL (`jwksURL`, see [`super::jwks`]) tokens are signed with a private key whose public half is
//! in the set; without one they are HS256 under one shared secret. An empty secret and no URL: nothing passes.

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

/// The longest token that is looked at, bytes.
pub(crate) const TOKEN_BYTES_MAX: usize = 8 * 1024;

#[derive(Deserialize)]
struct Claims {
    /// Seconds since the Unix epoch.
    exp: Option<f64>,
    /// Likewise.
    nbf: Option<f64>,
}

/// Whether `token` (`Bearer ` in front or not) was signed with `secret` and holds at `now_ms`.
pub(crate) fn is_valid(token: &str, secret: &str, now_ms: i64) -> bool {
    let key = DecodingKey::from_secret(secret.as_bytes());
    !secret.is_empty() && is_signed(bare(token), &key, Algorithm::HS256, now_ms)
}

/// Whether `token`, bare, was signed with `key` by this algorithm and no other, and holds at `now_ms`.
pub(crate) fn is_signed(token: &str, key: &DecodingKey, by: Algorithm, now_ms: i64) -> bool {
    if token.len() > TOKEN_BYTES_MAX {
        return false;
    }
    let mut validation = Validation::new(by);
    // The times are judged below, by the node's clock, which tests set.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let Ok(decoded) = jsonwebtoken::decode::<Claims>(token, key, &validation) else {
        return false;
    };
    #[expect(clippy::cast_precision_loss, reason = "ms of today fit an f64 exactly")]
    let now_s = now_ms as f64 / 1000.0;
    let Claims { exp, nbf } = decoded.claims;
    exp.is_none_or(|exp| now_s < exp) && nbf.is_none_or(|nbf| nbf <= now_s)
}

/// A token without the `Bearer ` that may stand before it.
pub(crate) fn bare(token: &str) -> &str {
    const BEARER: &str = "bearer ";
    let token = token.trim();
    match token.get(..BEARER.len()) {
        Some(word) if word.eq_ignore_ascii_case(BEARER) => token[BEARER.len()..].trim_start(),
        _ => token,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::{Value, json};

    const NOW_MS: i64 = 1_800_000_000_000;
    const SECRET: &str = "a secret of thirty-two characters";

    fn token(claims: &Value, secret: &str) -> String {
        let key = EncodingKey::from_secret(secret.as_bytes());
        encode(&Header::default(), claims, &key).unwrap()
    }

    #[test]
    fn signature_and_times_are_checked() {
        let valid = |claims: &Value| is_valid(&token(claims, SECRET), SECRET, NOW_MS);
        assert!(valid(&json!({})));
        assert!(valid(
            &json!({"sub": "x", "aud": "y", "exp": NOW_MS / 1000 + 1})
        ));
        assert!(!valid(&json!({"exp": NOW_MS / 1000})));
        assert!(!valid(&json!({"nbf": NOW_MS / 1000 + 1})));
        assert!(!valid(&json!({"exp": "tomorrow"})));
        let other = token(&json!({}), "another secret");
        assert!(!is_valid(&other, SECRET, NOW_MS));
        let good = token(&json!({}), SECRET);
        assert!(is_valid(&format!("Bearer {good}"), SECRET, NOW_MS));
        assert!(is_valid(&format!("bearer  {good}"), SECRET, NOW_MS));
        assert!(!is_valid(&good, "", NOW_MS) && !is_valid("", SECRET, NOW_MS));
    }

    #[test]
    fn a_token_without_a_signature_is_refused() {
        // {"alg":"none"} . {}
        assert!(!is_valid("eyJhbGciOiJub25lIn0.e30.", SECRET, NOW_MS));
        let empty = token(&json!({}), "");
        assert!(!is_valid(&empty, "", NOW_MS));
        assert!(!is_valid("Bea\u{e9}rer x", SECRET, NOW_MS));
    }
}
