//! REST behind a key set at a URL, read from a real server.

use crate::support::{Api, START_MS};
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Method, StatusCode};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::json;
use weir_api::{ManagementOptions, Secret};

const SETTINGS: &str = "/rest/v2/applications/settings/LiveApp";
const LIST: &str = "/LiveApp/rest/v2/broadcasts/list/0/10";
const SECRET: &str = "a secret of thirty-two characters";

fn key() -> EncodingKey {
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    EncodingKey::from_ec_der(made.unwrap().as_ref())
}

fn token(by: Algorithm, key: &EncodingKey) -> String {
    let mut header = Header::new(by);
    header.kid = Some("k1".to_owned());
    encode(&header, &json!({"exp": START_MS / 1000 + 60}), key).unwrap()
}

/// Serves the public half of `key`; gives its URL.
async fn provider(key: &EncodingKey) -> String {
    let mut jwk = Jwk::from_encoding_key(key, Algorithm::ES256).unwrap();
    jwk.common.key_id = Some("k1".to_owned());
    let set = json!({"keys": [jwk]}).to_string();
    let routes = Router::new().route("/keys", get(move || async move { set }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    format!("http://{address}/keys")
}

async fn status(api: &Api, path: &str, header: &str, token: &str) -> (StatusCode, String) {
    let headers = [(header, token)];
    let answer = api
        .ask_from("127.0.0.1", Method::GET, path, &headers, Body::empty())
        .await;
    let words = answer.text().chars().take(30).collect();
    (answer.status(), words)
}

#[tokio::test]
async fn an_applications_key_set_outranks_its_secret() {
    let api = Api::managed(ManagementOptions::default()).await;
    let key = key();
    let url = provider(&key).await;
    let set = json!({"jwtControlEnabled": true, "jwtSecretKey": SECRET, "jwksURL": url});
    api.send(Method::POST, SETTINGS, set).await.success();
    let by_key = token(Algorithm::ES256, &key);
    let by_secret = token(
        Algorithm::HS256,
        &EncodingKey::from_secret(SECRET.as_bytes()),
    );
    let by_another = token(Algorithm::ES256, &self::key());
    let ask = async |token: &str| status(&api, LIST, "authorization", token).await;
    let invalid = (StatusCode::FORBIDDEN, "Invalid App JWT Token".to_owned());
    assert_eq!(ask(&by_key).await, (StatusCode::OK, "[]".to_owned()));
    assert_eq!(ask(&format!("Bearer {by_key}")).await.0, StatusCode::OK);
    for wrong in [&by_secret, &by_another, ""] {
        assert_eq!(ask(wrong).await, invalid);
    }
    // Without the URL the secret counts again, at once.
    let unset = json!({"jwksURL": ""});
    api.send(Method::POST, SETTINGS, unset).await.success();
    assert_eq!(ask(&by_secret).await.0, StatusCode::OK);
    assert_eq!(ask(&by_key).await, invalid);
}

#[tokio::test]
async fn a_url_that_may_not_be_fetched_is_refused_when_it_is_set() {
    let api = Api::managed(ManagementOptions::default()).await;
    for wrong in [
        "file:///etc/passwd",
        "keys",
        "http://u:p@10.0.0.1/",
        "gopher://x/",
    ] {
        let answer = api
            .send(Method::POST, SETTINGS, json!({"jwksURL": wrong}))
            .await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{wrong}");
        assert!(answer.failure().contains("jwksURL"), "{wrong}");
    }
}

#[tokio::test]
async fn the_servers_tokens_are_judged_by_its_key_set() {
    let key = key();
    let options = ManagementOptions {
        jwt_secret: Some(Secret::new(SECRET.to_owned())),
        jwks_url: provider(&key).await,
        ..ManagementOptions::default()
    };
    let api = Api::managed(options).await;
    let path = "/rest/v2/applications";
    let ask = async |token: &str| status(&api, path, "proxyauthorization", token).await;
    assert_eq!(ask(&token(Algorithm::ES256, &key)).await.0, StatusCode::OK);
    let by_secret = token(
        Algorithm::HS256,
        &EncodingKey::from_secret(SECRET.as_bytes()),
    );
    let invalid = (StatusCode::FORBIDDEN, "Invalid Server JWT Token".to_owned());
    assert_eq!(ask(&by_secret).await, invalid);
}
