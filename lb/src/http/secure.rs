//! TLS to upstreams: `proxy_pass https://…`.
//!
//! Why beside Pingora's own: it can neither leave the name out, nor choose versions and ciphers,
//! nor take a version 1 certificate; and it builds its settings anew for each connection. This
//! hands it a connection with TLS already on it.
//!
//! Limit: Pingora knows such a connection by no file, and so keeps none for the next request;
//! sessions are resumed instead (`proxy_ssl_session_reuse`).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::connectors::L4Connect;
use pingora::protocols::l4::socket::SocketAddr as PeerAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora::{Error, ErrorType, OrErr as _};
use weir_conf::nginx::Addr;

use crate::io::Io;
use crate::tls::TlsClient;

/// Connects for Pingora.
#[derive(Debug)]
pub(crate) struct Secure {
    pub(crate) client: Arc<TlsClient>,
    /// For the connection and the handshake together.
    pub(crate) limit: Duration,
    /// `proxy_bind`
    pub(crate) bind: Option<SocketAddr>,
    /// `proxy_socket_keepalive`
    pub(crate) keepalive: bool,
}

impl Secure {
    /// The same for the host of a URL that a request made, from an address of ours.
    pub(crate) fn made_for(&self, host: Option<&str>, bind: Option<SocketAddr>) -> Self {
        Self {
            client: match host {
                Some(host) => Arc::new(self.client.for_host(host)),
                None => Arc::clone(&self.client),
            },
            limit: self.limit,
            bind,
            keepalive: self.keepalive,
        }
    }
}

#[async_trait]
impl L4Connect for Secure {
    async fn connect(&self, addr: &PeerAddr) -> pingora::Result<Stream> {
        let addr = match addr {
            PeerAddr::Inet(addr) => Addr::Inet(*addr),
            PeerAddr::Unix(addr) => {
                let path = addr.as_pathname().map(std::path::Path::to_path_buf);
                Addr::Unix(path.unwrap_or_default())
            }
        };
        let connect = async {
            let io = Io::connect_from(&addr, self.bind, self.keepalive)
                .await
                .or_err(ErrorType::ConnectError, "connect() failed")?;
            self.client
                .connect(io)
                .await
                .or_err(ErrorType::TLSHandshakeFailure, "SSL handshake failed")
        };
        let io = match tokio::time::timeout(self.limit, connect).await {
            Ok(result) => result?,
            Err(_) => return Error::e_explain(ErrorType::ConnectTimedout, "no connection in time"),
        };
        Ok(VirtualSocketStream::new(Box::new(io)).into())
    }
}

impl VirtualSocket for Io {
    /// All that Pingora asks for is set when connecting.
    fn set_socket_option(&self, _: VirtualSockOpt) -> std::io::Result<()> {
        Ok(())
    }
}
