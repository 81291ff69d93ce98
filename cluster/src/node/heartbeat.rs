//! The heartbeat: the node's lease, renewed each second, and its record, written each 5 s, from a
//! thread and a runtime of their own, so that load elsewhere in the process cannot make the node
//! look dead. To MongoDB it has a connection of its own, too ([`BeatsTo::Mongo`]): it never waits
//! for a free one, nor for a runtime that is busy.
//!
//! Renewals never overlap, nor do records; neither waits for the other. A renewal that takes longer
//! than [`RENEW_TIMEOUT`] is given up and tried again soon, a record that takes longer than
//! [`HEARTBEAT_TIMEOUT`] with the next period. Each [`SWEEP_PERIOD`] the node cleans up what dead
//! ones left behind, if it may. What its figures call urgent, that it drains, is written at once. When it stops it gives its lease up; the record stays, as Ant
//! Media's does, and reads as dead 20 s later.

use super::figures::FiguresSource;
use super::id::NodeId;
use super::load::Load;
use crate::lease::{Lease, RENEW_PERIOD, SWEEP_AFTER_MS};
use crate::metered::{MeteredStore, QueryTimes};
use crate::mongo::{MongoOptions, MongoStore};
use crate::store::{Store, StoreError};
use crate::store_clock::StoreClock;
use crate::types::{HEARTBEAT_PERIOD_MS, NodeRecord, NodeRole};
use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, interval_at, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long one record may take: less than a period, so that none is skipped for it.
pub const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(4);
/// How often the record is written.
pub const HEARTBEAT_PERIOD: Duration = Duration::from_millis(HEARTBEAT_PERIOD_MS.unsigned_abs());
/// How long one renewal may take: less than a lease, so that there is time for another.
pub const RENEW_TIMEOUT: Duration = Duration::from_secs(2);
/// How soon a renewal that failed is tried again.
pub const RENEW_AGAIN: Duration = Duration::from_millis(250);
/// How often the node looks for what dead ones left behind.
pub const SWEEP_PERIOD: Duration = Duration::from_secs(20);
/// How long giving up the lease may take at the end.
const END_TIMEOUT: Duration = Duration::from_secs(1);
/// Connections the heartbeat may have: a renewal, a record, a sweep.
const POOL_MAX: u32 = 3;

const _: () = assert!(HEARTBEAT_TIMEOUT.as_millis() < HEARTBEAT_PERIOD.as_millis());
const _: () = assert!(RENEW_TIMEOUT.as_millis() < crate::lease::LEASE_MS.unsigned_abs() as u128);

/// What the heartbeat says of its node.
#[derive(Clone, Debug)]
pub struct HeartbeatOptions {
    /// The node.
    pub node_id: NodeId,
    /// The address other nodes reach it at (`cluster.node.ip`).
    pub ip: String,
    /// What it does.
    pub role: NodeRole,
    /// Weir's version.
    pub version: String,
    /// The store's query times, when they are measured.
    pub query_times: Option<QueryTimes>,
    /// Asked for the node's figures before each record.
    pub figures: Arc<dyn FiguresSource>,
}

/// Where the heartbeat goes.
#[derive(Clone, Debug)]
pub enum BeatsTo {
    /// The process's own store, where nothing stands in the way: the embedded one.
    Shared(Arc<dyn Store>),
    /// MongoDB, over a client of the heartbeat's own.
    Mongo {
        /// How to reach it.
        options: MongoOptions,
        /// Counts and times the calls with the process's others.
        metered: Option<Arc<MeteredStore>>,
    },
}

impl BeatsTo {
    async fn connect(&self) -> Result<Arc<dyn Store>, String> {
        let (options, metered) = match self {
            Self::Shared(store) => return Ok(Arc::clone(store)),
            Self::Mongo { options, metered } => (options.clone(), metered),
        };
        let options = MongoOptions {
            pool_max: Some(POOL_MAX),
            ..options
        };
        let store = MongoStore::connect(options).await;
        let store: Arc<dyn Store> = Arc::new(store.map_err(|error| error.to_string())?);
        Ok(match metered {
            Some(metered) => Arc::new(metered.beside(store)),
            None => store,
        })
    }
}

/// The heartbeat.
#[derive(Debug)]
pub struct Heartbeat {
    options: HeartbeatOptions,
    store: Arc<dyn Store>,
    clock: StoreClock,
    /// The last renewal's answer.
    lease: Mutex<Option<Lease>>,
}

impl Heartbeat {
    /// Starts the thread: a renewal and a record now, then each in its period, until `shutdown`.
    /// Renewals put `clock` right.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn(
        options: HeartbeatOptions,
        to: BeatsTo,
        clock: StoreClock,
        shutdown: CancellationToken,
    ) -> io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let beating = async move {
            let connected = tokio::select! {
                () = shutdown.cancelled() => return,
                store = connected(&to) => store,
            };
            Self::new(options, connected, clock).run(shutdown).await;
        };
        std::thread::Builder::new()
            .name("weir-heartbeat".to_owned())
            .spawn(move || runtime.block_on(beating))
    }

    fn new(options: HeartbeatOptions, store: Arc<dyn Store>, clock: StoreClock) -> Self {
        Self {
            options,
            store,
            clock,
            lease: Mutex::default(),
        }
    }

    async fn run(self, shutdown: CancellationToken) {
        // A stop need not wait for a store that hangs.
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            () = self.renewals() => {}
            () = self.records() => {}
            () = self.sweeps() => {}
        }
        let ended = timeout(END_TIMEOUT, self.store.end_lease(self.id())).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::debug!(node = self.id(), "the lease was not given up: it lapses");
        }
    }

    fn id(&self) -> &str {
        self.options.node_id.as_str()
    }

    async fn renewals(&self) {
        let said = Said::new("the lease");
        let mut period = interval(RENEW_PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            period.tick().await;
            let renewal = self.clock.renew(&*self.store, self.id());
            let lease = said.within(RENEW_TIMEOUT, self.id(), renewal).await;
            if lease.is_none() {
                period.reset_after(RENEW_AGAIN);
            }
            *self.lease.lock().unwrap_or_else(PoisonError::into_inner) = lease;
        }
    }

    async fn records(&self) {
        let said = Said::new("the heartbeat");
        let mut load = Load::new();
        let mut period = interval(HEARTBEAT_PERIOD);
        // After a stall one record says it all.
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = period.tick() => {}
                () = self.urgent() => {}
            }
            let write = self.store.heartbeat(self.record(&mut load));
            said.within(HEARTBEAT_TIMEOUT, self.id(), write).await;
        }
    }

    async fn urgent(&self) {
        match self.options.figures.urgent() {
            Some(urgent) => urgent.notified().await,
            None => std::future::pending().await,
        }
    }

    async fn sweeps(&self) {
        let first = tokio::time::Instant::now() + SWEEP_PERIOD;
        let mut period = interval_at(first, SWEEP_PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            period.tick().await;
            if !self.may_sweep() {
                continue;
            }
            match timeout(SWEEP_PERIOD, self.store.sweep(self.id())).await {
                Ok(Ok(0)) => {}
                Ok(Ok(freed)) => tracing::info!(freed, "freed streams that dead nodes left behind"),
                Ok(Err(error)) => tracing::debug!(%error, "the sweep failed"),
                Err(_) => tracing::debug!("the sweep took too long"),
            }
        }
    }

    /// Whether the last renewal went well and the run is long enough; the store looks again.
    fn may_sweep(&self) -> bool {
        let lease = self.lease.lock().unwrap_or_else(PoisonError::into_inner);
        let lease = lease.as_ref();
        lease.is_some_and(|lease| lease.has_run_for(SWEEP_AFTER_MS, lease.now_ms))
    }

    fn record(&self, load: &mut Load) -> NodeRecord {
        let times = self.options.query_times.as_ref();
        let record = NodeRecord {
            id: self.id().to_owned(),
            ip: self.options.ip.clone(),
            role: self.options.role,
            memory: load.memory(),
            cpu: load.cpu_percent().to_string(),
            db_query_average_time_ms: times.map_or(0, QueryTimes::take_mean_ms),
            version: self.options.version.clone(),
            ..NodeRecord::default()
        };
        self.options.figures.figures().in_record(record)
    }
}

/// The store, tried until there is one: its options were found good when the process started, but
/// looking up its name may fail for a while.
async fn connected(to: &BeatsTo) -> Arc<dyn Store> {
    loop {
        match to.connect().await {
            Ok(store) => return store,
            Err(reason) => tracing::warn!(reason, "the heartbeat has no store yet"),
        }
        sleep(RENEW_PERIOD).await;
    }
}

/// Logs when something begins to fail and when that ends, and nothing between.
struct Said {
    what: &'static str,
    failing: AtomicBool,
}

impl Said {
    const fn new(what: &'static str) -> Self {
        Self {
            what,
            failing: AtomicBool::new(false),
        }
    }

    async fn within<T>(
        &self,
        limit: Duration,
        node: &str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Option<T> {
        let what = self.what;
        let failure = match timeout(limit, call).await {
            Ok(Ok(answer)) => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!(node, what, "written again");
                }
                return Some(answer);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the store took too long".to_owned(),
        };
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(node, what, reason = failure, "could not be written");
        }
        None
    }
}

#[cfg(test)]
mod tests;
