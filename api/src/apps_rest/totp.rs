//! Time-based codes of subscribers: RFC 6238 with HMAC-SHA1 and six digits.
//!
//! A registered subscriber's secret is its own, in base32 (RFC 4648, padded to whole groups of eight characters). For
//! anybody else the secret is Ant Media's: the application's secret, subscriber, stream and type in a row, filled up
//! with `X` to a multiple of eight bytes.

use super::broadcast::{number, text};
use super::settings::AppKeys;
use data_encoding::BASE32;
use totp_rs::{Algorithm, Builder, Secret};
use weir_cluster::Fields;

/// Digits of a code.
const DIGITS: u8 = 6;
/// Steps before and after that are accepted when a code is checked.
const SKEW: u16 = 1;

/// The bytes of a base32 secret; `None` when it is none.
pub(crate) fn decoded(base32: &str) -> Option<Vec<u8>> {
    let bytes = BASE32.decode(base32.to_ascii_uppercase().as_bytes()).ok()?;
    (!bytes.is_empty()).then_some(bytes)
}

/// The code at `now_ms` (ms since the Unix epoch) of a subscriber, registered or not; `None` when there is no secret
/// to make it from.
pub(crate) fn code(
    registered: Option<&Fields>,
    keys: &AppKeys,
    (stream, subscriber, kind): (&str, &str, &str),
    now_ms: i64,
) -> Option<String> {
    let own = registered.and_then(|record| {
        let secret = decoded(text(record, "b32Secret")?)?;
        let period_s = u64::try_from(number(record, "totpExpiryPeriodSeconds")).ok();
        Some((secret, period_s.filter(|s| *s > 0)))
    });
    let (secret, period_s) = match own {
        Some(own) => own,
        None => (
            derived(keys.time_token_secret(kind)?, subscriber, stream, kind),
            None,
        ),
    };
    let totp = Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(DIGITS)
        .with_skew(SKEW)
        .with_step_duration(period_s.unwrap_or_else(|| keys.time_token_period_s()))
        .with_secret(Secret::new(secret.into_boxed_slice()))
        // Ant Media's secrets may be shorter than the RFC advises.
        .build_noncompliant();
    let now_s = u64::try_from(now_ms.div_euclid(1000)).ok()?;
    Some(totp.generate(now_s).to_string())
}

fn derived(secret: &str, subscriber: &str, stream: &str, kind: &str) -> Vec<u8> {
    let mut text = format!("{secret}{subscriber}{stream}{kind}");
    while !text.len().is_multiple_of(8) {
        text.push('X');
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(fields: serde_json::Value) -> AppKeys {
        match fields {
            serde_json::Value::Object(fields) => AppKeys::of(fields),
            _ => AppKeys::of(Fields::new()),
        }
    }

    /// RFC 6238 appendix B, the SHA1 rows, cut to six digits.
    #[test]
    fn codes_are_those_of_the_rfc() {
        let secret = BASE32.encode(b"12345678901234567890");
        let record = Fields::from_iter([
            ("b32Secret".to_owned(), secret.into()),
            ("totpExpiryPeriodSeconds".to_owned(), 30.into()),
        ]);
        for (at_s, expected) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let who = ("s", "someone", "play");
            let made = code(
                Some(&record),
                &keys(serde_json::json!({})),
                who,
                at_s * 1000,
            );
            assert_eq!(made.as_deref(), Some(expected), "at {at_s}");
        }
    }

    #[test]
    fn without_registration_the_applications_secret_counts() {
        let keys =
            keys(serde_json::json!({"timeTokenSecretForPlay": "secret", "timeTokenPeriod": 30}));
        // "secret" + "sub1" + "cam1" + "play" is 18 bytes: six X.
        assert_eq!(
            derived("secret", "sub1", "cam1", "play"),
            b"secretsub1cam1playXXXXXX"
        );
        let play = code(None, &keys, ("cam1", "sub1", "play"), 59_000);
        assert_eq!(play.map(|code| code.len()), Some(6));
        assert_eq!(code(None, &keys, ("cam1", "sub1", "publish"), 59_000), None);
    }

    #[test]
    fn secrets_are_whole_groups_of_base32() {
        assert_eq!(
            decoded("GEZDGNBVGY3TQOJQ").as_deref(),
            Some(&b"1234567890"[..])
        );
        assert_eq!(
            decoded("gezdgnbvgy3tqojq").as_deref(),
            Some(&b"1234567890"[..])
        );
        assert!(decoded("MFRGG===").is_some());
        for bad in ["", "GEZDGNB", "GEZDGNB1", "GEZ GNBV", "MFRGG"] {
            assert_eq!(decoded(bad), None, "{bad:?}");
        }
    }
}
