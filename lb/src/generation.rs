//! One configuration at work: its servers, its upstreams with their checks, its connections.
//!
//! Why a value of its own: at a reload the next one takes the listening sockets over while this
//! one serves what it has begun. Limits: each has its own places for connections, as each of
//! nginx's workers has; how long it may go on is the file's `worker_shutdown_timeout`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_cluster::NodesSeen;
use weir_conf::nginx::model::stream::StreamAction;
use weir_conf::nginx::model::{Listen, StreamServer};
use weir_conf::nginx::{Addr, Config};

use crate::LbOptions;
use crate::error::LbError;
use crate::group::Group;
use crate::health;
use crate::http::{Endpoint, Front};
use crate::io::Io;
use crate::l4::{Shared, StreamDoor, TcpServer};
use crate::listen::Accepted;
use crate::members::{self, Door};
use crate::metrics::{ListenerMetrics, Metrics};

/// After the word to end, how long a client that has just sent its next request is still
/// answered; then connections that wait for a request are closed.
const IDLE_GRACE: Duration = Duration::from_secs(1);

/// What a configuration asks for, made and not yet at work.
pub(crate) struct Made {
    /// Each address to listen on, and what is behind it; HTTP before TCP.
    pub(crate) doors: Vec<(Listen, Work)>,
    front: Option<Arc<Front>>,
    groups: Vec<(Door, Arc<Group>)>,
    connections_max: usize,
    works: Vec<(Listen, Work)>,
    shutdown_limit: Option<Duration>,
}

/// What is behind an address.
#[derive(Clone)]
pub(crate) enum Work {
    Http(Arc<Endpoint>),
    Tcp(Arc<StreamDoor>),
    Udp(Arc<StreamDoor>),
}

/// A configuration at work.
pub(crate) struct Generation {
    front: Option<Arc<Front>>,
    groups: Vec<(Door, Arc<Group>)>,
    http_places: Arc<Semaphore>,
    tcp_places: Arc<Semaphore>,
    shutdown_limit: Option<Duration>,
    /// Who listens where, for `pass`.
    works: Vec<(Listen, Work)>,
    /// Ends checks and what follows the cluster's nodes.
    stop: CancellationToken,
    loops: TaskTracker,
    /// Tells connections to end after the request in hand.
    ending: watch::Sender<bool>,
    /// Ends connections at once.
    cut: CancellationToken,
    connections: TaskTracker,
}

/// What a listener gives its connections to.
pub(crate) struct Target {
    pub(crate) work: Work,
    pub(crate) generation: Arc<Generation>,
}

impl Made {
    pub(crate) fn new(
        config: &Config,
        options: &LbOptions,
        metrics: &Metrics,
    ) -> Result<Self, LbError> {
        if let (Some(nodes), None) = (config.first_cluster(), &options.nodes) {
            let at = nodes.pos.clone();
            return Err(LbError::NoStore { at });
        }
        let mut groups = Vec::new();
        let mut doors = Vec::new();
        let mut front = None;
        if let Some(http) = &config.http {
            let made = Front::new(http, metrics, options)?;
            groups.extend(made.groups().iter().map(|it| (Door::Http, Arc::clone(it))));
            front = Some(Arc::new(made));
            let endpoints = Endpoint::plan(http).into_iter();
            doors.extend(endpoints.map(|it| (it.listen.clone(), Work::Http(Arc::new(it)))));
        }
        if let Some(stream) = &config.stream {
            let shared = Arc::new(Shared::new(stream, metrics));
            let servers = stream.servers.iter();
            let servers = servers.map(|model| TcpServer::new(model, &shared).map(Arc::new));
            let servers = servers.collect::<Result<Vec<_>, _>>()?;
            for door in StreamDoor::plan(stream, &servers) {
                let (listen, door) = (door.listen.clone(), Arc::new(door));
                let work = if listen.udp {
                    Work::Udp(door)
                } else {
                    Work::Tcp(door)
                };
                doors.push((listen, work));
            }
            groups.extend(shared.groups.iter().map(|it| (Door::Rtmp, Arc::clone(it))));
        }
        let passes = |server: &StreamServer| matches!(server.action, StreamAction::Pass(_));
        let works = match &config.stream {
            Some(stream) if stream.servers.iter().any(passes) => doors.clone(),
            _ => Vec::new(),
        };
        let shutdown_ms = config.main.shutdown_timeout_ms;
        Ok(Self {
            doors,
            front,
            groups,
            connections_max: connections_max(config, options),
            works,
            shutdown_limit: shutdown_ms.map(Duration::from_millis),
        })
    }

    /// Takes over what the one before knows of peers that stand in both.
    pub(crate) fn learn(&self, before: &Generation) {
        if let (Some(front), Some(old)) = (&self.front, &before.front) {
            front.learn(old);
        }
        for (door, group) in &self.groups {
            let same = before
                .groups
                .iter()
                .find(|(other, it)| other == door && it.name == group.name);
            if let Some((_, old)) = same {
                group.learn(old);
            }
        }
    }

    /// Puts it to work. Needs a tokio runtime.
    pub(crate) fn start(self, nodes: Option<&watch::Receiver<Arc<NodesSeen>>>) -> Arc<Generation> {
        let places = self.connections_max.min(Semaphore::MAX_PERMITS);
        let generation = Generation {
            front: self.front,
            groups: self.groups,
            http_places: Arc::new(Semaphore::new(places)),
            tcp_places: Arc::new(Semaphore::new(places)),
            shutdown_limit: self.shutdown_limit,
            works: self.works,
            stop: CancellationToken::new(),
            loops: TaskTracker::new(),
            ending: watch::channel(false).0,
            cut: CancellationToken::new(),
            connections: TaskTracker::new(),
        };
        for (door, group) in &generation.groups {
            health::spawn(group, &generation.loops, &generation.stop);
            members::resolved::spawn(group, &generation.loops, &generation.stop);
            if let Some(nodes) = nodes {
                let (loops, stop) = (&generation.loops, &generation.stop);
                members::spawn(group, *door, nodes.clone(), loops, stop);
            }
        }
        Arc::new(generation)
    }
}

/// Gives a connection of `stream` to who listens on an address: `pass`.
fn pass(
    generation: &Arc<Generation>,
    (io, remote, local): (Io, Option<SocketAddr>, Option<SocketAddr>),
    addr: &Addr,
    metrics: &ListenerMetrics,
) {
    let mut works = generation.works.iter();
    let Some((_, work)) = works.find(|(listen, _)| listen.addr == *addr && !listen.udp) else {
        tracing::error!(%addr, "port not found in \"pass\"");
        return;
    };
    let target = Target {
        work: work.clone(),
        generation: Arc::clone(generation),
    };
    if !target.take((io, remote, local), metrics) {
        tracing::warn!(%addr, "worker_connections are not enough");
    }
}

impl Target {
    /// Serves a connection. False if there are too many already: it is closed.
    pub(crate) fn take(
        &self,
        (io, remote, local): (Io, Option<SocketAddr>, Option<SocketAddr>),
        metrics: &ListenerMetrics,
    ) -> bool {
        let generation = &self.generation;
        let places = match self.work {
            Work::Http(_) => &generation.http_places,
            Work::Tcp(_) | Work::Udp(_) => &generation.tcp_places,
        };
        let Ok(permit) = Arc::clone(places).try_acquire_owned() else {
            return false;
        };
        metrics.accepted.inc();
        let accepted = Accepted {
            io,
            remote,
            local,
            permit,
        };
        let (metrics, cut) = (metrics.clone(), generation.cut.clone());
        match (&self.work, &generation.front) {
            (Work::Http(endpoint), Some(front)) => {
                let (front, endpoint) = (Arc::clone(front), Arc::clone(endpoint));
                let ending = generation.ending.subscribe();
                generation.connections.spawn(async move {
                    let work = front.serve(accepted, &endpoint, metrics, ending);
                    cut.run_until_cancelled_owned(work).await
                });
            }
            (Work::Tcp(door), _) => {
                let door = Arc::clone(door);
                let own = Arc::clone(generation);
                generation.connections.spawn(async move {
                    let work = async {
                        let passed = door.serve(accepted, &metrics).await;
                        if let Some((io, addr)) = passed {
                            pass(&own, (io, remote, local), &addr, &metrics);
                        }
                    };
                    cut.run_until_cancelled_owned(work).await
                });
            }
            // An endpoint without the block it stands in cannot be.
            (Work::Http(_), None) | (Work::Udp(_), _) => {}
        }
        true
    }

    /// The server of a session of datagrams, and a place for it if there is one.
    pub(crate) fn session(&self) -> Option<(Arc<TcpServer>, Option<OwnedSemaphorePermit>)> {
        let Work::Udp(door) = &self.work else {
            return None;
        };
        let server = Arc::clone(door.default_server()?);
        let places = Arc::clone(&self.generation.tcp_places);
        Some((server, places.try_acquire_owned().ok()))
    }

    /// Runs a session of datagrams to its end, or until all is cut.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let cut = self.generation.cut.clone();
        let connections = &self.generation.connections;
        connections.spawn(async move { cut.run_until_cancelled_owned(work).await });
    }
}

impl Generation {
    /// Lets what it serves end, and cuts what is left after `limit` (or the file's
    /// `worker_shutdown_timeout`, if that is shorter).
    pub(crate) async fn drain(&self, limit: Duration) {
        let limit = self.shutdown_limit.map_or(limit, |own| own.min(limit));
        self.stop.cancel();
        self.loops.close();
        self.loops.wait().await;
        self.ending.send_replace(true);
        self.connections.close();
        let wait = async {
            let grace = tokio::time::timeout(IDLE_GRACE, self.connections.wait()).await;
            if let (Err(_), Some(front)) = (grace, &self.front) {
                front.close_idle().await;
                self.connections.wait().await;
            }
        };
        tracing::info!(open = self.connections.len(), "load balancer is draining");
        if tokio::time::timeout(limit, wait).await.is_err() {
            tracing::warn!(
                open = self.connections.len(),
                "load balancer cuts what is left"
            );
            self.end().await;
        }
    }

    /// Ends everything at once.
    pub(crate) async fn end(&self) {
        self.stop.cancel();
        self.cut.cancel();
        self.connections.close();
        self.connections.wait().await;
    }

    /// Takes the figures of peers away that `now` has not.
    pub(crate) fn forget(&self, now: &Self, metrics: &Metrics) {
        let living = |upstream: &str, peer: &str| {
            let groups = now.groups.iter().filter(|(_, it)| it.name == upstream);
            let mut peers = groups.flat_map(|(_, it)| it.peers());
            peers.any(|it| it.name == peer)
        };
        for (_, group) in &self.groups {
            for peer in group.peers() {
                if !living(&group.name, &peer.name) {
                    metrics.forget_peer(&group.name, &peer.name);
                }
            }
        }
    }
}

/// The smaller of the node's limit and the file's.
fn connections_max(config: &Config, options: &LbOptions) -> usize {
    let workers = config.main.worker_processes.map_or_else(
        || std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get),
        |workers| usize::try_from(workers).unwrap_or(usize::MAX).max(1),
    );
    let each = usize::try_from(config.main.worker_connections).unwrap_or(usize::MAX);
    workers.saturating_mul(each).min(options.connections_max)
}
