//! A directory on a source that counts, and clocks that stand still.

use super::super::*;
use crate::clock::ManualClock;
use crate::follow::ChangesHealth;
use crate::source::Whereabouts;
use crate::store::{StoreError, StreamChange};
use crate::types::{Broadcast, BroadcastStatus, Ownership};
use async_trait::async_trait;
use std::collections::HashMap;
use std::sync::Mutex;
use tokio::sync::{Notify, broadcast};
use tokio::time::advance;

pub(super) const NOW_MS: i64 = 1_700_000_000_000;

/// A source that counts, and can be slow, away, or telling.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub(super) records: Mutex<HashMap<StreamKey, Broadcast>>,
    pub(super) queries: AtomicU64,
    pub(super) away: AtomicBool,
    pub(super) gate: Option<Notify>,
    pub(super) changes: Mutex<Option<broadcast::Sender<StreamChange>>>,
    pub(super) silence: Mutex<Duration>,
    /// Streams asked for in each query for many; `None`: there is no such query.
    pub(super) together: Option<Mutex<Vec<usize>>>,
}

#[async_trait]
impl StreamSource for Source {
    async fn lookup(&self, key: &StreamKey) -> Result<Option<Broadcast>, StoreError> {
        self.queries.fetch_add(1, Ordering::SeqCst);
        if let Some(gate) = &self.gate {
            gate.notified().await;
        }
        self.reachable()?;
        Ok(self.records.lock().unwrap().get(key).cloned())
    }

    async fn whereabouts(&self, keys: &[StreamKey]) -> Option<Whereabouts> {
        self.together.as_ref()?.lock().unwrap().push(keys.len());
        if let Err(error) = self.reachable() {
            return Some(Err(error));
        }
        let records = self.records.lock().unwrap();
        let found = keys
            .iter()
            .map(|key| (key.clone(), records.get(key).cloned()));
        Some(Ok(found.collect()))
    }

    fn changes(&self) -> Option<broadcast::Receiver<StreamChange>> {
        let changes = self.changes.lock().unwrap();
        changes.as_ref().map(broadcast::Sender::subscribe)
    }

    fn changes_health(&self) -> ChangesHealth {
        ChangesHealth {
            age: *self.silence.lock().unwrap(),
            ..ChangesHealth::default()
        }
    }
}

impl Source {
    pub(super) fn telling() -> Self {
        Self {
            changes: Mutex::new(Some(broadcast::channel(16).0)),
            ..Self::default()
        }
    }

    pub(super) fn asked_together() -> Self {
        Self {
            together: Some(Mutex::default()),
            ..Self::default()
        }
    }

    fn reachable(&self) -> Result<(), StoreError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable {
                operation: "lookup",
                reason: "gone".to_owned(),
            });
        }
        Ok(())
    }

    /// Queries for many, and the most that one asked for.
    pub(super) fn queries_together(&self) -> (usize, usize) {
        let asked = self.together.as_ref().unwrap().lock().unwrap();
        (asked.len(), asked.iter().copied().max().unwrap_or(0))
    }

    pub(super) fn put(&self, id: &str, broadcast: Option<Broadcast>) {
        self.answer(id, broadcast.clone());
        self.tell(id, broadcast);
    }

    /// Changes the record and tells nobody.
    pub(super) fn answer(&self, id: &str, broadcast: Option<Broadcast>) {
        let mut records = self.records.lock().unwrap();
        match broadcast {
            Some(broadcast) => drop(records.insert(key(id), broadcast)),
            None => drop(records.remove(&key(id))),
        }
    }

    /// Tells a change, true or not.
    pub(super) fn tell(&self, id: &str, broadcast: Option<Broadcast>) {
        if let Some(changes) = &*self.changes.lock().unwrap() {
            let broadcast = broadcast.map(Arc::new);
            let key = key(id);
            changes.send(StreamChange { key, broadcast }).unwrap();
        }
    }

    pub(super) fn queries(&self) -> u64 {
        self.queries.load(Ordering::SeqCst)
    }
}

pub(super) struct Bench {
    pub(super) source: Arc<Source>,
    pub(super) clock: ManualClock,
    pub(super) registry: Registry,
    pub(super) directory: Directory,
}

pub(super) fn bench_with(source: Source, options: Options) -> Bench {
    let (source, clock) = (Arc::new(source), ManualClock::at(NOW_MS));
    let registry = Registry::new();
    let directory = Directory::spawn(
        source.clone(),
        Arc::new(clock.clone()),
        options,
        &registry,
        CancellationToken::new(),
    );
    Bench {
        source,
        clock,
        registry,
        directory: directory.unwrap(),
    }
}

pub(super) fn bench() -> Bench {
    bench_with(Source::default(), Options::default())
}

/// Changes are told, and the directory listens.
pub(super) async fn telling_bench() -> Bench {
    let bench = bench_with(Source::telling(), Options::default());
    settle().await;
    bench
}

impl Bench {
    pub(super) async fn locate(&self, id: &str) -> Option<Located> {
        self.directory.locate(&key(id)).await.unwrap()
    }

    /// Moves both clocks.
    pub(super) async fn wait_ms(&self, ms: u64) {
        self.clock.advance(i64::try_from(ms).unwrap());
        advance(Duration::from_millis(ms)).await;
        settle().await;
    }

    pub(super) fn count(&self, label: &str) -> u64 {
        let families = self.registry.gather();
        let family = families
            .iter()
            .find(|f| f.name() == "weir_cluster_directory_lookups_total");
        let metric = family.unwrap().get_metric().iter();
        let mut found = metric.filter(|m| m.get_label()[0].value() == label);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small count"
        )]
        let count = found.next().unwrap().get_counter().get_value() as u64;
        count
    }
}

/// Lets every task that can run do so.
pub(super) async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

pub(super) fn key(id: &str) -> StreamKey {
    StreamKey::parse("LiveApp", id).unwrap()
}

pub(super) fn live(origin: &str, epoch: u64, update_time: i64) -> Broadcast {
    Broadcast {
        status: BroadcastStatus::Broadcasting,
        origin_adress: Some(origin.to_owned()),
        update_time,
        owner: Some(Ownership {
            node_id: "a".to_owned(),
            epoch,
            ..Ownership::default()
        }),
        ..Broadcast::default()
    }
}
