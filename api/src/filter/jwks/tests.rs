//! Sets from a real HTTP server, tokens by real keys.

use super::*;
use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use jsonwebtoken::{EncodingKey, Header, encode};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::time::advance;

const NOW_MS: i64 = 1_800_000_000_000;

/// An identity provider: its set, and how often it was asked.
#[derive(Clone, Default)]
struct Provider {
    answer: Arc<Mutex<Option<String>>>,
    asked: Arc<AtomicUsize>,
}

impl Provider {
    /// Gives the URL of its set.
    async fn start(&self) -> String {
        let own = self.clone();
        let answer = move || async move {
            own.asked.fetch_add(1, Ordering::Relaxed);
            let answer = own.answer.lock().unwrap().clone();
            match answer {
                Some(text) => text.into_response(),
                None => http::StatusCode::BAD_GATEWAY.into_response(),
            }
        };
        let moved = || async { axum::response::Redirect::temporary("/keys") };
        let huge = || async { Response::new(axum::body::Body::from(vec![b' '; 300 * 1024])) };
        let routes = Router::new()
            .route("/keys", get(answer))
            .route("/moved", get(moved))
            .route("/huge", get(huge));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        format!("http://{address}/keys")
    }

    fn publish(&self, keys: &[Value]) {
        *self.answer.lock().unwrap() = Some(json!({ "keys": keys }).to_string());
    }

    fn silent(&self) {
        *self.answer.lock().unwrap() = None;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// A signing key and its public half.
struct Pair {
    id: String,
    by: Algorithm,
    key: EncodingKey,
}

impl Pair {
    fn rsa(id: &str) -> Self {
        let key = EncodingKey::from_rsa_der(include_bytes!("test_rsa.der"));
        Self::of(id, Algorithm::RS256, key)
    }

    fn p256(id: &str) -> Self {
        let made =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        Self::of(
            id,
            Algorithm::ES256,
            EncodingKey::from_ec_der(made.unwrap().as_ref()),
        )
    }

    fn ed25519(id: &str) -> Self {
        // PKCS#8 version 1 (RFC 8410 section 7), before 32 random bytes.
        let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
        let mut seed = [0; 32];
        SystemRandom::new().fill(&mut seed).unwrap();
        der.extend(seed);
        Self::of(id, Algorithm::EdDSA, EncodingKey::from_ed_der(&der))
    }

    fn of(id: &str, by: Algorithm, key: EncodingKey) -> Self {
        let id = id.to_owned();
        Self { id, by, key }
    }

    fn public(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.by).unwrap();
        jwk.common.key_id = Some(self.id.clone());
        serde_json::to_value(jwk).unwrap()
    }

    fn token(&self, claims: &Value) -> String {
        let mut header = Header::new(self.by);
        header.kid = Some(self.id.clone());
        encode(&header, claims, &self.key).unwrap()
    }
}

#[tokio::test]
async fn tokens_by_the_keys_of_the_set_pass_and_no_others() {
    let provider = Provider::default();
    let url = provider.start().await;
    let pairs = [Pair::rsa("r"), Pair::p256("e"), Pair::ed25519("d")];
    let mut keys: Vec<Value> = pairs.iter().map(Pair::public).collect();
    keys.push(json!({"kty": "from the future", "kid": "x"}));
    keys.push(json!({"kty": "oct", "kid": "shared", "k": "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0"}));
    let mut other_use = Pair::p256("enc").public();
    other_use["use"] = "enc".into();
    keys.push(other_use);
    provider.publish(&keys);
    let sets = KeySets::new();
    let good = json!({"exp": NOW_MS / 1000 + 1});
    for pair in &pairs {
        let token = pair.token(&good);
        assert!(sets.is_valid(&token, &url, NOW_MS).await, "{:?}", pair.by);
        let bearer = format!("Bearer {token}");
        assert!(sets.is_valid(&bearer, &url, NOW_MS).await);
        let late = pair.token(&json!({"exp": NOW_MS / 1000}));
        assert!(!sets.is_valid(&late, &url, NOW_MS).await);
        let forged = match pair.by {
            Algorithm::EdDSA => Pair::ed25519(&pair.id),
            _ => Pair::p256(&pair.id),
        };
        let forged = forged.token(&good);
        assert!(!sets.is_valid(&forged, &url, NOW_MS).await, "{:?}", pair.by);
    }
    // The shared secret of the set, and an algorithm that the key's type does not allow.
    let secret = EncodingKey::from_secret(b"secret secret secret secret");
    for id in ["shared", "r", "e"] {
        let token = Pair::of(id, Algorithm::HS256, EncodingKey::from_secret(b"x")).token(&good);
        assert!(!sets.is_valid(&token, &url, NOW_MS).await, "{id}");
    }
    let shared = Pair::of("shared", Algorithm::HS256, secret).token(&good);
    assert!(!sets.is_valid(&shared, &url, NOW_MS).await);
    for junk in ["", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", &"x".repeat(9_000)] {
        assert!(!sets.is_valid(junk, &url, NOW_MS).await);
    }
    assert_eq!(provider.asked(), 1, "one fetch for all of it");
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_found_and_invented_names_ask_once_in_a_while() {
    let provider = Provider::default();
    let url = provider.start().await;
    let (old, new) = (Pair::p256("old"), Pair::p256("new"));
    provider.publish(&[old.public()]);
    let sets = KeySets::new();
    let none = json!({});
    assert!(sets.is_valid(&old.token(&none), &url, NOW_MS).await);
    provider.publish(&[old.public(), new.public()]);
    for _ in 0..3 {
        assert!(!sets.is_valid(&new.token(&none), &url, NOW_MS).await);
    }
    assert_eq!(provider.asked(), 1, "too soon");
    advance(ASK_PERIOD).await;
    assert!(sets.is_valid(&new.token(&none), &url, NOW_MS).await);
    assert_eq!(provider.asked(), 2);
    advance(ASK_PERIOD).await;
    let invented = Pair::p256("invented").token(&none);
    for _ in 0..3 {
        assert!(!sets.is_valid(&invented, &url, NOW_MS).await);
    }
    assert_eq!(provider.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_away_is_outlived_for_an_hour() {
    let provider = Provider::default();
    let url = provider.start().await;
    let pair = Pair::p256("k");
    provider.publish(&[pair.public()]);
    let sets = KeySets::new();
    let token = pair.token(&json!({}));
    assert!(sets.is_valid(&token, &url, NOW_MS).await);
    provider.silent();
    advance(KEPT - Duration::from_secs(1)).await;
    assert!(sets.is_valid(&token, &url, NOW_MS).await);
    advance(Duration::from_secs(1) + ASK_PERIOD).await;
    assert!(!sets.is_valid(&token, &url, NOW_MS).await);
    provider.publish(&[pair.public()]);
    advance(ASK_PERIOD).await;
    assert!(sets.is_valid(&token, &url, NOW_MS).await);
}

#[tokio::test]
async fn what_is_no_set_admits_nobody_and_nothing_else_is_asked() {
    let provider = Provider::default();
    let url = provider.start().await;
    let pair = Pair::p256("k");
    provider.publish(&[pair.public()]);
    let token = pair.token(&json!({}));
    let fetcher = Fetcher::new();
    assert!(fetcher.fetch(&url).await.is_ok());
    let at = |path: &str| url.replace("/keys", path);
    let moved = fetcher.fetch(&at("/moved")).await.unwrap_err();
    assert!(
        moved.contains("307") || moved.contains("redirect"),
        "{moved}"
    );
    assert_eq!(provider.asked(), 1, "a redirect is not followed");
    let huge = fetcher.fetch(&at("/huge")).await.unwrap_err();
    assert!(huge.contains("large") || huge.contains("limit"), "{huge}");
    let tls = url.replace("http:", "https:");
    for wrong in [
        tls.as_str(),
        &at("/none"),
        "file:///etc/passwd",
        "http://u:p@127.0.0.1/",
    ] {
        assert!(fetcher.fetch(wrong).await.is_err(), "{wrong}");
        assert!(
            !KeySets::new().is_valid(&token, wrong, NOW_MS).await,
            "{wrong}"
        );
    }
    *provider.answer.lock().unwrap() = Some("[]".to_owned());
    assert!(!KeySets::new().is_valid(&token, &url, NOW_MS).await);
}

#[test]
fn what_is_known_decides_when_to_ask() {
    let now = Instant::now() + KEPT * 4;
    let known = |fetched: Duration, asked: Duration| Known {
        keys: Arc::default(),
        fetched: Some(now - fetched),
        asked: Some(now - asked),
        failing: false,
    };
    assert_eq!(Known::default().next(Some("a"), now), Next::Ask);
    let second = Duration::from_secs(1);
    assert_eq!(known(second, second).next(Some("a"), now), Next::Use);
    assert_eq!(
        known(ASK_PERIOD, ASK_PERIOD).next(Some("a"), now),
        Next::Ask
    );
    assert_eq!(
        known(KEPT, second).next(None, now),
        Next::Use,
        "asked just now"
    );
    assert!(known(KEPT, second).is_too_old(now));
    let keys = read(
        json!({"keys": [Pair::p256("a").public()]})
            .to_string()
            .as_bytes(),
    );
    let keys = Arc::new(keys.unwrap());
    for (age, next) in [
        (FRESH - second, Next::Use),
        (FRESH, Next::UseAndAsk),
        (KEPT, Next::Ask),
    ] {
        let known = Known {
            keys: Arc::clone(&keys),
            ..known(age, age)
        };
        assert_eq!(
            (known.next(Some("a"), now), known.next(None, now)),
            (next, next)
        );
    }
}
