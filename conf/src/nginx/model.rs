//! The checked configuration: what the load balancer runs.
//!
//! Why plain data with everything filled in: inheritance and defaults are resolved once, while
//! loading, so that a request meets only values. Units in the names; defaults are nginx's
//! (1.31) unless a field says otherwise.

pub mod stream;
pub mod tls;

use std::path::PathBuf;

use super::addr::Addr;
use super::error::Pos;
use super::log::{AccessLog, Logs};
use super::process::Process;
use super::template::Template;

/// A whole configuration.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The main and `events` contexts.
    pub main: Main,
    /// The `http` block.
    pub http: Option<Http>,
    /// The `stream` block.
    pub stream: Option<Stream>,
    /// Files read, in order.
    pub files: Vec<PathBuf>,
    /// What nginx would print as `[warn]`.
    pub warnings: Vec<String>,
    pub(super) noops: Vec<NoOp>,
}

impl Config {
    /// The first `weir_nodes` there is: a configuration that needs the cluster's store.
    #[must_use]
    pub fn first_weir_nodes(&self) -> Option<&UpstreamNodes> {
        let http = self.http.iter().flat_map(|http| &http.upstreams);
        let stream = self.stream.iter().flat_map(|stream| &stream.upstreams);
        http.chain(stream)
            .find_map(|upstream| upstream.nodes.as_ref())
    }

    /// Directives that were accepted and have no effect, in the order they stand.
    #[must_use]
    pub fn noops(&self) -> &[NoOp] {
        &self.noops
    }
}

/// A directive that was accepted and has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoOp {
    /// The directive, with the parameter if only that has no effect.
    pub what: String,
    /// Why it has none.
    pub why: &'static str,
    /// Where it stands.
    pub pos: Pos,
}

/// Main and `events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Main {
    /// `worker_processes`; `None` is `auto`. Weir is one process: the number scales
    /// `worker_connections`, and as nginx it is the number of threads.
    pub worker_processes: Option<u32>,
    /// `worker_connections`
    pub worker_connections: u32,
    /// `worker_shutdown_timeout`
    pub shutdown_timeout_ms: Option<u64>,
    /// The process itself, for one that runs as nginx.
    pub process: Process,
}

impl Default for Main {
    fn default() -> Self {
        Self {
            worker_processes: Some(1),
            worker_connections: 512,
            shutdown_timeout_ms: None,
            process: Process::default(),
        }
    }
}

/// The `http` block.
#[derive(Debug, Clone, Default)]
pub struct Http {
    /// Named upstreams, then those that a `proxy_pass http://host:port` makes.
    pub upstreams: Vec<Upstream>,
    /// Servers in the order they stand.
    pub servers: Vec<Server>,
    /// Maps in the order they stand; one may use those before it.
    pub maps: Vec<Map>,
    /// Formats and files of access logs, for a process that runs as nginx.
    pub logs: Logs,
}

/// How a peer is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// Smooth weighted round robin.
    #[default]
    RoundRobin,
    /// Fewest active connections for the weight, ties by weighted round robin.
    LeastConn,
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
    /// Idle connections kept (`keepalive`); zero keeps none. HTTP only. nginx's default since
    /// 1.29.7.
    pub keepalive: u32,
    /// How long an idle one is kept.
    pub keepalive_timeout_ms: u64,
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

/// A `listen`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// The address.
    pub addr: Addr,
    /// `default_server`
    pub default_server: bool,
    /// `backlog=`
    pub backlog: Option<u32>,
    /// `ipv6only=`: on unless said otherwise.
    pub ipv6only: bool,
    /// `ssl`
    pub ssl: bool,
    /// `http2`, the older way to say it.
    pub http2: bool,
    /// `proxy_protocol`: each connection begins with a header that says who the client is.
    pub proxy_protocol: bool,
    /// `udp`: datagrams. `stream` only.
    pub udp: bool,
    /// Where it stands.
    pub pos: Pos,
}

/// A `server` of `http`.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where it listens, at least one.
    pub listens: Vec<Listen>,
    /// `server_name`, lower case: `a.b`, `*.b`, `.b`, `a.*`, or empty.
    pub names: Vec<String>,
    /// Locations in the order they stand.
    pub locations: Vec<Location>,
    /// A `return` of the server itself, which goes before any location.
    pub ret: Option<Return>,
    /// `client_header_timeout`
    pub client_header_timeout_ms: u64,
    /// `large_client_header_buffers`: number times size.
    pub header_bytes_max: u64,
    /// TLS on the listeners with `ssl`.
    pub tls: Option<tls::Tls>,
    /// `http2 on`, or a `listen` that says so.
    pub http2: bool,
    /// What holds where no location matches.
    pub common: Common,
    /// Where it stands.
    pub pos: Pos,
}

/// What a server and a location both have.
#[derive(Debug, Clone)]
pub struct Common {
    /// `client_max_body_size`; zero is no limit.
    pub client_max_body_bytes: u64,
    /// `client_body_timeout`: between two reads.
    pub client_body_timeout_ms: u64,
    /// `send_timeout`: between two writes.
    pub send_timeout_ms: u64,
    /// `keepalive_timeout`; zero closes after each answer.
    pub keepalive_timeout_ms: u64,
    /// `keepalive_requests`
    pub keepalive_requests: u32,
    /// `add_header`
    pub add_headers: Vec<AddHeader>,
    /// `default_type`
    pub default_type: String,
    /// Whether `access_log` is on.
    pub access_log: bool,
    /// Where requests are logged, for a process that runs as nginx.
    pub access_logs: Vec<AccessLog>,
}

/// `add_header`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddHeader {
    /// The header.
    pub name: String,
    /// Its value; an empty one adds nothing.
    pub value: Template,
    /// `always`: whatever the status.
    pub always: bool,
}

/// How a location's path is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// `=`
    Exact,
    /// No modifier.
    Prefix,
    /// `^~`: as a prefix, and no regular expression after it.
    PrefixFinal,
}

/// A `location`.
#[derive(Debug, Clone)]
pub struct Location {
    /// How `path` is compared.
    pub matching: Match,
    /// The path.
    pub path: String,
    /// What it does.
    pub action: Action,
    /// What it shares with its server.
    pub common: Common,
    /// Where it stands.
    pub pos: Pos,
}

/// What a location does.
#[derive(Debug, Clone)]
pub enum Action {
    /// `return`
    Return(Return),
    /// `proxy_pass`
    Proxy(Box<Proxy>),
}

/// `return`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Return {
    /// The status; 444 closes the connection.
    pub status: u16,
    /// The body, or where to go for 301, 302, 303, 307 and 308.
    pub text: Option<Template>,
}

/// `proxy_pass` and its family.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Which upstream, by its place in [`Http::upstreams`].
    pub upstream: usize,
    /// The path that replaces the location's, if `proxy_pass` has one.
    pub uri: Option<String>,
    /// TLS to the upstream: `https://`.
    pub tls: Option<Box<tls::ProxyTls>>,
    /// `$proxy_host`: the name as written.
    pub host: String,
    /// `$proxy_port`
    pub port: u16,
    /// `proxy_set_header`, nginx's defaults (`Host $proxy_host`) included.
    pub set_headers: Vec<(String, Template)>,
    /// `proxy_hide_header`, lower case.
    pub hide_headers: Vec<String>,
    /// `proxy_redirect`: prefixes of `Location` and what takes their place.
    pub redirects: Vec<(String, String)>,
    /// `proxy_connect_timeout`
    pub connect_timeout_ms: u64,
    /// `proxy_send_timeout`: between two writes.
    pub send_timeout_ms: u64,
    /// `proxy_read_timeout`: between two reads.
    pub read_timeout_ms: u64,
    /// `proxy_next_upstream`
    pub next: NextUpstream,
    /// `proxy_next_upstream_tries`; zero is no limit but the number of peers.
    pub next_tries: u32,
    /// `proxy_next_upstream_timeout`; zero is no limit.
    pub next_timeout_ms: u64,
}

/// When a request goes to the next peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextUpstream {
    /// `error`: could not connect, send, or read an answer's header.
    pub error: bool,
    /// `timeout`
    pub timeout: bool,
    /// `invalid_header`: an empty or malformed answer.
    pub invalid_header: bool,
    /// `non_idempotent`: also requests whose second sending may do harm.
    pub non_idempotent: bool,
    /// `http_403`, `http_404`, `http_429`, `http_500`, `http_502`, `http_503`, `http_504`
    pub statuses: Vec<u16>,
}

/// A `map` block.
#[derive(Debug, Clone)]
pub struct Map {
    /// The variable it sets, lower case, without `$`.
    pub name: String,
    /// What is looked up.
    pub source: Template,
    /// Keys, lower case, and their values.
    pub entries: Vec<(String, Template)>,
    /// The value when no key matches; empty if not given.
    pub default: Template,
}

/// The `stream` block.
#[derive(Debug, Clone, Default)]
pub struct Stream {
    /// Named upstreams, then those that a `proxy_pass host:port` makes.
    pub upstreams: Vec<Upstream>,
    /// Servers in the order they stand.
    pub servers: Vec<StreamServer>,
    /// Maps in the order they stand; one may use those before it.
    pub maps: Vec<Map>,
}

/// A `server` of `stream`.
#[derive(Debug, Clone)]
pub struct StreamServer {
    /// Where it listens, at least one.
    pub listens: Vec<Listen>,
    /// What is done with a session.
    pub action: stream::StreamAction,
    /// `ssl_preread` and its bounds.
    pub preread: stream::Preread,
    /// `proxy_requests`, `proxy_responses`
    pub datagrams: stream::Datagrams,
    /// `proxy_protocol_timeout`
    pub proxy_protocol_timeout_ms: u64,
    /// `set_real_ip_from`: whose PROXY header says who the client is.
    pub real_ip_from: Vec<stream::Who>,
    /// `allow`, `deny`; the first that fits decides.
    pub rules: Vec<stream::Rule>,
    /// TLS on the listeners with `ssl`.
    pub tls: Option<tls::Tls>,
    /// `proxy_ssl on`: TLS to the upstream.
    pub proxy_tls: Option<Box<tls::ProxyTls>>,
    /// `proxy_connect_timeout`
    pub connect_timeout_ms: u64,
    /// `proxy_timeout`: neither side sent anything for so long.
    pub idle_timeout_ms: u64,
    /// `proxy_protocol on`: begin each connection with a PROXY protocol version 1 line.
    pub proxy_protocol: bool,
    /// `proxy_next_upstream`
    pub next: bool,
    /// `proxy_next_upstream_tries`; zero is no limit but the number of peers.
    pub next_tries: u32,
    /// `proxy_next_upstream_timeout`; zero is no limit.
    pub next_timeout_ms: u64,
    /// `proxy_buffer_size`: each direction's.
    pub buffer_bytes: usize,
    /// `proxy_half_close`: each direction ends by itself.
    pub half_close: bool,
    /// Where it stands.
    pub pos: Pos,
}
