//! RTMP on sockets: accepts encoders, runs a session for each, feeds streams.
//!
//! One task a connection; a frame goes from the read buffer to its stream's channel without
//! another task between. A connection costs [`IDLE_READ_BYTES`] until it publishes, then
//! [`RtmpOptions::read_buffer_bytes`] and what [`super::chunk::ChunkLimits`] allows. Anything that
//! reads and writes bytes will do ([`RtmpServer::handle`]), so that TLS can stand before it.
//!
//! Every way a connection can end has its log line and its metric label (`end.rs`).

mod connection;
mod deadline;
mod end;
mod metrics;
mod options;
mod peers;
mod proxy;
mod socket;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use crate::ingest::Admission;
use connection::Connection;
use end::End;
use metrics::Metrics;
use peers::Peers;
use socket::EncoderSocket;

pub use options::RtmpOptions;

/// Read buffer of a connection that does not publish (yet), bytes.
pub const IDLE_READ_BYTES: usize = 4 * 1024;
/// Pause after a failed accept (out of file descriptors, mostly).
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// The RTMP server; cheap to clone.
#[derive(Clone)]
pub struct RtmpServer {
    shared: Arc<Shared>,
}

/// What all connections share.
struct Shared {
    options: RtmpOptions,
    admission: Arc<dyn Admission>,
    metrics: Metrics,
    peers: Peers,
}

impl RtmpServer {
    /// A server that asks `admission` for streams and counts in `registry`.
    ///
    /// # Errors
    /// [`prometheus::Error`] when metrics of these names are registered already.
    pub fn new(
        options: RtmpOptions,
        admission: Arc<dyn Admission>,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let peers = Peers::new(options.connections_max, options.connections_per_peer_max);
        Ok(Self {
            shared: Arc::new(Shared {
                metrics: Metrics::new(registry)?,
                options,
                admission,
                peers,
            }),
        })
    }

    /// Accepts until `shutdown`, then tells the encoders and waits for their connections, at most
    /// [`RtmpOptions::drain_timeout`].
    pub async fn serve(&self, listener: TcpListener, shutdown: CancellationToken) {
        let tasks = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((socket, peer)) => {
                    let (server, stop) = (self.clone(), shutdown.child_token());
                    tasks.spawn(async move { server.handle_tcp(socket, peer, stop).await });
                }
                Err(error) => {
                    warn!(%error, "rtmp accept failed");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
        drop(listener);
        tasks.close();
        let drain = self.shared.options.drain_timeout;
        if tokio::time::timeout(drain, tasks.wait()).await.is_err() {
            warn!(
                left = tasks.len(),
                "rtmp connections left behind at shutdown"
            );
        }
    }

    async fn handle_tcp(&self, socket: TcpStream, peer: SocketAddr, stop: CancellationToken) {
        // Answers are small and awaited by the encoder. Failing to set this only costs latency.
        if let Err(error) = socket.set_nodelay(true) {
            debug!(%peer, %error, "cannot set TCP_NODELAY");
        }
        self.handle(EncoderSocket::new(socket), peer, stop).await;
    }

    /// Runs one connection to its end. `peer` is where it came from; a PROXY header, if asked for
    /// in the options, is read from `io` and outranks it.
    pub async fn handle<S>(&self, io: S, peer: SocketAddr, stop: CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let shared = &self.shared;
        let Some(slot) = shared.peers.enter() else {
            shared.metrics.connection_ended(&End::Full);
            warn!(%peer, max = shared.options.connections_max, "rtmp connection turned away: full");
            return;
        };
        shared.metrics.open.inc();
        let mut connection = Connection::new(io, peer, Arc::clone(shared));
        let end = connection.run(slot, &stop).await;
        connection.say_goodbye(&end).await;
        shared.metrics.open.dec();
        shared.metrics.connection_ended(&end);
        let peer = connection.peer();
        match &end {
            End::Left { .. } | End::Unpublished => {
                debug!(%peer, reason = %end, "rtmp connection closed")
            }
            End::Lost { .. } | End::Shutdown => {
                info!(%peer, reason = %end, "rtmp connection closed")
            }
            _ => {
                warn!(%peer, app = connection.app(), stream = connection.stream(), reason = %end, "rtmp connection closed")
            }
        }
    }
}
