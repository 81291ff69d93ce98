//! The nodes seen.

use super::*;
use crate::clock::ManualClock;
use crate::embedded::EmbeddedStore;

const T: i64 = 1_700_000_000_000;

#[tokio::test]
async fn dead_nodes_are_seen_and_not_alive() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(T));
    let store = EmbeddedStore::open(&folder.path().join("s"), clock.clone()).unwrap();
    let store: Arc<dyn Store> = Arc::new(store);
    let beat = async |id: &str| {
        let id = id.to_owned();
        let node = NodeRecord {
            id,
            ..NodeRecord::default()
        };
        store.heartbeat(node).await.unwrap();
    };
    beat("old").await;
    clock.advance(20_001);
    beat("new").await;
    let shutdown = CancellationToken::new();
    let period = Duration::from_millis(1);
    let directory = NodeDirectory::spawn(Arc::clone(&store), clock.clone(), period, shutdown);
    let mut seen = directory.watch();
    let fresh = seen.wait_for(|seen| !seen.stale).await.unwrap().clone();
    let ids = |nodes: Vec<&NodeRecord>| nodes.iter().map(|n| n.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(fresh.nodes.iter().collect()), ["new", "old"]);
    assert_eq!(ids(fresh.alive().collect()), ["new"]);
    beat("old").await;
    let both = seen.wait_for(|seen| seen.alive().count() == 2).await;
    assert_eq!(both.unwrap().now_ms, T + 20_001);
}
