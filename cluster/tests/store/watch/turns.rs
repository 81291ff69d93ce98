//! One node watches for all: how many do, and what becomes of it when that one goes.

use super::*;
use mongodb::bson::Document;
use weir_cluster::StreamChange;

/// Change streams open on the server.
async fn watches(server: &Server) -> usize {
    let admin = server.client().await.database("admin");
    let all = doc! { "$currentOp": { "allUsers": true, "idleCursors": true } };
    let mut operations = admin.aggregate([all]).await.unwrap();
    let mut cursors = std::collections::BTreeSet::new();
    while operations.advance().await.unwrap() {
        let operation: Document = operations.deserialize_current().unwrap();
        let Ok(cursor) = operation.get_document("cursor") else {
            continue;
        };
        if cursor.to_string().contains("$changeStream") {
            cursors.insert(cursor.get_i64("cursorId").unwrap());
        }
    }
    cursors.len()
}

async fn told_of(heard: &mut Receiver<StreamChange>, id: &str) -> StreamChange {
    let change = timeout(DEADLINE, async {
        loop {
            let change = heard.recv().await.unwrap();
            if change.key == key(id) {
                return change;
            }
        }
    });
    change.await.expect("the change is told")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_nodes_watch_once_and_when_that_one_goes_another_goes_on() {
    let Some(server) = Server::start(true).await else {
        return;
    };
    let first = server.store().await;
    let edge = Edge::told(&first).await;
    let mut others = Vec::new();
    for _ in 0..5 {
        let store = server.store().await;
        others.push((Edge::told(&store).await, store));
    }
    assert_eq!(watches(&server).await, 1, "for six nodes");
    let mut heard = others[0].1.changes().expect("changes are told");

    let store = server.store().await;
    store.claim(claim("before", "a", now_ms())).await.unwrap();
    assert!(told_of(&mut heard, "before").await.broadcast.is_some());
    drop((edge, first));
    until("the one that watched is gone", async || {
        watches(&server).await == 0
    })
    .await;
    // Nobody watches now: this must be found by who takes the turn.
    let owned = store
        .claim(claim("meanwhile", "a", now_ms()))
        .await
        .unwrap();
    let broadcasts = server.client().await.database("liveapp");
    let broadcasts = broadcasts.collection::<Document>("broadcast");
    // As a tool of Ant Media's does.
    let by_hand = doc! { "streamId": "before" };
    broadcasts.delete_one(by_hand).await.unwrap();

    let change = told_of(&mut heard, "meanwhile").await;
    let told = change.broadcast.expect("it is live");
    assert_eq!(told.owner.as_ref().unwrap().epoch, owned.epoch);
    assert_eq!(told.origin_adress.as_deref(), Some("a:5082"));
    assert!(told_of(&mut heard, "before").await.broadcast.is_none());
    assert_eq!(watches(&server).await, 1, "one of the others");
    for (edge, store) in &others {
        until("every node knows", async || {
            let found = edge.directory.locate(&key("meanwhile")).await.unwrap();
            found.is_some_and(|found| found.epoch == owned.epoch)
        })
        .await;
        assert_eq!(store.changes_health().lost, 0);
    }
}

#[tokio::test]
async fn a_log_that_somebody_drops_is_made_again_and_everything_counts_as_old() {
    let Some(server) = Server::start(true).await else {
        return;
    };
    let watching = server.store().await;
    let edge = Edge::told(&watching).await;
    let cluster = server.client().await.database("clusterdb");
    cluster
        .collection::<Document>("weirchange")
        .drop()
        .await
        .unwrap();
    until("the place is lost", async || {
        watching.changes_health().lost > 0
    })
    .await;
    let store = server.store().await;
    until("changes are told again", async || {
        store.claim(claim("s", "a", now_ms())).await.unwrap();
        edge.metric("told", "") == 1.0
    })
    .await;
    let owned = store.claim(claim("s", "a", now_ms())).await.unwrap();
    until("the claim is told", async || {
        let found = edge.directory.locate(&key("s")).await.unwrap();
        found.is_some_and(|found| found.epoch == owned.epoch)
    })
    .await;
    let named = cluster
        .list_collections()
        .filter(doc! { "name": "weirchange" });
    let mut named = named.await.unwrap();
    assert!(named.advance().await.unwrap());
    let log = named.deserialize_current().unwrap();
    assert_eq!(log.options.capped, Some(true));
}
