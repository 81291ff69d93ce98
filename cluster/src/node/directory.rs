//! The cluster's nodes as this node sees them: one task asks the store each period, everybody else
//! watches.
//!
//! **What is read.** All records at first, each [`ALL_PERIOD`], after the store was away, and when their
//! number is not the one that is known: somebody was deleted. Else those that were written since the
//! last look, where the store can find them ([`Store::nodes_since`]): of 1,000 nodes that write each
//! 5 s about 300 a second in place of 1,000.
//!
//! **When the store is away** the last view stays and is marked stale; its time stands still, so
//! that nobody turns dead by it. When the store is back, every heartbeat is old at first: for
//! [`crate::types::NODE_TIMEOUT_MS`] the view is judged by a time that stands back by as long as the store was
//! away, so that nodes have the time to write that they always have. A process that comes to such
//! a store fresh has no view to go on from; it takes renewed leases for signs of life, too.
//!
//! Limits: [`NODES_SEEN_MAX`] nodes; a call longer than [`ASK_TIMEOUT`] is given up.

use crate::clock::WallClock;
use crate::judging::JudgingTime;
use crate::store::{Store, StoreError};
use crate::types::NodeRecord;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

/// Nodes in a view, at most.
pub const NODES_SEEN_MAX: usize = 10_000;
/// How long one look at the store may take.
pub const ASK_TIMEOUT: Duration = Duration::from_secs(3);
/// How often all records are read.
pub const ALL_PERIOD: Duration = Duration::from_secs(30);
/// How far before the last look a look begins, ms: a record is dated a little before it can be read.
/// One that took longer is read with its next heartbeat.
const OVERLAP_MS: i64 = 500;
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
            known: BTreeMap::new(),
            followed: None,
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
    /// As last read.
    known: BTreeMap<String, NodeRecord>,
    followed: Option<Followed>,
}

/// Where following stands: everything written before is known.
#[derive(Clone, Copy, Debug)]
struct Followed {
    /// By the store's clock, ms since the Unix epoch.
    since_ms: i64,
    /// When all were read.
    all_at: Instant,
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
                Ok(()) => {
                    let nodes: Vec<NodeRecord> = self.known.values().cloned().collect();
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
        self.followed = None;
        self.sender.send_if_modified(|seen| {
            let turned = !seen.stale;
            if turned {
                tracing::warn!(%error, "the cluster's nodes are not seen; the last view stays");
                Arc::make_mut(seen).stale = true;
            }
            turned
        });
    }

    async fn look(&mut self) -> Result<(), StoreError> {
        let since_ms = self.clock.now_ms().saturating_sub(OVERLAP_MS);
        let followed = self.followed.filter(|f| f.all_at.elapsed() < ALL_PERIOD);
        if let Some(followed) = followed
            && self.follow(followed.since_ms).await?
        {
            self.followed = Some(Followed {
                since_ms,
                ..followed
            });
            return Ok(());
        }
        let nodes = self.read_all().await?.into_iter();
        self.known = nodes.map(|node| (node.id.clone(), node)).collect();
        self.followed = Some(Followed {
            since_ms,
            all_at: Instant::now(),
        });
        Ok(())
    }

    /// Takes in what was written since; whether all is known then.
    async fn follow(&mut self, since_ms: i64) -> Result<bool, StoreError> {
        let Some(since) = self.store.nodes_since(since_ms, NODES_SEEN_MAX).await? else {
            return Ok(false);
        };
        for node in since.nodes {
            self.known.insert(node.id.clone(), node);
        }
        let seen = usize::try_from(since.total).unwrap_or(usize::MAX);
        Ok(self.known.len() == seen.min(NODES_SEEN_MAX))
    }

    async fn read_all(&self) -> Result<Vec<NodeRecord>, StoreError> {
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
