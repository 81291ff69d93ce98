//! The heartbeat on a paused clock: its period, and what a failing store does to it.

use super::*;
use crate::clock::ManualClock;
use crate::embedded::EmbeddedStore;
use crate::lease::Leases;
use crate::metered::MeteredStore;
use crate::names::{AppName, StreamKey};
use crate::node::figures::NodeFigures;
use crate::records::{Fields, Kind, Place, Query, Records};
use crate::store::{Claim, EpochEnd, StoreError};
use crate::types::{Broadcast, Ownership};
use async_trait::async_trait;
use prometheus::Registry;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

fn options(query_times: Option<QueryTimes>) -> HeartbeatOptions {
    HeartbeatOptions {
        node_id: NodeId::parse("n1").unwrap(),
        ip: "127.0.0.1".to_owned(),
        role: NodeRole::All,
        version: "0.1.0".to_owned(),
        query_times,
        figures: Arc::new(NodeFigures::default()),
    }
}

#[tokio::test]
async fn a_node_registers_from_its_own_thread_and_its_record_outlives_it() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(1_000));
    let store = EmbeddedStore::open(&folder.path().join("s"), clock.clone()).unwrap();
    let metered = MeteredStore::new(Arc::new(store), &Registry::new()).unwrap();
    let times = metered.times();
    let store: Arc<dyn Store> = Arc::new(metered);
    let shutdown = CancellationToken::new();
    let thread = Heartbeat::spawn(
        options(Some(times)),
        BeatsTo::Shared(store.clone()),
        StoreClock::new(clock.clone()),
        shutdown.clone(),
    );
    let registered = timeout(Duration::from_secs(10), async {
        loop {
            if let [node] = &store.nodes(0, 9).await.unwrap()[..] {
                break node.clone();
            }
            tokio::task::yield_now().await;
        }
    });
    let node = registered.await.expect("registered");
    assert_eq!((node.id.as_str(), node.last_update_time), ("n1", 1_000));
    assert!(node.memory.contains('/') && node.cpu.parse::<u8>().unwrap() <= 100);
    shutdown.cancel();
    thread.unwrap().join().unwrap();
    assert_eq!(
        store.nodes(0, 9).await.unwrap(),
        [node],
        "kept, and dead in 20 s"
    );
}

/// A store that takes heartbeats only, and hangs on every other one.
#[derive(Debug, Default)]
struct Stuck {
    beats: AtomicU64,
    beat: Notify,
}

#[async_trait]
impl Store for Stuck {
    async fn heartbeat(&self, _: NodeRecord) -> Result<(), StoreError> {
        let beat = self.beats.fetch_add(1, Ordering::SeqCst);
        self.beat.notify_one();
        if beat.is_multiple_of(2) {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
    async fn broadcast(&self, _: &StreamKey) -> Result<Option<Broadcast>, StoreError> {
        unreachable!()
    }
    async fn broadcasts(
        &self,
        _: &AppName,
        _: usize,
        _: usize,
    ) -> Result<Vec<Broadcast>, StoreError> {
        unreachable!()
    }
    async fn claim(&self, _: Claim) -> Result<Ownership, StoreError> {
        unreachable!()
    }
    async fn adopt(&self, _: Claim, _: u64, _: EpochEnd) -> Result<Ownership, StoreError> {
        unreachable!()
    }
    async fn sweep(&self, _: &str) -> Result<usize, StoreError> {
        unreachable!()
    }
    async fn renew_lease(&self, node_id: &str) -> Result<Lease, StoreError> {
        Ok(Lease::renewed(None, node_id, 0))
    }
    async fn end_lease(&self, _: &str) -> Result<(), StoreError> {
        std::future::pending().await
    }
    async fn leases(&self) -> Result<Leases, StoreError> {
        unreachable!()
    }
    async fn update(
        &self,
        _: &StreamKey,
        _: u64,
        _: Broadcast,
        _: EpochEnd,
    ) -> Result<(), StoreError> {
        unreachable!()
    }
    async fn release(&self, _: &StreamKey, _: u64, _: EpochEnd) -> Result<(), StoreError> {
        unreachable!()
    }
    async fn release_all_of(&self, _: &str, _: i64) -> Result<usize, StoreError> {
        unreachable!()
    }
    async fn nodes(&self, _: usize, _: usize) -> Result<Vec<NodeRecord>, StoreError> {
        unreachable!()
    }
    async fn delete_node(&self, _: &str) -> Result<bool, StoreError> {
        unreachable!()
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_costs_one_beat_at_a_time_and_no_stop() {
    let store = Arc::new(Stuck::default());
    let clock = Arc::new(ManualClock::at(0));
    let shutdown = CancellationToken::new();
    let heartbeat = Heartbeat::new(options(None), store.clone(), StoreClock::new(clock));
    let task = tokio::spawn(heartbeat.run(shutdown.clone()));
    let start = tokio::time::Instant::now();
    for beat in 0..6_u32 {
        store.beat.notified().await;
        assert_eq!(
            start.elapsed(),
            HEARTBEAT_PERIOD * beat,
            "each in its period"
        );
    }
    shutdown.cancel();
    task.await.unwrap();
}

#[async_trait]
impl Records for Stuck {
    async fn get(&self, _: &Place) -> Result<Option<Fields>, StoreError> {
        unreachable!()
    }
    async fn insert(&self, _: &Place, _: Fields) -> Result<bool, StoreError> {
        unreachable!()
    }
    async fn put(&self, _: &Place, _: Fields) -> Result<(), StoreError> {
        unreachable!()
    }
    async fn patch(&self, _: &Place, _: Fields) -> Result<Option<Fields>, StoreError> {
        unreachable!()
    }
    async fn delete(&self, _: &Place) -> Result<bool, StoreError> {
        unreachable!()
    }
    async fn list(&self, _: &Query) -> Result<Vec<Fields>, StoreError> {
        unreachable!()
    }
    async fn count(&self, _: &Query) -> Result<u64, StoreError> {
        unreachable!()
    }
    async fn delete_matching(&self, _: &Query) -> Result<u64, StoreError> {
        unreachable!()
    }
    async fn add(&self, _: &Place, _: &[(&'static str, i64)]) -> Result<(), StoreError> {
        unreachable!()
    }
    async fn append(&self, _: Kind, _: &AppName, _: Fields) -> Result<(), StoreError> {
        unreachable!()
    }
}
