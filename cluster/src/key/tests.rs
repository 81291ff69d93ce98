//! Tokens as they are made and as strangers may make them.

use super::*;

const NOW_MS: i64 = 1_790_000_000_000;

/// `{"exp":1790000005}` under the key below, signed with Python's `hmac` and `hashlib`.
const FOREIGN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjE3OTAwMDAwMDV9.\
                       4sbqgW4YjXAI0czbmpXHVNMxYutULLlKCIVEAXRySnM";

fn key() -> ClusterKey {
    ClusterKey::fixed("a-shared-key-of-32-bytes-length!")
}

fn signed(key: &ClusterKey, header: &str, claims: &str) -> String {
    let head = URL_SAFE_NO_PAD.encode(header);
    let body = URL_SAFE_NO_PAD.encode(claims);
    let tag = hmac::sign(&key.hmac(), format!("{head}.{body}").as_bytes());
    format!("{head}.{body}.{}", URL_SAFE_NO_PAD.encode(tag))
}

#[test]
fn a_token_is_taken_by_who_has_the_key_and_by_nobody_else() {
    let token = key().mint(NOW_MS);
    assert_eq!(key().verify(&token, NOW_MS), Ok(()));
    let stranger = ClusterKey::random().unwrap();
    assert_eq!(stranger.verify(&token, NOW_MS), Err(KeyError::WrongKey));
    assert_eq!(token, FOREIGN);
}

#[test]
fn clocks_may_be_apart_by_two_minutes() {
    let token = key().mint(NOW_MS);
    let last_ms = NOW_MS + TOKEN_LIFETIME_MS + CLOCK_SKEW_MS;
    assert_eq!(key().verify(&token, NOW_MS - CLOCK_SKEW_MS), Ok(()));
    assert_eq!(key().verify(&token, last_ms), Ok(()));
    assert_eq!(key().verify(&token, last_ms + 1), Err(KeyError::Expired));
}

#[test]
fn one_token_serves_two_seconds_and_is_valid_for_three_more() {
    let key = key();
    let first = key.mint(NOW_MS);
    assert_eq!(key.mint(NOW_MS + 1_999), first);
    let second = key.mint(NOW_MS + 2_000);
    assert_ne!(second, first);
    // A clock that was set back makes no token that has expired elsewhere.
    assert_ne!(key.mint(NOW_MS - 60_000), second);
}

#[test]
fn what_a_token_says_of_its_algorithm_is_not_obeyed() {
    let key = key();
    let claims = r#"{"exp":1790000005}"#;
    let good = signed(&key, JOSE_HEADER, claims);
    assert_eq!(key.verify(&good, NOW_MS), Ok(()));
    let none = format!(
        "{}.{}.",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#),
        URL_SAFE_NO_PAD.encode(claims)
    );
    assert_eq!(key.verify(&none, NOW_MS), Err(KeyError::Malformed));
    for header in [r#"{"alg":"HS512"}"#, r#"{"alg":"hs256"}"#, "{}", "x"] {
        let token = signed(&key, header, claims);
        assert_eq!(
            key.verify(&token, NOW_MS),
            Err(KeyError::Malformed),
            "{header}"
        );
    }
}

#[test]
fn a_token_without_a_time_is_none() {
    let key = key();
    for claims in ["{}", r#"{"exp":"soon"}"#, r#"{"exp":null}"#, "[]", ""] {
        let token = signed(&key, JOSE_HEADER, claims);
        assert_eq!(
            key.verify(&token, NOW_MS),
            Err(KeyError::Malformed),
            "{claims}"
        );
    }
    let fraction = signed(&key, JOSE_HEADER, r#"{"exp":1790000005.5}"#);
    assert_eq!(key.verify(&fraction, NOW_MS), Ok(()));
    for garbage in ["", ".", "..", "a.b", "a.b.c", &"x".repeat(5_000)] {
        assert_eq!(key.verify(garbage, NOW_MS), Err(KeyError::Malformed));
    }
}

#[test]
fn a_changed_letter_anywhere_spoils_it() {
    let token = key().mint(NOW_MS);
    for at in 0..token.len() {
        let mut other = token.clone().into_bytes();
        other[at] = if other[at] == b'A' { b'B' } else { b'A' };
        let other = String::from_utf8(other).unwrap();
        assert!(key().verify(&other, NOW_MS).is_err(), "letter {at}");
    }
}

#[test]
fn it_is_never_shown() {
    assert_eq!(format!("{:?}", key()), "ClusterKey(***)");
}

#[test]
fn a_signature_is_good_for_its_purpose_and_key_alone() {
    let key = ClusterKey::fixed("the key of this cluster, long enough");
    let signature = key.sign("session", b"somebody");
    assert!(key.is_signed("session", b"somebody", &signature));
    assert!(!key.is_signed("session", b"somebody else", &signature));
    assert!(!key.is_signed("other", b"somebody", &signature));
    assert!(!key.is_signed("session", b"somebody", &signature[1..]));
    let other = ClusterKey::fixed("the key of that cluster, long enough");
    assert!(!other.is_signed("session", b"somebody", &signature));
}
