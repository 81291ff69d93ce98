//! Who may watch: tokens, subscribers, codes, events.

use super::REST;
use crate::support::{Answer, Api, START_MS};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use weir_cluster::{AppName, Fields, Kind};

const SOON_S: i64 = START_MS / 1000 + 60;

async fn token(api: &Api, query: &str) -> Value {
    let answer = api
        .get(&format!("{REST}/broadcasts/cam1/token?{query}"))
        .await;
    assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text());
    answer.json()
}

async fn validate(api: &Api, token: &Value) -> Answer {
    let path = format!("{REST}/broadcasts/validate-token");
    api.send(Method::POST, &path, token.clone()).await
}

#[tokio::test]
async fn a_token_is_good_once_for_its_stream_its_use_and_its_time() {
    let api = Api::new();
    let made = token(&api, &format!("expireDate={SOON_S}&type=play")).await;
    assert_eq!(
        (
            &made["streamId"],
            &made["type"],
            &made["expireDate"],
            &made["roomId"]
        ),
        (&json!("cam1"), &json!("play"), &json!(SOON_S), &Value::Null)
    );
    for (key, value) in [
        ("type", json!("publish")),
        ("streamId", json!("other")),
        ("tokenId", json!("no")),
    ] {
        let mut other = made.clone();
        other[key] = value;
        assert_eq!(
            validate(&api, &other).await.failure(),
            "the token is not valid",
            "{key}"
        );
    }
    validate(&api, &made).await.success();
    validate(&api, &made).await.failure();

    let late = token(&api, &format!("expireDate={SOON_S}&type=publish")).await;
    api.clock.set(SOON_S * 1000);
    validate(&api, &late).await.failure();
    api.clock.set(SOON_S * 1000 - 1);
    validate(&api, &late).await.success();
    assert_eq!(
        validate(&api, &json!({})).await.failure(),
        "tokenId is missing"
    );
}

#[tokio::test]
async fn of_many_who_spend_a_token_at_once_one_may() {
    let api = Arc::new(Api::new());
    let made = token(&api, &format!("expireDate={SOON_S}&type=play")).await;
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (api, made) = (Arc::clone(&api), made.clone());
        tries.spawn(async move { validate(&api, &made).await.json()["success"] == true });
    }
    let good = tries.join_all().await;
    assert_eq!(good.iter().filter(|good| **good).count(), 1);
}

#[tokio::test]
async fn a_rooms_token_is_not_spent() {
    let api = Api::new();
    let made = token(&api, &format!("expireDate={SOON_S}&type=play&roomId=room")).await;
    validate(&api, &made).await.success();
    validate(&api, &made).await.success();
}

#[tokio::test]
async fn tokens_are_listed_and_revoked() {
    let api = Api::new();
    for _ in 0..3 {
        token(&api, &format!("expireDate={SOON_S}&type=play")).await;
    }
    let list = format!("{REST}/broadcasts/cam1/tokens/list/0/2");
    assert_eq!(api.get(&list).await.json().as_array().unwrap().len(), 2);
    let other = api
        .get(&format!("{REST}/broadcasts/cam2/tokens/list/0/9"))
        .await;
    assert_eq!(other.json(), json!([]));
    api.ask(
        Method::DELETE,
        &format!("{REST}/broadcasts/cam1/tokens"),
        &[],
    )
    .await
    .success();
    assert_eq!(api.get(&list).await.json(), json!([]));
}

#[tokio::test]
async fn tokens_that_cannot_be_are_400() {
    let api = Api::new();
    for path in [
        "cam1/token",
        "cam1/token?expireDate=5",
        "cam1/token?type=play",
        "cam1/token?expireDate=x&type=play",
        "cam1/token?expireDate=5&type=watch",
        "a__b/token?expireDate=5&type=play",
        "cam1/jwt-token?expireDate=0&type=play",
    ] {
        let answer = api.get(&format!("{REST}/broadcasts/{path}")).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{path}");
        answer.failure();
    }
}

#[tokio::test]
async fn a_signed_token_holds_for_whoever_has_the_key() {
    let api = Api::new();
    let path = format!("{REST}/broadcasts/cam1/jwt-token?expireDate=4000000000&type=play&roomId=r");
    let without = api.get(&path).await;
    assert_eq!(without.status(), StatusCode::BAD_REQUEST);
    assert!(without.failure().contains("jwtStreamSecretKey"));
    api.set(json!({"jwtStreamSecretKey": "a-key-of-thirty-two-bytes-length"}))
        .await;
    let made = api.get(&path).await.json();
    let key = jsonwebtoken::DecodingKey::from_secret(b"a-key-of-thirty-two-bytes-length");
    let rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
    let jwt = made["tokenId"].as_str().unwrap();
    let claims = jsonwebtoken::decode::<Value>(jwt, &key, &rules)
        .unwrap()
        .claims;
    let expected =
        json!({"streamId": "cam1", "type": "play", "exp": 4_000_000_000_i64, "roomId": "r"});
    assert_eq!(claims, expected);
    let list = api
        .get(&format!("{REST}/broadcasts/cam1/tokens/list/0/9"))
        .await;
    assert_eq!(list.json(), json!([]), "it is kept nowhere");
}

async fn subscribe(api: &Api, body: Value) -> Answer {
    let path = format!("{REST}/broadcasts/cam1/subscribers");
    api.send(Method::POST, &path, body).await
}

async fn subscribers(api: &Api) -> Value {
    api.get(&format!("{REST}/broadcasts/cam1/subscribers/list/0/9"))
        .await
        .json()
}

#[tokio::test]
async fn subscribers_are_added_changed_and_deleted() {
    let api = Api::new();
    let body = json!({"subscriberId": "anna", "b32Secret": "GEZDGNBVGY3TQOJQ", "type": "play", "connected": true,
        "streamId": "other", "blockedType": "play"});
    subscribe(&api, body).await.success();
    let all = subscribers(&api).await;
    let expected = json!([{"subscriberId": "anna", "subscriberName": null, "streamId": "cam1",
        "b32Secret": "GEZDGNBVGY3TQOJQ", "type": "play", "connected": false, "currentConcurrentConnections": 0,
        "concurrentConnectionsLimit": 1, "blockedType": null, "blockedUntilUnitTimeStampMs": 0,
        "registeredNodeIp": null, "avgVideoBitrate": 0, "avgAudioBitrate": 0, "totpExpiryPeriodSeconds": null}]);
    assert_eq!(all, expected);
    subscribe(
        &api,
        json!({"subscriberId": "anna", "concurrentConnectionsLimit": 4}),
    )
    .await
    .success();
    let all = subscribers(&api).await;
    assert_eq!(
        (&all[0]["concurrentConnectionsLimit"], &all[0]["b32Secret"]),
        (&json!(4), &json!("GEZDGNBVGY3TQOJQ"))
    );
    subscribe(&api, json!({"subscriberId": "berta"}))
        .await
        .success();
    let one = format!("{REST}/broadcasts/cam1/subscribers/anna");
    api.ask(Method::DELETE, &one, &[]).await.success();
    api.ask(Method::DELETE, &one, &[]).await.failure();
    assert_eq!(subscribers(&api).await[0]["subscriberId"], "berta");
    let rest = api
        .ask(
            Method::DELETE,
            &format!("{REST}/broadcasts/cam1/subscribers"),
            &[],
        )
        .await;
    assert_eq!(rest.success()["message"], "1 subscribers deleted");
    assert_eq!(subscribers(&api).await, json!([]));
}

#[tokio::test]
async fn subscribers_that_cannot_be_are_400() {
    let api = Api::new();
    for (body, words) in [
        (json!({}), "subscriberId:"),
        (json!({"subscriberId": "abc"}), "subscriberId:"),
        (json!({"subscriberId": "a\u{0}bcd"}), "subscriberId:"),
        (json!({"subscriberId": "x".repeat(300)}), "subscriberId:"),
        (
            json!({"subscriberId": "anna", "b32Secret": "GEZDGNB"}),
            "b32Secret:",
        ),
        (
            json!({"subscriberId": "anna", "b32Secret": "11111111"}),
            "b32Secret:",
        ),
        (
            json!({"subscriberId": "anna", "totpExpiryPeriodSeconds": 9}),
            "totpExpiryPeriodSeconds: 9",
        ),
        (json!({"subscriberId": "anna", "type": "watch"}), "type:"),
    ] {
        let answer = subscribe(&api, body.clone()).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{body}");
        assert!(
            answer.failure().starts_with(words),
            "{body}: {}",
            answer.text()
        );
        assert!(
            !answer.text().contains("GEZDGNB"),
            "a secret is not repeated"
        );
    }
}

#[tokio::test]
async fn codes_come_from_the_subscribers_secret_or_the_applications() {
    let api = Api::new();
    let code = |sid: &'static str, kind: &'static str| {
        let api = &api;
        async move {
            let path = format!("{REST}/broadcasts/cam1/subscribers/{sid}/totp?type={kind}");
            api.get(&path).await
        }
    };
    code("nobody", "play").await.failure();
    subscribe(
        &api,
        json!({"subscriberId": "anna", "b32Secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
        "totpExpiryPeriodSeconds": 30}),
    )
    .await
    .success();
    // RFC 6238, appendix B.
    api.clock.set(1_111_111_109_000);
    assert_eq!(code("anna", "play").await.success()["dataId"], "081804");
    api.set(json!({"timeTokenSecretForPlay": "secret", "timeTokenPeriod": 60}))
        .await;
    let one = code("nobody", "play").await.success()["dataId"].clone();
    assert_eq!(one.as_str().unwrap().len(), 6);
    code("nobody", "publish").await.failure();
}

#[tokio::test]
async fn somebody_is_blocked_for_a_time() {
    let api = Api::new();
    subscribe(&api, json!({"subscriberId": "anna"}))
        .await
        .success();
    let block = |path: &'static str| {
        let api = &api;
        async move {
            let path = format!("{REST}/broadcasts/cam1/subscribers/{path}");
            api.ask(Method::PUT, &path, &[]).await
        }
    };
    block("anna/block/60/publish_play").await.success();
    let anna = subscribers(&api).await[0].clone();
    assert_eq!(
        (&anna["blockedType"], &anna["blockedUntilUnitTimeStampMs"]),
        (&json!("publish_play"), &json!(START_MS + 60_000))
    );
    block("anna/block/0/play").await.success();
    let anna = subscribers(&api).await[0].clone();
    assert_eq!(
        (&anna["blockedType"], &anna["blockedUntilUnitTimeStampMs"]),
        (&Value::Null, &json!(0))
    );
    block("nobody/block/60/play").await.failure();
    for path in [
        "anna/block/-1/play",
        "anna/block/x/play",
        "anna/block/60/watch",
        "anna/block/99999999999999999999/play",
    ] {
        assert_eq!(
            block(path).await.status(),
            StatusCode::BAD_REQUEST,
            "{path}"
        );
    }
}

#[tokio::test]
async fn events_are_listed_in_their_order() {
    let api = Api::new();
    let app = AppName::parse("LiveApp").unwrap();
    for (at, who, what) in [
        (3, "anna", "disconnected"),
        (1, "anna", "connected"),
        (2, "berta", "connected"),
    ] {
        let event = json!({"timestamp": START_MS + at, "subscriberId": who, "eventType": what, "streamId": "cam1",
            "instanceIP": "10.0.0.7", "type": "play", "eventProtocol": "hls"});
        let event: Fields = event.as_object().unwrap().clone();
        api.store
            .append(Kind::ConnectionEvent, &app, event)
            .await
            .unwrap();
    }
    let path = format!("{REST}/broadcasts/cam1/connection-events/0/9");
    let all = api.get(&path).await.json();
    let order: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["timestamp"].as_i64().unwrap() - START_MS)
        .collect();
    assert_eq!(order, [1, 2, 3]);
    let annas = api.get(&format!("{path}?subscriberId=anna")).await.json();
    assert_eq!(
        (annas.as_array().unwrap().len(), &annas[1]["eventType"]),
        (2, &json!("disconnected"))
    );
}
