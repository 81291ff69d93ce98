//! What is known of a session, and nginx's own variables of it.

use std::io::Write as _;
use std::net::SocketAddr;

use tokio::sync::OwnedSemaphorePermit;
use weir_conf::nginx::model::stream::StreamVar;
use weir_conf::nginx::model::variable::Variable;
use weir_conf::nginx::template::{Template, Var};

use super::hello::ClientHello;
use super::vars::Values;
use crate::proxy_protocol::Told;
use crate::tls::TlsInfo;

/// A session of the `stream` block.
#[derive(Debug)]
pub(super) struct Session {
    /// `$remote_addr`: who the client is taken for.
    pub(super) client: Option<SocketAddr>,
    /// Where it came to.
    pub(super) local: Option<SocketAddr>,
    /// `$protocol`
    protocol: &'static str,
    /// What a PROXY header told.
    pub(super) told: Option<Told>,
    pub(super) tls: Option<TlsInfo>,
    pub(super) hello: Option<ClientHello>,
    /// Its place among the connections.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

impl Session {
    pub(super) fn new(
        client: Option<SocketAddr>,
        local: Option<SocketAddr>,
        protocol: &'static str,
    ) -> Self {
        Self {
            client,
            local,
            protocol,
            told: None,
            tls: None,
            hello: None,
            permit: None,
        }
    }

    /// The client for the log.
    pub(super) fn name(&self) -> String {
        self.client
            .map_or_else(|| "unix:".to_owned(), |addr| addr.to_string())
    }

    /// A value with variables, those of the file's `variables` too.
    pub(super) fn value(&self, template: &Template, variables: &[Variable]) -> Vec<u8> {
        Values::new(self, variables).value(template)
    }

    /// A variable of nginx's own.
    pub(super) fn variable(&self, var: &Var, out: &mut Vec<u8>) {
        let told = self.told;
        match var {
            Var::RemoteAddr => match self.client {
                Some(addr) => write(out, Some(addr.ip())),
                None => out.extend_from_slice(b"unix:"),
            },
            Var::RemotePort => write(out, self.client.map(|addr| addr.port())),
            Var::ServerAddr => write(out, self.local.map(|addr| addr.ip())),
            Var::ServerPort => write(out, self.local.map(|addr| addr.port())),
            Var::Pid => write(out, Some(std::process::id())),
            Var::Ssl(var) => {
                if let Some(tls) = &self.tls {
                    tls.write(*var, out);
                }
            }
            Var::Stream(var) => match var {
                StreamVar::Protocol => out.extend_from_slice(self.protocol.as_bytes()),
                StreamVar::ProxyProtocolAddr => write(out, told.map(|it| it.client.ip())),
                StreamVar::ProxyProtocolPort => write(out, told.map(|it| it.client.port())),
                StreamVar::ProxyProtocolServerAddr => write(out, told.map(|it| it.server.ip())),
                StreamVar::ProxyProtocolServerPort => write(out, told.map(|it| it.server.port())),
                StreamVar::SslPrereadServerName
                | StreamVar::SslPrereadProtocol
                | StreamVar::SslPrereadAlpnProtocols => {
                    if let Some(hello) = &self.hello {
                        out.extend_from_slice(match var {
                            StreamVar::SslPrereadServerName => hello.server_name.as_bytes(),
                            StreamVar::SslPrereadProtocol => hello.protocol.as_bytes(),
                            _ => &hello.alpn_protocols,
                        });
                    }
                }
            },
            // Refused while loading.
            _ => {}
        }
    }
}

fn write(out: &mut Vec<u8>, value: Option<impl std::fmt::Display>) {
    if let Some(value) = value {
        // Writing to a Vec does not fail.
        let _ = write!(out, "{value}");
    }
}
