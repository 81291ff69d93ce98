//! Who gets in: the client's address behind proxies, tokens of applications and of the server.

use crate::support::{Api, START_MS, cluster_key, heartbeat};
use axum::body::Body;
use http::{Method, StatusCode};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;
use weir_api::{CidrList, ManagementOptions, Secret};

const LIST: &str = "/LiveApp/rest/v2/broadcasts/list/0/10";

async fn status(
    api: &Api,
    peer: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> (StatusCode, String) {
    let answer = api
        .ask_from(peer, Method::GET, path, headers, Body::empty())
        .await;
    let refused = answer.status() == StatusCode::FORBIDDEN;
    let text = if refused { answer.text() } else { "" };
    (answer.status(), text.to_owned())
}

fn not_allowed() -> (StatusCode, String) {
    (StatusCode::FORBIDDEN, "Not allowed IP".to_owned())
}

fn ok() -> (StatusCode, String) {
    (StatusCode::OK, String::new())
}

fn token(secret: &str, lives_s: i64) -> String {
    let claims = json!({"exp": START_MS / 1000 + lives_s});
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&Header::default(), &claims, &key).unwrap()
}

#[tokio::test]
async fn an_applications_rest_is_for_this_machine_unless_it_is_opened() {
    let api = Api::new();
    assert_eq!(status(&api, "127.0.0.1", LIST, &[]).await, ok());
    assert_eq!(status(&api, "::1", LIST, &[]).await, ok());
    assert_eq!(status(&api, "203.0.113.9", LIST, &[]).await, not_allowed());
    for path in [
        "/LiveApp/rest/v2/anything",
        "/none/rest/v2/broadcasts/x",
        "/%4CiveApp/rest/v2/version",
    ] {
        assert_eq!(
            status(&api, "203.0.113.9", path, &[]).await,
            not_allowed(),
            "{path}"
        );
    }
    for path in [
        "/",
        "/LiveApp/play.html",
        "/metrics",
        "/rest/v2/liveness",
        "/rest/v2/version",
        "/rest/v2/weir/node",
    ] {
        assert_eq!(status(&api, "203.0.113.9", path, &[]).await, ok(), "{path}");
    }
}

#[tokio::test]
async fn behind_the_balancer_the_client_is_judged_and_not_the_balancer() {
    let api = Api::new();
    let through = |list: &'static str| [("x-forwarded-for", list)];
    assert_eq!(
        status(&api, "127.0.0.1", LIST, &through("203.0.113.9")).await,
        not_allowed()
    );
    let lie = through("127.0.0.1, 203.0.113.9");
    assert_eq!(status(&api, "127.0.0.1", LIST, &lie).await, not_allowed());
    assert_eq!(
        status(&api, "127.0.0.1", LIST, &through("127.0.0.1")).await,
        ok()
    );
    assert_eq!(
        status(&api, "203.0.113.9", LIST, &through("127.0.0.1")).await,
        not_allowed()
    );
    assert_eq!(
        status(&api, "127.0.0.1", LIST, &through("unknown")).await,
        not_allowed()
    );
}

#[tokio::test]
async fn nodes_of_the_cluster_and_named_proxies_are_believed() {
    let options = ManagementOptions {
        trusted_proxies: CidrList::parse("192.0.2.0/24"),
        ..ManagementOptions::default()
    };
    let api = Api::managed(options).await;
    api.store
        .heartbeat(heartbeat("lb-1", START_MS))
        .await
        .unwrap();
    let local = [("x-forwarded-for", "127.0.0.1")];
    assert_eq!(
        status(&api, "10.0.0.7", LIST, &local).await,
        ok(),
        "a node's address"
    );
    assert_eq!(
        status(&api, "192.0.2.80", LIST, &local).await,
        ok(),
        "a named proxy"
    );
    assert_eq!(
        status(&api, "10.0.0.8", LIST, &local).await,
        not_allowed(),
        "a stranger"
    );
}

#[tokio::test]
async fn a_node_passes_by_its_token() {
    let api = Api::new();
    let token = cluster_key().mint(START_MS);
    let node = [("clusterauthorization", token.as_str())];
    assert_eq!(status(&api, "203.0.113.9", LIST, &node).await, ok());
    let management = "/rest/v2/applications";
    assert_eq!(status(&api, "127.0.0.1", management, &node).await, ok());
    let overheard = status(&api, "203.0.113.9", management, &node).await;
    assert_eq!(overheard.0, StatusCode::FORBIDDEN, "{overheard:?}");
    api.clock.set(START_MS + 1_000_000);
    assert_eq!(
        status(&api, "203.0.113.9", LIST, &node).await,
        not_allowed()
    );
}

#[tokio::test]
async fn settings_open_and_close_an_application_at_once() {
    let api = Api::managed(ManagementOptions::default()).await;
    let path = "/rest/v2/applications/settings/LiveApp";
    let open = json!({"remoteAllowedCIDR": "203.0.113.0/24"});
    api.send(Method::POST, path, open).await.success();
    assert_eq!(status(&api, "203.0.113.9", LIST, &[]).await, ok());
    assert_eq!(status(&api, "127.0.0.1", LIST, &[]).await, not_allowed());
    let other = "/live/rest/v2/broadcasts/list/0/10";
    assert_eq!(status(&api, "203.0.113.9", other, &[]).await, not_allowed());

    let secret = "a secret of an application";
    let closed =
        json!({"ipFilterEnabled": false, "jwtControlEnabled": true, "jwtSecretKey": secret});
    api.send(Method::POST, path, closed).await.success();
    let invalid = (StatusCode::FORBIDDEN, "Invalid App JWT Token".to_owned());
    assert_eq!(status(&api, "8.8.8.8", LIST, &[]).await, invalid);
    let good = token(secret, 60);
    assert_eq!(
        status(&api, "8.8.8.8", LIST, &[("authorization", &good)]).await,
        ok()
    );
    let bearer = format!("Bearer {good}");
    assert_eq!(
        status(&api, "8.8.8.8", LIST, &[("authorization", &bearer)]).await,
        ok()
    );
    for bad in [
        token("another", 60),
        token(secret, -1),
        "Basic eA==".to_owned(),
    ] {
        assert_eq!(
            status(&api, "8.8.8.8", LIST, &[("authorization", &bad)]).await,
            invalid
        );
    }
    let wrong = json!({"remoteAllowedCIDR": "10.0.0.0/99"});
    let wrong = api.send(Method::POST, path, wrong).await;
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    assert!(wrong.failure().contains("remoteAllowedCIDR"));
}

#[tokio::test]
async fn the_management_rest_has_an_address_list_and_tokens_of_its_own() {
    let secret = "a secret of the server";
    let options = ManagementOptions {
        allowed_dashboard_cidr: CidrList::parse("203.0.113.0/24"),
        jwt_secret: Some(Secret::new(secret.to_owned())),
        ..ManagementOptions::default()
    };
    let api = Api::managed(options).await;
    let path = "/rest/v2/applications";
    let (good, bad) = (token(secret, 60), token("another", 60));
    let with = |token: &str| [("proxyauthorization", token.to_owned())];
    let ask = async |peer: &str, path: &str, token: &str| {
        let headers = with(token);
        let headers = headers
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        status(&api, peer, path, &headers).await
    };
    assert_eq!(ask("203.0.113.9", path, &good).await, ok());
    let invalid = (StatusCode::FORBIDDEN, "Invalid Server JWT Token".to_owned());
    assert_eq!(ask("203.0.113.9", path, &bad).await, invalid);
    assert_eq!(ask("203.0.113.9", path, "").await, invalid);
    assert_eq!(ask("8.8.8.8", path, &good).await, not_allowed());
    assert_eq!(
        ask("8.8.8.8", "/rest/v2/first-login-status", "").await,
        not_allowed()
    );
    assert_eq!(
        ask("203.0.113.9", "/rest/v2/first-login-status", "").await,
        ok()
    );
    assert_eq!(
        ask("8.8.8.8", "/rest/v2/liveness", "").await,
        ok(),
        "a probe asks from anywhere"
    );
    assert_eq!(
        ask("203.0.113.9", "/rest/v2/no-such-path", "").await,
        invalid
    );
}

#[tokio::test]
async fn the_public_list_tells_those_who_may_know_and_says_why_else() {
    let api = Api::new();
    api.publish("cam1", true).await;
    let ask = async |peer: &str| {
        let path = "/rest/v2/weir/live";
        api.ask_from(peer, Method::GET, path, &[], Body::empty())
            .await
            .json()
    };
    let told = ask("127.0.0.1").await;
    assert_eq!(told["streams"][0]["streamId"], "cam1");
    assert_eq!(told["streams"][0]["app"], "LiveApp");
    assert_eq!(told["hidden"], json!([]));
    let hidden = ask("203.0.113.9").await;
    assert_eq!(hidden["streams"], json!([]));
    assert_eq!(hidden["nodes"], json!([]));
    assert_eq!(
        hidden["hidden"][0],
        json!({"app": "LiveApp", "reason": "address"})
    );
}
