//! An upstream at run time: the pure [`Balancer`] behind one short lock, its clock, its figures.
//!
//! Why leases: a connection taken from a peer must be given back however the request ends, also
//! when its task is dropped half-way; a [`Lease`] gives it back when it goes.
//!
//! Limits: the lock is never held across an await. Failures: no peer is "no live upstreams".

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use weir_conf::nginx::Addr;
use weir_conf::nginx::model::{HealthCheck, Upstream};

use crate::balance::{Balancer, Outcome, PeerSpec};
use crate::metrics::{Metrics, PeerMetrics, UpstreamMetrics};

/// A peer: one address.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) addr: Addr,
    /// As nginx writes it in logs and in `$upstream_addr`.
    pub(crate) name: String,
    metrics: PeerMetrics,
}

/// An upstream.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) peers: Vec<Peer>,
    pub(crate) metrics: UpstreamMetrics,
    pub(crate) check: Option<HealthCheck>,
    pub(crate) keepalive: u32,
    pub(crate) keepalive_timeout_ms: u64,
    /// How many peers a request may be tried on.
    pub(crate) tries: usize,
    balancer: Mutex<Balancer>,
    start: Instant,
}

impl Group {
    /// An upstream of the configuration.
    pub(crate) fn new(upstream: &Upstream, metrics: &Metrics) -> Arc<Self> {
        let mut specs = Vec::new();
        let mut peers = Vec::new();
        for server in &upstream.servers {
            for addr in &server.addrs {
                let name = addr.to_string();
                specs.push(PeerSpec {
                    weight: server.weight,
                    max_fails: server.max_fails,
                    fail_timeout_ms: server.fail_timeout_ms,
                    max_conns: server.max_conns,
                    backup: server.backup,
                    down: server.down,
                });
                let metrics = metrics.peer(&upstream.name, &name);
                peers.push(Peer {
                    addr: addr.clone(),
                    name,
                    metrics,
                });
            }
        }
        let balancer = Balancer::new(upstream.method, specs);
        Arc::new(Self {
            name: upstream.name.clone(),
            peers,
            metrics: metrics.upstream(&upstream.name),
            check: upstream.health_check.clone(),
            keepalive: upstream.keepalive,
            keepalive_timeout_ms: upstream.keepalive_timeout_ms,
            tries: balancer.tries(),
            balancer: Mutex::new(balancer),
            start: Instant::now(),
        })
    }

    /// Takes the next peer that is not in `tried`.
    pub(crate) fn acquire(self: &Arc<Self>, tried: &[usize]) -> Option<Lease> {
        let now_ms = self.now_ms();
        let peer = self.lock().pick(tried, now_ms)?;
        if let Some(peer) = self.peers.get(peer) {
            peer.metrics.active.inc();
        }
        Some(Lease {
            group: Arc::clone(self),
            peer,
            open: true,
        })
    }

    /// What an active check found.
    pub(crate) fn set_healthy(&self, peer: usize, healthy: bool) {
        self.lock().set_healthy(peer, healthy);
        if let Some(peer) = self.peers.get(peer) {
            peer.metrics.healthy.set(i64::from(healthy));
        }
    }

    fn release(&self, peer: usize, outcome: Outcome) {
        let now_ms = self.now_ms();
        let put_out = self.lock().release(peer, outcome, now_ms);
        let Some(peer) = self.peers.get(peer) else {
            return;
        };
        peer.metrics.active.dec();
        if put_out {
            peer.metrics.ejections.inc();
            tracing::warn!(
                upstream = %self.name,
                peer = %peer.name,
                "upstream server temporarily disabled"
            );
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A balancer left by a panic is still a balancer: its numbers are plain counts.
    fn lock(&self) -> MutexGuard<'_, Balancer> {
        self.balancer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's worth of a peer.
#[derive(Debug)]
pub(crate) struct Lease {
    group: Arc<Group>,
    peer: usize,
    open: bool,
}

impl Lease {
    pub(crate) fn index(&self) -> usize {
        self.peer
    }

    pub(crate) fn peer(&self) -> Option<&Peer> {
        self.group.peers.get(self.peer)
    }

    /// Gives it back with what became of it.
    pub(crate) fn finish(mut self, outcome: Outcome) {
        self.open = false;
        self.group.release(self.peer, outcome);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.open {
            self.group.release(self.peer, Outcome::Abandoned);
        }
    }
}
