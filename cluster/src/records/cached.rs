//! Records from memory: for those who read the same ones with every request, such as settings,
//! users and subscribers.
//!
//! **How old.** Records of the kinds that the store tells in full ([`RELIED_ON`]) are as new as the
//! last change while it tells them, and cost nothing. All others, and all where nothing is told,
//! are at most [`Options::ttl`] old: then the next who wants one waits for it to be read, and all
//! who want it meanwhile share that. "No such record" is kept for the same time, bounded in number
//! and apart from the records, so that invented names push none out.
//!
//! **Not from here:** what must happen once, or be counted. A one-time token is used up by
//! [`Records::delete`], which says so to one caller only; a subscriber's connections are counted
//! with [`Records::add`]. Of a subscriber only what it may do is told, never its counters.
//!
//! **Store away.** What was read before is given as it was, marked `stale`, and the store is left
//! alone for [`Options::ttl`]; what was not is an error at once.
//!
//! Limits: [`Options::known_max`], [`Options::negative_max`], [`Options::query_timeout`].
//! Metric: `weir_cluster_records_lookups_total{result}`, with the results of the directory's.

use super::{Fields, Kind, Place, RecordChange, Records};
use crate::follow::{Follower, News};
use crate::recent::Recent;
use crate::store::StoreError;
use moka::future::Cache;
use moka::ops::compute::Op;
use prometheus::{IntCounterVec, Opts, Registry};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// Kinds of which every change that matters here is told.
pub const RELIED_ON: [Kind; 4] = [
    Kind::AppSettings,
    Kind::User,
    Kind::Secret,
    Kind::Subscriber,
];

/// How records are kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// Records kept; the least used go first.
    pub known_max: u64,
    /// Names remembered as unknown, and queries under way, at most.
    pub negative_max: u64,
    /// How old a record may be where its changes are not told; how long there is "no such record".
    pub ttl: Duration,
    /// How long one query may take.
    pub query_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            known_max: 20_000,
            negative_max: 10_000,
            ttl: Duration::from_secs(1),
            query_timeout: Duration::from_secs(2),
        }
    }
}

/// A record from memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cached {
    /// The record.
    pub fields: Arc<Fields>,
    /// The store cannot be reached, and this is older than it should be.
    pub stale: bool,
}

/// The cache. Clones share one memory.
#[derive(Clone, Debug)]
pub struct CachedRecords(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    records: Arc<dyn Records>,
    options: Options,
    known: Cache<Place, Slot>,
    /// Queries under way, and the answers that say no.
    asked: Cache<Place, Answer>,
    recent: Mutex<Recent>,
    /// Another number each time that everything known became old; 0 while no changes are told.
    telling: AtomicU64,
    failed: Mutex<Option<Instant>>,
    lookups: IntCounterVec,
}

#[derive(Clone, Debug)]
struct Slot {
    fields: Arc<Fields>,
    telling: u64,
    until: Instant,
}

#[derive(Clone, Debug)]
struct Answer {
    found: Result<Option<Arc<Fields>>, Arc<StoreError>>,
    until: Instant,
}

impl CachedRecords {
    /// A cache over `records`. A task on the current tokio runtime takes in their changes until
    /// `shutdown`.
    ///
    /// # Errors
    /// When the registry has such a metric already.
    pub fn spawn(
        records: Arc<dyn Records>,
        options: Options,
        registry: &Registry,
        shutdown: CancellationToken,
    ) -> Result<Self, prometheus::Error> {
        let lookups = Opts::new(
            "weir_cluster_records_lookups_total",
            "Look-ups of records in memory, by how they were answered",
        );
        let lookups = IntCounterVec::new(lookups, &["result"])?;
        registry.register(Box::new(lookups.clone()))?;
        let inner = Arc::new(Inner {
            known: Cache::new(options.known_max),
            asked: Cache::builder()
                .max_capacity(options.negative_max)
                .time_to_live(options.ttl)
                .build(),
            recent: Mutex::default(),
            telling: AtomicU64::new(0),
            failed: Mutex::default(),
            lookups,
            records,
            options,
        });
        let listening = Arc::clone(&inner);
        tokio::spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = listening.listen() => {}
            }
            listening.telling.store(0, Ordering::SeqCst);
        });
        Ok(Self(inner))
    }

    /// The record at `place`; `None` when there is none.
    ///
    /// # Errors
    /// What the store said, for records not known from before only.
    pub async fn get(&self, place: &Place) -> Result<Option<Cached>, Arc<StoreError>> {
        let inner = &self.0;
        let slot = inner.known.get(place).await;
        if let Some(slot) = slot
            .as_ref()
            .filter(|slot| inner.is_fresh(place.kind, slot))
        {
            return Ok(inner.answered("hit", Some(&slot.fields)));
        }
        if inner.is_left_alone()
            && let Some(slot) = &slot
        {
            return Ok(inner.stale(slot));
        }
        let (answer, how) = inner.answer(place).await;
        match (answer.found, slot) {
            (Ok(found), _) => {
                let negative = found.is_none() && how == "hit";
                let how = if negative { "negative_hit" } else { how };
                Ok(inner.answered(how, found.as_ref()))
            }
            (Err(error), Some(slot)) if error.is_retryable() => Ok(inner.stale(&slot)),
            (Err(error), _) => {
                inner.lookups.with_label_values(&["error"]).inc();
                Err(error)
            }
        }
    }
}

impl Inner {
    fn answered(&self, how: &str, fields: Option<&Arc<Fields>>) -> Option<Cached> {
        self.lookups.with_label_values(&[how]).inc();
        let fields = Arc::clone(fields?);
        Some(Cached {
            fields,
            stale: false,
        })
    }

    fn stale(&self, slot: &Slot) -> Option<Cached> {
        self.lookups.with_label_values(&["stale"]).inc();
        let fields = Arc::clone(&slot.fields);
        Some(Cached {
            fields,
            stale: true,
        })
    }

    fn is_fresh(&self, kind: Kind, slot: &Slot) -> bool {
        let telling = self.telling.load(Ordering::Relaxed);
        let told = telling != 0 && slot.telling == telling && RELIED_ON.contains(&kind);
        told || Instant::now() < slot.until
    }

    /// The answer to a query made now, or under way, or made a moment ago.
    async fn answer(&self, place: &Place) -> (Answer, &'static str) {
        let now = Instant::now();
        if let Some(answer) = self.asked.get(place).await
            && now < answer.until
        {
            return (answer, "hit");
        }
        let asked_here = AtomicBool::new(false);
        let query = async {
            asked_here.store(true, Ordering::Relaxed);
            self.query(place).await
        };
        let slot = self.asked.entry_by_ref(place);
        let found = slot.or_insert_with_if(query, |answer| answer.until <= now);
        let answer = found.await.into_value();
        let asked_here = asked_here.load(Ordering::Relaxed);
        (answer, if asked_here { "miss" } else { "coalesced" })
    }

    async fn query(&self, place: &Place) -> Answer {
        let telling = self.telling.load(Ordering::SeqCst);
        let since = self.recent().now();
        let found = timeout(self.options.query_timeout, self.records.get(place)).await;
        let found = found.unwrap_or_else(|_| Err(StoreError::too_long("record_get")));
        let until = Instant::now() + self.options.ttl;
        let away = found.as_ref().is_err_and(StoreError::is_retryable);
        *self.failed() = away.then_some(until);
        let found = found.map(|fields| fields.map(Arc::new)).map_err(Arc::new);
        if let Ok(found) = &found {
            let slot = found.as_ref().map(|fields| Slot {
                fields: Arc::clone(fields),
                telling,
                until,
            });
            self.learn(place, slot, since).await;
        }
        Answer { found, until }
    }

    /// Puts an answer in place of what was known, unless something newer was told meanwhile.
    async fn learn(&self, place: &Place, slot: Option<Slot>, since: u64) {
        let entry = self.known.entry_by_ref(place);
        let done = entry.and_compute_with(|old| {
            let overtaken = self.recent().may_have_changed(place, since);
            let op = match (slot, old) {
                (_, Some(_)) if overtaken => Op::Nop,
                (Some(slot), _) if overtaken => Op::Put(Slot { telling: 0, ..slot }),
                (Some(slot), _) => Op::Put(slot),
                (None, Some(_)) => Op::Remove,
                (None, None) => Op::Nop,
            };
            std::future::ready(op)
        });
        done.await;
    }

    async fn listen(&self) {
        let (records, health) = (Arc::clone(&self.records), Arc::clone(&self.records));
        let mut follower = Follower::new(
            move || records.record_changes(),
            move || health.record_changes_health(),
            self.options.ttl,
        );
        let mut generation = 0;
        loop {
            match follower.next().await {
                News::Changed(change) => self.take_in(change).await,
                News::Reload { told, .. } => {
                    generation += 1;
                    let telling = if told { generation } else { 0 };
                    self.telling.store(telling, Ordering::SeqCst);
                }
            }
        }
    }

    async fn take_in(&self, change: RecordChange) {
        let place = change.place;
        if place.key.is_empty() {
            let same = |known: &Place| (known.kind, &known.app) == (place.kind, &place.app);
            let known = self.known.iter().map(|(known, _)| known);
            let doubted: Vec<_> = known.filter(|known| same(known)).collect();
            for known in doubted {
                self.replace(&known, None).await;
            }
        } else {
            self.replace(&place, change.fields).await;
        }
    }

    /// What is known of a place becomes this; nothing, when nobody has asked for it.
    async fn replace(&self, place: &Place, fields: Option<Arc<Fields>>) {
        // Before the slot is touched; see `learn`.
        self.recent().push(place);
        let telling = self.telling.load(Ordering::SeqCst);
        let until = Instant::now() + self.options.ttl;
        let entry = self.known.entry_by_ref(place);
        let done = entry.and_compute_with(|old| {
            let op = match (fields, old) {
                (Some(fields), Some(_)) => Op::Put(Slot {
                    fields,
                    telling,
                    until,
                }),
                (None, Some(_)) => Op::Remove,
                (_, None) => Op::Nop,
            };
            std::future::ready(op)
        });
        done.await;
        // "No such record", or what was read before.
        self.asked.invalidate(place).await;
    }

    /// Whether the store failed a moment ago.
    fn is_left_alone(&self) -> bool {
        self.failed().is_some_and(|until| Instant::now() < until)
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self) -> MutexGuard<'_, Option<Instant>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
