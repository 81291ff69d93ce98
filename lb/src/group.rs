//! An upstream at run time: the pure [`Balancer`] behind one short lock, its clock, its figures.
//!
//! Why leases: a connection taken from a peer must be given back however the request ends, also
//! when its task is dropped half-way; a [`Lease`] gives it back when it goes. A lease holds its
//! peer, so that one which leaves the group meanwhile stays what it was to those who use it.
//!
//! Limits: the lock is never held across an await. Failures: no peer is "no live upstreams".

mod kept;
mod learned;
mod lease;
mod made;
mod nodes;

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use weir_conf::nginx::Addr;
use weir_conf::nginx::model::{
    HealthCheck, Method, Resolver, RetryBudget, Sticky, Upstream, UpstreamNodes,
};

use crate::balance::{Balancer, Outcome, PeerSpec, Released, Rule, Standing, Walk};
use crate::metrics::{Metrics, PeerMetrics, UpstreamMetrics};

use kept::Kept;
pub(crate) use lease::Lease;
pub(crate) use made::Named;
use made::{outlier, rule, spec};

/// Most nodes of the cluster that one upstream takes in.
pub(crate) const NODES_MAX: usize = 4096;

/// What figures call an upstream that only a request names.
const VARIABLE: &str = "(variable)";

static SERIAL: AtomicU64 = AtomicU64::new(1);

/// A peer: one address.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Its number in the balancer.
    pub(crate) number: usize,
    pub(crate) addr: Addr,
    /// As nginx writes it in logs and in `$upstream_addr`.
    pub(crate) name: String,
    /// Its address as a node tells it.
    pub(crate) told: Box<str>,
    /// It stands in the configuration.
    pub(crate) fixed: bool,
    /// The server whose name led to it.
    pub(crate) named: Option<Arc<str>>,
    healthy: AtomicBool,
    metrics: PeerMetrics,
}

impl Peer {
    /// What the active checks last found.
    pub(crate) fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }
}

/// An upstream.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    /// Its own among all groups of the process.
    pub(crate) serial: u64,
    pub(crate) metrics: UpstreamMetrics,
    pub(crate) check: Option<HealthCheck>,
    pub(crate) keepalive: u32,
    pub(crate) keepalive_timeout_ms: u64,
    pub(crate) kept: Kept,
    pub(crate) method: Method,
    pub(crate) sticky: Option<Sticky>,
    /// Which nodes of the cluster come and go in it.
    pub(crate) nodes: Option<UpstreamNodes>,
    /// Servers whose addresses are asked for while running, and who is asked.
    pub(crate) named: Vec<Named>,
    pub(crate) resolver: Option<Resolver>,
    /// `weir_retry_budget`
    budget: RetryBudget,
    ejects: bool,
    state: Mutex<State>,
    all_metrics: Metrics,
    /// What a request names: no figure is to bear that name.
    anonymous: bool,
    start: Instant,
}

#[derive(Debug)]
struct State {
    balancer: Balancer,
    /// Uses of peers under way, and those of them that are not the first of their request.
    active: u32,
    retrying: u32,
    /// Those the balancer knows, by number.
    peers: BTreeMap<usize, Arc<Peer>>,
}

impl Group {
    /// An upstream of the configuration, with the peers that stand in it.
    pub(crate) fn new(upstream: &Upstream, metrics: &Metrics) -> Arc<Self> {
        let mut group = Self {
            name: upstream.name.clone(),
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            metrics: metrics.upstream(&upstream.name),
            check: upstream.health_check.clone(),
            keepalive: upstream.keepalive,
            keepalive_timeout_ms: upstream.keepalive_timeout_ms,
            kept: Kept::new(upstream.keepalive_requests, upstream.keepalive_time_ms),
            method: upstream.method.clone(),
            sticky: upstream.sticky.clone(),
            nodes: upstream.nodes.clone(),
            named: Vec::new(),
            resolver: upstream.resolver.clone(),
            budget: upstream.retry_budget,
            ejects: upstream.ejection.is_some(),
            state: Mutex::new(State {
                balancer: Balancer::new(rule(&upstream.method), [])
                    .seeded(RandomState::new().hash_one(&upstream.name))
                    .ejecting(upstream.ejection.as_ref().map(outlier)),
                active: 0,
                retrying: 0,
                peers: BTreeMap::new(),
            }),
            all_metrics: metrics.clone(),
            anonymous: false,
            start: Instant::now(),
        };
        for server in &upstream.servers {
            let spec = spec(server);
            if let Some((host, port)) = server.resolve.clone() {
                let spec = spec.clone();
                group.named.push(Named { host, port, spec });
            }
            for addr in &server.addrs {
                group.add(addr.clone(), spec.clone(), None);
            }
        }
        Arc::new(group)
    }

    /// The upstream of one request, whose URL came to these addresses. Its figures are kept under
    /// one name for all such.
    pub(crate) fn for_request(host: &str, addrs: Vec<Addr>, metrics: &Metrics) -> Arc<Self> {
        let group = Self {
            name: host.to_owned(),
            anonymous: true,
            serial: 0,
            metrics: metrics.upstream(VARIABLE),
            check: None,
            keepalive: 0,
            keepalive_timeout_ms: 0,
            kept: Kept::new(1, 0),
            method: Method::RoundRobin,
            sticky: None,
            nodes: None,
            named: Vec::new(),
            resolver: None,
            budget: RetryBudget::default(),
            ejects: false,
            state: Mutex::new(State {
                balancer: Balancer::new(Rule::RoundRobin, []),
                active: 0,
                retrying: 0,
                peers: BTreeMap::new(),
            }),
            all_metrics: metrics.clone(),
            start: Instant::now(),
        };
        for addr in addrs {
            group.add(addr, PeerSpec::default(), None);
        }
        Arc::new(group)
    }

    /// Whether a server's name led to this peer.
    pub(crate) fn is_of(&self, peer: &Peer, named: &Named) -> bool {
        peer.named.as_deref() == Some(&*named.spec.server)
    }

    /// Takes in an address that the name of a server has now.
    pub(crate) fn found(&self, named: &Named, addr: Addr) -> Arc<Peer> {
        self.add(addr, named.spec.clone(), None)
    }

    /// A peer of the configuration is taken for well, a node for ill; `told` is what a node tells.
    fn add(&self, addr: Addr, spec: PeerSpec, told: Option<&str>) -> Arc<Peer> {
        let name = addr.to_string();
        let fixed = told.is_none();
        // With `mandatory` a peer is ill before its first check.
        let well = fixed && !self.check.as_ref().is_some_and(|check| check.mandatory);
        let metrics = if self.anonymous {
            self.all_metrics.peer(VARIABLE, "-")
        } else {
            self.all_metrics.peer(&self.name, &name)
        };
        metrics.healthy.set(i64::from(well));
        let mut names = self.named.iter().map(|it| &it.spec.server);
        let named = names.find(|name| **name == spec.server).cloned();
        let mut state = self.lock();
        let number = state.balancer.add(spec);
        state.balancer.set_healthy(number, well, 0);
        let peer = Arc::new(Peer {
            number,
            addr,
            told: told.unwrap_or(&name).into(),
            name,
            fixed,
            named,
            healthy: AtomicBool::new(well),
            metrics,
        });
        state.peers.insert(number, Arc::clone(&peer));
        peer
    }

    /// Takes the next peer that is not in `tried`, for a request or session that may have a key,
    /// or a peer its client sticks to.
    pub(crate) fn acquire_for(self: &Arc<Self>, walk: &mut Walk, tried: &[usize]) -> Option<Lease> {
        let now_ms = self.now_ms();
        let mut state = self.lock();
        let number = state.balancer.pick_for(walk, tried, now_ms)?;
        let peer = Arc::clone(state.peers.get(&number)?);
        let retry = !tried.is_empty();
        state.active += 1;
        state.retrying += u32::from(retry);
        drop(state);
        peer.metrics.active.inc();
        Some(Lease {
            group: Arc::clone(self),
            peer,
            retry,
            since: Instant::now(),
            open: true,
        })
    }

    /// What an active check found.
    pub(crate) fn set_healthy(&self, peer: &Peer, healthy: bool) {
        let now_ms = self.now_ms();
        self.lock()
            .balancer
            .set_healthy(peer.number, healthy, now_ms);
        peer.healthy.store(healthy, Ordering::Relaxed);
        peer.metrics.healthy.set(i64::from(healthy));
    }

    /// Says whether a peer may get new connections. True if it is gone for good: it left and had
    /// none.
    pub(crate) fn set_standing(&self, peer: &Peer, standing: Standing) -> bool {
        let mut state = self.lock();
        let gone = state.balancer.set_standing(peer.number, standing);
        if gone {
            self.forget(&mut state, peer);
        }
        gone
    }

    /// The peers it has now, those that leave included.
    pub(crate) fn peers(&self) -> Vec<Arc<Peer>> {
        self.lock().peers.values().cloned().collect()
    }

    /// How many peers a request may be tried on.
    pub(crate) fn tries(&self) -> usize {
        self.lock().balancer.tries()
    }

    /// Most peers it may ever have.
    pub(crate) fn peers_max(&self) -> usize {
        let many = self.nodes.is_some() || !self.named.is_empty();
        self.lock()
            .peers
            .len()
            .max(if many { NODES_MAX } else { 0 })
    }

    /// Why no peer can be used, for the log.
    pub(crate) fn shortage(&self) -> &'static str {
        if self.nodes.is_some() && self.lock().peers.is_empty() {
            "the cluster's store names no node of this role yet"
        } else {
            "every peer is ill, put out, full, draining or tried already"
        }
    }

    fn timed(&self, peer: &Peer, since: Instant) {
        let time_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let now_ms = self.now_ms();
        self.lock().balancer.timed(peer.number, time_ms, now_ms);
    }

    /// Whether a further try is within `weir_retry_budget`: so many of those under way may be
    /// such tries, and a few always.
    pub(crate) fn may_retry(&self) -> bool {
        let state = self.lock();
        let share = u64::from(state.active) * u64::from(self.budget.percent) / 100;
        u64::from(state.retrying) < share.max(u64::from(self.budget.floor))
    }

    /// Takes in how a peer answered, for `weir_outlier_ejection`.
    fn observe(&self, peer: &Peer, good: bool) {
        if !self.ejects {
            return;
        }
        let now_ms = self.now_ms();
        let ejected = self.lock().balancer.observe(peer.number, good, now_ms);
        if let Some(time_ms) = ejected {
            peer.metrics.ejections.inc();
            let (upstream, peer) = (&self.name, &peer.name);
            tracing::warn!(%upstream, %peer, time_ms, "peer is ejected: bad answers in a row");
        }
    }

    fn release(&self, peer: &Peer, outcome: Outcome, retry: bool) {
        let now_ms = self.now_ms();
        peer.metrics.active.dec();
        let mut state = self.lock();
        state.active = state.active.saturating_sub(1);
        state.retrying = state.retrying.saturating_sub(u32::from(retry));
        let released = state.balancer.release(peer.number, outcome, now_ms);
        if released == Released::Gone {
            self.forget(&mut state, peer);
        }
        drop(state);
        if released == Released::PutOut {
            peer.metrics.ejections.inc();
            tracing::warn!(
                upstream = %self.name,
                peer = %peer.name,
                "upstream server temporarily disabled"
            );
        }
    }

    fn forget(&self, state: &mut State, peer: &Peer) {
        state.peers.remove(&peer.number);
        // One that came back before its last connection ended has the same figures.
        if state.peers.values().all(|other| other.name != peer.name) {
            self.all_metrics.forget_peer(&self.name, &peer.name);
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A balancer left by a panic is still a balancer: its numbers are plain counts.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
