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
        figures: Arc::new(NodeFigures {
            streams: 3,
            egress_mbps: 12.5,
            ..NodeFigures::default()
        }),
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
    assert_eq!((node.streams, node.egress_mbps), (3, 12.5), "its figures");
    let renewed = timeout(Duration::from_secs(10), async {
        while store.leases().await.unwrap().of("n1").is_none() {
            tokio::task::yield_now().await;
        }
    });
    renewed.await.expect("its lease is renewed");
    assert!(node.memory.contains('/') && node.cpu.parse::<u8>().unwrap() <= 100);
    shutdown.cancel();
    thread.unwrap().join().unwrap();
    assert_eq!(
        store.nodes(0, 9).await.unwrap(),
        [node],
        "kept, and dead in 20 s"
    );
    let leases = store.leases().await.unwrap();
    assert_eq!(leases.of("n1").unwrap().renewed_ms, 0, "given up");
}

/// A store that hangs on every other heartbeat, fails the first renewals as it is told to, and
/// counts.
#[derive(Debug, Default)]
struct Stuck {
    beats: AtomicU64,
    beat: Notify,
    renewals: Mutex<Vec<Duration>>,
    /// What becomes of the first renewals; all after them succeed.
    fates: Vec<Fate>,
    renewing: AtomicU64,
    sweeps: AtomicU64,
    lease: Mutex<Option<Lease>>,
    start: Option<tokio::time::Instant>,
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Done,
    Refused,
    Hangs,
}

impl Stuck {
    fn with(fates: &[Fate]) -> Arc<Self> {
        Arc::new(Self {
            fates: fates.to_vec(),
            start: Some(tokio::time::Instant::now()),
            ..Self::default()
        })
    }

    /// When renewals were asked for, ms.
    fn renewed_ms(&self) -> Vec<u128> {
        let times = self.renewals.lock().unwrap();
        times.iter().map(Duration::as_millis).collect()
    }

    async fn fate(&self, fate: Fate) -> Result<(), StoreError> {
        match fate {
            Fate::Done => Ok(()),
            Fate::Hangs => std::future::pending().await,
            Fate::Refused => Err(StoreError::Unavailable {
                operation: "renew_lease",
                reason: "no primary".to_owned(),
            }),
        }
    }
}

/// One renewal less under way when it is dropped, however that comes.
fn scopeguard(count: &AtomicU64) -> impl Drop + '_ {
    struct Less<'a>(&'a AtomicU64);
    impl Drop for Less<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    Less(count)
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
        self.sweeps.fetch_add(1, Ordering::SeqCst);
        Ok(1)
    }
    async fn renew_lease(&self, node_id: &str) -> Result<Lease, StoreError> {
        let elapsed = self.start.map_or(Duration::ZERO, |start| start.elapsed());
        let number = {
            let mut times = self.renewals.lock().unwrap();
            times.push(elapsed);
            times.len() - 1
        };
        let busy = self.renewing.fetch_add(1, Ordering::SeqCst);
        let guard = scopeguard(&self.renewing);
        assert_eq!(busy, 0, "never two at a time");
        self.fate(self.fates.get(number).copied().unwrap_or(Fate::Done))
            .await?;
        drop(guard);
        let mut lease = self.lease.lock().unwrap();
        let now_ms = i64::try_from(elapsed.as_millis()).unwrap();
        let renewed = Lease::renewed(lease.as_ref(), node_id, now_ms);
        *lease = Some(renewed.clone());
        Ok(renewed)
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

/// Figures of a node that drains.
#[derive(Debug, Default)]
struct Draining(Notify);

impl FiguresSource for Draining {
    fn figures(&self) -> NodeFigures {
        NodeFigures {
            draining: true,
            ..NodeFigures::default()
        }
    }
    fn urgent(&self) -> Option<&Notify> {
        Some(&self.0)
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_urgent_is_written_at_once_and_once() {
    let (store, figures) = (Arc::new(Stuck::default()), Arc::new(Draining::default()));
    let options = HeartbeatOptions {
        figures: figures.clone(),
        ..options(None)
    };
    let (clock, shutdown) = (Arc::new(ManualClock::at(0)), CancellationToken::new());
    let heartbeat = Heartbeat::new(options, store.clone(), StoreClock::new(clock));
    let task = tokio::spawn(heartbeat.run(shutdown.clone()));
    let start = tokio::time::Instant::now();
    let mut beats = Vec::new();
    for beat in 0..4 {
        store.beat.notified().await;
        beats.push(start.elapsed().as_secs());
        if beat == 1 {
            sleep(Duration::from_secs(1)).await;
            figures.0.notify_one();
        }
    }
    assert_eq!(beats, [0, 5, 6, 10]);
    shutdown.cancel();
    task.await.unwrap();
}

/// When renewals were asked for in the first `seconds`, ms, and how often was swept.
async fn renewals(fates: &[Fate], seconds: u64) -> (Vec<u128>, u64) {
    let store = Stuck::with(fates);
    let clock = Arc::new(ManualClock::at(0));
    let shutdown = CancellationToken::new();
    let heartbeat = Heartbeat::new(options(None), store.clone(), StoreClock::new(clock));
    let task = tokio::spawn(heartbeat.run(shutdown.clone()));
    sleep(Duration::from_secs(seconds) + Duration::from_millis(100)).await;
    shutdown.cancel();
    task.await.unwrap();
    (store.renewed_ms(), store.sweeps.load(Ordering::SeqCst))
}

#[tokio::test(start_paused = true)]
async fn the_lease_is_renewed_each_second_and_soon_after_a_failure() {
    let (times, _) = renewals(&[], 3).await;
    assert_eq!(times, [0, 1_000, 2_000, 3_000]);
    let (times, _) = renewals(&[Fate::Refused, Fate::Refused], 2).await;
    assert_eq!(times, [0, 250, 500, 1_500]);
    let (times, _) = renewals(&[Fate::Done, Fate::Hangs, Fate::Hangs], 6).await;
    assert_eq!(
        times,
        [0, 1_000, 3_250, 5_500],
        "given up after 2 s, one at a time"
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_sweeps_each_twenty_seconds_once_it_may() {
    assert_eq!(renewals(&[], 19).await.1, 0);
    assert_eq!(renewals(&[], 65).await.1, 3);
    let late: Vec<Fate> = std::iter::repeat_n(Fate::Hangs, 9).collect();
    // Nine times 2.25 s without a lease: too short a run at 20 s and at 40 s.
    assert_eq!(renewals(&late, 45).await.1, 0);
    assert_eq!(renewals(&late, 65).await.1, 1);
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
