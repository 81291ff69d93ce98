//! Listening sockets and the loops that accept on them.
//!
//! Why one loop for HTTP and TCP: the limit on connections, the stop, and what to do when the
//! system runs out of files are the same. Limits: [`crate::LbOptions::connections_max`] over all
//! listeners of a kind; beyond it a connection is closed at once, as nginx does without free
//! `worker_connections`. Failures at bind are typed; failures to accept are logged and waited out.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use weir_conf::nginx::Addr;
use weir_conf::nginx::model::Listen;

use crate::error::LbError;
use crate::io::Io;
use crate::metrics::{ListenerMetrics, Metrics};

/// nginx's `NGX_LISTEN_BACKLOG`.
const BACKLOG_DEFAULT: u32 = 511;

/// How long to wait when a connection cannot be accepted (files used up, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A connection that came in.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) io: Io,
    pub(crate) remote: Option<SocketAddr>,
    pub(crate) local: Option<SocketAddr>,
    /// Whether TLS is spoken here.
    pub(crate) ssl: bool,
    /// Whether a PROXY header comes first.
    pub(crate) proxy_protocol: bool,
    /// Counts against the limit for as long as it lives.
    pub(crate) permit: OwnedSemaphorePermit,
}

/// A bound socket.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Bound,
    /// The address it has, the port chosen by the system filled in.
    pub(crate) addr: Addr,
    ssl: bool,
    proxy_protocol: bool,
    pub(crate) metrics: ListenerMetrics,
}

#[derive(Debug)]
enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Drop for Bound {
    /// The path of a unix socket goes with it, as nginx's does.
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Binds one address. Needs a tokio runtime.
pub(crate) fn bind(listen: &Listen, metrics: &Metrics) -> Result<Listener, LbError> {
    let fail = |source| LbError::Bind {
        addr: listen.addr.to_string(),
        at: listen.pos.clone(),
        source,
    };
    let socket = match &listen.addr {
        Addr::Inet(addr) => Bound::Tcp(bind_tcp(*addr, listen).map_err(fail)?),
        Addr::Unix(path) => {
            remove_stale(path);
            Bound::Unix(UnixListener::bind(path).map_err(fail)?, path.clone())
        }
    };
    let addr = match &socket {
        Bound::Tcp(listener) => Addr::Inet(listener.local_addr().map_err(fail)?),
        Bound::Unix(..) => listen.addr.clone(),
    };
    let metrics = metrics.listener(&addr.to_string());
    Ok(Listener {
        socket,
        addr,
        ssl: listen.ssl,
        proxy_protocol: listen.proxy_protocol,
        metrics,
    })
}

/// Binds one address for datagrams. Needs a tokio runtime.
pub(crate) fn bind_udp(listen: &Listen) -> Result<UdpSocket, LbError> {
    let bound = match &listen.addr {
        Addr::Inet(addr) => udp(*addr, listen),
        Addr::Unix(_) => Err(std::io::ErrorKind::Unsupported.into()),
    };
    bound.map_err(|source| LbError::Bind {
        addr: listen.addr.to_string(),
        at: listen.pos.clone(),
        source,
    })
}

fn udp(addr: SocketAddr, listen: &Listen) -> std::io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(listen.ipv6only)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    UdpSocket::from_std(socket.into())
}

fn bind_tcp(addr: SocketAddr, listen: &Listen) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(listen.ipv6only)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    let backlog = listen.backlog.unwrap_or(BACKLOG_DEFAULT);
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    TcpListener::from_std(socket.into())
}

/// A socket file nobody listens on is left from a process that was killed.
fn remove_stale(path: &std::path::Path) {
    let refused = std::os::unix::net::UnixStream::connect(path)
        .is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused);
    if refused {
        let _ = std::fs::remove_file(path);
    }
}

impl Listener {
    /// Accepts until `stop`, giving each connection to `serve`; then closes the socket.
    pub(crate) async fn run(
        self,
        stop: CancellationToken,
        limit: Arc<Semaphore>,
        refused: prometheus::IntCounter,
        mut serve: impl FnMut(Accepted),
    ) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                accepted = self.accept() => accepted,
            };
            match accepted {
                Ok((io, remote, local)) => {
                    let Ok(permit) = Arc::clone(&limit).try_acquire_owned() else {
                        refused.inc();
                        tracing::warn!(listen = %self.addr, "worker_connections are not enough");
                        continue;
                    };
                    self.metrics.accepted.inc();
                    serve(Accepted {
                        io,
                        remote,
                        local,
                        ssl: self.ssl,
                        proxy_protocol: self.proxy_protocol,
                        permit,
                    });
                }
                Err(error) => {
                    tracing::error!(listen = %self.addr, %error, "accept() failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn accept(&self) -> std::io::Result<(Io, Option<SocketAddr>, Option<SocketAddr>)> {
        match &self.socket {
            Bound::Tcp(listener) => {
                let (stream, remote) = listener.accept().await?;
                // Fails only on a connection that is gone, which is found out soon enough.
                let _ = stream.set_nodelay(true);
                let local = stream.local_addr().ok().map(canonical);
                Ok((stream.into(), Some(canonical(remote)), local))
            }
            Bound::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((stream.into(), None, None))
            }
        }
    }
}

/// An IPv4 client of an IPv6 socket is an IPv4 client.
fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}
