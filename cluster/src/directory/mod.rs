//! Which origin serves a stream: the answer from memory, the store asked as rarely as can be.
//!
//! **Known streams.** A stream that was asked for, or that the source told of, is answered from
//! memory and waits for nobody. Where the source tells changes ([`StreamSource::changes`]) an
//! answer is as new as the last change and costs nothing more. Where it does not, or not now, but
//! can be asked for many streams at once ([`StreamSource::whereabouts`]), all that were looked up
//! in the last [`Options::interest`] are asked for together each [`Options::ttl`]. Where it can do
//! neither, each is asked again behind the answer once it is older than that.
//!
//! **Unknown streams.** All who ask wait for one query; "no such stream" is kept for
//! [`Options::negative_ttl`], in a cache of its own, so that invented names push out no known
//! stream. It is forgotten at once when the stream is told of.
//!
//! **Epochs never go back.** What speaks of an older epoch than the one known is old news, in
//! whatever order words arrive. An answer that was under way while the stream's change was told
//! gives way to the change.
//!
//! **Liveness** is not judged by silence. An owner writes its figures each few seconds, and the
//! source leaves those out of what it tells: at 10,000 streams they would be 2,000 messages a
//! second to every node, and not one of them would change where a stream is found. So that nothing
//! was heard of a stream means that it is as it was. Its state is judged when it is read, by the
//! time stamp it then has; that an owner died is found by who cannot fetch from it, who calls
//! [`Directory::refresh`], and by the cluster through the node's lease: a live node's streams are
//! live, and a stream that somebody else takes is told. Counters can lag as they like; they decide
//! nothing here.
//!
//! **Source away.** Known streams are served as they were last seen and marked `stale`. Unknown
//! ones fail at once for a second, then somebody tries again; for known ones one query at a time
//! tries whether it is back.
//!
//! **Ended streams.** A record may go the moment its stream ends, but its last playlist is still
//! to be fetched: for [`Options::ended_kept`] the directory goes on telling where it was.
//!
//! Limits: [`Options::known_max`], [`Options::negative_max`], [`Options::query_timeout`].

mod ask;
mod entry;
mod listen;
mod metrics;
mod options;

pub use entry::Located;
pub use options::{DirectoryError, Options};

use crate::clock::WallClock;
use crate::names::StreamKey;
use crate::recent::Recent;
use crate::source::StreamSource;
use entry::{Age, Answer, Entry};
use metrics::{Lookup, Metrics};
use moka::future::Cache;
use prometheus::Registry;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often a stream that is asked for along with the others is asked before its answer ages.
const POLLS_TO_AGE: u32 = 3;

/// The directory. Clones share one memory.
#[derive(Clone, Debug)]
pub struct Directory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: Arc<dyn StreamSource>,
    clock: Arc<dyn WallClock>,
    options: Options,
    metrics: Metrics,
    /// Not the kind for futures: that one allocates for its housekeeping, now and then in a hit.
    known: moka::sync::Cache<StreamKey, Arc<Entry>>,
    /// Queries under way, and the answers that say no.
    asked: Cache<StreamKey, Answer>,
    /// The source's last answer was that it cannot answer.
    away: AtomicBool,
    failed: Mutex<Option<(Instant, DirectoryError)>>,
    /// Somebody asks behind an answer whether a source that was away is back.
    probing: AtomicBool,
    recent: Mutex<Recent>,
    /// Another number each time that everything known became old; 0 while no changes are told.
    telling: AtomicU64,
    /// The source can be asked for many streams at once.
    batched: AtomicBool,
    /// Time to ask for all that are wanted.
    ask_all: Notify,
    /// Coarse time, in steps of [`Options::TICK`].
    ticks: AtomicU64,
}

impl Directory {
    /// A directory that asks `source`. A task on the current tokio runtime takes in the changes
    /// that the source tells, until `shutdown`; after that the directory asks by age.
    ///
    /// # Errors
    /// When the registry has such metrics already.
    pub fn spawn(
        source: Arc<dyn StreamSource>,
        clock: Arc<dyn WallClock>,
        options: Options,
        registry: &Registry,
        shutdown: CancellationToken,
    ) -> Result<Self, prometheus::Error> {
        let inner = Inner {
            clock,
            metrics: Metrics::new(registry)?,
            known: moka::sync::Cache::new(options.known_max),
            asked: Cache::builder()
                .max_capacity(options.negative_max)
                .time_to_live(
                    options
                        .negative_ttl
                        .max(options.ttl)
                        .max(options.refresh_min),
                )
                .build(),
            away: AtomicBool::new(false),
            failed: Mutex::default(),
            probing: AtomicBool::new(false),
            recent: Mutex::default(),
            telling: AtomicU64::new(0),
            batched: AtomicBool::new(false),
            ask_all: Notify::new(),
            ticks: AtomicU64::new(0),
            source,
            options,
        };
        let directory = Self(Arc::new(inner));
        if directory.0.options.cache_enabled {
            tokio::spawn(listen::listen(Arc::clone(&directory.0), shutdown));
        }
        Ok(directory)
    }

    /// Where `key` is served; `None` when there is no such stream.
    ///
    /// # Errors
    /// [`DirectoryError`], for streams not known from before only.
    pub async fn locate(&self, key: &StreamKey) -> Result<Option<Located>, DirectoryError> {
        let inner = &self.0;
        let Some(entry) = inner.last_known(key) else {
            return inner.ask(key, Answer::holds).await;
        };
        entry.want(inner);
        let away = inner.away.load(Ordering::Relaxed);
        match entry.age(inner) {
            Age::Fresh => Ok(inner.count(entry.located(inner, false))),
            Age::Old if !away => inner.ask(key, Answer::holds).await,
            Age::Ageing | Age::Old => {
                if !inner.asks_together() {
                    self.ask_behind(key, &entry, away);
                }
                Ok(inner.count(entry.located(inner, away)))
            }
        }
    }

    /// Asks again without anybody waiting for it; one task an entry, and one in all while the
    /// source is away.
    fn ask_behind(&self, key: &StreamKey, entry: &Arc<Entry>, away: bool) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if away && self.0.probing.swap(true, Ordering::Relaxed) {
            return;
        }
        if !entry.start_asking() {
            if away {
                self.0.probing.store(false, Ordering::Relaxed);
            }
            return;
        }
        let (inner, entry, key) = (Arc::clone(&self.0), Arc::clone(entry), key.clone());
        runtime.spawn(async move {
            inner.answer(&key, Answer::holds).await;
            entry.stop_asking();
            if away {
                inner.probing.store(false, Ordering::Relaxed);
            }
        });
    }
}

impl Inner {
    fn count(&self, located: Option<Located>) -> Option<Located> {
        self.metrics.count(match &located {
            Some(found) if found.stale => Lookup::Stale,
            Some(_) => Lookup::Hit,
            None => Lookup::NegativeHit,
        });
        located
    }

    fn last_known(&self, key: &StreamKey) -> Option<Arc<Entry>> {
        if self.options.cache_enabled {
            self.known.get(key)
        } else {
            None
        }
    }

    /// Whether wanted streams are asked for together from time to time.
    fn asks_together(&self) -> bool {
        self.batched.load(Ordering::Relaxed) && self.telling.load(Ordering::Relaxed) == 0
    }

    /// How long an answer is as good as new.
    fn fresh_for(&self) -> Duration {
        if self.asks_together() {
            self.options.ttl * POLLS_TO_AGE
        } else {
            self.options.ttl
        }
    }

    fn tick(&self) -> u64 {
        self.ticks.load(Ordering::Relaxed)
    }

    fn interest_ticks(&self) -> u64 {
        self.options.interest.as_secs() / Options::TICK.as_secs()
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self) -> MutexGuard<'_, Option<(Instant, DirectoryError)>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
