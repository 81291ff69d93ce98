//! HTTP/1.1 over TCP or a unix socket, with limits, counted, drained when told to stop.
//!
//! Who connects are edges and the load balancer, few and long-lived, but the port may be open to
//! anybody: each limit below holds for every connection. A connection that breaks one is closed
//! and counted; the listener goes on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::metrics::ConnectionMetrics;

/// Request line and headers together, bytes.
pub(crate) const HTTP_HEAD_BYTES_MAX: usize = 32 * 1024;
/// How long after an accept error the listener tries again, ms (descriptors ran out, mostly).
const ACCEPT_RETRY_MS: u64 = 100;

/// Limits of one listener.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// Open connections; more wait in the kernel's backlog.
    pub connections_max: usize,
    /// From the first moment a request could be sent until its head is there, ms; so also how
    /// long an idle connection is kept.
    pub header_timeout_ms: u64,
    /// How long a peer may take no byte while some are owed to it, ms.
    pub write_stall_timeout_ms: u64,
    /// How long requests under way may take after the stop signal, ms.
    pub drain_timeout_ms: u64,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections_max: 4_096,
            header_timeout_ms: 30_000,
            write_stall_timeout_ms: 20_000,
            drain_timeout_ms: 5_000,
        }
    }
}

/// A bound socket to serve on.
#[derive(Debug)]
pub enum HttpListener {
    /// TCP.
    Tcp(TcpListener),
    /// A unix socket; whoever bound it removes its path.
    Unix(UnixListener),
}

/// Who sent a request; every request served by [`serve_http`] carries it as an extension.
#[derive(Clone, Debug)]
pub enum Peer {
    /// A TCP peer.
    Tcp(SocketAddr),
    /// A process on this machine.
    Unix,
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// Serves `router` until `shutdown`, then lets requests under way end within the limit. Accept
/// errors are logged and retried; nothing here fails.
pub async fn serve_http(
    listener: HttpListener,
    router: Router,
    shutdown: CancellationToken,
    metrics: ConnectionMetrics,
    limits: HttpLimits,
) {
    let permits = Arc::new(Semaphore::new(limits.connections_max));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        let (stream, peer, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(ACCEPT_RETRY_MS)).await;
                continue;
            }
        };
        metrics.accepted.inc();
        let connection = graceful.watch(connection(stream, peer.clone(), &router, limits));
        let metrics = metrics.clone();
        tokio::spawn(async move {
            metrics.open.inc();
            if let Err(error) = connection.await {
                metrics.failed.inc();
                tracing::debug!(%peer, %error, "connection ended by an error");
            }
            metrics.open.dec();
            drop(permit);
        });
    }
    drop(listener);
    let drain_timeout = Duration::from_millis(limits.drain_timeout_ms);
    if tokio::time::timeout(drain_timeout, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!(
            drain_timeout_ms = limits.drain_timeout_ms,
            open = metrics.open.get(),
            "connections did not end in time"
        );
    }
}

type Socket = Either<TcpStream, UnixStream>;

async fn accept(
    listener: &HttpListener,
    permits: &Arc<Semaphore>,
) -> std::io::Result<(Socket, Peer, OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits)
        .acquire_owned()
        .await
        .map_err(std::io::Error::other)?;
    match listener {
        HttpListener::Tcp(listener) => {
            let (stream, address) = listener.accept().await?;
            // Fails only on a socket that is gone already; the first read says so.
            let _ = stream.set_nodelay(true);
            Ok((Either::Left(stream), Peer::Tcp(address), permit))
        }
        HttpListener::Unix(listener) => {
            let (stream, _) = listener.accept().await?;
            Ok((Either::Right(stream), Peer::Unix, permit))
        }
    }
}

fn connection(
    socket: Socket,
    peer: Peer,
    router: &Router,
    limits: HttpLimits,
) -> impl GracefulConnection<Error = hyper::Error> + use<> {
    let mut timed = TimeoutStream::new(socket);
    timed.set_write_timeout(Some(Duration::from_millis(limits.write_stall_timeout_ms)));
    let service = router
        .clone()
        .map_request(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer.clone());
            request
        });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(limits.header_timeout_ms))
        .max_buf_size(HTTP_HEAD_BYTES_MAX)
        .serve_connection(
            TokioIo::new(Box::pin(timed)),
            TowerToHyperService::new(service),
        )
}

#[cfg(test)]
mod tests;
