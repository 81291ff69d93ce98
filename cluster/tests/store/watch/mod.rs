//! What MongoDB tells of changes, and what a directory on it knows: against real servers, with
//! change streams and without.

mod costs;
mod numbers;
mod server;

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
    assert_eq!(change.fields.unwrap()["a"], 2);

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
    assert_eq!((&change.place, change.fields.is_some()), (&guest, true));

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
async fn after_a_kill_nothing_is_lost() {
    let Some(mut server) = Server::start(true).await else {
        return;
    };
    let watching = server.store().await;
    let edge = Edge::told(&watching).await;
    let store = server.store().await;
    let first = store.claim(claim("before", "a", now_ms())).await.unwrap();
    let located = async |id: &str| edge.directory.locate(&key(id)).await.unwrap();
    until("the claim is told", async || {
        located("before").await.is_some()
    })
    .await;
    // A look-up that fails would be kept for a second: the directory must be told instead.
    server.kill();
    server.restart().await;
    // Claims of whoever is back first, before the watcher is.
    let mut epochs = Vec::new();
    for i in 0..20 {
        let id = format!("during{i}");
        epochs.push((
            id.clone(),
            store.claim(claim(&id, "a", now_ms())).await.unwrap().epoch,
        ));
    }
    let end = end(3, now_ms());
    store
        .release(&key("before"), first.epoch, end)
        .await
        .unwrap();
    until("the end during the cut is told", async || {
        located("before").await.unwrap().status == BroadcastStatus::Finished
    })
    .await;
    let before = server.queries().await;
    for (id, epoch) in epochs {
        until("claims during the cut are told", async || {
            edge.metric("changes_total", "applied") >= 20.0
        })
        .await;
        assert_eq!(located(&id).await.unwrap().epoch, epoch);
    }
    assert_eq!(server.queries().await, before);
    assert_eq!(watching.changes_health().lost, 0);
}

#[tokio::test]
async fn after_a_long_cut_the_watcher_goes_on_where_it_was() {
    let Some(mut server) = Server::start(true).await else {
        return;
    };
    let watching = server.store().await;
    let edge = Edge::told(&watching).await;
    let store = server.store().await;
    let first = store.claim(claim("s", "a", now_ms())).await.unwrap();
    let located = async || edge.directory.locate(&key("s")).await.unwrap();
    until("the claim is told", async || located().await.is_some()).await;
    server.kill();
    // Longer than the driver tries by itself, and than a directory relies on a silent store.
    until("the directory asks", async || {
        edge.metric("told", "") == 0.0
    })
    .await;
    until("answers are marked", async || {
        located().await.unwrap().stale
    })
    .await;
    assert_eq!(
        located().await.unwrap().epoch,
        first.epoch,
        "and given all the same"
    );
    server.restart().await;
    let second = store.claim(claim("s", "a", now_ms())).await.unwrap();
    until("the next epoch is known", async || {
        let found = located().await.unwrap();
        found.epoch == second.epoch && !found.stale
    })
    .await;
    until("changes are told again", async || {
        edge.metric("told", "") == 1.0
    })
    .await;
    let health = watching.changes_health();
    assert_eq!((health.resumed >= 1, health.lost), (true, 0), "{health:?}");
    assert_eq!(edge.metric("resumes_total", "lost"), 0.0);
}

#[tokio::test]
async fn a_primary_that_steps_down_loses_nothing() {
    let Some(server) = Server::start(true).await else {
        return;
    };
    let watching = server.store().await;
    let edge = Edge::told(&watching).await;
    let admin = server.client().await.database("admin");
    let down = doc! { "replSetStepDown": 2, "force": true };
    admin.run_command(down).await.unwrap();
    let store = server.store().await;
    let owned = loop {
        match store.claim(claim("s", "a", now_ms())).await {
            Ok(owned) => break owned,
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
    };
    until("the claim is told", async || {
        edge.metric("changes_total", "applied") > 0.0
    })
    .await;
    let found = edge.directory.locate(&key("s")).await.unwrap().unwrap();
    assert_eq!(found.epoch, owned.epoch);
    assert_eq!(watching.changes_health().lost, 0);
}

#[tokio::test]
async fn when_the_place_is_lost_everything_known_is_read_again() {
    let Some(mut server) = Server::start(true).await else {
        return;
    };
    let watching = server.store().await;
    let edge = Edge::told(&watching).await;
    let located = async |id: &str| edge.directory.locate(&key(id)).await.unwrap();
    let store = server.store().await;
    let mut first = claim("s", "a", now_ms());
    let old = store.claim(first.clone()).await.unwrap();
    until("the claim is told", async || located("s").await.is_some()).await;
    // Restored without what it had: the place in its log means nothing to it.
    server.restart_empty().await;
    first.now_ms = now_ms();
    first.node_id = "b".to_owned();
    first.origin_adress = "b:5082".to_owned();
    let new = loop {
        match store.claim(first.clone()).await {
            Ok(new) => break new,
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
    };
    assert!(new.epoch > old.epoch);
    until("the new owner is known", async || {
        located("s").await.unwrap().epoch == new.epoch
    })
    .await;
    until("changes are told again", async || {
        store.claim(claim("t", "b", now_ms())).await.unwrap();
        edge.metric("told", "") == 1.0 && located("t").await.is_some()
    })
    .await;
    assert!(watching.changes_health().lost >= 1);
}

#[tokio::test]
async fn a_database_that_is_dropped_makes_everything_old() {
    let Some(server) = Server::start(true).await else {
        return;
    };
    let watching = server.store().await;
    let edge = Edge::told(&watching).await;
    let store = server.store().await;
    store.claim(claim("s", "a", now_ms())).await.unwrap();
    let located = async || edge.directory.locate(&key("s")).await.unwrap();
    until("the claim is told", async || located().await.is_some()).await;
    server
        .client()
        .await
        .database("liveapp")
        .drop()
        .await
        .unwrap();
    until("the stream has ended", async || {
        located().await.unwrap().status == BroadcastStatus::Finished
    })
    .await;
    assert!(watching.changes_health().lost >= 1);
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
