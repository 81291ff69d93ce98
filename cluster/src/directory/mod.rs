//! Which origin serves a stream: the answer from memory, the store asked as rarely as can be.
//!
//! **Known streams.** A stream that was asked for, or that the source told of, is answered from
//! memory and waits for nobody. Where the source tells changes ([`StreamSource::changes`]) an
//! answer is as new as the last change; elsewhere it is asked again behind the answer once it is
//! older than [`Options::ttl`].
//!
//! **Unknown streams.** All who ask wait for one query; "no such stream" is kept for
//! [`Options::negative_ttl`], in a cache of its own, so that invented names push out no known
//! stream.
//!
//! **Source away.** Known streams are served as they were last seen and marked `stale`; their
//! state is judged as of then, for that nobody can reach the store does not end a stream. Unknown
//! ones fail at once for a second, then somebody tries again.
//!
//! **Ended streams.** A record may go the moment its stream ends, but its last playlist is still
//! to be fetched: for [`Options::ended_kept`] the directory goes on telling where it was.
//!
//! Limits: [`Options::known_max`], [`Options::negative_max`], [`Options::query_timeout`].

mod entry;
mod listen;
mod metrics;

pub use entry::Located;

use crate::clock::WallClock;
use crate::names::StreamKey;
use crate::source::StreamSource;
use crate::store::StoreError;
use crate::types::Broadcast;
use entry::{Age, Answer, Entry, Kind};
use metrics::{Lookup, Metrics};
use moka::future::Cache;
use prometheus::Registry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// How the directory keeps what it knows.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether answers are kept at all (`metadata.cache.enabled`). If not, each look-up asks; those
    /// that come while one is asking still share its answer.
    pub cache_enabled: bool,
    /// Known streams kept; the least used go first.
    pub known_max: u64,
    /// Names remembered as unknown, and queries under way, at most.
    pub negative_max: u64,
    /// How old an answer may be before it is asked again, where the source tells no changes.
    pub ttl: Duration,
    /// The same where the source does tell: it only mends what should not happen.
    pub told_ttl: Duration,
    /// How long "no such stream" is kept, and how long a failing source is left alone.
    pub negative_ttl: Duration,
    /// Up to this age a known stream is answered at once while it is asked again.
    pub serve_while_asking: Duration,
    /// How long one query may take.
    pub query_timeout: Duration,
    /// How long the place of an ended stream is still told.
    pub ended_kept: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_enabled: true,
            known_max: 50_000,
            negative_max: 10_000,
            ttl: Duration::from_secs(1),
            told_ttl: Duration::from_secs(30),
            negative_ttl: Duration::from_secs(1),
            serve_while_asking: Duration::from_secs(60),
            query_timeout: Duration::from_secs(2),
            ended_kept: Duration::from_secs(60),
        }
    }
}

/// Why a stream could not be looked up, and nothing older was known of it either.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// The source cannot tell now; try again in a second.
    #[error("the directory cannot ask: {reason}")]
    Unavailable {
        /// What the source said.
        reason: Arc<str>,
    },
    /// The source has a record that cannot be read.
    #[error("the stream's record cannot be read: {reason}")]
    Damaged {
        /// What is wrong with it.
        reason: Arc<str>,
    },
}

/// The directory. Clones share one memory.
#[derive(Clone, Debug)]
pub struct Directory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: Arc<dyn StreamSource>,
    clock: Arc<dyn WallClock>,
    options: Options,
    metrics: Metrics,
    known: Cache<StreamKey, Arc<Entry>>,
    /// Queries under way, and the answers that say no.
    asked: Cache<StreamKey, Answer>,
    /// The source's last answer was that it cannot answer.
    away: AtomicBool,
    /// Changes taken in so far.
    told: AtomicU64,
    /// Grows when changes were missed; 0 while the source tells none.
    telling: AtomicU64,
}

impl Directory {
    /// A directory that asks `source`. Where the source tells changes, a task on the current tokio
    /// runtime takes them in until `shutdown`; after that the directory asks by age.
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
        let changes = source.changes().filter(|_| options.cache_enabled);
        let inner = Inner {
            clock,
            metrics: Metrics::new(registry)?,
            known: Cache::new(options.known_max),
            asked: Cache::builder()
                .max_capacity(options.negative_max)
                .time_to_live(options.negative_ttl.max(options.ttl))
                .build(),
            away: AtomicBool::new(false),
            told: AtomicU64::new(0),
            telling: AtomicU64::new(u64::from(changes.is_some())),
            source,
            options,
        };
        let directory = Self(Arc::new(inner));
        if let Some(changes) = changes {
            tokio::spawn(listen::listen(Arc::clone(&directory.0), changes, shutdown));
        }
        Ok(directory)
    }

    /// Where `key` is served; `None` when there is no such stream.
    ///
    /// # Errors
    /// [`DirectoryError`], for streams not known from before only.
    pub async fn locate(&self, key: &StreamKey) -> Result<Option<Located>, DirectoryError> {
        let inner = &self.0;
        let Some(entry) = inner.last_known(key).await else {
            return inner.ask(key).await;
        };
        let away = inner.away.load(Ordering::Relaxed);
        match entry.age(inner) {
            Age::Fresh => Ok(inner.count(entry.located(inner, false))),
            Age::Old if !away => inner.ask(key).await,
            Age::Ageing | Age::Old => {
                self.ask_behind(key, &entry);
                Ok(inner.count(entry.located(inner, away)))
            }
        }
    }

    /// Asks again without anybody waiting for it; one task an entry.
    fn ask_behind(&self, key: &StreamKey, entry: &Arc<Entry>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if entry.start_asking() {
            let (inner, entry, key) = (Arc::clone(&self.0), Arc::clone(entry), key.clone());
            runtime.spawn(async move {
                inner.answer(&key).await;
                entry.stop_asking();
            });
        }
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

    async fn ask(&self, key: &StreamKey) -> Result<Option<Located>, DirectoryError> {
        let (answer, how) = self.answer(key).await;
        match answer.kind {
            Kind::Known(entry) => {
                self.metrics.count(how);
                Ok(entry.located(self, false))
            }
            Kind::Absent => {
                self.metrics.count(match how {
                    Lookup::Hit => Lookup::NegativeHit,
                    how => how,
                });
                Ok(None)
            }
            Kind::Failed(error) => {
                if let Some(entry) = self.last_known(key).await {
                    return Ok(self.count(entry.located(self, true)));
                }
                self.metrics.count(Lookup::Error);
                Err(error)
            }
        }
    }

    /// The answer to a query made now, or under way, or made a moment ago.
    async fn answer(&self, key: &StreamKey) -> (Answer, Lookup) {
        let now = Instant::now();
        if let Some(answer) = self.asked.get(key).await
            && answer.holds_at(now)
        {
            return (answer, Lookup::Hit);
        }
        let asked_here = AtomicBool::new(false);
        let query = async {
            asked_here.store(true, Ordering::Relaxed);
            self.query(key).await
        };
        let slot = self.asked.entry_by_ref(key);
        let found = slot.or_insert_with_if(query, |answer| !answer.holds_at(now));
        let answer = found.await.into_value();
        let how = if asked_here.load(Ordering::Relaxed) {
            Lookup::Miss
        } else {
            Lookup::Coalesced
        };
        (answer, how)
    }

    async fn query(&self, key: &StreamKey) -> Answer {
        let told_before = self.told.load(Ordering::SeqCst);
        let start = Instant::now();
        let answer = timeout(self.options.query_timeout, self.source.lookup(key)).await;
        let answer = answer.unwrap_or_else(|_| {
            Err(StoreError::Unavailable {
                operation: "lookup",
                reason: "it took too long".to_owned(),
            })
        });
        self.metrics.queried(start.elapsed());
        let away = answer.as_ref().is_err_and(StoreError::is_retryable);
        self.away.store(away, Ordering::Relaxed);
        let (kind, kept) = match answer {
            Ok(Some(broadcast)) => {
                let known = self.keep(key, &broadcast, told_before).await;
                let kept = match known {
                    Kind::Absent => self.options.negative_ttl,
                    _ => self.options.ttl,
                };
                (known, kept)
            }
            Ok(None) => (self.gone(key).await, self.options.negative_ttl),
            Err(error) => (Kind::Failed(error.into()), self.options.negative_ttl),
        };
        let kept = if self.options.cache_enabled {
            kept
        } else {
            Duration::ZERO
        };
        Answer {
            kind,
            until: Instant::now() + kept,
        }
    }

    /// Remembers what the source said of a stream.
    async fn keep(&self, key: &StreamKey, broadcast: &Broadcast, told_before: u64) -> Kind {
        let telling = self.telling.load(Ordering::SeqCst);
        let Some(entry) = Entry::of(broadcast, self, telling) else {
            return Kind::Absent;
        };
        let entry = Arc::new(entry);
        if self.options.cache_enabled {
            self.known.insert(key.clone(), Arc::clone(&entry)).await;
            if self.told.load(Ordering::SeqCst) != told_before {
                // A change may have been about this stream, and have come before there was an
                // entry to take it: what was read may be older. Such an entry counts by its age.
                let doubted = Arc::new(entry.doubted());
                self.known.insert(key.clone(), doubted).await;
            }
        }
        Kind::Known(entry)
    }

    /// The source says that there is no such stream; if there was one, it ended.
    async fn gone(&self, key: &StreamKey) -> Kind {
        match self.last_known(key).await {
            Some(entry) => {
                let ended = Arc::new(entry.ended(self));
                self.known.insert(key.clone(), Arc::clone(&ended)).await;
                Kind::Known(ended)
            }
            None => Kind::Absent,
        }
    }

    async fn last_known(&self, key: &StreamKey) -> Option<Arc<Entry>> {
        if self.options.cache_enabled {
            self.known.get(key).await
        } else {
            None
        }
    }
}

impl From<StoreError> for DirectoryError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged { reason, .. } => Self::Damaged {
                reason: reason.into(),
            },
            other => Self::Unavailable {
                reason: other.to_string().into(),
            },
        }
    }
}

#[cfg(test)]
mod tests;
