//! A group's dealings with the cluster: nodes that join, what they report, who has a stream.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use weir_conf::nginx::Addr;
use weir_conf::nginx::model::UpstreamNodes;

use super::{Group, Peer};
use crate::balance::{Load, PeerSpec};

impl Group {
    /// Takes in a node of the cluster, which gets nothing until a check finds it well. `told` is
    /// its address as it tells it.
    pub(crate) fn join(&self, addr: Addr, told: &str) -> Arc<Peer> {
        let spec = self
            .nodes
            .as_ref()
            .map_or_else(PeerSpec::default, |nodes| PeerSpec {
                server: addr.to_string().into(),
                max_fails: nodes.max_fails,
                fail_timeout_ms: nodes.fail_timeout_ms,
                max_conns: nodes.max_conns,
                ..PeerSpec::default()
            });
        self.add(addr, spec, Some(told))
    }

    /// Takes over the nodes that the group of this name in the configuration before knows.
    pub(super) fn learn_nodes(&self, before: &Self) {
        let same = |nodes: &UpstreamNodes, old: &UpstreamNodes| {
            nodes.kind == old.kind && nodes.group == old.group
        };
        let (Some(nodes), Some(old)) = (&self.nodes, &before.nodes) else {
            return;
        };
        if !same(nodes, old) {
            return;
        }
        for node in before.peers().iter().filter(|it| !it.fixed) {
            let peer = self.join(node.addr.clone(), &node.told);
            self.set_healthy(&peer, node.healthy.load(Ordering::Relaxed));
        }
    }

    /// Takes in what a node reports of itself.
    pub(crate) fn set_load(&self, peer: &Peer, load: Load) {
        self.lock().balancer.set_load(peer.number, load);
    }

    /// Whether requests are to go to the node that has their stream.
    pub(crate) fn prefers_owner(&self) -> bool {
        self.nodes.as_ref().is_some_and(|nodes| nodes.prefer_owner)
    }

    /// The number of the node that tells this address.
    pub(crate) fn at(&self, told: &str) -> Option<usize> {
        let state = self.lock();
        let mut peers = state.peers.values();
        peers.find(|peer| *peer.told == *told).map(|it| it.number)
    }
}
