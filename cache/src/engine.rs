//! The cache: look-ups, request collapsing, stale answers.
//!
//! A fetch runs in a task of its own, so that it outlives the reader who started it while others
//! wait. When nobody watches any more, it is finished only if its object is small enough
//! ([`CacheOptions::unwatched_bytes_max`]) and will be stored; else it is given up.
//!
//! Limits: [`CacheOptions`]. Over `fetches_max` or `waiters_max` the answer is
//! [`FetchError::Busy`] at once: a queue would only make everybody late.

use crate::body::Reader;
use crate::fetch::{FetchError, FetchResponse};
use crate::fetch_task::FetchTask;
use crate::flight::{Flight, Flights, Interest, Joined};
use crate::key::Key;
use crate::metrics::{Metrics, Outcome};
use crate::object::Object;
use crate::policy::{Rules, Standing, Verdict};
use crate::store::Store;
use prometheus::Registry;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

/// The cache's limits.
#[derive(Clone, Copy, Debug)]
pub struct CacheOptions {
    /// `false`: every request goes to the origin by itself and nothing is stored.
    pub enabled: bool,
    /// Bytes of complete objects in RAM.
    pub store_bytes_max: u64,
    /// Bytes of one object; a longer one is an error, because readers may join at any time and so
    /// all of it is kept while it fills.
    pub object_bytes_max: u64,
    /// Fetches at once.
    pub fetches_max: usize,
    /// Requests that wait for a head at once.
    pub waiters_max: usize,
    /// How long a request waits for a head (or, asking for the whole, for the last byte), ms.
    pub wait_ms_max: u64,
    /// Up to this announced length a fetch is finished though nobody watches, bytes.
    pub unwatched_bytes_max: u64,
    /// How long "not there" is believed, ms.
    pub negative_ttl_ms: u64,
    /// How long past its lifetime an answer may stand in for a failed origin, ms.
    pub stale_if_error_ms: u64,
    /// How long after such a failure the origin is not asked again for that object, ms.
    pub stale_retry_ms: u64,
    /// How long a request waits for a new answer that has such an old one in reserve, ms. The fetch
    /// goes on; a machine that vanished without a word would else hold up each request until the
    /// connection times out.
    pub stale_wait_ms: u64,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            enabled: true,
            store_bytes_max: 512 << 20,
            object_bytes_max: 64 << 20,
            fetches_max: 512,
            waiters_max: 65_536,
            wait_ms_max: 15_000,
            unwatched_bytes_max: 8 << 20,
            negative_ttl_ms: 1_000,
            stale_if_error_ms: 10_000,
            stale_retry_ms: 500,
            stale_wait_ms: 1_000,
        }
    }
}

/// What is asked of [`Cache::get`].
#[derive(Clone, Debug)]
pub struct Ask {
    /// Of which object.
    pub key: Key,
    /// Lifetime of a 200 instead of the origin's, ms.
    pub ttl_override_ms: Option<u64>,
    /// How long past its lifetime a 200 may stand in for a failed origin, instead of
    /// [`CacheOptions::stale_if_error_ms`], ms.
    pub stale_if_error_override_ms: Option<u64>,
    /// How long a 404 or 410 is remembered at most, instead of [`CacheOptions::negative_ttl_ms`], ms.
    pub negative_ttl_override_ms: Option<u64>,
    /// Answer only when the body is complete. For small objects (playlists): a fill that breaks
    /// off is then an error before the first byte, which a stale answer can stand in for.
    pub whole: bool,
}

/// An object to read, and how it was come by.
#[derive(Debug)]
pub struct Answer {
    /// The object; complete unless a fetch is under way.
    pub object: Arc<Object>,
    /// How it was come by.
    pub outcome: Outcome,
    /// Its age now, ms (RFC 9111 section 4.2.3).
    pub age_ms: u64,
    /// How long its lifetime has been over, ms; 0 while it is fresh, or names none.
    pub stale_ms: u64,
    metrics: Arc<Metrics>,
    _interest: Option<Interest>,
}

impl Answer {
    /// Reads bytes `from` up to but not including `end` (`None`: to the end). Keep the answer
    /// while reading: a fetch that nobody holds an answer of may be given up.
    pub fn reader(&self, from: u64, end: Option<u64>) -> Reader {
        Reader::new(
            Arc::clone(self.object.body()),
            self.metrics.served_bytes.clone(),
            from,
            end.unwrap_or(u64::MAX),
        )
    }
}

/// The cache engine. Cheap to share: hold it in an [`Arc`].
#[derive(Debug)]
pub struct Cache {
    pub(crate) options: CacheOptions,
    pub(crate) store: Store,
    pub(crate) flights: Flights,
    fetches: Arc<Semaphore>,
    waiters: Semaphore,
    pub(crate) metrics: Arc<Metrics>,
    started: Instant,
}

impl Cache {
    /// An empty cache. Registers its metrics, `weir_cache_…`.
    ///
    /// # Errors
    /// When `registry` has metrics of these names already.
    pub fn new(options: CacheOptions, registry: &Registry) -> Result<Arc<Self>, prometheus::Error> {
        let metrics = Arc::new(Metrics::register(registry)?);
        Ok(Arc::new(Self {
            options,
            store: Store::new(options.store_bytes_max, Arc::clone(&metrics)),
            flights: Flights::default(),
            fetches: Arc::new(Semaphore::new(
                options.fetches_max.min(Semaphore::MAX_PERMITS),
            )),
            waiters: Semaphore::new(options.waiters_max.min(Semaphore::MAX_PERMITS)),
            metrics,
            started: Instant::now(),
        }))
    }

    /// The hit path: an answer that is complete and fresh, if there is one. One look-up.
    pub fn hit(&self, key: &str) -> Option<Answer> {
        if !self.options.enabled {
            return None;
        }
        let object = self.store.get(key)?;
        (object.standing(self.now_ms()) == Standing::Fresh).then(|| self.remembered(object))
    }

    /// Answers from memory or lets one fetch run for all who ask. `open` asks the origin; it runs
    /// at most once, and only if this request has to start a fetch.
    ///
    /// Dropping the future is safe: a fetch it started goes on while others wait for it.
    ///
    /// # Errors
    /// [`FetchError`] when there is no answer and none that is stale may stand in.
    pub async fn get<F, O>(self: &Arc<Self>, ask: Ask, open: F) -> Result<Answer, FetchError>
    where
        F: FnOnce() -> O + Send,
        O: Future<Output = Result<FetchResponse, FetchError>> + Send + 'static,
    {
        let result = if self.options.enabled {
            self.get_shared(ask, open).await
        } else {
            self.get_alone(&ask, open()).await
        };
        match &result {
            // Counted where they are made, which is also on the hit path.
            Ok(answer) if matches!(answer.outcome, Outcome::Hit | Outcome::Negative) => {}
            Ok(answer) => self.metrics.count(answer.outcome),
            Err(error) => self.metrics.count(Outcome::Error(error.label())),
        }
        result
    }

    /// The object of `key` as it is stored, however old: to look at, not to answer with.
    pub fn stored(&self, key: &str) -> Option<Arc<Object>> {
        self.store.get(key)
    }

    /// Forgets the object of `key`. A fetch under way is not stopped. Returns whether there was one.
    pub fn purge(&self, key: &str) -> bool {
        self.store.remove(key)
    }

    async fn get_shared<F, O>(self: &Arc<Self>, ask: Ask, open: F) -> Result<Answer, FetchError>
    where
        F: FnOnce() -> O + Send,
        O: Future<Output = Result<FetchResponse, FetchError>> + Send + 'static,
    {
        let mut stale = None;
        if let Some(object) = self.store.get(ask.key.as_str()) {
            let now_ms = self.now_ms();
            match object.standing(now_ms) {
                Standing::Fresh => return Ok(self.remembered(object)),
                Standing::StaleIfError if object.is_held_off(now_ms) => {
                    return Ok(self.answer(object, Outcome::Stale, None));
                }
                Standing::StaleIfError => stale = Some(object),
                Standing::Expired => {}
            }
        }
        // On the heap: every connection's future would be large by it, and a miss is rare.
        let mut fetched = Box::pin(self.get_fetched(&ask, open));
        let Some(stale) = stale else {
            return fetched.await;
        };
        let patience = Duration::from_millis(self.options.stale_wait_ms);
        let result = match timeout(patience, fetched.as_mut()).await {
            Ok(result) => result,
            Err(_) if self.may_stand_in(&stale) => return Ok(self.stand_in(stale)),
            Err(_) => fetched.await,
        };
        let failed = match &result {
            // RFC 5861 section 4: a 5xx answer is as good as none.
            Ok(answer) => answer.object.head().status.is_server_error(),
            Err(_) => true,
        };
        if failed && self.may_stand_in(&stale) {
            return Ok(self.stand_in(stale));
        }
        result
    }

    fn stand_in(&self, stale: Arc<Object>) -> Answer {
        stale.hold_off(self.now_ms() + self.options.stale_retry_ms);
        self.answer(stale, Outcome::Stale, None)
    }

    /// The window may have closed while the origin was waited for.
    fn may_stand_in(&self, object: &Object) -> bool {
        object.standing(self.now_ms()) != Standing::Expired
    }

    async fn get_fetched<F, O>(self: &Arc<Self>, ask: &Ask, open: F) -> Result<Answer, FetchError>
    where
        F: FnOnce() -> O + Send,
        O: Future<Output = Result<FetchResponse, FetchError>> + Send + 'static,
    {
        let landed = || {
            self.store
                .get(ask.key.as_str())
                .filter(|object| object.standing(self.now_ms()) == Standing::Fresh)
        };
        match self.flights.join(&ask.key, landed) {
            Joined::Landed(object) => Ok(self.remembered(object)),
            Joined::Started(flight, interest) => {
                self.launch(Some(ask.key.clone()), &flight, self.rules(ask), open());
                self.wait(ask, &flight, interest, Outcome::Miss).await
            }
            Joined::Running(flight, interest) => {
                let answer = self
                    .wait(ask, &flight, interest, Outcome::Collapsed)
                    .await?;
                match answer.object.verdict() {
                    Verdict::Pass(reason) if !reason.may_share() => {
                        self.get_alone(ask, open()).await
                    }
                    _ => Ok(answer),
                }
            }
        }
    }

    /// A fetch for this request only.
    async fn get_alone<O>(self: &Arc<Self>, ask: &Ask, opened: O) -> Result<Answer, FetchError>
    where
        O: Future<Output = Result<FetchResponse, FetchError>> + Send + 'static,
    {
        let flight = Flight::new();
        let interest = flight.interest();
        self.launch(None, &flight, self.rules(ask), opened);
        self.wait(ask, &flight, interest, Outcome::Bypass).await
    }

    async fn wait(
        &self,
        ask: &Ask,
        flight: &Arc<Flight>,
        interest: Interest,
        outcome: Outcome,
    ) -> Result<Answer, FetchError> {
        let _waiter = self.waiters.try_acquire().map_err(|_| FetchError::Busy {
            what: "waiting requests",
            limit: self.options.waiters_max,
        })?;
        let limit_ms = self.options.wait_ms_max;
        let waited = async {
            let object = flight.head().await?;
            if ask.whole {
                object.wait_whole().await?;
            }
            Ok(object)
        };
        let object = timeout(Duration::from_millis(limit_ms), waited)
            .await
            .unwrap_or(Err(FetchError::WaitTimeout { limit_ms }))?;
        Ok(self.answer(object, outcome, Some(interest)))
    }

    fn launch<O>(self: &Arc<Self>, key: Option<Key>, flight: &Arc<Flight>, rules: Rules, opened: O)
    where
        O: Future<Output = Result<FetchResponse, FetchError>> + Send + 'static,
    {
        let task = FetchTask::new(Arc::clone(self), Arc::clone(flight), key, rules);
        match Arc::clone(&self.fetches).try_acquire_owned() {
            Ok(permit) => {
                tokio::spawn(task.run(permit, opened));
            }
            Err(_) => flight.fail(FetchError::Busy {
                what: "fetches",
                limit: self.options.fetches_max,
            }),
        }
    }

    fn rules(&self, ask: &Ask) -> Rules {
        Rules {
            ttl_override_ms: ask.ttl_override_ms,
            negative_ttl_ms: ask
                .negative_ttl_override_ms
                .unwrap_or(self.options.negative_ttl_ms),
            stale_if_error_ms: ask
                .stale_if_error_override_ms
                .unwrap_or(self.options.stale_if_error_ms),
        }
    }

    fn remembered(&self, object: Arc<Object>) -> Answer {
        let negative = object.lifetime().is_some_and(|life| life.negative);
        let outcome = if negative {
            self.metrics.negative.inc();
            Outcome::Negative
        } else {
            self.metrics.hit.inc();
            Outcome::Hit
        };
        self.answer(object, outcome, None)
    }

    fn answer(&self, object: Arc<Object>, outcome: Outcome, interest: Option<Interest>) -> Answer {
        let age_ms = object.age_ms(self.now_ms());
        let lifetime_ms = object.lifetime().map(|life| life.fresh_ms);
        Answer {
            age_ms,
            stale_ms: lifetime_ms.map_or(0, |fresh_ms| age_ms.saturating_sub(fresh_ms)),
            object,
            outcome,
            metrics: Arc::clone(&self.metrics),
            _interest: interest,
        }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
