//! Listening, the bound on connections, the drain.
//!
//! One connection over the limit is accepted, told 503 with Retry-After and closed: a player then
//! knows what is wrong, where an unaccepted connection would hang. Telling takes at most a second
//! and happens for a bounded number at once; beyond that it is closed without a word.

use crate::connection::{Connection, Peer};
use crate::edge::Edge;
use crate::wire::{ViewerStream, Watch, Wire, WireLimits, linger};
use pingora::apps::ServerApp;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long to pause after an accept that failed for want of a resource, ms.
const ACCEPT_PAUSE_MS: u64 = 50;
/// Refusals being written at once.
const REFUSALS_MAX: usize = 64;
/// How long one may take, ms.
const REFUSAL_MS_MAX: u64 = 1_000;
const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nserver: weir\r\nretry-after: 1\r\n\
    access-control-allow-origin: *\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that did not finish in time and were cut.
    pub cut: usize,
}

impl Edge {
    /// Serves viewers on `listener` until `shutdown`, then drains: idle connections close at once,
    /// answers under way are finished, and after `drain_ms_max` what is left is cut.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> Drained {
        let connections = TaskTracker::new();
        let kill = CancellationToken::new();
        let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
        let cut = Arc::new(AtomicUsize::new(0));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = shutdown.cancelled() => break,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                    continue;
                }
            };
            let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() else {
                self.refuse(stream, &refusals);
                continue;
            };
            // Not worth refusing for: only speed is lost.
            let _ignored = stream.set_nodelay(true);
            let (edge, drain, kill) = (Arc::clone(&self), shutdown.clone(), kill.clone());
            let cut = Arc::clone(&cut);
            connections.spawn(async move {
                let _permit = permit;
                tokio::select! {
                    () = edge.converse(stream, peer, drain) => {}
                    () = kill.cancelled() => {
                        cut.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        drop(listener);
        connections.close();
        let drain_max = Duration::from_millis(self.options.drain_ms_max);
        if timeout(drain_max, connections.wait()).await.is_err() {
            kill.cancel();
            connections.wait().await;
        }
        Drained {
            cut: cut.load(Ordering::Relaxed),
        }
    }

    /// Serves one connection to its end.
    pub(crate) async fn converse<S: ViewerStream>(
        self: Arc<Self>,
        stream: S,
        peer: SocketAddr,
        drain: CancellationToken,
    ) {
        let _open = Open::count(&self);
        let watch = Arc::new(Watch::default());
        let limits = WireLimits {
            head_bytes_max: self.options.head_bytes_max,
            send_max: Duration::from_millis(self.options.send_ms_max),
        };
        let wire = Wire::new(stream, Arc::clone(&watch), limits);
        let connection = Arc::new(Connection::new(self, watch, Peer(peer), drain));
        // Pingora's own shutdown signal is never given: ours knows idle from busy.
        let (_never, shutdown) = tokio::sync::watch::channel(false);
        connection.process_new(Box::new(wire), &shutdown).await;
    }

    fn refuse(&self, mut stream: TcpStream, refusals: &Arc<Semaphore>) {
        self.metrics.connections_refused.inc();
        let Ok(permit) = Arc::clone(refusals).try_acquire_owned() else {
            return;
        };
        tokio::spawn(async move {
            let _permit = permit;
            let write = stream.write_all(REFUSAL);
            let limit = Duration::from_millis(REFUSAL_MS_MAX);
            if let Ok(Ok(())) = timeout(limit, write).await {
                linger(stream).await;
            }
        });
    }
}

/// Counts a connection while it lives, however it ends.
struct Open(Arc<Edge>);

impl Open {
    fn count(edge: &Arc<Edge>) -> Self {
        edge.metrics.connections.inc();
        Self(Arc::clone(edge))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.metrics.connections.dec();
    }
}
