//! Upstreams: peers, how one is chosen, what is kept and checked.

use std::net::SocketAddr;

use super::super::addr::Addr;
use super::super::error::Pos;
use super::super::template::Template;

/// How a peer is chosen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Method {
    /// Smooth weighted round robin.
    #[default]
    RoundRobin,
    /// Fewest active connections for the weight, ties by weighted round robin.
    LeastConn,
    /// By the client's address.
    IpHash,
    /// By a key; an empty one is round robin.
    Hash {
        /// What is hashed.
        key: Template,
        /// On a ring, so that a server that goes takes only its own keys along.
        consistent: bool,
    },
    /// By chance and weight.
    Random {
        /// Of two the one with fewer connections.
        two: bool,
    },
    /// Least average time of answers and fewest connections.
    LeastTime {
        /// To the answer's end, not to its header.
        last_byte: bool,
    },
}

/// `sticky cookie`: a client stays with the server that its first request went to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sticky {
    /// The cookie's name.
    pub cookie: String,
    /// `expires=`; [`Sticky::EXPIRES_MAX_S`] for `max`.
    pub expires_s: Option<u64>,
    /// `domain=`
    pub domain: Option<Template>,
    /// `path=`
    pub path: Option<Template>,
    /// `samesite=`
    pub same_site: Option<SameSite>,
    /// `httponly`
    pub http_only: bool,
    /// `secure`
    pub secure: bool,
}

impl Sticky {
    /// `expires=max`: ten years, and the end of 2037 for who looks at the date.
    pub const EXPIRES_MAX_S: u64 = 315_360_000;
}

/// `samesite=`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SameSite {
    /// `strict`
    Strict,
    /// `lax`
    Lax,
    /// `none`
    None,
    /// One of these words, worked out for a request; another sets nothing.
    Value(Template),
}

/// `resolver`: who is asked for the addresses of names while running.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resolver {
    /// Name servers.
    pub servers: Vec<SocketAddr>,
    /// `valid=`: how long an answer holds, whatever it says itself.
    pub valid_ms: Option<u64>,
    /// Whether IPv4 addresses are asked for.
    pub ipv4: bool,
    /// Whether IPv6 addresses are asked for.
    pub ipv6: bool,
    /// `resolver_timeout`
    pub timeout_ms: u64,
}

/// A group of peers.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Its name.
    pub name: String,
    /// Its peers.
    pub servers: Vec<UpstreamServer>,
    /// The nodes of the cluster that are its peers too, whoever they are by then.
    pub nodes: Option<UpstreamNodes>,
    /// How one is chosen.
    pub method: Method,
    /// `sticky cookie`
    pub sticky: Option<Sticky>,
    /// Idle connections kept (`keepalive`); zero keeps none. HTTP only. nginx's default since
    /// 1.29.7.
    pub keepalive: u32,
    /// How long an idle one is kept.
    pub keepalive_timeout_ms: u64,
    /// `keepalive_requests`: requests over one connection.
    pub keepalive_requests: u32,
    /// `keepalive_time`: how old a connection may be that gets another request.
    pub keepalive_time_ms: u64,
    /// `resolver`, the block's own or `http`'s, if a server has `resolve`.
    pub resolver: Option<Resolver>,
    /// Active checks, if a `health_check` names this upstream.
    pub health_check: Option<HealthCheck>,
    /// Where it stands.
    pub pos: Pos,
}

/// A `server` of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamServer {
    /// As written.
    pub name: String,
    /// Its addresses: several when a name has several.
    pub addrs: Vec<Addr>,
    /// `weight=`, at least 1.
    pub weight: u32,
    /// `max_fails=`; zero turns passive checks off.
    pub max_fails: u32,
    /// `fail_timeout=`
    pub fail_timeout_ms: u64,
    /// `max_conns=`; zero is no limit.
    pub max_conns: u32,
    /// `slow_start=`: in how long its share grows when it is well again; zero is at once.
    pub slow_start_ms: u64,
    /// `resolve`: the name and port whose addresses are asked for while running.
    pub resolve: Option<(String, u16)>,
    /// `backup`
    pub backup: bool,
    /// `down`
    pub down: bool,
}

/// Which nodes of the cluster an upstream takes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// Those that serve viewers.
    Edge,
    /// Those that take publishers.
    Origin,
}

/// `weir_nodes`: peers that the node directory names, as they come and go. They share what a
/// `server` line would say of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamNodes {
    /// Which nodes.
    pub kind: NodeKind,
    /// `max_fails=`; zero turns passive checks off.
    pub max_fails: u32,
    /// `fail_timeout=`
    pub fail_timeout_ms: u64,
    /// `max_conns=`; zero is no limit.
    pub max_conns: u32,
    /// Where it stands.
    pub pos: Pos,
}

/// `health_check`, as nginx Plus spells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// `interval=`: between two checks of a peer.
    pub interval_ms: u64,
    /// `fails=`: failed checks in a row that make a peer unhealthy.
    pub fails: u32,
    /// `passes=`: passed checks in a row that make it healthy again.
    pub passes: u32,
    /// `port=`: instead of the peer's own.
    pub port: Option<u16>,
    /// `uri=` of an HTTP check (2xx and 3xx pass); `None` is a TCP connect.
    pub uri: Option<String>,
    /// How long one check may take.
    pub timeout_ms: u64,
}
