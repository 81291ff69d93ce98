//! The checked configuration: what the load balancer runs.
//!
//! Why plain data with everything filled in: inheritance and defaults are resolved once, while
//! loading, so that a request meets only values. Units in the names; defaults are nginx's
//! (1.31) unless a field says otherwise.

pub mod cache;
pub mod guard;
pub mod gzip;
pub mod names;
pub mod proxy;
pub mod stream;
pub mod tls;
pub mod upstream;
pub mod variable;
pub mod web;

pub use proxy::{NextUpstream, Proxy};
pub use stream::{Stream, StreamServer};
pub use upstream::{
    BodyTest, CheckMatch, Ejection, HeaderTest, HeaderWant, HealthCheck, Method, NodeKind,
    Resolver, RetryBudget, SameSite, StatusTest, Sticky, Until, Upstream, UpstreamNodes,
    UpstreamServer,
};

use std::path::PathBuf;

use super::addr::Addr;
use super::error::Pos;
use super::log::{AccessLog, Logs};
use super::process::Process;
use super::regex::Regex;
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
    /// `cluster_properties`, for a process that runs as nginx.
    pub cluster_properties: Option<ClusterProperties>,
    /// Files read, in order.
    pub files: Vec<PathBuf>,
    /// What nginx would print as `[warn]`.
    pub warnings: Vec<String>,
    pub(super) noops: Vec<NoOp>,
}

impl Config {
    /// The first `cluster` there is: a configuration that needs the cluster's store.
    #[must_use]
    pub fn first_cluster(&self) -> Option<&UpstreamNodes> {
        self.clusters().next()
    }

    /// Whether requests are to go to the node that has their stream.
    #[must_use]
    pub fn prefers_owners(&self) -> bool {
        self.clusters().any(|nodes| nodes.prefer_owner)
    }

    fn clusters(&self) -> impl Iterator<Item = &UpstreamNodes> {
        let http = self.http.iter().flat_map(|http| &http.upstreams);
        let stream = self.stream.iter().flat_map(|stream| &stream.upstreams);
        http.chain(stream)
            .filter_map(|upstream| upstream.nodes.as_ref())
    }

    /// Directives that were accepted and have no effect, in the order they stand.
    #[must_use]
    pub fn noops(&self) -> &[NoOp] {
        &self.noops
    }
}

/// `cluster_properties`: the node properties that say where the cluster's store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterProperties {
    /// The file; a relative one was looked for beside the main file.
    pub path: PathBuf,
    /// Where it stands.
    pub pos: Pos,
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
    /// Variables that the file makes.
    pub variables: Vec<variable::Variable>,
    /// `limit_req_zone`
    pub request_zones: Vec<guard::RequestZone>,
    /// `limit_conn_zone`
    pub connection_zones: Vec<guard::Zone>,
    /// Formats and files of access logs, for a process that runs as nginx.
    pub logs: Logs,
    /// `proxy_cache_path`
    pub caches: Vec<cache::CachePath>,
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
    /// `server_name`, lower case: `a.b`, `*.b`, `.b`, `a.*`, `~regex`, or empty.
    pub names: Vec<String>,
    /// Those of the names that are regular expressions, in order.
    pub name_regexes: Vec<Regex>,
    /// Every location in it, nested ones and those that an `if` makes too.
    pub locations: Vec<Location>,
    /// The locations that stand in the server itself, by place.
    pub roots: Vec<usize>,
    /// What the server itself rewrites, before a location is looked for.
    pub script: Vec<web::Op>,
    /// `client_header_timeout`
    pub client_header_timeout_ms: u64,
    /// `merge_slashes`
    pub merge_slashes: bool,
    /// `ignore_invalid_headers`
    pub ignore_invalid_headers: bool,
    /// `underscores_in_headers`
    pub underscores: bool,
    /// `max_headers`
    pub headers_max: usize,
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
    /// What is answered without an upstream.
    pub web: web::Web,
    /// Where requests are logged, for a process that runs as nginx.
    pub access_logs: Vec<AccessLog>,
    /// `client_body_temp_path`: where bodies lie that are too long for memory.
    pub body_temp_path: Option<PathBuf>,
    /// What holds for a client before it is served.
    pub guard: guard::Guard,
    /// Compression of answers.
    pub gzip: gzip::Gzip,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// `=`
    Exact,
    /// No modifier.
    Prefix,
    /// `^~`: as a prefix, and no regular expression after it.
    PrefixFinal,
    /// `~` or `~*`
    Regex(Regex),
    /// `@name`: only reached from inside.
    Named,
    /// What holds inside an `if`.
    If,
}

/// A `location`.
#[derive(Debug, Clone)]
pub struct Location {
    /// How `path` is compared.
    pub matching: Match,
    /// The path, the expression, or the name with its `@`; an `if` has its location's.
    pub path: String,
    /// What it does.
    pub action: Action,
    /// What it rewrites.
    pub script: Vec<web::Op>,
    /// The locations in it, by place in [`Server::locations`].
    pub children: Vec<usize>,
    /// `internal`
    pub internal: bool,
    /// What it shares with its server.
    pub common: Common,
    /// Where it stands.
    pub pos: Pos,
}

/// What a location does.
#[derive(Debug, Clone)]
pub enum Action {
    /// Files, below `root` or `alias`.
    Files,
    /// `stub_status`
    StubStatus,
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
