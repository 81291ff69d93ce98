//! The servers that listen on one address of `stream`, told apart by the name a TLS client asks
//! for: `server_name`.

use std::sync::Arc;

use weir_conf::nginx::Addr;
use weir_conf::nginx::model::{Listen, Stream};
use weir_conf::nginx::regex::Regex;

use super::TcpServer;
use crate::http::Hosts;

/// An address and who serves there, at least one.
#[derive(Debug)]
pub(crate) struct StreamDoor {
    pub(crate) listen: Listen,
    servers: Vec<Arc<TcpServer>>,
    hosts: Hosts,
}

impl StreamDoor {
    /// The doors of a block, each address once, in the order of the file; `servers` are its.
    pub(crate) fn plan(stream: &Stream, servers: &[Arc<TcpServer>]) -> Vec<Self> {
        let mut order: Vec<(Listen, Vec<(usize, bool)>)> = Vec::new();
        for (place, server) in stream.servers.iter().enumerate() {
            for listen in &server.listens {
                let same = |(other, _): &&mut (Listen, Vec<_>)| {
                    other.addr == listen.addr && other.udp == listen.udp && !is_any(&listen.addr)
                };
                let user = (place, listen.default_server);
                match order.iter_mut().find(same) {
                    Some((known, users)) => {
                        known.ssl |= listen.ssl;
                        known.proxy_protocol |= listen.proxy_protocol;
                        users.push(user);
                    }
                    None => order.push((listen.clone(), vec![user])),
                }
            }
        }
        let doors = order.into_iter().map(|(listen, users)| {
            let of = |place: usize| {
                let server = stream.servers.get(place);
                server.map(|it| (it.names.as_slice(), it.name_regexes.as_slice()))
            };
            let mut named = Vec::new();
            let mut here = Vec::new();
            for (place, default) in users {
                if let (Some(names), Some(server)) = (of(place), servers.get(place)) {
                    named.push((here.len(), names, default));
                    here.push(Arc::clone(server));
                }
            }
            Self {
                listen,
                servers: here,
                hosts: Hosts::of(named),
            }
        });
        doors.collect()
    }

    /// Who serves before a name is known.
    pub(crate) fn default_server(&self) -> Option<&Arc<TcpServer>> {
        self.servers.get(self.hosts.default_server())
    }

    /// Who serves a name, lower case, and the expression that led there.
    pub(super) fn find(&self, name: &str) -> (Option<&Arc<TcpServer>>, Option<&Regex>) {
        let (place, regex) = self.hosts.find(name);
        (self.servers.get(place), regex)
    }
}

/// Port 0 is another port each time.
fn is_any(addr: &Addr) -> bool {
    matches!(addr, Addr::Inet(addr) if addr.port() == 0)
}
