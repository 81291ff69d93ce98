//! What holds for a client before it is served: who it is taken for.

use std::sync::Arc;

use super::stream::Who;

/// The values of one place.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// `set_real_ip_from` and what belongs to it; `None` if nobody is believed.
    pub real_ip: Option<Arc<RealIp>>,
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
