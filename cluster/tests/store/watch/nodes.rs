//! What seeing the cluster's nodes costs the store, counted by the server itself.

use super::*;
use mongodb::bson::Document;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use weir_cluster::{NodeDirectory, NodeRecord, NodesSeen};

const NODES: usize = 100;

async fn beat(store: &Arc<MongoStore>, id: &str) {
    let node = NodeRecord {
        id: id.to_owned(),
        ..NodeRecord::default()
    };
    store.heartbeat(node).await.unwrap();
}

/// Documents that the server has returned so far.
pub(super) async fn returned(server: &Server) -> i64 {
    let admin = server.client().await.database("admin");
    let status = admin.run_command(doc! { "serverStatus": 1 }).await.unwrap();
    let metrics = status.get_document("metrics").unwrap();
    let documents = metrics.get_document("document").unwrap();
    documents.get_i64("returned").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_wrote_nothing_are_not_read_again_and_who_goes_or_comes_is_seen() {
    let Some(server) = Server::start(true).await else {
        return;
    };
    let store = server.store().await;
    store.make_indexes(&[]).await.unwrap();
    for i in 0..NODES {
        beat(&store, &format!("n{i:03}")).await;
    }
    let stop = CancellationToken::new();
    let _stopped = stop.clone().drop_guard();
    let period = Duration::from_millis(50);
    let shared: Arc<dyn Store> = server.store().await;
    let nodes = NodeDirectory::spawn(shared, Arc::new(SystemClock), period, stop);
    let mut seen = nodes.watch();
    let written_ms = now_ms();
    let wait = async |seen: &mut tokio::sync::watch::Receiver<Arc<NodesSeen>>,
                      so: &dyn Fn(&NodesSeen) -> bool| {
        let waited = timeout(DEADLINE, seen.wait_for(|seen| so(seen))).await;
        waited.expect("in time").unwrap().clone()
    };
    // Past the time that looks overlap.
    let all = wait(&mut seen, &|seen| seen.now_ms > written_ms + 2_000).await;
    assert_eq!(all.nodes.len(), NODES);
    let before = returned(&server).await;
    for _ in 0..20 {
        timeout(DEADLINE, seen.changed())
            .await
            .expect("a look")
            .unwrap();
    }
    let documents = returned(&server).await - before;
    println!("20 looks at {NODES} nodes that wrote nothing: {documents} documents");
    assert!(documents < 200, "{documents} of {}", 20 * NODES);

    let cluster = server.client().await.database("clusterdb");
    let records = cluster.collection::<Document>("clusternode");
    records.delete_one(doc! { "_id": "n007" }).await.unwrap();
    let fewer = wait(&mut seen, &|seen| seen.nodes.len() == NODES - 1).await;
    assert!(!fewer.nodes.iter().any(|node| node.id == "n007"));
    // One goes and one comes between two looks, for all the number says.
    records.delete_one(doc! { "_id": "n008" }).await.unwrap();
    beat(&store, "new").await;
    wait(&mut seen, &|seen| {
        let has = |id: &str| seen.nodes.iter().any(|node| node.id == id);
        has("new") && !has("n008")
    })
    .await;
    let drains = NodeRecord {
        id: "n009".to_owned(),
        draining: true,
        ..NodeRecord::default()
    };
    store.heartbeat(drains).await.unwrap();
    wait(&mut seen, &|seen| {
        seen.nodes.iter().any(|node| node.draining)
    })
    .await;
}
