//! The heartbeat: the node's record, written each period from a thread of its own, so that load
//! elsewhere in the process cannot make the node look dead.
//!
//! A write that fails or takes longer than [`HEARTBEAT_TIMEOUT`] is given up; the next period tries
//! again. After a stop the record stays, as Ant Media's does, and reads as dead 20 s later.

use super::id::NodeId;
use super::load::Load;
use crate::clock::WallClock;
use crate::metered::QueryTimes;
use crate::store::Store;
use crate::types::{HEARTBEAT_PERIOD_MS, NodeRecord, NodeRole};
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

/// How long one write may take: less than a period, so that none is skipped for it.
pub const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(4);
/// How often the record is written.
pub const HEARTBEAT_PERIOD: Duration = Duration::from_millis(HEARTBEAT_PERIOD_MS.unsigned_abs());

const _: () = assert!(HEARTBEAT_TIMEOUT.as_millis() < HEARTBEAT_PERIOD.as_millis());

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
}

/// The heartbeat.
#[derive(Debug)]
pub struct Heartbeat {
    options: HeartbeatOptions,
    store: Arc<dyn Store>,
    clock: Arc<dyn WallClock>,
    load: Load,
    failing: bool,
}

impl Heartbeat {
    /// Starts the thread: one record now, one each [`HEARTBEAT_PERIOD`], until `shutdown`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn(
        options: HeartbeatOptions,
        store: Arc<dyn Store>,
        clock: Arc<dyn WallClock>,
        shutdown: CancellationToken,
    ) -> io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let heartbeat = Self::new(options, store, clock);
        std::thread::Builder::new()
            .name("weir-heartbeat".to_owned())
            .spawn(move || runtime.block_on(heartbeat.run(shutdown)))
    }

    fn new(options: HeartbeatOptions, store: Arc<dyn Store>, clock: Arc<dyn WallClock>) -> Self {
        Self {
            options,
            store,
            clock,
            load: Load::new(),
            failing: false,
        }
    }

    async fn run(mut self, shutdown: CancellationToken) {
        let mut period = interval(HEARTBEAT_PERIOD);
        // After a stall one record says it all.
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = period.tick() => {}
            }
            // A stop need not wait for a store that hangs.
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.beat() => {}
            }
        }
    }

    async fn beat(&mut self) {
        let record = self.record();
        let written = timeout(HEARTBEAT_TIMEOUT, self.store.heartbeat(record)).await;
        let failure = match written {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("the store took too long".to_owned()),
        };
        let node = self.options.node_id.as_str();
        match (&failure, self.failing) {
            (Some(reason), false) => {
                tracing::warn!(node, reason, "the heartbeat could not be written");
            }
            (None, true) => tracing::info!(node, "the heartbeat is written again"),
            _ => {}
        }
        self.failing = failure.is_some();
    }

    fn record(&mut self) -> NodeRecord {
        let times = self.options.query_times.as_ref();
        NodeRecord {
            id: self.options.node_id.as_str().to_owned(),
            ip: self.options.ip.clone(),
            role: self.options.role,
            last_update_time: self.clock.now_ms(),
            memory: self.load.memory(),
            cpu: self.load.cpu_percent().to_string(),
            db_query_average_time_ms: times.map_or(0, QueryTimes::take_mean_ms),
            version: self.options.version.clone(),
            ..NodeRecord::default()
        }
    }
}

#[cfg(test)]
mod tests;
