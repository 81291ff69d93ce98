//! What holds for a client before it is served, and how fast it is answered: who it is taken for,
//! how much it may ask.

use std::sync::Arc;

use super::stream::Who;
use super::web::Target;
use crate::nginx::process::LogLevel;
use crate::nginx::template::Template;

/// The values of one place.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// `set_real_ip_from` and what belongs to it; `None` if nobody is believed.
    pub real_ip: Option<Arc<RealIp>>,
    /// `limit_req`
    pub requests: Limits<LimitReq>,
    /// `limit_conn`
    pub connections: Limits<LimitConn>,
    /// `auth_request`: the path that is asked.
    pub auth_request: Option<String>,
    /// `auth_request_set`: what is kept of its answer.
    pub auth_sets: Vec<(Target, Template)>,
    /// `auth_delay`: how long a 401 waits.
    pub auth_delay_ms: u64,
    /// `keepalive_time`: how old a connection becomes.
    pub keepalive_time_ms: u64,
    /// `keepalive_disable`
    pub keepalive_disable: KeepaliveDisable,
    /// The second word of `keepalive_timeout`, for `Keep-Alive`; zero is no such header.
    pub keepalive_header_s: u64,
    /// `limit_rate`, in bytes a second; none or zero is no limit.
    pub rate: Option<Template>,
    /// `limit_rate_after`, in bytes.
    pub rate_after: Option<Template>,
}

/// `keepalive_disable`: whose connections are not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeepaliveDisable {
    /// Old Internet Explorers, after a POST.
    pub msie6: bool,
    /// Safari and what is like it on macOS.
    pub safari: bool,
}

/// Who is believed about a client's address, and how it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealIp {
    /// `set_real_ip_from`
    pub from: Vec<Who>,
    /// `real_ip_header`
    pub told_by: ToldBy,
    /// `real_ip_recursive`: the last address that nobody is believed at.
    pub recursive: bool,
}

/// Where a client's address is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToldBy {
    /// A header, lower case: the address, or a list of which the last counts.
    Header(String),
    /// `proxy_protocol`: the header before the first request.
    ProxyProtocol,
}

/// Limits of one kind, and what is done when they are met.
#[derive(Debug, Clone)]
pub struct Limits<L> {
    /// The limits in order.
    pub all: Vec<L>,
    /// The status of what is refused.
    pub status: u16,
    /// How important that is.
    pub log_level: LogLevel,
    /// Only say what would be done.
    pub dry_run: bool,
}

impl<L> Default for Limits<L> {
    fn default() -> Self {
        Self {
            all: Vec::new(),
            status: 503,
            log_level: LogLevel::Error,
            dry_run: false,
        }
    }
}

/// A `limit_req`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitReq {
    /// The zone, by its place in [`super::Http::request_zones`].
    pub zone: usize,
    /// `burst`, in thousandths of a request.
    pub burst_milli: u64,
    /// `delay`, in thousandths of a request: from there on requests wait; `None` is `nodelay`.
    pub delay_milli: Option<u64>,
}

/// A `limit_conn`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitConn {
    /// The zone, by its place in [`super::Http::connection_zones`].
    pub zone: usize,
    /// Requests in hand at a time.
    pub max: u32,
}

/// A `limit_req_zone`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestZone {
    /// Key and size.
    pub zone: Zone,
    /// `rate`, in thousandths of a request a second.
    pub rate_milli: u64,
}

/// Where figures are kept by key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Its name.
    pub name: String,
    /// What is counted by; requests whose key is empty are not.
    pub key: Template,
    /// The most memory it takes, about.
    pub bytes_max: u64,
}

impl RealIp {
    /// Whether a client's word is taken; `None` is one on a unix socket.
    #[must_use]
    pub fn believes(&self, client: Option<std::net::IpAddr>) -> bool {
        let client = client.map(|addr| addr.to_canonical());
        self.from.iter().any(|who| match (who, client) {
            (Who::All, _) | (Who::Unix, None) => true,
            (Who::Net(net), Some(client)) => net.contains(&client),
            _ => false,
        })
    }
}
