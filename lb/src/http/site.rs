//! The `http` block made ready to run: headers parsed, places to look names up in, peers as
//! Pingora wants them.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderName;
use pingora::connectors::L4Connect;
use pingora::connectors::l4::BindTo;
use pingora::protocols::TcpKeepalive;
use pingora::upstreams::peer::HttpPeer;
use weir_conf::nginx::Addr;
use weir_conf::nginx::model::variable::Variable;
use weir_conf::nginx::model::web::Op;
use weir_conf::nginx::model::{self, Action, Http};
use weir_conf::nginx::template::Template;

use super::cached::{Caches, Caching};
use super::route::Tree;
use super::secure::Secure;
use super::stub::Stub;
use super::target::Target;
use crate::error::LbError;
use crate::group::Group;
use crate::limits::{Connections, Requests};
use crate::metrics::{Metrics, UpstreamMetrics};
use crate::resolve::{Names, Resolvers};
use crate::tls::{TlsClient, TlsServer};

/// `proxy_socket_keepalive`: the kernel's usual times.
const KEEPALIVE: TcpKeepalive = TcpKeepalive {
    idle: Duration::from_secs(7200),
    interval: Duration::from_secs(75),
    count: 9,
    #[cfg(target_os = "linux")]
    user_timeout: Duration::ZERO,
};

/// The whole `http` block.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) servers: Vec<Server>,
    /// Variables that the file makes.
    pub(crate) variables: Vec<Variable>,
    places: HashMap<String, usize>,
    pub(crate) groups: Vec<Arc<Group>>,
    /// For upstreams that only a request names.
    pub(crate) metrics: Metrics,
    /// Answers that no upstream gave.
    pub(crate) own: UpstreamMetrics,
    /// What `stub_status` shows.
    pub(crate) stub: Arc<Stub>,
    /// `proxy_cache_path`
    pub(crate) caches: Caches,
    /// `$hostname`
    pub(crate) hostname: String,
    /// Whether any place makes requests inside.
    pub(crate) asks_inside: bool,
    /// Whether any place compresses, or takes compression off.
    pub(crate) recodes: bool,
    /// What `limit_req` counts in, and by what.
    pub(crate) request_zones: Vec<Requests>,
    pub(crate) request_keys: Vec<Template>,
    /// What `limit_conn` counts in, and by what.
    pub(crate) connection_zones: Vec<Connections>,
    pub(crate) connection_keys: Vec<Template>,
}

/// A server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) model: model::Server,
    pub(crate) tree: Tree,
    pub(crate) locations: Vec<Location>,
    pub(crate) add_headers: Vec<AddHeader>,
    pub(crate) tls: Option<TlsServer>,
}

/// A location.
#[derive(Debug)]
pub(crate) struct Location {
    pub(crate) path: String,
    pub(crate) exact: bool,
    /// Whether it is a regular expression or a name, and has no path to take off.
    pub(crate) pathless: bool,
    pub(crate) internal: bool,
    pub(crate) script: Vec<Op>,
    pub(crate) common: model::Common,
    pub(crate) add_headers: Vec<AddHeader>,
    pub(crate) action: Do,
}

/// What a location does.
#[derive(Debug)]
pub(crate) enum Do {
    Files,
    StubStatus,
    Proxy(Box<Proxy>),
}

/// A `proxy_pass`.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) model: model::Proxy,
    /// Whether and how answers are kept.
    pub(crate) cache: Option<Arc<Caching>>,
    /// `None` if the URL has variables.
    pub(crate) group: Option<Arc<Group>>,
    /// Who is asked for names that a URL with variables comes to.
    pub(crate) resolver: Option<Arc<Names>>,
    /// Connects with TLS.
    secure: Option<Arc<Secure>>,
    pub(crate) set_headers: Vec<(HeaderName, String, Template)>,
    pub(crate) hide_headers: Vec<HeaderName>,
}

/// An `add_header`.
#[derive(Debug)]
pub(crate) struct AddHeader {
    pub(crate) name: String,
    pub(crate) value: Template,
    pub(crate) always: bool,
}

impl Proxy {
    /// A peer of the group as Pingora wants it; `target` is what a URL with variables came to.
    pub(crate) fn pingora_peer(
        &self,
        addr: &Addr,
        group: &Group,
        target: Option<&Target>,
        bind: Option<SocketAddr>,
    ) -> Option<HttpPeer> {
        let mut peer = pingora_peer(addr, &self.model, group)?;
        if let Some(addr) = bind {
            let mut from = BindTo::default();
            from.addr = Some(addr);
            peer.options.bind_to = Some(from);
            // One that came from another address is not taken.
            let mut hasher = DefaultHasher::new();
            (group.serial, addr).hash(&mut hasher);
            peer.group_key = hasher.finish();
        }
        let wanted = target.is_none_or(|target| target.secure);
        if let Some(secure) = self.secure.as_ref().filter(|_| wanted) {
            let connect: Arc<dyn L4Connect + Send + Sync> = match (target, bind) {
                (None, None) => Arc::clone(secure) as _,
                (target, bind) => Arc::new(secure.made_for(target.map(|it| &*it.host), bind)),
            };
            peer.options.custom_l4 = Some(connect);
            // Never one that another location, with other settings, has left.
            peer.group_key = Arc::as_ptr(secure).addr() as u64;
        }
        Some(peer)
    }
}

impl Site {
    pub(crate) fn new(http: &Http, metrics: &Metrics) -> Result<Self, LbError> {
        let groups: Vec<_> = http
            .upstreams
            .iter()
            .map(|upstream| Group::new(upstream, metrics))
            .collect();
        let mut servers = Vec::with_capacity(http.servers.len());
        let parts = Parts {
            http,
            groups: &groups,
            resolvers: Resolvers::default(),
        };
        for model in &http.servers {
            let locations = model.locations.iter().map(|it| location(it, &parts));
            servers.push(Server {
                tree: Tree::new(model),
                locations: locations.collect::<Result<_, _>>()?,
                add_headers: add_headers(&model.common),
                tls: model.tls.as_ref().map(TlsServer::new).transpose()?,
                model: model.clone(),
            });
        }
        let caches = Caches::new(http, metrics);
        Ok(Self {
            servers,
            places: http
                .variables
                .iter()
                .enumerate()
                .map(|(place, variable)| (variable.name.clone(), place))
                .collect(),
            variables: http.variables.clone(),
            groups,
            metrics: metrics.clone(),
            own: metrics.upstream("-"),
            stub: Arc::default(),
            asks_inside: anywhere(http, |common| common.guard.auth_request.is_some()) || caches.any,
            caches,
            recodes: anywhere(http, |common| common.gzip.is_used()),
            request_zones: http.request_zones.iter().map(Requests::new).collect(),
            request_keys: http
                .request_zones
                .iter()
                .map(|it| it.zone.key.clone())
                .collect(),
            connection_zones: http.connection_zones.iter().map(Connections::new).collect(),
            connection_keys: http
                .connection_zones
                .iter()
                .map(|it| it.key.clone())
                .collect(),
            hostname: std::fs::read_to_string("/proc/sys/kernel/hostname")
                .map(|name| name.trim().to_ascii_lowercase())
                .unwrap_or_default(),
        })
    }

    /// Goes on with what the configuration before has counted and kept.
    pub(crate) fn learn(&self, before: &Self) {
        self.caches.learn(&before.caches);
        for zone in &self.request_zones {
            let mut others = before.request_zones.iter();
            if let Some(old) = others.find(|old| old.name() == zone.name()) {
                zone.learn(old);
            }
        }
        for zone in &self.connection_zones {
            let mut others = before.connection_zones.iter();
            if let Some(old) = others.find(|old| old.name() == zone.name()) {
                zone.learn(old);
            }
        }
    }

    /// The place of a variable of the file's.
    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// How long a connection of HTTP/2 may be idle: there is one time for all servers.
    pub(crate) fn idle_limit(&self) -> Duration {
        let all = self.servers.iter();
        let longest = all
            .map(|server| server.model.common.keepalive_timeout_ms)
            .max();
        Duration::from_millis(longest.unwrap_or_default().max(1000))
    }

    /// Idle connections kept to all upstreams together.
    pub(crate) fn keepalive(&self) -> usize {
        let sum: u64 = self
            .groups
            .iter()
            .map(|group| u64::from(group.keepalive))
            .sum();
        usize::try_from(sum).unwrap_or(usize::MAX)
    }

    /// Most peers any upstream has.
    pub(crate) fn peers_max(&self) -> usize {
        self.groups
            .iter()
            .map(|group| group.peers_max())
            .max()
            .unwrap_or(0)
    }
}

/// What locations are made of, beside their model.
struct Parts<'a> {
    http: &'a Http,
    groups: &'a [Arc<Group>],
    resolvers: Resolvers,
}

/// Whether something holds at any server or location.
fn anywhere(http: &Http, holds: impl Fn(&model::Common) -> bool) -> bool {
    http.servers.iter().any(|server| {
        let mut locations = server.locations.iter();
        holds(&server.common) || locations.any(|location| holds(&location.common))
    })
}

fn location(model: &model::Location, parts: &Parts<'_>) -> Result<Location, LbError> {
    let action = match &model.action {
        Action::Files => Do::Files,
        Action::StubStatus => Do::StubStatus,
        Action::Proxy(proxy) => Do::Proxy(Box::new(make_proxy(proxy, model, parts)?)),
    };
    Ok(Location {
        path: model.path.clone(),
        exact: model.matching == model::Match::Exact,
        pathless: matches!(model.matching, model::Match::Regex(_) | model::Match::Named),
        internal: model.internal,
        script: model.script.clone(),
        common: model.common.clone(),
        add_headers: add_headers(&model.common),
        action,
    })
}

fn make_proxy(
    model: &model::Proxy,
    location: &model::Location,
    parts: &Parts<'_>,
) -> Result<Proxy, LbError> {
    let upstreams = &parts.http.upstreams;
    let upstream = model.upstream.and_then(|place| upstreams.get(place));
    let group = model.upstream.and_then(|place| parts.groups.get(place));
    let bad = |addr: &str| LbError::Upstream {
        addr: addr.to_owned(),
        at: upstream.map_or_else(|| location.pos.clone(), |upstream| upstream.pos.clone()),
    };
    if group.is_none() && model.url.is_none() {
        return Err(bad(&model.host));
    }
    if let Some(group) = group {
        let peers = group.peers();
        let mut unfit = peers
            .iter()
            .filter(|peer| pingora_peer(&peer.addr, model, group).is_none());
        if let Some(peer) = unfit.next() {
            return Err(bad(&peer.name));
        }
    }
    // Names were checked as tokens while loading, so none is lost here.
    let named = |name: &str| HeaderName::from_bytes(name.as_bytes()).ok();
    let secure = match &model.tls {
        Some(tls) => Some(Arc::new(Secure {
            client: Arc::new(TlsClient::new(tls)?),
            limit: Duration::from_millis(model.connect_timeout_ms),
            bind: None,
            keepalive: model.passing.socket_keepalive,
        })),
        None => None,
    };
    Ok(Proxy {
        group: group.map(Arc::clone),
        resolver: model.resolver.as_ref().map(|it| parts.resolvers.of(it)),
        secure,
        set_headers: model
            .set_headers
            .iter()
            .filter_map(|(name, value)| Some((named(name)?, name.clone(), value.clone())))
            .collect(),
        hide_headers: model
            .hide_headers
            .iter()
            .filter_map(|name| named(name))
            .collect(),
        cache: Caching::new(model).map(Arc::new),
        model: model.clone(),
    })
}

/// A peer as Pingora wants it, timeouts set; `None` for a unix path that no socket can have.
fn pingora_peer(addr: &Addr, proxy: &model::Proxy, group: &Group) -> Option<HttpPeer> {
    let mut peer = match addr {
        Addr::Inet(addr) => HttpPeer::new(*addr, false, String::new()),
        Addr::Unix(path) => HttpPeer::new_uds(path.to_str()?, false, String::new()).ok()?,
    };
    let time = |ms: u64| Some(Duration::from_millis(ms));
    peer.options.connection_timeout = time(proxy.connect_timeout_ms);
    peer.options.total_connection_timeout = time(proxy.connect_timeout_ms);
    peer.options.read_timeout = time(proxy.read_timeout_ms);
    peer.options.write_timeout = time(proxy.send_timeout_ms);
    // Each upstream keeps its own: what one may carry is the upstream's to say.
    peer.group_key = group.serial;
    peer.options.tcp_keepalive = proxy.passing.socket_keepalive.then(|| KEEPALIVE.clone());
    peer.options.idle_timeout = time(group.keepalive_timeout_ms);
    Some(peer)
}

fn add_headers(common: &model::Common) -> Vec<AddHeader> {
    common
        .add_headers
        .iter()
        .map(|header| AddHeader {
            name: header.name.clone(),
            value: header.value.clone(),
            always: header.always,
        })
        .collect()
}
