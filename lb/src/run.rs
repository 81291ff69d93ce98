//! From a configuration to listening, serving and a clean end.
//!
//! Three steps, so that a process can report what fails in each: [`Lb::new`] (what the
//! configuration asks for can be made), [`Lb::bind`] (its addresses can be had), [`Bound::run`]
//! (serve until told to stop, drain, cut what is left).

use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use tokio::net::UdpSocket;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_cluster::NodesSeen;
use weir_conf::nginx::{Addr, Config};

use crate::error::LbError;
use crate::group::Group;
use crate::health;
use crate::http::{Endpoint, Front};
use crate::l4::{Shared, TcpServer, UdpLoop};
use crate::listen::{self, Accepted, Listener};
use crate::members::{self, Door};
use crate::metrics::Metrics;

/// What the node says beside the configuration file.
#[derive(Debug, Clone)]
pub struct LbOptions {
    /// Client connections at once, over all HTTP listeners, and again over all those of the
    /// `stream` block: a flood of viewers shall not keep publishers out. The file's
    /// `worker_processes` times `worker_connections` holds too; the smaller wins.
    pub connections_max: usize,
    /// The cluster's nodes, for upstreams with `weir_nodes`.
    pub nodes: Option<watch::Receiver<Arc<NodesSeen>>>,
}

impl Default for LbOptions {
    fn default() -> Self {
        Self {
            connections_max: 100_000,
            nodes: None,
        }
    }
}

/// A load balancer that is not listening yet.
pub struct Lb {
    config: Config,
    connections_max: usize,
    metrics: Metrics,
    front: Option<Arc<Front>>,
    tcp: Vec<Arc<TcpServer>>,
    groups: Vec<(Door, Arc<Group>)>,
    nodes: Option<watch::Receiver<Arc<NodesSeen>>>,
}

/// A load balancer that has its addresses.
pub struct Bound {
    connections_max: usize,
    shutdown_limit: Option<Duration>,
    metrics: Metrics,
    front: Option<Arc<Front>>,
    http: Vec<(Listener, Arc<Endpoint>)>,
    tcp: Vec<(Listener, Arc<TcpServer>)>,
    udp: Vec<(Arc<UdpSocket>, Arc<TcpServer>)>,
    groups: Vec<(Door, Arc<Group>)>,
    nodes: Option<watch::Receiver<Arc<NodesSeen>>>,
}

impl Lb {
    /// Makes ready what the configuration says, and registers the metrics.
    ///
    /// # Errors
    /// An upstream address the system cannot take, `weir_nodes` without
    /// [`LbOptions::nodes`], a certificate or key that cannot be read or does not fit, or metrics that are registered already.
    pub fn new(config: Config, options: LbOptions, registry: &Registry) -> Result<Self, LbError> {
        if let (Some(nodes), None) = (config.first_weir_nodes(), &options.nodes) {
            let at = nodes.pos.clone();
            return Err(LbError::NoStore { at });
        }
        let metrics = Metrics::new(registry)?;
        let mut groups = Vec::new();
        let front = match &config.http {
            Some(http) => {
                let front = Front::new(http, &metrics)?;
                groups.extend(front.groups().iter().map(|it| (Door::Http, Arc::clone(it))));
                Some(Arc::new(front))
            }
            None => None,
        };
        let mut tcp = Vec::new();
        if let Some(stream) = &config.stream {
            let shared = Arc::new(Shared::new(stream, &metrics));
            for model in &stream.servers {
                tcp.push(Arc::new(TcpServer::new(model, &shared)?));
            }
            let made = shared.groups.iter().cloned();
            groups.extend(made.map(|it| (Door::Rtmp, it)));
        }
        let connections_max = connections_max(&config, &options);
        Ok(Self {
            config,
            connections_max,
            metrics,
            front,
            tcp,
            groups,
            nodes: options.nodes,
        })
    }

    /// Binds every address of the configuration. Needs a tokio runtime.
    ///
    /// # Errors
    /// The first address that cannot be had; those bound before are let go.
    pub fn bind(self) -> Result<Bound, LbError> {
        let mut http = Vec::new();
        for endpoint in self.config.http.iter().flat_map(Endpoint::plan) {
            let listener = listen::bind(&endpoint.listen, &self.metrics)?;
            http.push((listener, Arc::new(endpoint)));
        }
        let (mut tcp, mut udp) = (Vec::new(), Vec::new());
        for server in &self.tcp {
            for listen in &server.model.listens {
                let server = Arc::clone(server);
                if listen.udp {
                    udp.push((Arc::new(listen::bind_udp(listen)?), server));
                } else {
                    tcp.push((listen::bind(listen, &self.metrics)?, server));
                }
            }
        }
        Ok(Bound {
            connections_max: self.connections_max,
            shutdown_limit: self
                .config
                .main
                .shutdown_timeout_ms
                .map(Duration::from_millis),
            metrics: self.metrics,
            front: self.front,
            http,
            tcp,
            udp,
            groups: self.groups,
            nodes: self.nodes,
        })
    }
}

impl Bound {
    /// Every address listened on, HTTP before TCP before UDP, each in the order of the file; ports the
    /// system chose are filled in.
    #[must_use]
    pub fn addresses(&self) -> Vec<Addr> {
        self.http_addresses()
            .into_iter()
            .chain(self.tcp_addresses())
            .chain(self.udp_addresses())
            .collect()
    }

    /// The addresses of the `http` block.
    #[must_use]
    pub fn http_addresses(&self) -> Vec<Addr> {
        self.http
            .iter()
            .map(|(listener, _)| listener.addr.clone())
            .collect()
    }

    /// The addresses of the `stream` block for datagrams.
    #[must_use]
    pub fn udp_addresses(&self) -> Vec<Addr> {
        let all = self.udp.iter();
        all.filter_map(|(socket, _)| socket.local_addr().ok().map(Addr::Inet))
            .collect()
    }

    /// The addresses of the `stream` block for connections.
    #[must_use]
    pub fn tcp_addresses(&self) -> Vec<Addr> {
        self.tcp
            .iter()
            .map(|(listener, _)| listener.addr.clone())
            .collect()
    }

    /// Starts what keeps an eye on the peers.
    fn watch_groups(&self, loops: &TaskTracker, shutdown: &CancellationToken) {
        for (door, group) in &self.groups {
            health::spawn(group, loops, shutdown);
            if let Some(nodes) = &self.nodes {
                members::spawn(group, *door, nodes.clone(), loops, shutdown);
            }
        }
    }

    /// Serves until `shutdown`; then accepts no more, lets requests and connections in hand end,
    /// and cuts what is left after `drain_limit` (or the file's `worker_shutdown_timeout`, if
    /// that is shorter).
    pub async fn run(self, shutdown: CancellationToken, drain_limit: Duration) {
        let drain_limit = self
            .shutdown_limit
            .map_or(drain_limit, |own| own.min(drain_limit));
        // Accepting and checking end at `shutdown`, connections at `cut`.
        let cut = CancellationToken::new();
        let (ending, _) = watch::channel(false);
        let loops = TaskTracker::new();
        let connections = TaskTracker::new();
        let places = self.connections_max.min(Semaphore::MAX_PERMITS);
        let http_limit = Arc::new(Semaphore::new(places));
        let tcp_limit = Arc::new(Semaphore::new(places));
        self.watch_groups(&loops, &shutdown);
        for (listener, endpoint) in self.http {
            let Some(front) = self.front.clone() else {
                continue;
            };
            let metrics = listener.metrics.clone();
            let (connections, cut, ending) = (connections.clone(), cut.clone(), ending.subscribe());
            let serve = move |accepted: Accepted| {
                let (front, endpoint) = (Arc::clone(&front), Arc::clone(&endpoint));
                let (metrics, ending, cut) = (metrics.clone(), ending.clone(), cut.clone());
                connections.spawn(async move {
                    let work = front.serve(accepted, &endpoint, metrics, ending);
                    cut.run_until_cancelled_owned(work).await
                });
            };
            let refused = self.metrics.refused.clone();
            loops.spawn(listener.run(shutdown.clone(), Arc::clone(&http_limit), refused, serve));
        }
        for (listener, server) in self.tcp {
            let metrics = listener.metrics.clone();
            let (connections, cut) = (connections.clone(), cut.clone());
            let serve = move |accepted: Accepted| {
                let (server, metrics, cut) = (Arc::clone(&server), metrics.clone(), cut.clone());
                connections.spawn(async move {
                    let work = server.serve(accepted, metrics);
                    cut.run_until_cancelled_owned(work).await
                });
            };
            let refused = self.metrics.refused.clone();
            loops.spawn(listener.run(shutdown.clone(), Arc::clone(&tcp_limit), refused, serve));
        }
        let udp = |(socket, server)| UdpLoop {
            socket,
            server,
            refused: self.metrics.refused.clone(),
            limit: Arc::clone(&tcp_limit),
            sessions: connections.clone(),
            cut: cut.clone(),
        };
        for work in self.udp.into_iter().map(udp) {
            loops.spawn(work.run(self.metrics.clone(), shutdown.clone()));
        }
        shutdown.cancelled().await;
        loops.close();
        loops.wait().await;
        ending.send_replace(true);
        if let Some(front) = &self.front {
            front.close_idle().await;
        }
        drain(&connections, drain_limit, &cut).await;
    }
}

/// Waits for what is in hand, and cuts what is left after `limit`.
async fn drain(connections: &TaskTracker, limit: Duration, cut: &CancellationToken) {
    connections.close();
    let open = connections.len();
    tracing::info!(open, "load balancer is draining");
    if tokio::time::timeout(limit, connections.wait())
        .await
        .is_err()
    {
        tracing::warn!(open = connections.len(), "load balancer cuts what is left");
        cut.cancel();
        connections.wait().await;
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
