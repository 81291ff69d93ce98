//! One short function a role: makes its crate's value from settings, opens its doors, starts it.
//!
//! Order: origin, edge, lb, so that each finds the doors it forwards to open. The roles get
//! addresses of each other, never values: they meet through sockets and the store.

use crate::api;
use crate::apps::{self, OriginApps};
use crate::banner::Line;
use crate::doors;
use crate::house::{House, Runtimes};
use crate::last_seen;
use crate::settings::{count, tcp};
use anyhow::Context as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir_cluster::{NodeDirectory, NodesSeen};
use weir_edge::Edge;
use weir_origin::ingest::rtmp::RtmpServer;
use weir_origin::{ConnectionMetrics, HttpLimits, Links, Origin};

/// How often a balancer asks the store which nodes there are.
pub(crate) const SEE_NODES_PERIOD: Duration = Duration::from_secs(1);

/// Connections at an lb's own door, at most: its users are probes and people.
const ADMIN_CONNECTIONS_MAX: usize = 256;

/// What runs, and how to end it.
pub(crate) struct Started {
    /// The open doors, front to back.
    pub(crate) lines: Vec<Line>,
    /// Ends the lb.
    pub(crate) lb_stop: CancellationToken,
    /// Ends the edge.
    pub(crate) edge_stop: CancellationToken,
    /// Ends RTMP connections.
    pub(crate) rtmp_stop: CancellationToken,
    /// Ends the origin's HTTP door.
    pub(crate) origin_http_stop: CancellationToken,
    /// The origin, whose streams end before its doors do.
    pub(crate) origin: Option<Arc<Origin>>,
    /// The edge.
    pub(crate) edge: Option<Arc<Edge>>,
    /// Where other nodes and the balancer reach this one by HTTP.
    pub(crate) http_address: Option<String>,
    /// Where the balancer reaches this one by RTMP.
    pub(crate) rtmp_address: Option<String>,
    /// Tasks of the doors that users reach.
    pub(crate) front: Vec<(&'static str, JoinHandle<()>)>,
    /// Tasks behind them.
    pub(crate) back: Vec<(&'static str, JoinHandle<()>)>,
}

/// Starts every role that the settings name.
pub(crate) async fn start(house: &Arc<House>, runtimes: &Runtimes) -> anyhow::Result<Started> {
    let mut started = Started {
        lines: Vec::new(),
        lb_stop: CancellationToken::new(),
        edge_stop: CancellationToken::new(),
        rtmp_stop: CancellationToken::new(),
        origin_http_stop: CancellationToken::new(),
        origin: None,
        edge: None,
        http_address: None,
        rtmp_address: None,
        front: Vec::new(),
        back: Vec::new(),
    };
    let layout = &house.settings.layout;
    let router = api::Routers::new(house)?;
    let mut rtmp_address = None;
    if layout.roles.origin {
        rtmp_address = Some(start_origin(house, &router, &mut started).await?);
    }
    let mut edge_address = None;
    if layout.roles.edge {
        edge_address = Some(start_edge(house, &router, runtimes, &mut started).await?);
    }
    if layout.roles.lb {
        start_lb(house, edge_address, rtmp_address, runtimes, &mut started).await?;
        start_lb_admin(house, &router, &mut started).await?;
    }
    Ok(started)
}

async fn start_origin(
    house: &Arc<House>,
    router: &api::Routers,
    started: &mut Started,
) -> anyhow::Result<SocketAddr> {
    let settings = &house.settings;
    let layout = &settings.layout;
    let asked = layout
        .origin_http
        .as_ref()
        .context("the origin has no HTTP address")?;
    let http = doors::http(asked, "origin", "origin.http.listen").await?;
    let bound = doors::bound(&http, asked)?;
    let asked_rtmp = layout
        .origin_rtmp
        .context("the origin has no RTMP address")?;
    let rtmp = doors::tcp(asked_rtmp, "origin", rtmp_key(layout.roles.lb)).await?;
    let rtmp_address = rtmp.local_addr()?;

    let origin_adress = layout.node_address(&bound).to_string();
    let options = settings.origin_options(house.node_id.as_str(), &origin_adress);
    let links = Links {
        store: Arc::clone(&house.store),
        clock: Arc::clone(&house.clock),
        peers: house.network.peers(),
        apps: Arc::new(OriginApps(house.apps.clone())),
        key: house.network.key.clone(),
    };
    let origin = Origin::new(options, links, &house.registry)?;
    origin.start().await;
    router.publish_at(Arc::clone(&origin));
    let following = Arc::clone(&origin);
    tokio::spawn(async move { following.follow().await });
    let stop = started.origin_http_stop.clone();
    let ending = apps::end_deleted(house.apps.clone(), Arc::clone(&origin), stop);
    tokio::spawn(ending);

    let limits = HttpLimits {
        connections_max: count(settings.config.http.max_connections),
        drain_timeout_ms: settings.config.shutdown_timeout_ms,
        ..HttpLimits::default()
    };
    let metrics = origin.connection_metrics();
    let routes = origin
        .router()
        .merge(router.for_origin(rtmp_address.port()));
    let stop = started.origin_http_stop.clone();
    let task = tokio::spawn(weir_origin::serve_http(http, routes, stop, metrics, limits));
    started.back.push(("origin http", task));

    let server = RtmpServer::new(
        settings.rtmp_options(),
        Arc::clone(&origin) as Arc<dyn weir_origin::ingest::Admission>,
        &house.registry,
    )?;
    let stop = started.rtmp_stop.clone();
    let task = tokio::spawn(async move { server.serve(rtmp, stop).await });
    started.front.push(("origin rtmp", task));

    started.lines.push(line("origin", "http", &bound));
    started.lines.push(line("origin", "rtmp", &rtmp_address));
    started.origin = Some(origin);
    started.http_address = Some(origin_adress);
    started.rtmp_address = Some(house.reachable(rtmp_address));
    Ok(rtmp_address)
}

async fn start_edge(
    house: &Arc<House>,
    router: &api::Routers,
    runtimes: &Runtimes,
    started: &mut Started,
) -> anyhow::Result<SocketAddr> {
    let settings = &house.settings;
    let layout = &settings.layout;
    let address = tcp(layout.edge_http.as_ref()).context("edge.http.listen must be IP:port")?;
    let key = if layout.roles.lb {
        "edge.http.listen"
    } else {
        "http.port"
    };
    // Sockets belong to the runtime that polls them.
    let _entered = runtimes.edge.enter();
    let listener = doors::tcp(address, "edge", key).await?;
    let bound = listener.local_addr()?;

    let edge = Edge::new(
        settings.edge_options(),
        house.network.directory.clone(),
        Arc::clone(&house.network.fetch) as Arc<dyn weir_cache::Fetch>,
        Arc::new(router.fallback(rtmp_port(house, started))),
        &house.registry,
    )?;
    let stop = started.edge_stop.clone();
    started.edge = Some(Arc::clone(&edge));
    // Viewers' address; of a node that is an origin as well, its objects' is told to others by
    // each stream's record.
    started.http_address = Some(house.reachable(bound));
    let task = runtimes.edge.spawn(async move {
        let drained = edge.serve(listener, stop).await;
        if drained.cut > 0 {
            tracing::warn!(
                cut = drained.cut,
                "viewers' connections cut at the end of the drain"
            );
        }
    });
    started.front.push(("edge", task));
    started.lines.insert(0, line("edge", "http", &bound));
    Ok(bound)
}

async fn start_lb(
    house: &Arc<House>,
    edge: Option<SocketAddr>,
    rtmp: Option<SocketAddr>,
    runtimes: &Runtimes,
    started: &mut Started,
) -> anyhow::Result<()> {
    let settings = &house.settings;
    let config = settings.balancer(edge, rtmp)?;
    let owners = weir_lb::StreamOwners::default();
    if config.prefers_owners() {
        owners.ask(Some(house.network.directory.clone()));
    }
    let options = weir_lb::LbOptions {
        owners,
        connections_max: count(settings.config.http.max_connections),
        nodes: config
            .first_cluster()
            .map(|_| see_nodes(house, started.lb_stop.clone())),
        access_logs: None,
    };
    let lb = weir_lb::Lb::new(config, options, &house.registry)?;
    let _entered = runtimes.lb.enter();
    let bound = lb.bind()?;
    let mut lines = Vec::new();
    for (protocol, addresses) in [
        ("http", bound.http_addresses()),
        ("rtmp", bound.tcp_addresses()),
    ] {
        lines.extend(
            addresses
                .iter()
                .map(|address| line("lb", protocol, address)),
        );
    }
    lines.append(&mut started.lines);
    started.lines = lines;
    let (stop, drain) = (started.lb_stop.clone(), settings.shutdown_timeout());
    let task = runtimes.lb.spawn(bound.run(stop, drain));
    started.front.push(("lb", task));
    Ok(())
}

/// The door at which an lb answers for itself: what comes in at the others is passed on.
async fn start_lb_admin(
    house: &Arc<House>,
    router: &api::Routers,
    started: &mut Started,
) -> anyhow::Result<()> {
    let settings = &house.settings;
    let Some(asked) = &settings.layout.lb_admin else {
        return Ok(());
    };
    let http = doors::http(asked, "lb", "lb.admin.listen").await?;
    started
        .lines
        .push(line("lb", "admin", &doors::bound(&http, asked)?));
    let limits = HttpLimits {
        connections_max: ADMIN_CONNECTIONS_MAX,
        drain_timeout_ms: settings.config.shutdown_timeout_ms,
        ..HttpLimits::default()
    };
    let metrics = ConnectionMetrics::register(&house.registry, "lb_admin")?;
    let routes = router.for_origin(rtmp_port(house, started));
    // Open until the balancer has drained: who looks how that goes shall see it.
    let stop = started.origin_http_stop.clone();
    let task = tokio::spawn(weir_origin::serve_http(http, routes, stop, metrics, limits));
    started.back.push(("lb admin", task));
    Ok(())
}

/// The cluster's nodes, for a balancer that takes its servers from them.
fn see_nodes(house: &House, stop: CancellationToken) -> watch::Receiver<Arc<NodesSeen>> {
    let (store, clock) = (Arc::clone(&house.store), Arc::clone(&house.clock));
    let seen = NodeDirectory::spawn(store, clock, SEE_NODES_PERIOD, stop).watch();
    last_seen::follow(&house.settings.layout.data_dir, seen)
}

fn rtmp_key(behind_lb: bool) -> &'static str {
    if behind_lb {
        "origin.rtmp.listen"
    } else {
        "rtmp.port"
    }
}

/// The port that encoders use, for links.
fn rtmp_port(house: &House, started: &Started) -> u16 {
    let own = started.lines.iter().find(|l| l.protocol == "rtmp");
    let own = own
        .and_then(|l| l.address.parse::<SocketAddr>().ok())
        .map(|a| a.port());
    match house.settings.layout.lb_rtmp {
        Some(address) if address.port() != 0 => address.port(),
        _ => own.unwrap_or(house.settings.config.rtmp.port),
    }
}

fn line(role: &'static str, protocol: &'static str, address: &dyn std::fmt::Display) -> Line {
    Line {
        role,
        protocol,
        address: address.to_string(),
    }
}
