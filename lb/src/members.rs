//! Keeps an upstream's `cluster` in step with the cluster's node directory.
//!
//! Why a task a group and not a look at each request: a request must meet only what is known
//! already. A new node joins as ill and its health check lets it in; one that drains gets nothing
//! new; one that leaves is forgotten when its last connection ends. A view that is stale (the
//! store is away) changes nothing, unless nobody is known yet: a balancer that was restarted begins
//! with whom its last process saw. And an old heartbeat alone takes nobody out: see [`plan`].
//!
//! Limits: [`NODES_MAX`] nodes an upstream; the rest are left out, and the log says so.

mod names;
mod plan;
pub(crate) mod resolved;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_cluster::NodesSeen;
use weir_conf::nginx::Addr;
use weir_conf::nginx::model::UpstreamNodes;

use crate::balance::{Load, Standing};
use crate::group::{Group, NODES_MAX, Peer};
use crate::health;
use names::Names;
pub(crate) use plan::Door;
use plan::{Joins, Listed, Member, Step};

/// How often a view is looked at again though it did not change: health checks may have.
const REVIEW_PERIOD: Duration = Duration::from_secs(1);

/// Starts following the directory, for a group that has `cluster`.
pub(crate) fn spawn(
    group: &Arc<Group>,
    door: Door,
    seen: watch::Receiver<Arc<NodesSeen>>,
    tracker: &TaskTracker,
    stop: &CancellationToken,
) {
    let Some(nodes) = group.nodes.clone() else {
        return;
    };
    let mut members = Members {
        group: Arc::clone(group),
        door,
        nodes,
        names: Names::default(),
        all: BTreeMap::new(),
        mute: Vec::new(),
        was_empty: None,
        tracker: tracker.clone(),
        stop: stop.clone(),
    };
    // Those that the configuration before knew.
    for peer in group.peers().into_iter().filter(|peer| !peer.fixed) {
        members.adopt(peer);
    }
    let stop = stop.clone();
    tracker.spawn(async move { stop.run_until_cancelled_owned(members.follow(seen)).await });
}

/// The nodes in a group.
struct Members {
    group: Arc<Group>,
    door: Door,
    nodes: UpstreamNodes,
    names: Names,
    all: BTreeMap<Addr, Checked>,
    /// Nodes without an address that the log has told of.
    mute: Vec<String>,
    was_empty: Option<bool>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

/// A node in a group, and how to end its checks.
struct Checked {
    peer: Arc<Peer>,
    node_id: String,
    draining: bool,
    stop: CancellationToken,
}

impl Members {
    async fn follow(&mut self, mut seen: watch::Receiver<Arc<NodesSeen>>) {
        loop {
            let view = Arc::clone(&seen.borrow_and_update());
            // A stale view changes nothing; who knows nobody yet begins with it.
            let begins = self.all.is_empty() && !view.nodes.is_empty();
            if !view.stale || begins {
                self.take_in(&view).await;
            }
            match tokio::time::timeout(REVIEW_PERIOD, seen.changed()).await {
                Ok(Ok(())) | Err(_) => {}
                // The directory has ended, and so will the balancer.
                Ok(Err(_)) => return,
            }
        }
    }

    /// Takes a peer for a node that is in; its name is learnt no more.
    fn adopt(&mut self, peer: Arc<Peer>) {
        let stop = self.stop.child_token();
        health::spawn_one(&self.group, Arc::clone(&peer), &self.tracker, stop.clone());
        let (addr, node_id, draining) = (peer.addr.clone(), peer.name.clone(), false);
        let checked = Checked {
            peer,
            node_id,
            draining,
            stop,
        };
        self.all.insert(addr, checked);
    }

    async fn take_in(&mut self, view: &NodesSeen) {
        let (listed, mute) = plan::list(&view.nodes, view.now_ms, &self.nodes, self.door);
        self.tell_mute(mute);
        let addresses: Vec<&str> = listed.iter().map(|it| it.address.as_str()).collect();
        self.names.refresh(&addresses).await;
        let fixed = self.fixed();
        let found: Vec<(Addr, Listed)> = listed
            .into_iter()
            .filter_map(|it| Some((self.names.get(&it.address)?, it)))
            .filter(|(addr, _)| !fixed.contains(addr))
            .collect();
        let members = self.all.iter().map(|(addr, it)| {
            let (draining, healthy) = (it.draining, it.peer.is_healthy());
            (addr.clone(), Member { draining, healthy })
        });
        let loads = found.iter().map(|(addr, it)| (addr.clone(), it));
        let mut loads: Vec<(i64, Addr, Load)> = loads
            .map(|(addr, it)| (it.updated_ms, addr, it.load))
            .collect();
        // Of two at one address the last heard of counts.
        loads.sort_by_key(|(updated_ms, ..)| *updated_ms);
        for step in plan::plan(found, &members.collect()) {
            self.apply(step);
        }
        for (_, addr, load) in loads {
            if let Some(member) = self.all.get(&addr) {
                self.group.set_load(&member.peer, load);
            }
        }
        self.tell_empty();
    }

    /// Peers that the configuration names: a node at such an address is there already.
    fn fixed(&self) -> Vec<Addr> {
        let peers = self.group.peers();
        let named = peers.iter().filter(|peer| peer.fixed);
        named.map(|peer| peer.addr.clone()).collect()
    }

    fn apply(&mut self, step: Step) {
        let upstream = self.group.name.as_str();
        match step {
            Step::Join(addr, Joins { node_id: node, .. }) if self.all.len() >= NODES_MAX => {
                tracing::error!(upstream, %addr, node, NODES_MAX, "too many nodes: left out");
            }
            Step::Join(addr, Joins { node_id, told }) => {
                tracing::info!(upstream, peer = %addr, node = node_id, "node joins, to be checked");
                let peer = self.group.join(addr.clone(), &told);
                let stop = self.stop.child_token();
                health::spawn_one(&self.group, Arc::clone(&peer), &self.tracker, stop.clone());
                let draining = false;
                let checked = Checked {
                    peer,
                    node_id,
                    draining,
                    stop,
                };
                self.all.insert(addr, checked);
            }
            Step::Drain(addr) => self.set(&addr, Standing::Draining),
            Step::Resume(addr) => self.set(&addr, Standing::Serving),
            Step::Leave(addr, why) => {
                let Some(member) = self.all.remove(&addr) else {
                    return;
                };
                member.stop.cancel();
                self.group.set_standing(&member.peer, Standing::Leaving);
                tracing::warn!(upstream, peer = %addr, node = member.node_id, why, "node leaves");
            }
        }
    }

    fn set(&mut self, addr: &Addr, standing: Standing) {
        let Some(member) = self.all.get_mut(addr) else {
            return;
        };
        member.draining = standing == Standing::Draining;
        self.group.set_standing(&member.peer, standing);
        let what = if member.draining {
            "node drains"
        } else {
            "node serves again"
        };
        tracing::info!(upstream = self.group.name, peer = %addr, node = member.node_id, "{what}");
    }

    fn tell_mute(&mut self, mute: Vec<String>) {
        let upstream = self.group.name.as_str();
        for node in mute.iter().filter(|node| !self.mute.contains(node)) {
            tracing::warn!(
                upstream,
                node,
                "the node tells no address for this: left out"
            );
        }
        self.mute = mute;
    }

    fn tell_empty(&mut self) {
        let empty = self.all.is_empty();
        if self.was_empty.replace(empty) == Some(empty) {
            return;
        }
        let upstream = self.group.name.as_str();
        if empty {
            let role = self.nodes.kind;
            tracing::warn!(
                upstream,
                ?role,
                "the cluster's store names no such node: requests fail until one registers"
            );
        }
    }
}
