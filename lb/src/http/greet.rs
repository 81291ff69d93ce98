//! What comes before the first request: the PROXY header, TLS, and which HTTP it is.

use std::time::Duration;

use weir_conf::nginx::model::Listen;

use super::conn::Secured;
use super::route::Hosts;
use super::site::Site;
use crate::io::Io;
use crate::proxy_protocol::{self, Told};
use crate::tls::Hello;

/// How a client of HTTP/2 begins (RFC 9113 section 3.4).
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How a client of TLS begins: a handshake record.
const TLS_HANDSHAKE: u8 = 22;

/// A connection about to serve.
pub(super) struct Greeted {
    pub(super) io: Io,
    pub(super) told: Option<Told>,
    pub(super) tls: Option<Secured>,
    pub(super) plain_on_tls: bool,
    pub(super) is_h2: bool,
}

/// Greets a client as the listener says.
pub(super) async fn greet(
    mut io: Io,
    listen: &Listen,
    hosts: &Hosts,
    site: &Site,
    limit: Duration,
) -> std::io::Result<Greeted> {
    let work = async move {
        let told = if listen.proxy_protocol {
            proxy_protocol::read(&mut io).await?
        } else {
            None
        };
        let mut greeted = Greeted {
            io,
            told,
            tls: None,
            plain_on_tls: false,
            is_h2: false,
        };
        if listen.ssl {
            greeted = secure(greeted, hosts, site).await?;
        } else if listen.http2 {
            greeted.is_h2 = begins(&mut greeted.io, H2_PREFACE).await?;
        }
        Ok(greeted)
    };
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

/// The handshake, with the server that the client names.
async fn secure(mut greeted: Greeted, hosts: &Hosts, site: &Site) -> std::io::Result<Greeted> {
    if !begins(&mut greeted.io, &[TLS_HANDSHAKE]).await? {
        greeted.plain_on_tls = true;
        return Ok(greeted);
    }
    let hello = Hello::read(greeted.io).await?;
    let name = hello.server_name().unwrap_or_default();
    let tls_of = |place: usize| Some((place, site.servers.get(place)?.tls.as_ref()?));
    // One without a certificate of its own has the default server's.
    let found = hosts.find(&name).0;
    let default = || tls_of(hosts.default_server()).map(|(_, tls)| (found, tls));
    let Some((server, tls)) = tls_of(found).or_else(default) else {
        return Err(std::io::Error::other(
            "no \"ssl_certificate\" is defined in server",
        ));
    };
    let (io, info) = hello.finish(tls).await?;
    greeted.io = io;
    greeted.is_h2 = info.is_h2();
    greeted.tls = Some(Secured { info, server });
    Ok(greeted)
}

/// Whether a connection begins with these bytes; they stay to be read.
async fn begins(io: &mut Io, wanted: &[u8]) -> std::io::Result<bool> {
    let mut bytes = Vec::with_capacity(wanted.len());
    while bytes.len() < wanted.len() && wanted.starts_with(&bytes) {
        if io.read_more(&mut bytes, wanted.len()).await? == 0 {
            break;
        }
    }
    let fits = bytes == wanted;
    io.unread(bytes);
    Ok(fits)
}
