//! What comes before a session: the PROXY header, whether the client may, TLS, the preread.

use std::net::SocketAddr;
use std::time::Duration;

use weir_conf::nginx::model::stream::{Preread, Rule, Who};

use super::TcpServer;
use super::hello::{self, Step};
use super::session::Session;
use crate::io::Io;
use crate::listen::Accepted;
use crate::proxy_protocol;
use crate::tls::Hello;

/// Greets a client as its listener and server say, and gives what is known of it.
pub(super) async fn greet(
    server: &TcpServer,
    accepted: Accepted,
    (ssl, proxy_protocol): (bool, bool),
) -> std::io::Result<(Io, Session)> {
    let Accepted {
        mut io,
        remote,
        local,
        permit,
    } = accepted;
    let mut session = Session::new(remote, local, "TCP");
    session.permit = Some(permit);
    if proxy_protocol {
        let limit = Duration::from_millis(server.model.proxy_protocol_timeout_ms);
        session.told = within(limit, proxy_protocol::read(&mut io)).await?;
        if let Some(told) = session.told
            && believed(&server.model.real_ip_from, remote)
        {
            session.client = Some(told.client);
        }
    }
    if !allowed(&server.model.rules, session.client) {
        return Err(std::io::Error::other("access forbidden by rule"));
    }
    if ssl && let Some(tls) = &server.tls {
        let work = async { Hello::read(io).await?.finish(tls).await };
        let (secured, info) = within(tls.handshake_timeout, work).await?;
        if info.refused {
            return Err(std::io::Error::other(if info.has_client_certificate() {
                "client SSL certificate verify error"
            } else {
                "client sent no required SSL certificate"
            }));
        }
        io = secured;
        session.tls = Some(info);
    }
    if server.model.preread.ssl {
        session.hello = preread(&mut io, server.model.preread).await?;
    }
    Ok((io, session))
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

/// Reads a ClientHello, which stays to be passed on.
async fn preread(io: &mut Io, bounds: Preread) -> std::io::Result<Option<hello::ClientHello>> {
    let work = async {
        let mut bytes = Vec::new();
        let found = loop {
            if io.read_more(&mut bytes, bounds.buffer_bytes).await? == 0 {
                if bytes.len() >= bounds.buffer_bytes {
                    return Err(std::io::Error::other("preread buffer full"));
                }
                break None;
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
