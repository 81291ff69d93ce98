//! Where a process with certain roles listens, keeps its data and finds origins.
//!
//! The first of lb, edge and origin that runs owns the doors users know (`http.port`,
//! `rtmp.port`); those behind it listen on loopback, unless a key says otherwise. So the same file
//! is right for the whole product in one process and for a node with one role.

use super::check::Checker;
use super::config::NodeConfig;
use super::error::{Problem, Warning};
use super::types::{DbType, Endpoint, Listen, Roles};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

const EDGE_HTTP_BEHIND: SocketAddr = loopback(5081);
const ORIGIN_HTTP_BEHIND: SocketAddr = loopback(5082);
const LB_ADMIN: SocketAddr = loopback(5083);
const ORIGIN_RTMP_BEHIND: SocketAddr = loopback(19_350);

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// What follows from the settings for the roles of one process.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// The roles that run.
    pub roles: Roles,
    /// The lb's HTTP address with the built-in configuration; none when `lb.conf` says where.
    pub lb_http: Option<SocketAddr>,
    /// The lb's RTMP address, likewise; none without an origin in the process or a shared store
    /// that names origins.
    pub lb_rtmp: Option<SocketAddr>,
    /// Where the lb tells of itself; none where an edge or origin in the process does.
    pub lb_admin: Option<Listen>,
    /// The edge's HTTP address.
    pub edge_http: Option<Listen>,
    /// The origin's HTTP address, which edges ask.
    pub origin_http: Option<Listen>,
    /// The origin's RTMP address.
    pub origin_rtmp: Option<SocketAddr>,
    /// Whether the origin's RTMP connections start with a PROXY protocol header.
    pub rtmp_proxy_protocol: bool,
    /// Origins to ask for streams the store does not know.
    pub origins: Vec<Endpoint>,
    /// The folder of what must outlive a restart.
    pub data_dir: PathBuf,
    node_ip: Option<String>,
}

impl Layout {
    /// The address to give other nodes for a door that really listens on `bound` (with its port,
    /// if the settings left that open): `cluster.node.ip` when it listens on every address.
    pub fn node_address(&self, bound: &Listen) -> Endpoint {
        match bound {
            Listen::Unix(path) => Endpoint::Unix(path.clone()),
            Listen::Tcp(address) if address.ip().is_unspecified() => Endpoint::Tcp {
                host: self
                    .node_ip
                    .clone()
                    .unwrap_or_else(|| "127.0.0.1".to_owned()),
                port: address.port(),
            },
            Listen::Tcp(address) => Endpoint::Tcp {
                host: address.ip().to_string(),
                port: address.port(),
            },
        }
    }
}

/// An address and the key it comes from.
struct Door {
    key: &'static str,
    at: Listen,
}

/// The doors of `roles`.
struct Doors {
    lb_http: Option<Door>,
    lb_rtmp: Option<Door>,
    lb_admin: Option<Door>,
    edge_http: Option<Door>,
    origin_http: Option<Door>,
    origin_rtmp: Option<Door>,
}

/// Lays the settings out for `roles`; errors and advice go to the checker.
pub(super) fn lay_out(checker: &mut Checker, roles: Roles, homes: &Homes) -> Layout {
    needs(checker, roles);
    let doors = Doors::new(&checker.config, roles);
    clashes(checker, &doors);
    reachable(checker, &doors);
    let config = &checker.config;
    let tcp = |door: &Option<Door>| match door.as_ref().map(|door| &door.at) {
        Some(Listen::Tcp(address)) => Some(*address),
        _ => None,
    };
    let layout = Layout {
        roles,
        lb_http: tcp(&doors.lb_http),
        lb_rtmp: tcp(&doors.lb_rtmp),
        origin_rtmp: tcp(&doors.origin_rtmp),
        lb_admin: doors.lb_admin.map(|door| door.at),
        edge_http: doors.edge_http.map(|door| door.at),
        origin_http: doors.origin_http.map(|door| door.at),
        rtmp_proxy_protocol: config.rtmp.proxy_protocol.unwrap_or(roles.lb),
        origins: config.cluster.origin_nodes.clone(),
        data_dir: config
            .data_dir
            .clone()
            .unwrap_or_else(|| homes.data_dir(roles)),
        node_ip: config.cluster.node_ip.clone(),
    };
    if roles.lb && config.lb_conf.is_some() {
        ports_of_lb_conf(checker);
    }
    layout
}

impl Doors {
    fn new(config: &NodeConfig, roles: Roles) -> Self {
        let (http, rtmp) = (&config.http, &config.rtmp);
        let door = |key, address| Door {
            key,
            at: Listen::Tcp(address),
        };
        let http_door = || door("http.port", SocketAddr::new(http.host, http.port));
        let rtmp_door = || door("rtmp.port", SocketAddr::new(rtmp.host, rtmp.port));
        let chosen = |key, set: &Option<Listen>| set.clone().map(|at| Door { key, at });
        let built_in_lb = roles.lb && config.lb_conf.is_none();

        let edge =
            chosen("edge.http.listen", &http.edge_listen).unwrap_or_else(|| match roles.lb {
                true => door("edge.http.listen", EDGE_HTTP_BEHIND),
                false => http_door(),
            });
        let origin =
            chosen("origin.http.listen", &http.origin_listen).unwrap_or_else(|| {
                match roles.lb || roles.edge {
                    true => door("origin.http.listen", ORIGIN_HTTP_BEHIND),
                    false => http_door(),
                }
            });
        let origin_rtmp = match (rtmp.origin_listen, roles.lb) {
            (Some(address), _) => door("origin.rtmp.listen", address),
            (None, true) => door("origin.rtmp.listen", ORIGIN_RTMP_BEHIND),
            (None, false) => rtmp_door(),
        };
        let alone = roles.lb && !roles.edge && !roles.origin;
        let lb_admin = chosen("lb.admin.listen", &http.lb_admin_listen)
            .filter(|_| roles.lb)
            .or_else(|| alone.then(|| door("lb.admin.listen", LB_ADMIN)));
        Self {
            lb_admin,
            lb_http: built_in_lb.then(http_door),
            lb_rtmp: (built_in_lb && (roles.origin || shares_store(config))).then(rtmp_door),
            edge_http: roles.edge.then_some(edge),
            origin_http: roles.origin.then_some(origin),
            origin_rtmp: roles.origin.then_some(origin_rtmp),
        }
    }

    fn all(&self) -> Vec<&Door> {
        [
            &self.lb_http,
            &self.lb_rtmp,
            &self.lb_admin,
            &self.edge_http,
            &self.origin_http,
            &self.origin_rtmp,
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// What a role needs that another role of the same process would give it.
fn needs(checker: &mut Checker, roles: Roles) {
    let config = &checker.config;
    let mut missing = Vec::new();
    let shares_store = shares_store(config);
    if roles.lb && !roles.edge && !shares_store && config.lb_conf.is_none() {
        missing.push(
            "an lb without an edge beside it needs lb.conf, which names its servers, or \
             db.type=mongodb, where edges and origins register",
        );
    }
    if roles.edge && !roles.origin && !shares_store && config.cluster.origin_nodes.is_empty() {
        missing.push(
            "an edge without an origin beside it needs cluster.origin.nodes (host or host:port of \
             origins), or db.type=mongodb",
        );
    }
    for text in missing {
        let place = checker.notes.place("server.mode");
        checker
            .notes
            .errors
            .push(place, Problem::Conflict(text.to_owned()));
    }
}

/// Whether other nodes register where this one looks.
fn shares_store(config: &NodeConfig) -> bool {
    config.db.kind == DbType::MongoDb
}

fn clashes(checker: &mut Checker, doors: &Doors) {
    let all = doors.all();
    for (n, door) in all.iter().enumerate() {
        for earlier in all
            .iter()
            .take(n)
            .filter(|earlier| same_address(&earlier.at, &door.at))
        {
            let place = match checker.notes.is_set(door.key) {
                Some(set) => set.place.clone(),
                None => checker.notes.place(earlier.key),
            };
            let text = format!(
                "{} and {} are both {}; expected different addresses",
                earlier.key, door.key, door.at
            );
            checker.notes.errors.push(place, Problem::Conflict(text));
        }
    }
}

/// True when the second of two listeners would find the address taken.
fn same_address(a: &Listen, b: &Listen) -> bool {
    match (a, b) {
        (Listen::Tcp(a), Listen::Tcp(b)) => {
            let any = a.ip().is_unspecified() || b.ip().is_unspecified();
            a.port() == b.port() && a.port() != 0 && (any || a.ip() == b.ip())
        }
        (Listen::Unix(a), Listen::Unix(b)) => a == b,
        _ => false,
    }
}

/// Edges of other machines find the origin's address in a shared store, so they must reach it.
fn reachable(checker: &mut Checker, doors: &Doors) {
    let shared = checker.config.cluster.enabled && shares_store(&checker.config);
    let Some(door) = doors.origin_http.as_ref().filter(|_| shared) else {
        return;
    };
    let text = match &door.at {
        Listen::Tcp(at) if at.ip().is_unspecified() => {
            if checker.config.cluster.node_ip.is_some() {
                return;
            }
            "cluster.node.ip is not set: edges of other machines will ask this origin at 127.0.0.1"
                .to_owned()
        }
        Listen::Tcp(at) if !at.ip().is_loopback() => return,
        here => format!(
            "the origin serves edges at {here}, which no other machine reaches; set \
             origin.http.listen when edges run elsewhere"
        ),
    };
    let place = checker.notes.place(door.key);
    checker.notes.warn(Warning::Advice { place, text });
}

fn ports_of_lb_conf(checker: &mut Checker) {
    for key in ["http.host", "http.port", "rtmp.host", "rtmp.port"] {
        if let Some(set) = checker.notes.is_set(key) {
            let place = set.place.clone();
            let text = format!("{key} is not used: the listen lines of lb.conf hold");
            checker.notes.warn(Warning::Unused { place, text });
        }
    }
}

/// What the environment says of the user's folders.
#[derive(Default)]
pub(super) struct Homes {
    xdg_data_home: Option<PathBuf>,
    home: Option<PathBuf>,
}

impl Homes {
    pub(super) fn new(variables: &[(String, String)]) -> Self {
        let absolute = |name: &str| {
            let value = variables
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, value)| value);
            value.map(PathBuf::from).filter(|path| path.is_absolute())
        };
        Self {
            xdg_data_home: absolute("XDG_DATA_HOME"),
            home: absolute("HOME"),
        }
    }

    /// The default of `data.dir`.
    fn data_dir(&self, roles: Roles) -> PathBuf {
        let share = |home: &PathBuf| home.join(".local/share");
        let base = self
            .xdg_data_home
            .clone()
            .or_else(|| self.home.as_ref().map(share));
        let name = match (&base, roles) {
            (Some(_), Roles::ALL) => "weir".to_owned(),
            (Some(_), _) => format!("weir-{}", roles.names().join("-")),
            (None, Roles::ALL) => "weir-data".to_owned(),
            (None, _) => format!("weir-data-{}", roles.names().join("-")),
        };
        base.as_deref().unwrap_or(Path::new("")).join(name)
    }
}
