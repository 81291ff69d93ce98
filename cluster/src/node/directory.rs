//! The cluster's nodes as this node sees them: one task asks the store each period, everybody else
//! watches.
//!
//! **When the store is away** the last view stays and is marked stale; its time stands still, so
//! that nobody turns dead by it. When the store is back, every heartbeat is old at first: for
//! [`NODE_TIMEOUT_MS`] the view is judged by a time that stands back by as long as the store was
//! away, so that nodes have the time to write that they always have. A process that comes to such
//! a store fresh has no view to go on from; it takes renewed leases for signs of life, too.
//!
//! Limits: [`NODES_SEEN_MAX`] nodes; a call longer than [`ASK_TIMEOUT`] is given up.

use crate::clock::WallClock;
use crate::judging::JudgingTime;
use crate::store::{Store, StoreError};
use crate::types::NodeRecord;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

/// Nodes in a view, at most.
pub const NODES_SEEN_MAX: usize = 10_000;
/// How long one look at the store may take.
pub const ASK_TIMEOUT: Duration = Duration::from_secs(3);
/// Nodes asked for at once.
const PAGE: usize = 1_000;

/// The nodes at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodesSeen {
    /// Every node that is registered, dead ones too, in id order.
    pub nodes: Vec<NodeRecord>,
    /// The time by which they are judged, ms since the Unix epoch by the store's clock.
    pub now_ms: i64,
    /// The store does not answer: this is the last it said. True before its first answer.
    pub stale: bool,
}

impl NodesSeen {
    /// The nodes that are there.
    pub fn alive(&self) -> impl Iterator<Item = &NodeRecord> {
        let there = |node: &&NodeRecord| node.alive_at(self.now_ms);
        self.nodes.iter().filter(there)
    }
}

/// A watch on the cluster's nodes.
#[derive(Clone, Debug)]
pub struct NodeDirectory {
    seen: watch::Receiver<Arc<NodesSeen>>,
}

impl NodeDirectory {
    /// Starts the task: one look now, one each `period`, until `shutdown`. `clock` shows the store's
    /// time ([`crate::StoreClock`]). Must be called on a tokio runtime.
    #[must_use]
    pub fn spawn(
        store: Arc<dyn Store>,
        clock: Arc<dyn WallClock>,
        period: Duration,
        shutdown: CancellationToken,
    ) -> Self {
        let nothing = NodesSeen {
            stale: true,
            ..NodesSeen::default()
        };
        let (sender, seen) = watch::channel(Arc::new(nothing));
        let looking = Looking {
            store,
            clock,
            sender,
            time: JudgingTime::default(),
        };
        tokio::spawn(async move {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let looks = looking.run(ticks);
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = looks => {}
            }
        });
        Self { seen }
    }

    /// The view now, and each one after it. The first is empty and stale.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<NodesSeen>> {
        self.seen.clone()
    }

    /// The view now.
    #[must_use]
    pub fn now(&self) -> Arc<NodesSeen> {
        Arc::clone(&self.seen.borrow())
    }
}

struct Looking {
    store: Arc<dyn Store>,
    clock: Arc<dyn WallClock>,
    sender: watch::Sender<Arc<NodesSeen>>,
    time: JudgingTime,
}

impl Looking {
    async fn run(mut self, mut ticks: tokio::time::Interval) {
        loop {
            ticks.tick().await;
            let looked = timeout(ASK_TIMEOUT, self.look()).await;
            let looked = looked.unwrap_or_else(|_| {
                Err(StoreError::Unavailable {
                    operation: "nodes",
                    reason: "no answer in time".to_owned(),
                })
            });
            match looked {
                Ok(nodes) => {
                    if self.sender.borrow().stale {
                        tracing::info!(nodes = nodes.len(), "the cluster's nodes are seen");
                    }
                    let now_ms = self.time.seen(self.clock.now_ms());
                    let stale = false;
                    let seen = NodesSeen {
                        nodes,
                        now_ms,
                        stale,
                    };
                    self.sender.send_replace(Arc::new(seen));
                }
                Err(error) => self.turn_stale(&error),
            }
        }
    }

    fn turn_stale(&mut self, error: &StoreError) {
        self.time.lost();
        self.sender.send_if_modified(|seen| {
            let turned = !seen.stale;
            if turned {
                tracing::warn!(%error, "the cluster's nodes are not seen; the last view stays");
                Arc::make_mut(seen).stale = true;
            }
            turned
        });
    }

    async fn look(&self) -> Result<Vec<NodeRecord>, StoreError> {
        let mut nodes = Vec::new();
        while nodes.len() < NODES_SEEN_MAX {
            let page = self.store.nodes(nodes.len(), PAGE).await?;
            let last = page.len() < PAGE;
            nodes.extend(page);
            if last {
                break;
            }
        }
        if self.time.is_new() {
            let leases = self.store.leases().await?;
            for node in &mut nodes {
                if let Some(lease) = leases.of(&node.id) {
                    node.last_update_time = node.last_update_time.max(lease.renewed_ms);
                }
            }
        }
        Ok(nodes)
    }
}

#[cfg(test)]
mod tests;
