//! What passing a request on to an upstream may be told.

use std::net::{IpAddr, SocketAddr};

use super::super::regex::Regex;
use super::super::template::Template;
use super::cache::ProxyCache;
use super::tls::ProxyTls;
use super::upstream::Resolver;

/// `proxy_pass` and its family.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Which upstream, by its place in [`super::Http::upstreams`]; `None` if `proxy_pass` has
    /// variables.
    pub upstream: Option<usize>,
    /// The whole URL, if it has variables: worked out for each request.
    pub url: Option<Template>,
    /// The path that replaces the location's, if `proxy_pass` has one.
    pub uri: Option<String>,
    /// TLS to the upstream: `https://`, or a URL with variables that may become one.
    pub tls: Option<Box<ProxyTls>>,
    /// `$proxy_host`: the name as written.
    pub host: String,
    /// `$proxy_port`
    pub port: u16,
    /// `proxy_set_header`, nginx's defaults (`Host $proxy_host`) included.
    pub set_headers: Vec<(String, Template)>,
    /// Headers of the answer that are kept from the client, lower case: nginx's own and
    /// `proxy_hide_header`, without `proxy_pass_header`.
    pub hide_headers: Vec<String>,
    /// `proxy_redirect`: prefixes of `Location` and what takes their place.
    pub redirects: Vec<(Pattern, Template)>,
    /// How the request is sent on and the answer taken.
    pub passing: Passing,
    /// `resolver`, for names that a URL with variables comes to.
    pub resolver: Option<Resolver>,
    /// Whether and how answers are kept, or have ranges cut out of them.
    pub cache: Option<Box<ProxyCache>>,
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

/// How a request is sent on and an answer taken, beside times and tries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passing {
    /// `proxy_method`; `None` is the client's.
    pub method: Option<Template>,
    /// `proxy_http_version 1.0`
    pub http_1_0: bool,
    /// `proxy_pass_request_headers`
    pub headers: bool,
    /// `proxy_pass_request_body`
    pub body: bool,
    /// `proxy_request_buffering`: the body is read whole before an upstream is chosen.
    pub request_buffering: bool,
    /// `proxy_set_body`: what is sent in place of the client's body.
    pub set_body: Option<Template>,
    /// `proxy_limit_rate`: bytes a second from the upstream; zero is no limit.
    pub limit_rate: Rate,
    /// `proxy_bind`: the address connections come from.
    pub bind: Option<Bind>,
    /// `proxy_socket_keepalive`
    pub socket_keepalive: bool,
    /// `proxy_ignore_headers`, lower case.
    pub ignore_headers: Vec<String>,
    /// `proxy_cookie_domain`: domains and what takes their place.
    pub cookie_domains: Vec<(Pattern, Template)>,
    /// `proxy_cookie_path`: beginnings of paths and what takes their place.
    pub cookie_paths: Vec<(Pattern, Template)>,
    /// `proxy_cookie_flags`: names and what their cookies get.
    pub cookie_flags: Vec<(Pattern, Flags)>,
}

impl Default for Passing {
    fn default() -> Self {
        Self {
            method: None,
            http_1_0: false,
            headers: true,
            body: true,
            request_buffering: true,
            set_body: None,
            limit_rate: Rate::Fixed(0),
            bind: None,
            socket_keepalive: false,
            ignore_headers: Vec::new(),
            cookie_domains: Vec::new(),
            cookie_paths: Vec::new(),
            cookie_flags: Vec::new(),
        }
    }
}

/// `proxy_limit_rate`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rate {
    /// Bytes a second; zero is no limit.
    Fixed(u64),
    /// Worked out for each answer.
    Variable(Template),
}

/// `proxy_bind`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bind {
    /// Port zero is any.
    Fixed(SocketAddr),
    /// Worked out for each try; what is no address binds nothing.
    Variable(Template),
}

impl Bind {
    /// An address with or without a port, IPv6 in brackets or bare.
    #[must_use]
    pub fn addr(text: &str) -> Option<SocketAddr> {
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        let ip = bare.parse().map(|ip: IpAddr| (ip, 0).into());
        ip.or_else(|_| text.parse()).ok()
    }
}

/// What is looked for in an answer's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// A text: a beginning, or the whole where one thing is meant.
    Text(Template),
    /// `~` or `~*`: an expression, which takes the place of the whole value it matches in.
    Regex(Regex),
}

/// The words of a `proxy_cookie_flags`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flags {
    /// Known while loading.
    Fixed(CookieFlags),
    /// Some have variables: worked out for each answer, and left out if they are none.
    Words(Vec<Template>),
}

/// What `proxy_cookie_flags` puts on a cookie or takes off it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CookieFlags {
    /// `secure`, `nosecure`
    pub secure: Option<bool>,
    /// `httponly`, `nohttponly`
    pub http_only: Option<bool>,
    /// `samesite=…`, `nosamesite`: the empty one is taken off.
    pub same_site: Option<String>,
}

impl CookieFlags {
    /// Takes in a word. False if it is none.
    pub fn set(&mut self, word: &str) -> bool {
        match word {
            "secure" => self.secure = Some(true),
            "nosecure" => self.secure = Some(false),
            "httponly" => self.http_only = Some(true),
            "nohttponly" => self.http_only = Some(false),
            "nosamesite" => self.same_site = Some(String::new()),
            "samesite=strict" => self.same_site = Some("Strict".to_owned()),
            "samesite=lax" => self.same_site = Some("Lax".to_owned()),
            "samesite=none" => self.same_site = Some("None".to_owned()),
            _ => return false,
        }
        true
    }
}
