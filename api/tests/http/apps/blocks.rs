//! A block goes to the node that the subscriber is connected to, and to no other address.

use super::REST;
use super::carried::{Pair, Way};
use crate::support::{START_MS, heartbeat};
use http::Method;
use serde_json::{Value, json};
use weir_cluster::{AppName, Fields, Kind, NodeRecord, Place};

const BLOCK: &str = "broadcasts/cam1/subscribers/ann1/block/60/play";

/// A subscriber of cam1 who is connected to `node_ip`.
async fn subscriber(pair: &Pair, node_ip: &str) {
    let path = format!("{REST}/broadcasts/cam1/subscribers");
    let ann = json!({"subscriberId": "ann1"});
    pair.other.send(Method::POST, &path, ann).await.success();
    let place = Place::in_app(
        Kind::Subscriber,
        &AppName::parse("LiveApp").unwrap(),
        ["cam1", "ann1"],
    );
    let set = Fields::from_iter([("registeredNodeIp".to_owned(), Value::from(node_ip))]);
    pair.other.store.patch(&place, set).await.unwrap().unwrap();
}

async fn node(pair: &Pair, id: &str, ip: &str, http: Option<&str>, at_ms: i64) {
    let node = NodeRecord {
        ip: ip.to_owned(),
        http_address: http.map(str::to_owned),
        ..heartbeat(id, at_ms)
    };
    pair.other.store.heartbeat(node).await.unwrap();
}

async fn blocked_until(pair: &Pair) -> i64 {
    let path = format!("{REST}/broadcasts/cam1/subscribers/list/0/9");
    let list = pair.other.get(&path).await.json();
    list[0]["blockedUntilUnitTimeStampMs"].as_i64().unwrap()
}

#[tokio::test]
async fn a_block_is_carried_to_the_subscribers_node_and_not_to_the_streams_owner() {
    let pair = Pair::new();
    pair.publish("cam1", true).await;
    subscriber(&pair, "10.0.0.8").await;
    node(
        &pair,
        "origin-1",
        "10.0.0.8",
        Some("10.0.0.8:5081"),
        START_MS,
    )
    .await;
    let before = pair.sent().len();
    let told = pair.ask_other(Method::PUT, BLOCK).await.success();
    assert_eq!(
        (&told["dataId"], &told["message"]),
        (&json!("ann1"), &Value::Null)
    );
    let sent = pair.sent();
    assert_eq!(
        sent[before..],
        [format!("10.0.0.8:5081 PUT /LiveApp/rest/v2/{BLOCK}")]
    );
    assert_eq!(blocked_until(&pair).await, START_MS + 60_000);
    // A node of Ant Media's tells no port.
    node(&pair, "origin-1", "10.0.0.8", None, START_MS).await;
    pair.ask_other(Method::PUT, BLOCK).await.success();
    assert!(pair.sent().last().unwrap().starts_with("10.0.0.8 PUT"));
}

#[tokio::test]
async fn an_address_that_is_no_living_nodes_is_never_called() {
    let pair = Pair::new();
    pair.publish("cam1", true).await;
    subscriber(&pair, "203.0.113.9").await;
    let before = pair.sent().len();
    pair.ask_other(Method::PUT, BLOCK).await.success();
    assert_eq!(blocked_until(&pair).await, START_MS + 60_000, "done here");
    // The node that is asked, and one that is dead.
    node(&pair, "edge-1", "203.0.113.9", None, START_MS).await;
    pair.ask_other(Method::PUT, BLOCK).await.success();
    node(&pair, "edge-1", "10.9.9.9", None, START_MS).await;
    node(&pair, "gone", "203.0.113.9", None, START_MS).await;
    pair.other.clock.advance(60_000);
    pair.ask_other(Method::PUT, BLOCK).await.success();
    assert_eq!(pair.sent().len(), before);
}

#[tokio::test]
async fn a_subscribers_node_that_cannot_be_reached_is_passed_over_and_told() {
    let pair = Pair::new();
    pair.publish("cam1", true).await;
    subscriber(&pair, "10.0.0.8").await;
    node(&pair, "origin-1", "10.0.0.8", None, START_MS).await;
    pair.way(Way::Closed);
    let told = pair.ask_other(Method::PUT, BLOCK).await.success();
    let words = told["message"].as_str().unwrap();
    assert!(
        words.contains("subscriber's node 10.0.0.8 could not be reached"),
        "{words}"
    );
    assert_eq!(blocked_until(&pair).await, START_MS + 60_000);
    pair.way(Way::NoAnswer);
    let answer = pair.ask_other(Method::PUT, BLOCK).await;
    assert_eq!(answer.status(), http::StatusCode::BAD_GATEWAY);
    assert!(
        answer
            .failure()
            .starts_with("the subscriber's node 10.0.0.8 did not answer")
    );
}
