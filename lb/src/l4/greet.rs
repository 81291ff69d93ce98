//! What comes before a session: the PROXY header, whether the client may, TLS, the preread.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use weir_conf::nginx::model::stream::{Preread, Rule, Who};

use super::TcpServer;
use super::door::StreamDoor;
use super::hello::{self, Step};
use super::session::Session;
use crate::io::Io;
use crate::listen::Accepted;
use crate::proxy_protocol;
use crate::tls::Hello;

/// A session that is not to be: what `$status` says, and why.
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) why: std::io::Error,
}

impl Refused {
    fn new(status: u16, why: impl Into<std::io::Error>) -> Self {
        let why = why.into();
        Self { status, why }
    }

    fn because(status: u16, why: &'static str) -> Self {
        Self::new(status, std::io::Error::other(why))
    }
}

/// A connection as it comes in; what is known of it is written into `session`.
pub(super) struct Greeting<'a> {
    pub(super) door: &'a StreamDoor,
    pub(super) server: Arc<TcpServer>,
    pub(super) session: &'a mut Session,
}

impl Greeting<'_> {
    /// Greets a client as its listener and server say. [`Self::server`] is then who serves it.
    pub(super) async fn greet(&mut self, accepted: Accepted) -> Result<Io, Refused> {
        let Accepted { mut io, permit, .. } = accepted;
        self.session.permit = Some(permit);
        self.named();
        if self.door.listen.proxy_protocol {
            self.read_proxy_header(&mut io).await?;
        }
        if !allowed(&self.server.model.rules, self.session.client) {
            return Err(Refused::because(403, "access forbidden by rule"));
        }
        if self.door.listen.ssl {
            io = self.secure(io).await?;
        }
        if self.server.model.preread.ssl {
            self.preread(&mut io).await?;
        }
        Ok(io)
    }

    async fn read_proxy_header(&mut self, io: &mut Io) -> Result<(), Refused> {
        let limit = Duration::from_millis(self.server.model.proxy_protocol_timeout_ms);
        let told = within(limit, proxy_protocol::read(io)).await;
        let told = told.map_err(|error| Refused::new(quiet(&error, 400), error))?;
        self.session.told = told;
        if let Some(told) = &self.session.told
            && believed(&self.server.model.real_ip_from, self.session.peer)
        {
            self.session.client = Some(told.client);
        }
        Ok(())
    }

    /// The handshake, with the certificate of the server that the client names.
    async fn secure(&mut self, io: Io) -> Result<Io, Refused> {
        let timeout = |server: &TcpServer| server.tls.as_ref().map(|tls| tls.handshake_timeout);
        let limit = timeout(&self.server).unwrap_or(Duration::from_secs(60));
        let default = Arc::clone(&self.server);
        let work = async {
            let hello = Hello::read(io).await?;
            let name = hello.server_name().unwrap_or_default();
            self.serve_name(&name);
            let tls = self.server.tls.as_ref().or(default.tls.as_ref());
            let Some(tls) = tls else {
                return Err(std::io::Error::other("no \"ssl_certificate\" is defined"));
            };
            hello.finish(tls).await
        };
        let (io, info) = within(limit, work)
            .await
            .map_err(|error| Refused::new(500, error))?;
        if info.refused {
            return Err(Refused::because(
                400,
                if info.has_client_certificate() {
                    "client SSL certificate verify error"
                } else {
                    "client sent no required SSL certificate"
                },
            ));
        }
        self.session.tls = Some(info);
        Ok(io)
    }

    /// Reads a ClientHello, which stays to be passed on.
    async fn preread(&mut self, io: &mut Io) -> Result<(), Refused> {
        let found = preread(io, self.server.model.preread).await;
        let found = found.map_err(|error| Refused::new(quiet(&error, 400), error))?;
        let name = found.as_ref().map(|hello| hello.server_name.clone());
        self.session.hello = found;
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            self.serve_name(&name);
        }
        Ok(())
    }

    /// Goes over to the server of a name.
    fn serve_name(&mut self, name: &str) {
        let (found, regex) = self.door.find(name);
        if let Some(server) = found {
            self.server = Arc::clone(server);
        }
        if let Some(regex) = regex {
            let variables = &self.server.shared.variables;
            self.session.take(regex, name.as_bytes(), variables);
        }
        self.named();
    }

    fn named(&mut self) {
        let name = self.server.model.names.first();
        let name = name.map_or("", |name| name.strip_prefix('.').unwrap_or(name));
        name.clone_into(&mut self.session.server_name);
    }
}

/// A client that says nothing, or goes, is no fault.
fn quiet(error: &std::io::Error, status: u16) -> u16 {
    match error.kind() {
        std::io::ErrorKind::TimedOut | std::io::ErrorKind::UnexpectedEof => 200,
        _ => status,
    }
}

/// The first rule that is about a client decides; without one it may.
pub(super) fn allowed(rules: &[Rule], client: Option<SocketAddr>) -> bool {
    let client = client.map(|addr| addr.ip());
    let rule = rules.iter().find(|rule| rule.is_about(client));
    rule.is_none_or(|rule| rule.allow)
}

/// Whether what this peer's PROXY header says of the client is taken.
fn believed(trusted: &[Who], peer: Option<SocketAddr>) -> bool {
    trusted.iter().any(|who| match (who, peer) {
        (Who::Net(net), Some(peer)) => net.contains(&peer.ip()),
        (Who::Unix, None) | (Who::All, _) => true,
        _ => false,
    })
}

async fn preread(io: &mut Io, bounds: Preread) -> std::io::Result<Option<hello::ClientHello>> {
    let work = async {
        let mut bytes = Vec::new();
        let found = loop {
            if io.read_more(&mut bytes, bounds.buffer_bytes).await? == 0 {
                if bytes.len() >= bounds.buffer_bytes {
                    return Err(std::io::Error::other("preread buffer full"));
                }
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            match hello::parse(&bytes) {
                Ok(Step::More) => {}
                Ok(Step::Done(hello)) => break Some(hello),
                Err(hello::NotTls) => break None,
            }
        };
        io.unread(bytes);
        Ok(found)
    };
    within(Duration::from_millis(bounds.timeout_ms), work).await
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = std::io::Result<T>>,
) -> std::io::Result<T> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}
