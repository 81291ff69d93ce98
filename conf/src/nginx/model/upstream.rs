//! Upstreams: peers, how one is chosen, what is kept and checked.

use std::net::SocketAddr;
use std::sync::Arc;

use super::super::addr::Addr;
use super::super::error::Pos;
use super::super::regex::Regex;
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
        /// What ends the time.
        until: Until,
    },
    /// Least load by what the cluster's nodes report of themselves.
    LeastLoad,
}

/// What ends the time that `least_time` averages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// `connect`, `stream` only: the connection.
    Connect,
    /// `header`, in `stream` `first_byte`: the answer's beginning.
    FirstByte,
    /// `last_byte`: its end.
    LastByte,
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

/// `weir_retry_budget`: how many of the requests under way at an upstream may be further tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryBudget {
    /// Of a hundred.
    pub percent: u32,
    /// As many always, however few requests there are.
    pub floor: u32,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self {
            percent: 20,
            floor: 10,
        }
    }
}

/// `weir_outlier_ejection`: peers that answer badly in a row are left out for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejection {
    /// `consecutive=`: failures and 5xx answers in a row that eject a peer.
    pub consecutive: u32,
    /// `time=`: how long the first time; twice as long the second, and so on.
    pub time_ms: u64,
    /// `max_time=`: the longest.
    pub max_time_ms: u64,
    /// `share=`: of a hundred peers so many are ejected at most; one may always be.
    pub share_percent: u32,
    /// `panic=`: if fewer of a hundred peers are well, the ejected are used too.
    pub panic_percent: u32,
}

impl Default for Ejection {
    fn default() -> Self {
        Self {
            consecutive: 5,
            time_ms: 30_000,
            max_time_ms: 300_000,
            share_percent: 50,
            panic_percent: 50,
        }
    }
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
    /// `weir_retry_budget`
    pub retry_budget: RetryBudget,
    /// `weir_outlier_ejection`
    pub ejection: Option<Ejection>,
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

/// `cluster`: peers that the node directory names, as they come and go. They share what a
/// `server` line would say of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamNodes {
    /// `role=`
    pub kind: NodeKind,
    /// `group=`: only nodes of this `nodeGroup`.
    pub group: Option<String>,
    /// `prefer=owner`: a request whose path names a stream goes to the node that has it, if it is
    /// one of these.
    pub prefer_owner: bool,
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
    /// `mandatory`: a peer gets nothing before its first passed check.
    pub mandatory: bool,
    /// `persistent`: but for one that was well before a reload.
    pub persistent: bool,
    /// `jitter=`: up to so much is added to each interval, by chance.
    pub jitter_ms: u64,
    /// `match=`: which answers pass.
    pub matching: Option<Arc<CheckMatch>>,
}

/// `match`: what an answer must be like to pass an HTTP check, all of it together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckMatch {
    /// `status`; without it any passes.
    pub status: Option<StatusTest>,
    /// `header`
    pub headers: Vec<HeaderTest>,
    /// `body`
    pub body: Option<BodyTest>,
}

/// `status` of a `match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusTest {
    /// `!`: none of them.
    pub not: bool,
    /// From the first to the second.
    pub ranges: Vec<(u16, u16)>,
}

/// `header` of a `match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderTest {
    /// Lower case.
    pub name: String,
    /// What is wanted of it.
    pub want: HeaderWant,
}

/// What is wanted of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderWant {
    /// That it is there.
    Present,
    /// That it is not.
    Absent,
    /// `=`
    Equal(String),
    /// `!=`
    NotEqual(String),
    /// `~`
    Matches(Regex),
    /// `!~`
    NotMatches(Regex),
}

/// `body` of a `match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyTest {
    /// `!~`
    pub not: bool,
    /// Looked for in the beginning of the body.
    pub regex: Regex,
}
