//! Two nodes on one store: commands go to the node that owns the stream.

use super::REST;
use crate::support::{Answer, Api, START_MS, cluster_key};
use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use tower::ServiceExt as _;
use weir_api::{Forward, ForwardError, Rooms, Streams};
use weir_cluster::embedded::EmbeddedStore;
use weir_cluster::key::HEADER;
use weir_cluster::{
    ClusterKey, EpochEnd, Kind, ManualClock, Ownership, Store, StreamKey, WallClock as _,
};

/// How the way to the owner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Open,
    Closed,
    NoAnswer,
}

/// The way from a node to the owner's router, authorized as between real nodes.
#[derive(Debug)]
struct Wire {
    key: ClusterKey,
    clock: Arc<ManualClock>,
    way: Mutex<Way>,
    owner: OnceLock<Router>,
    /// What went over it.
    sent: Mutex<Vec<String>>,
}

#[async_trait]
impl Forward for Wire {
    async fn forward(
        &self,
        origin_adress: &str,
        mut request: Request<Bytes>,
    ) -> Result<Response<Bytes>, ForwardError> {
        let line = format!("{origin_adress} {} {}", request.method(), request.uri());
        self.sent.lock().unwrap().push(line);
        let way = *self.way.lock().unwrap();
        match way {
            Way::Closed => return Err(ForwardError::Unreachable("connection refused".to_owned())),
            Way::NoAnswer => return Err(ForwardError::Broken("reset".to_owned())),
            Way::Open => {}
        }
        let token = self.key.mint(self.clock.now_ms()).parse().unwrap();
        request.headers_mut().insert(HEADER, token);
        let owner = self.owner.get().unwrap().clone();
        let answer = owner.oneshot(request.map(Body::from)).await.unwrap();
        let (parts, body) = answer.into_parts();
        Ok(Response::from_parts(
            parts,
            body.collect().await.unwrap().to_bytes(),
        ))
    }
}

/// Streams that are published on a node.
#[derive(Debug)]
struct Published {
    store: Arc<dyn Store>,
    held: Mutex<HashMap<StreamKey, Ownership>>,
}

#[async_trait]
impl Streams for Published {
    async fn stop(&self, key: &StreamKey) -> bool {
        let held = self.held.lock().unwrap().remove(key);
        let Some(owner) = held else { return false };
        let end = EpochEnd::beginning(START_MS);
        self.store.release(key, owner.epoch, end).await.unwrap();
        true
    }
}

/// An origin that publishes and a node beside it.
pub(crate) struct Pair {
    origin: Api,
    pub(crate) other: Api,
    wire: Arc<Wire>,
    published: Arc<Published>,
    key: ClusterKey,
    _folder: tempfile::TempDir,
}

impl Pair {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(START_MS));
        let path = folder.path().join("store.redb");
        let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(&path, clock.clone()).unwrap());
        let key = cluster_key();
        let wire = || {
            Arc::new(Wire {
                key: key.clone(),
                clock: clock.clone(),
                way: Mutex::new(Way::Open),
                owner: OnceLock::new(),
                sent: Mutex::default(),
            })
        };
        let published = Arc::new(Published {
            store: store.clone(),
            held: Mutex::default(),
        });
        let rooms = Rooms {
            streams: published.clone(),
            forward: wire(),
            ..Rooms::none()
        };
        let origin = Api::wired(store.clone(), clock.clone(), "origin-1", rooms);
        let there = wire();
        there.owner.set(origin.router.clone()).unwrap();
        let rooms = Rooms {
            forward: there.clone(),
            ..Rooms::none()
        };
        let other = Api::wired(store, clock, "edge-1", rooms);
        Self {
            origin,
            other,
            wire: there,
            published,
            key,
            _folder: folder,
        }
    }

    pub(crate) async fn publish(&self, id: &str, kept: bool) {
        let owner = self.origin.publish(id, kept).await;
        let key = StreamKey::parse("LiveApp", id).unwrap();
        self.published.held.lock().unwrap().insert(key, owner);
    }

    pub(crate) async fn ask_other(&self, method: Method, path: &str) -> Answer {
        self.other.ask(method, &format!("{REST}/{path}"), &[]).await
    }

    pub(crate) fn sent(&self) -> Vec<String> {
        self.wire.sent.lock().unwrap().clone()
    }

    pub(crate) fn way(&self, way: Way) {
        *self.wire.way.lock().unwrap() = way;
    }
}

#[tokio::test]
async fn a_command_is_carried_to_the_owner_and_a_question_is_not() {
    let pair = Pair::new();
    pair.publish("cam1", true).await;
    let read = pair.ask_other(Method::GET, "broadcasts/cam1").await;
    assert_eq!(read.json()["status"], "broadcasting");
    assert_eq!(pair.sent(), [""; 0]);
    let path = format!("{REST}/broadcasts/cam1?x=1");
    pair.other
        .send(Method::PUT, &path, json!({"name": "Camera"}))
        .await
        .success();
    assert_eq!(
        pair.sent(),
        ["10.0.0.9:5082 PUT /LiveApp/rest/v2/broadcasts/cam1?x=1"]
    );
    let read = pair.ask_other(Method::GET, "broadcasts/cam1").await;
    assert_eq!(read.json()["name"], "Camera");
    pair.ask_other(Method::POST, "broadcasts/cam1/stop")
        .await
        .success();
    let read = pair.ask_other(Method::GET, "broadcasts/cam1").await;
    assert_eq!(read.json()["status"], "finished");
    // Not live any more: handled here.
    assert_eq!(
        pair.ask_other(Method::POST, "broadcasts/cam1/stop")
            .await
            .failure(),
        "the stream is not live"
    );
    assert_eq!(pair.sent().len(), 2);
}

#[tokio::test]
async fn a_refusal_of_the_owners_comes_back_as_it_is() {
    let pair = Pair::new();
    pair.publish("cam1", true).await;
    let path = format!("{REST}/broadcasts/cam1");
    let answer = pair
        .other
        .send(Method::PUT, &path, json!({"name": 5}))
        .await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert!(answer.failure().starts_with("name: 5"));
    assert_eq!(pair.sent().len(), 1);
    let long = Body::from(vec![b' '; weir_api::BODY_BYTES_MAX + 1]);
    let long = pair.other.ask_with(Method::PUT, &path, &[], long).await;
    assert_eq!(long.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_live_stream_is_stopped_at_its_owner_before_it_is_deleted() {
    let pair = Pair::new();
    for id in ["a", "b", "c"] {
        pair.publish(id, true).await;
    }
    pair.publish("zombi", false).await;
    let deleted = pair
        .ask_other(Method::DELETE, "broadcasts/a")
        .await
        .success();
    assert_eq!(deleted["dataId"], "a");
    let deleted = pair
        .ask_other(Method::DELETE, "broadcasts/zombi")
        .await
        .success();
    assert_eq!(deleted["dataId"], "zombi");
    // A bulk call is nobody's stream: each is stopped at its owner.
    pair.ask_other(Method::DELETE, "broadcasts/?ids=b,c")
        .await
        .success();
    assert_eq!(
        pair.sent()[2..],
        ["b", "c"].map(|id| format!("10.0.0.9:5082 POST {REST}/broadcasts/{id}/stop"))
    );
    assert!(pair.published.held.lock().unwrap().is_empty());
    for id in ["a", "b", "c", "zombi"] {
        assert!(
            pair.other.stored(Kind::Broadcast, id).await.is_none(),
            "{id}"
        );
    }
}

#[tokio::test]
async fn an_owner_that_cannot_be_reached_is_passed_over_and_that_is_said() {
    let pair = Pair::new();
    pair.publish("cam1", true).await;
    pair.way(Way::Closed);
    let path = format!("{REST}/broadcasts/cam1");
    let said = pair
        .other
        .send(Method::PUT, &path, json!({"name": "Camera"}))
        .await
        .success();
    let remark = "handled here: the stream's owner 10.0.0.9 could not be reached";
    assert_eq!(said["message"], remark);
    let stop = pair
        .ask_other(Method::POST, "broadcasts/cam1/stop")
        .await
        .failure();
    let words = format!("the stream was not stopped: it is not published on this node; {remark}");
    assert_eq!(stop, words);
    let deleted = pair
        .ask_other(Method::DELETE, "broadcasts/cam1")
        .await
        .success();
    let words = deleted["message"].as_str().unwrap();
    assert!(
        words.starts_with("cam1 was deleted while live, and its owner may write it again"),
        "{words}"
    );
    assert!(words.ends_with(remark), "{words}");
    assert_eq!(pair.sent().len(), 3, "the owner is tried once a command");
}

#[tokio::test]
async fn a_command_that_may_have_been_done_is_done_nowhere_else() {
    let pair = Pair::new();
    pair.publish("cam1", true).await;
    pair.way(Way::NoAnswer);
    let answer = pair.ask_other(Method::DELETE, "broadcasts/cam1").await;
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    assert!(
        answer.failure().contains("it may have done what was asked"),
        "{}",
        answer.text()
    );
    assert!(pair.other.stored(Kind::Broadcast, "cam1").await.is_some());
}

#[tokio::test]
async fn what_came_from_a_node_is_not_carried_again() {
    let pair = Pair::new();
    pair.publish("cam1", true).await;
    let path = format!("{REST}/broadcasts/cam1/stop");
    let token = pair.key.mint(START_MS);
    let own = [(HEADER, token.as_str())];
    let answer = pair.other.ask(Method::POST, &path, &own).await;
    assert!(
        answer
            .failure()
            .contains("it is not published on this node")
    );
    assert_eq!(pair.sent(), [""; 0]);
    // A token of somebody else's is as good as none.
    let forged = ClusterKey::fixed("a-key-of-another-cluster").mint(START_MS);
    let forged = [(HEADER, forged.as_str())];
    pair.other.ask(Method::POST, &path, &forged).await.success();
    assert_eq!(pair.sent().len(), 1);
}

#[tokio::test]
async fn a_silent_owner_is_asked_nothing() {
    let pair = Pair::new();
    pair.publish("cam1", true).await;
    pair.other.clock.set(START_MS + 20_001);
    pair.ask_other(Method::DELETE, "broadcasts/cam1")
        .await
        .success();
    assert_eq!(pair.sent(), [""; 0]);
}
