//! The `stream` block, and what a `server` of it does with a session.

use std::net::IpAddr;

use ipnet::IpNet;

use super::super::error::Pos;
use super::super::regex::Regex;
use super::super::template::Template;
use super::tls::{ProxyTls, Tls};
use super::variable::Variable;
use super::{Listen, Upstream};

/// The `stream` block.
#[derive(Debug, Clone, Default)]
pub struct Stream {
    /// Named upstreams, then those that a `proxy_pass host:port` makes.
    pub upstreams: Vec<Upstream>,
    /// Servers in the order they stand.
    pub servers: Vec<StreamServer>,
    /// Variables that the file makes.
    pub variables: Vec<Variable>,
}

/// A `server` of `stream`.
#[derive(Debug, Clone)]
pub struct StreamServer {
    /// Where it listens, at least one.
    pub listens: Vec<Listen>,
    /// `server_name`, lower case: `a.b`, `*.b`, `.b`, `a.*`, `~regex`, or empty.
    pub names: Vec<String>,
    /// Those of the names that are regular expressions, in order.
    pub name_regexes: Vec<Regex>,
    /// `set`: the variable, by its place in [`Stream::variables`], and its value; in order.
    pub sets: Vec<(usize, Template)>,
    /// What is done with a session.
    pub action: StreamAction,
    /// `ssl_preread` and its bounds.
    pub preread: Preread,
    /// `proxy_requests`, `proxy_responses`
    pub datagrams: Datagrams,
    /// `proxy_protocol_timeout`
    pub proxy_protocol_timeout_ms: u64,
    /// `set_real_ip_from`: whose PROXY header says who the client is.
    pub real_ip_from: Vec<Who>,
    /// `allow`, `deny`; the first that fits decides.
    pub rules: Vec<Rule>,
    /// TLS on the listeners with `ssl`.
    pub tls: Option<Tls>,
    /// `proxy_ssl on`: TLS to the upstream.
    pub proxy_tls: Option<Box<ProxyTls>>,
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
    /// `proxy_bind`: the address connections to the upstream come from; `None` leaves it to the
    /// system.
    pub bind: Option<Template>,
    /// `proxy_socket_keepalive`
    pub socket_keepalive: bool,
    /// `proxy_upload_rate`: bytes a second from the client; zero is no limit.
    pub upload_rate: Option<Template>,
    /// `proxy_download_rate`: bytes a second from the upstream; zero is no limit.
    pub download_rate: Option<Template>,
    /// Where it stands.
    pub pos: Pos,
}

/// Where a session goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamAction {
    /// `proxy_pass` to the upstream in this place of [`super::Stream::upstreams`].
    Proxy(usize),
    /// `proxy_pass` with variables: the name of an upstream, or an address with its port.
    ProxyTo(Template),
    /// `return`: this and the end.
    Return(Template),
    /// `pass`: to the server that listens on this address, without a connection to it.
    Pass(Template),
}

/// `ssl_preread` and what bounds reading before a session begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preread {
    /// `ssl_preread on`
    pub ssl: bool,
    /// `preread_buffer_size`
    pub buffer_bytes: usize,
    /// `preread_timeout`
    pub timeout_ms: u64,
}

/// The sizes of a UDP session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagrams {
    /// `proxy_requests`: datagrams of a client after which it begins a new session; zero is no
    /// limit.
    pub requests: u32,
    /// `proxy_responses`: datagrams of the peer after which the session ends; `None` is no limit.
    pub responses: Option<u32>,
}

/// An `allow` or a `deny`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// `allow`
    pub allow: bool,
    /// Whom it is about.
    pub who: Who,
}

/// Whom a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// `all`
    All,
    /// `unix:`
    Unix,
    /// An address or a network.
    Net(IpNet),
}

impl Rule {
    /// Whether it speaks of this client; `None` is one on a unix socket.
    #[must_use]
    pub fn is_about(&self, client: Option<IpAddr>) -> bool {
        match (&self.who, client) {
            (Who::All, _) | (Who::Unix, None) => true,
            (Who::Net(net), Some(client)) => net.contains(&client),
            _ => false,
        }
    }
}

/// The variables that only `stream` has, and those of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is nginx's variable of that name")]
pub enum StreamVar {
    SslPrereadServerName,
    SslPrereadProtocol,
    SslPrereadAlpnProtocols,
    Protocol,
    BytesReceived,
    SessionTime,
    UpstreamFirstByteTime,
    UpstreamSessionTime,
    ProxyProtocolAddr,
    ProxyProtocolPort,
    ProxyProtocolServerAddr,
    ProxyProtocolServerPort,
}

impl StreamVar {
    /// By its name without `$`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "ssl_preread_server_name" => Self::SslPrereadServerName,
            "ssl_preread_protocol" => Self::SslPrereadProtocol,
            "ssl_preread_alpn_protocols" => Self::SslPrereadAlpnProtocols,
            "protocol" => Self::Protocol,
            "bytes_received" => Self::BytesReceived,
            "session_time" => Self::SessionTime,
            "upstream_first_byte_time" => Self::UpstreamFirstByteTime,
            "upstream_session_time" => Self::UpstreamSessionTime,
            "proxy_protocol_addr" => Self::ProxyProtocolAddr,
            "proxy_protocol_port" => Self::ProxyProtocolPort,
            "proxy_protocol_server_addr" => Self::ProxyProtocolServerAddr,
            "proxy_protocol_server_port" => Self::ProxyProtocolServerPort,
            _ => return None,
        })
    }

    /// Whether `http` has it too.
    #[must_use]
    pub fn is_in_http(self) -> bool {
        matches!(
            self,
            Self::ProxyProtocolAddr
                | Self::ProxyProtocolPort
                | Self::ProxyProtocolServerAddr
                | Self::ProxyProtocolServerPort
        )
    }
}
