//! The `http` block made ready to run: headers parsed, places to look names up in, peers as
//! Pingora wants them.

use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderName;
use pingora::connectors::L4Connect;
use pingora::upstreams::peer::HttpPeer;
use weir_conf::nginx::Addr;
use weir_conf::nginx::model::{self, Action, Http, Return};
use weir_conf::nginx::template::Template;

use super::route::Paths;
use super::secure::Secure;
use crate::error::LbError;
use crate::group::Group;
use crate::metrics::{Metrics, UpstreamMetrics};
use crate::tls::{TlsClient, TlsServer};

/// The whole `http` block.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) servers: Vec<Server>,
    pub(crate) maps: Vec<model::Map>,
    pub(crate) groups: Vec<Arc<Group>>,
    /// Answers that no upstream gave.
    pub(crate) own: UpstreamMetrics,
}

/// A server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) model: model::Server,
    pub(crate) paths: Paths,
    pub(crate) locations: Vec<Location>,
    pub(crate) add_headers: Vec<AddHeader>,
    pub(crate) tls: Option<TlsServer>,
}

/// A location.
#[derive(Debug)]
pub(crate) struct Location {
    pub(crate) path: String,
    pub(crate) exact: bool,
    pub(crate) common: model::Common,
    pub(crate) add_headers: Vec<AddHeader>,
    pub(crate) action: Do,
}

/// What a location does.
#[derive(Debug)]
pub(crate) enum Do {
    Return(Return),
    Proxy(Box<Proxy>),
}

/// A `proxy_pass`.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) model: model::Proxy,
    pub(crate) group: Arc<Group>,
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
    /// A peer of the group as Pingora wants it.
    pub(crate) fn pingora_peer(&self, addr: &Addr) -> Option<HttpPeer> {
        let mut peer = pingora_peer(addr, &self.model, &self.group)?;
        if let Some(secure) = &self.secure {
            let connect: Arc<dyn L4Connect + Send + Sync> = Arc::clone(secure) as _;
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
        for model in &http.servers {
            let locations = model.locations.iter().map(|it| location(it, http, &groups));
            servers.push(Server {
                paths: Paths::new(&model.locations),
                locations: locations.collect::<Result<_, _>>()?,
                add_headers: add_headers(&model.common),
                tls: model.tls.as_ref().map(TlsServer::new).transpose()?,
                model: model.clone(),
            });
        }
        Ok(Self {
            servers,
            maps: http.maps.clone(),
            groups,
            own: metrics.upstream("-"),
        })
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

fn location(
    model: &model::Location,
    http: &Http,
    groups: &[Arc<Group>],
) -> Result<Location, LbError> {
    let action = match &model.action {
        Action::Return(ret) => Do::Return(ret.clone()),
        Action::Proxy(proxy) => Do::Proxy(Box::new(make_proxy(proxy, model, http, groups)?)),
    };
    Ok(Location {
        path: model.path.clone(),
        exact: model.matching == model::Match::Exact,
        common: model.common.clone(),
        add_headers: add_headers(&model.common),
        action,
    })
}

fn make_proxy(
    model: &model::Proxy,
    location: &model::Location,
    http: &Http,
    groups: &[Arc<Group>],
) -> Result<Proxy, LbError> {
    let bad = |addr: &str| LbError::Upstream {
        addr: addr.to_owned(),
        at: http
            .upstreams
            .get(model.upstream)
            .map_or_else(|| location.pos.clone(), |upstream| upstream.pos.clone()),
    };
    let group = groups.get(model.upstream).ok_or_else(|| bad(&model.host))?;
    if let Some(peer) = group
        .peers()
        .iter()
        .find(|peer| pingora_peer(&peer.addr, model, group).is_none())
    {
        return Err(bad(&peer.name));
    }
    // Names were checked as tokens while loading, so none is lost here.
    let named = |name: &str| HeaderName::from_bytes(name.as_bytes()).ok();
    let secure = match &model.tls {
        Some(tls) => Some(Arc::new(Secure {
            client: Arc::new(TlsClient::new(tls)?),
            limit: Duration::from_millis(model.connect_timeout_ms),
        })),
        None => None,
    };
    Ok(Proxy {
        group: Arc::clone(group),
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
