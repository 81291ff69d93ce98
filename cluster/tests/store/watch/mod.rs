//! What MongoDB tells of changes, and what a directory on it knows: against real servers, with
//! change streams and without.

mod costs;
mod cuts;
mod nodes;
mod numbers;
mod server;
mod turns;

use crate::contract::{claim, end, key, made_by_rest};
use mongodb::bson::doc;
use serde_json::json;
use server::{DEADLINE, Edge, Server, until};
use std::sync::Arc;
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;
use weir_cluster::clock::WallClock;
use weir_cluster::{
    BroadcastStatus, Fields, Kind, MongoStore, Place, RecordChange, Records, Store, SystemClock,
};

fn now_ms() -> i64 {
    SystemClock.now_ms()
}

fn fields(value: serde_json::Value) -> Fields {
    match value {
        serde_json::Value::Object(fields) => fields,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_stream_is_known_from_its_claim_to_a_minute_after_its_end_and_never_asked_for() {
    let Some(server) = Server::start(true).await else {
        return;
    };
    let store = server.store().await;
    let edge = Edge::told(&server.store().await).await;
    let first = store.claim(claim("s", "a", now_ms())).await.unwrap();
    let located = async || edge.directory.locate(&key("s")).await.unwrap();
    until("the claim is told", async || {
        edge.metric("changes_total", "applied") > 0.0
    })
    .await;
    let found = located().await.unwrap();
    assert_eq!(
        (&*found.origin_adress, found.epoch),
        ("a:5082", first.epoch)
    );

    let released = store
        .release(&key("s"), first.epoch, end(7, now_ms()))
        .await;
    released.unwrap();
    until("the end is told", async || {
        located().await.unwrap().status == BroadcastStatus::Finished
    })
    .await;
    assert_eq!(
        located().await.unwrap().epoch,
        first.epoch,
        "its place is kept"
    );

    let made = made_by_rest(claim("s", "b", now_ms()));
    let second = store.claim(made).await.unwrap();
    until("the move is told", async || {
        located().await.unwrap().epoch == second.epoch
    })
    .await;
    assert_eq!(&*located().await.unwrap().origin_adress, "b:5082");
    let again = store
        .claim(made_by_rest(claim("s", "b", now_ms())))
        .await
        .unwrap();
    until("the next epoch is told", async || {
        located().await.unwrap().epoch == again.epoch
    })
    .await;
    let released = store
        .release(&key("s"), again.epoch, end(9, now_ms()))
        .await;
    released.unwrap();
    until("the end is told", async || {
        located().await.unwrap().status == BroadcastStatus::Finished
    })
    .await;
    assert_eq!(
        edge.metric("lookups_total", "miss"),
        0.0,
        "nothing was asked"
    );
}

#[tokio::test]
async fn records_are_told_by_name_and_counters_are_not() {
    let Some(server) = Server::start(true).await else {
        return;
    };
    let store = server.store().await;
    let listening = server.store().await;
    let app = key("s").app;
    let settings = Place::of_cluster(Kind::AppSettings, "LiveApp");
    store
        .put(&settings, fields(json!({ "a": 1 })))
        .await
        .unwrap();
    let guest = Place::in_app(Kind::Subscriber, &app, ["s", "early"]);
    store.put(&guest, Fields::new()).await.unwrap();
    let mut heard = listen(&listening).await;

    let patched = store.patch(&settings, fields(json!({ "a": 2 }))).await;
    patched.unwrap().unwrap();
    let change = next(&mut heard).await;
    assert_eq!(change.place, settings);
    assert_eq!(change.fields, None, "which, not what: it may be a secret");

    // None of these is told: what comes next is.
    let token = Place::in_app(Kind::Token, &app, ["t"]);
    store.put(&token, Fields::new()).await.unwrap();
    store.delete(&token).await.unwrap();
    let vod = Place::in_app(Kind::Vod, &app, ["v"]);
    store.put(&vod, Fields::new()).await.unwrap();
    for _ in 0..20 {
        let by = [("currentConcurrentConnections", 1)];
        store.add(&guest, &by).await.unwrap();
    }
    let blocked = fields(json!({ "blockedType": "play" }));
    store.patch(&guest, blocked).await.unwrap().unwrap();
    let change = next(&mut heard).await;
    assert_eq!(change.place, guest);

    store.delete(&guest).await.unwrap();
    let change = next(&mut heard).await;
    assert_eq!(
        (&change.place, change.fields),
        (&guest, None),
        "seen before, so named"
    );
    // Written before anybody listened: which one went is not known.
    let unseen = Place::in_app(Kind::Subscriber, &app, ["s", "unseen"]);
    store.put(&unseen, Fields::new()).await.unwrap();
    store.delete(&unseen).await.unwrap();
    let change = next(&mut heard).await;
    assert_eq!((change.place.kind, change.fields), (Kind::Subscriber, None));
    assert!(change.place.key.is_empty());
    // Settings are named though they were written before.
    store.delete(&settings).await.unwrap();
    let change = next(&mut heard).await;
    assert_eq!((&change.place, change.fields), (&settings, None));
}

#[tokio::test]
async fn a_server_without_change_streams_is_asked_once_a_second() {
    let Some(server) = Server::start(false).await else {
        return;
    };
    let edge = Edge::on(&server.store().await);
    let store = server.store().await;
    let located = async |id: &str| edge.directory.locate(&key(id)).await.unwrap();
    assert_eq!(located("new").await, None);
    for i in 0..50 {
        let id = format!("s{i}");
        store.claim(claim(&id, "a", now_ms())).await.unwrap();
        located(&id).await.unwrap();
    }
    let new = store.claim(claim("new", "a", now_ms())).await.unwrap();
    until("no such stream is forgotten", async || {
        located("new").await.is_some()
    })
    .await;
    assert_eq!(located("new").await.unwrap().epoch, new.epoch);
    let polls = async || server.queries().await;
    let (before, start) = (polls().await, tokio::time::Instant::now());
    while polls().await - before < 5 {
        assert!(start.elapsed() < DEADLINE, "it is polled");
        for i in 0..50 {
            assert!(!located(&format!("s{i}")).await.unwrap().stale);
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(
        start.elapsed().as_secs() >= 3,
        "one a second, not one a stream"
    );
    let epoch = located("s7").await.unwrap().epoch;
    store
        .release(&key("s7"), epoch, end(1, now_ms()))
        .await
        .unwrap();
    until("the end is seen", async || {
        located("s7").await.unwrap().status == BroadcastStatus::Finished
    })
    .await;
    let moved = store.claim(claim("s8", "a", now_ms())).await.unwrap();
    until("the next epoch is seen", async || {
        located("s8").await.unwrap().epoch == moved.epoch
    })
    .await;
    assert_eq!(edge.metric("told", ""), 0.0);
}

#[tokio::test]
async fn a_server_away_at_the_start_is_found_when_it_comes() {
    let Some(mut server) = Server::start(true).await else {
        return;
    };
    server.kill();
    let store = server.store().await;
    let edge = Edge::on(&store);
    let error = edge.directory.locate(&key("s")).await.unwrap_err();
    assert!(error.to_string().contains("cannot ask"), "{error}");
    server.restart().await;
    until("changes are told", async || edge.metric("told", "") == 1.0).await;
    server
        .store()
        .await
        .claim(claim("s", "a", now_ms()))
        .await
        .unwrap();
    until("the claim is told", async || {
        edge.directory
            .locate(&key("s"))
            .await
            .is_ok_and(|found| found.is_some())
    })
    .await;
    assert_eq!(store.changes_health().lost, 0);
}

async fn listen(store: &Arc<MongoStore>) -> Receiver<RecordChange> {
    let mut heard = None;
    until("changes are told", async || {
        heard = store.record_changes();
        heard.is_some()
    })
    .await;
    heard.unwrap()
}

async fn next(heard: &mut Receiver<RecordChange>) -> RecordChange {
    timeout(DEADLINE, heard.recv())
        .await
        .expect("a change")
        .unwrap()
}
