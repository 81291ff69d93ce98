//! TCP servers of the `stream` block: a connection in, a connection to a peer, bytes both ways.
//!
//! A peer that cannot be connected to is left for the next one (nothing has been sent yet, so
//! that is always safe); after that a connection ends with its peer. With `proxy_protocol on`
//! the peer is told the client's address first. Limits: two buffers of `proxy_buffer_size` a
//! connection, `proxy_timeout` without a byte either way. Failures are logged as nginx words
//! them.

mod copy;
mod proxy_header;

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;
use weir_conf::nginx::model::StreamServer;

use crate::balance::Outcome;
use crate::group::{Group, Lease};
use crate::listen::{Accepted, Io};
use crate::metrics::{ListenerMetrics, UpstreamFault};
use copy::{Ended, Limits};

/// After one side ended, how long the other may go on without `proxy_half_close`: long enough
/// for a last answer, and not cut by a reset.
const HALF_CLOSE: Duration = Duration::from_secs(5);

/// A `server` of the `stream` block.
#[derive(Debug)]
pub(crate) struct TcpServer {
    pub(crate) model: StreamServer,
    pub(crate) group: Arc<Group>,
}

impl TcpServer {
    /// Serves a connection to its end.
    pub(crate) async fn serve(&self, accepted: Accepted, metrics: ListenerMetrics) {
        let _open = Open::new(&metrics);
        let client = accepted
            .remote
            .map_or_else(|| "unix:".to_owned(), |addr| addr.to_string());
        let start = Instant::now();
        let Some((mut peer, lease)) = self.connect(&client, &accepted, start).await else {
            return;
        };
        let name = lease.peer().name.clone();
        tracing::info!(%client, upstream = %self.group.name, peer = %name, "connected");
        let limits = Limits {
            idle: Duration::from_millis(self.model.idle_timeout_ms),
            half_close: if self.model.half_close {
                None
            } else {
                Some(HALF_CLOSE)
            },
            buffer_bytes: self.model.buffer_bytes,
        };
        let mut client_io = accepted.io;
        let report = copy::both(&mut client_io, &mut peer, &limits, &metrics).await;
        // However it ended, the peer took the connection.
        lease.finish(Outcome::Answered);
        let reason = match &report.ended {
            Ended::Done => "closed".to_owned(),
            Ended::Idle => "timed out".to_owned(),
            Ended::Broken(error) => error.to_string(),
        };
        tracing::info!(
            %client,
            upstream = %self.group.name,
            peer = %name,
            bytes_from_client = report.from_client_bytes,
            bytes_to_client = report.to_client_bytes,
            session_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
            reason,
            "disconnected"
        );
    }

    /// Connects to a peer, and to the next if that fails, and says who the client is.
    async fn connect(
        &self,
        client: &str,
        accepted: &Accepted,
        start: Instant,
    ) -> Option<(Io, Lease)> {
        let group = &self.group;
        let mut tried = Vec::new();
        let tries_max = match (self.model.next, self.model.next_tries) {
            (false, _) => 1,
            (true, 0) => group.tries(),
            (true, tries) => group
                .tries()
                .min(usize::try_from(tries).unwrap_or(usize::MAX)),
        };
        let next_timeout = Duration::from_millis(self.model.next_timeout_ms);
        loop {
            let Some(lease) = group.acquire(&tried) else {
                group.metrics.failed(UpstreamFault::NoLive);
                tracing::error!(
                    client,
                    upstream = %group.name,
                    reason = group.shortage(),
                    "no live upstreams while connecting to upstream"
                );
                return None;
            };
            let (what, error) = match self.open(&lease, accepted).await {
                Ok(io) => return Some((io, lease)),
                Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                    group.metrics.failed(UpstreamFault::Timeout);
                    ("upstream timed out while connecting to upstream", error)
                }
                Err(error) => {
                    group.metrics.failed(UpstreamFault::Connect);
                    ("connect() failed while connecting to upstream", error)
                }
            };
            let peer = &lease.peer().name;
            tracing::error!(client, upstream = %group.name, %peer, %error, "{what}");
            tried.push(lease.peer().number);
            lease.finish(Outcome::Failed);
            let late = !next_timeout.is_zero() && start.elapsed() >= next_timeout;
            if tried.len() >= tries_max || late {
                return None;
            }
            group.metrics.retries.inc();
        }
    }

    async fn open(&self, lease: &Lease, accepted: &Accepted) -> std::io::Result<Io> {
        let limit = Duration::from_millis(self.model.connect_timeout_ms);
        let connect = async {
            let mut io = Io::connect(&lease.peer().addr).await?;
            if self.model.proxy_protocol {
                let header = proxy_header::version_1(accepted.remote, accepted.local);
                io.write_all(header.as_bytes()).await?;
            }
            Ok(io)
        };
        match tokio::time::timeout(limit, connect).await {
            Ok(result) => result,
            Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
        }
    }
}

/// Counts a connection as open for as long as it lives.
struct Open<'a>(&'a ListenerMetrics);

impl<'a> Open<'a> {
    fn new(metrics: &'a ListenerMetrics) -> Self {
        metrics.open.inc();
        Self(metrics)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.dec();
    }
}
