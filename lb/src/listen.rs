//! Listening sockets and the loops that accept on them.
//!
//! Why one loop for HTTP and TCP: the limit on connections, the stop, and what to do when the
//! system runs out of files are the same. Limits: [`crate::LbOptions::connections_max`] over all
//! listeners of a kind; beyond it a connection is closed at once, as nginx does without free
//! `worker_connections`. Failures at bind are typed; failures to accept are logged and waited out.

use std::net::SocketAddr;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket, UnixListener};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use weir_conf::nginx::Addr;
use weir_conf::nginx::model::Listen;

use crate::error::LbError;
use crate::generation::Target;
use crate::io::Io;
use crate::l4::UdpLoop;
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
    /// Counts against the limit for as long as it lives.
    pub(crate) permit: OwnedSemaphorePermit,
}

/// A bound socket.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Bound,
    /// The address it has, the port chosen by the system filled in.
    pub(crate) addr: Addr,
    pub(crate) metrics: ListenerMetrics,
}

/// A socket that listens. It becomes the runtime's only where it accepts, so that addresses can
/// be had before there are threads.
#[derive(Debug)]
enum Bound {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener, Path),
    Udp(std::net::UdpSocket),
}

/// The file of a unix socket.
#[derive(Debug)]
struct Path {
    file: PathBuf,
    /// Another process listens there too.
    leave: AtomicBool,
    /// The process it was inherited from: while that lives, it is its file.
    parent: Option<u32>,
}

/// The socket as the runtime polls it.
enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
    Udp(Arc<UdpSocket>),
}

impl Drop for Bound {
    /// The path of a unix socket goes with it, as nginx's does.
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            let left = path.leave.load(Ordering::Relaxed);
            if !left && path.parent != Some(std::os::unix::process::parent_id()) {
                let _ = std::fs::remove_file(&path.file);
            }
        }
    }
}

/// Binds one address, unless there is a socket for it already.
pub(crate) fn bind(
    listen: &Listen,
    inherited: Option<Socket>,
    metrics: &Metrics,
) -> Result<Listener, LbError> {
    let fail = |source| LbError::Bind {
        addr: listen.addr.to_string(),
        at: listen.pos.clone(),
        source,
    };
    let parent = inherited.is_some().then(std::os::unix::process::parent_id);
    let socket = match (&listen.addr, inherited) {
        (Addr::Inet(_), Some(socket)) if listen.udp => Bound::Udp(socket.into()),
        (Addr::Inet(_), Some(socket)) => Bound::Tcp(socket.into()),
        (Addr::Unix(path), Some(socket)) => Bound::Unix(socket.into(), Path::new(path, parent)),
        (Addr::Inet(addr), None) if listen.udp => {
            Bound::Udp(bind_udp(*addr, listen).map_err(fail)?)
        }
        (Addr::Unix(_), None) if listen.udp => {
            return Err(fail(std::io::ErrorKind::Unsupported.into()));
        }
        (Addr::Inet(addr), None) => Bound::Tcp(bind_tcp(*addr, listen).map_err(fail)?),
        (Addr::Unix(path), None) => {
            remove_stale(path);
            let listener = std::os::unix::net::UnixListener::bind(path).map_err(fail)?;
            listener.set_nonblocking(true).map_err(fail)?;
            Bound::Unix(listener, Path::new(path, None))
        }
    };
    let addr = match &socket {
        Bound::Tcp(listener) => Addr::Inet(listener.local_addr().map_err(fail)?),
        Bound::Udp(socket) => Addr::Inet(socket.local_addr().map_err(fail)?),
        Bound::Unix(..) => listen.addr.clone(),
    };
    let kind = if listen.udp { "udp:" } else { "" };
    let metrics = metrics.listener(&format!("{kind}{addr}"));
    Ok(Listener {
        socket,
        addr,
        metrics,
    })
}

fn bind_udp(addr: SocketAddr, listen: &Listen) -> std::io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(listen.ipv6only)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    Ok(socket.into())
}

fn bind_tcp(addr: SocketAddr, listen: &Listen) -> std::io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(listen.ipv6only)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    let backlog = listen.backlog.unwrap_or(BACKLOG_DEFAULT);
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// A socket file nobody listens on is left from a process that was killed.
fn remove_stale(path: &std::path::Path) {
    let refused = std::os::unix::net::UnixStream::connect(path)
        .is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused);
    if refused {
        let _ = std::fs::remove_file(path);
    }
}

impl Path {
    fn new(file: &std::path::Path, parent: Option<u32>) -> Self {
        Self {
            file: file.to_path_buf(),
            leave: AtomicBool::new(false),
            parent,
        }
    }
}

impl Listener {
    /// The socket, for another process to have.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Bound::Tcp(socket) => socket.as_fd(),
            Bound::Unix(socket, _) => socket.as_fd(),
            Bound::Udp(socket) => socket.as_fd(),
        }
    }

    /// Whether the file of a unix socket stays when it is closed.
    pub(crate) fn leave_path(&self, leave: bool) {
        if let Bound::Unix(_, path) = &self.socket {
            path.leave.store(leave, Ordering::Relaxed);
        }
    }

    /// Accepts until `stop`, giving each connection to what `target` is by then. Needs a tokio
    /// runtime.
    pub(crate) async fn run(
        &self,
        stop: CancellationToken,
        refused: prometheus::IntCounter,
        target: Arc<ArcSwap<Target>>,
    ) {
        let acceptor = match self.acceptor() {
            Ok(acceptor) => acceptor,
            Err(error) => {
                tracing::error!(listen = %self.addr, %error, "the socket cannot be polled");
                return;
            }
        };
        if let Acceptor::Udp(socket) = acceptor {
            let metrics = self.metrics.clone();
            let work = UdpLoop {
                socket,
                metrics,
                refused,
                target,
            };
            return work.run(stop).await;
        }
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                accepted = acceptor.accept() => accepted,
            };
            match accepted {
                Ok(arrived) => {
                    // What happened before is seen to first: the runtime would begin with the last.
                    tokio::task::yield_now().await;
                    if !target.load().take(arrived, &self.metrics) {
                        refused.inc();
                        tracing::warn!(listen = %self.addr, "worker_connections are not enough");
                    }
                }
                Err(error) => {
                    tracing::error!(listen = %self.addr, %error, "accept() failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Needs a tokio runtime.
    fn acceptor(&self) -> std::io::Result<Acceptor> {
        Ok(match &self.socket {
            Bound::Tcp(listener) => Acceptor::Tcp(TcpListener::from_std(listener.try_clone()?)?),
            Bound::Unix(listener, _) => {
                Acceptor::Unix(UnixListener::from_std(listener.try_clone()?)?)
            }
            Bound::Udp(socket) => {
                Acceptor::Udp(Arc::new(UdpSocket::from_std(socket.try_clone()?)?))
            }
        })
    }
}

impl Acceptor {
    async fn accept(&self) -> std::io::Result<(Io, Option<SocketAddr>, Option<SocketAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, remote) = listener.accept().await?;
                // Fails only on a connection that is gone, which is found out soon enough.
                let _ = stream.set_nodelay(true);
                let local = stream.local_addr().ok().map(canonical);
                Ok((stream.into(), Some(canonical(remote)), local))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((stream.into(), None, None))
            }
            // Datagrams are not accepted: see `UdpLoop`.
            Self::Udp(_) => std::future::pending().await,
        }
    }
}

/// An IPv4 client of an IPv6 socket is an IPv4 client.
fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}
