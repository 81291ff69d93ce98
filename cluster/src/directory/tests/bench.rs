//! A directory on a source that counts, and clocks that stand still.

use super::super::*;
use crate::clock::ManualClock;
use crate::store::StreamChange;
use crate::types::{BroadcastStatus, Ownership};
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
    pub(super) changes: Option<broadcast::Sender<StreamChange>>,
}

#[async_trait]
impl StreamSource for Source {
    async fn lookup(&self, key: &StreamKey) -> Result<Option<Broadcast>, StoreError> {
        self.queries.fetch_add(1, Ordering::SeqCst);
        if let Some(gate) = &self.gate {
            gate.notified().await;
        }
        if self.away.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable {
                operation: "lookup",
                reason: "gone".to_owned(),
            });
        }
        Ok(self.records.lock().unwrap().get(key).cloned())
    }

    fn changes(&self) -> Option<broadcast::Receiver<StreamChange>> {
        self.changes.as_ref().map(broadcast::Sender::subscribe)
    }
}

impl Source {
    pub(super) fn put(&self, id: &str, broadcast: Option<Broadcast>) {
        let mut records = self.records.lock().unwrap();
        match &broadcast {
            Some(broadcast) => drop(records.insert(key(id), broadcast.clone())),
            None => drop(records.remove(&key(id))),
        }
        if let Some(changes) = &self.changes {
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

pub(super) fn telling_bench() -> Bench {
    let source = Source {
        changes: Some(broadcast::channel(16).0),
        ..Source::default()
    };
    bench_with(source, Options::default())
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
