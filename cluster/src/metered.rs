//! A store whose calls are counted and timed.
//!
//! Metric: `weir_cluster_store_query_seconds{operation,result}`, a histogram; `result` is `ok`, or
//! whose doing the failure was: `refused` (the rules of ownership), `failed` (the store). The mean
//! since the last heartbeat goes into the node's record, as Ant Media's does.

use crate::follow::ChangesHealth;
use crate::lease::{Lease, Leases};
use crate::names::{AppName, StreamKey};
use crate::store::{Claim, EpochEnd, NodesSince, Store, StoreError, StreamChange};
use crate::types::{Broadcast, NodeRecord, Ownership};
use async_trait::async_trait;
use prometheus::{HistogramOpts, HistogramVec, Registry};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::broadcast;
use tokio::time::Instant;

mod records;

/// Bounds of the latency histogram, seconds: from a look into memory to a primary's election.
const QUERY_SECONDS: [f64; 12] = [
    0.000_01, 0.000_1, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.03, 0.1, 0.5, 2.0, 10.0,
];

/// Sums of query times since they were last taken.
#[derive(Clone, Debug, Default)]
pub struct QueryTimes(Arc<Sums>);

#[derive(Debug, Default)]
struct Sums {
    micros: AtomicU64,
    count: AtomicU64,
}

impl QueryTimes {
    /// The mean time of a query since the last call, ms, rounded; 0 when there was none.
    #[must_use]
    pub fn take_mean_ms(&self) -> u32 {
        let count = self.0.count.swap(0, Ordering::Relaxed);
        let micros = self.0.micros.swap(0, Ordering::Relaxed);
        let mean_us = micros.checked_div(count).unwrap_or(0);
        u32::try_from((mean_us + 500) / 1_000).unwrap_or(u32::MAX)
    }

    fn add(&self, micros: u64) {
        self.0.micros.fetch_add(micros, Ordering::Relaxed);
        self.0.count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts and times the calls of the store within.
#[derive(Debug)]
pub struct MeteredStore {
    inner: Arc<dyn Store>,
    seconds: HistogramVec,
    times: QueryTimes,
}

impl MeteredStore {
    /// Wraps `inner`; its metrics go to `registry`.
    ///
    /// # Errors
    /// When the registry has such metrics already.
    pub fn new(inner: Arc<dyn Store>, registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = HistogramOpts::new(
            "weir_cluster_store_query_seconds",
            "Time the store took to answer, by operation and result",
        );
        let options = options.buckets(QUERY_SECONDS.to_vec());
        let seconds = HistogramVec::new(options, &["operation", "result"])?;
        registry.register(Box::new(seconds.clone()))?;
        Ok(Self {
            inner,
            seconds,
            times: QueryTimes::default(),
        })
    }

    /// Another store whose calls are counted and timed with this one's: a second connection.
    #[must_use]
    pub fn beside(&self, inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            seconds: self.seconds.clone(),
            times: self.times.clone(),
        }
    }

    /// The times, for the node's record.
    #[must_use]
    pub fn times(&self) -> QueryTimes {
        self.times.clone()
    }

    async fn timed<T>(
        &self,
        operation: &str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let start = Instant::now();
        let answer = call.await;
        let elapsed = start.elapsed();
        let result = match &answer {
            Ok(_) => "ok",
            Err(error) if error.is_retryable() => "failed",
            Err(StoreError::Damaged { .. }) => "failed",
            Err(_) => "refused",
        };
        let seconds = self.seconds.with_label_values(&[operation, result]);
        seconds.observe(elapsed.as_secs_f64());
        self.times
            .add(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX));
        answer
    }
}

#[async_trait]
impl Store for MeteredStore {
    async fn broadcast(&self, key: &StreamKey) -> Result<Option<Broadcast>, StoreError> {
        self.timed("broadcast", self.inner.broadcast(key)).await
    }

    async fn broadcasts(
        &self,
        app: &AppName,
        offset: usize,
        size: usize,
    ) -> Result<Vec<Broadcast>, StoreError> {
        let call = self.inner.broadcasts(app, offset, size);
        self.timed("broadcasts", call).await
    }

    async fn claim(&self, claim: Claim) -> Result<Ownership, StoreError> {
        self.timed("claim", self.inner.claim(claim)).await
    }

    async fn adopt(
        &self,
        claim: Claim,
        epoch: u64,
        checkpoint: EpochEnd,
    ) -> Result<Ownership, StoreError> {
        let call = self.inner.adopt(claim, epoch, checkpoint);
        self.timed("adopt", call).await
    }

    async fn update(
        &self,
        key: &StreamKey,
        epoch: u64,
        broadcast: Broadcast,
        checkpoint: EpochEnd,
    ) -> Result<(), StoreError> {
        let call = self.inner.update(key, epoch, broadcast, checkpoint);
        self.timed("update", call).await
    }

    async fn release(&self, key: &StreamKey, epoch: u64, end: EpochEnd) -> Result<(), StoreError> {
        let call = self.inner.release(key, epoch, end);
        self.timed("release", call).await
    }

    async fn release_all_of(&self, node_id: &str, now_ms: i64) -> Result<usize, StoreError> {
        let call = self.inner.release_all_of(node_id, now_ms);
        self.timed("release_all_of", call).await
    }

    async fn sweep(&self, node_id: &str) -> Result<usize, StoreError> {
        self.timed("sweep", self.inner.sweep(node_id)).await
    }

    async fn renew_lease(&self, node_id: &str) -> Result<Lease, StoreError> {
        let call = self.inner.renew_lease(node_id);
        self.timed("renew_lease", call).await
    }

    async fn end_lease(&self, node_id: &str) -> Result<(), StoreError> {
        self.timed("end_lease", self.inner.end_lease(node_id)).await
    }

    async fn leases(&self) -> Result<Leases, StoreError> {
        self.timed("leases", self.inner.leases()).await
    }

    async fn heartbeat(&self, node: NodeRecord) -> Result<(), StoreError> {
        self.timed("heartbeat", self.inner.heartbeat(node)).await
    }

    async fn nodes(&self, offset: usize, size: usize) -> Result<Vec<NodeRecord>, StoreError> {
        self.timed("nodes", self.inner.nodes(offset, size)).await
    }

    async fn nodes_since(
        &self,
        since_ms: i64,
        size: usize,
    ) -> Result<Option<NodesSince>, StoreError> {
        let call = self.inner.nodes_since(since_ms, size);
        self.timed("nodes_since", call).await
    }

    async fn delete_node(&self, id: &str) -> Result<bool, StoreError> {
        self.timed("delete_node", self.inner.delete_node(id)).await
    }

    async fn whereabouts(
        &self,
        keys: &[StreamKey],
    ) -> Result<Vec<(StreamKey, Option<Broadcast>)>, StoreError> {
        self.timed("whereabouts", self.inner.whereabouts(keys))
            .await
    }

    fn changes(&self) -> Option<broadcast::Receiver<StreamChange>> {
        self.inner.changes()
    }

    fn changes_health(&self) -> ChangesHealth {
        self.inner.changes_health()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::embedded::EmbeddedStore;

    #[tokio::test]
    async fn calls_are_counted_by_operation_and_result() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(1));
        let store = EmbeddedStore::open(&folder.path().join("s"), clock).unwrap();
        let registry = Registry::new();
        let store = MeteredStore::new(Arc::new(store), &registry).unwrap();
        let key = StreamKey::parse("LiveApp", "s").unwrap();
        for _ in 0..3 {
            assert_eq!(store.broadcast(&key).await.unwrap(), None);
        }
        let end = EpochEnd::beginning(1);
        store.release(&key, 1, end).await.unwrap_err();
        let samples = |operation, result| {
            let histogram = store.seconds.with_label_values(&[operation, result]);
            histogram.get_sample_count()
        };
        assert_eq!(samples("broadcast", "ok"), 3);
        assert_eq!(samples("release", "refused"), 1);
        assert!(MeteredStore::new(store.inner.clone(), &registry).is_err());
    }

    #[test]
    fn the_mean_is_rounded_and_starts_anew() {
        let times = QueryTimes::default();
        assert_eq!(times.take_mean_ms(), 0);
        times.add(1_000);
        times.add(2_001);
        assert_eq!(times.take_mean_ms(), 2);
        assert_eq!(times.take_mean_ms(), 0);
    }
}
