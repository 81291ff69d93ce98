//! Servers of the `stream` block: a session in, a peer for it, bytes both ways.
//!
//! A peer that cannot be connected to is left for the next one (nothing has been sent yet, so
//! that is always safe); after that a session ends with its peer. With `proxy_protocol on`
//! the peer is told the client's address first. Before it: the PROXY header, TLS and the preread
//! of [`greet`]. Limits: two buffers of `proxy_buffer_size` a connection, `proxy_timeout` without
//! a byte either way. Failures are logged as nginx words them.

mod copy;
mod greet;
mod hello;
mod proxy_header;
mod session;
mod udp;
mod vars;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;
use weir_conf::nginx::Addr;
use weir_conf::nginx::model::stream::StreamAction;
use weir_conf::nginx::model::variable::Variable;
use weir_conf::nginx::model::{Stream, StreamServer};

use crate::balance::Outcome;
use crate::error::LbError;
use crate::group::{Group, Lease};
use crate::io::Io;
use crate::listen::Accepted;
use crate::metrics::{ListenerMetrics, Metrics, UpstreamFault};
use crate::tls::{TlsClient, TlsServer};
use copy::{Ended, Limits};
use session::Session;
pub(crate) use udp::UdpLoop;

/// After one side ended, how long the other may go on without `proxy_half_close`: long enough
/// for a last answer, and not cut by a reset.
const HALF_CLOSE: Duration = Duration::from_secs(5);

/// What the servers of a `stream` block share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The upstreams in their order.
    pub(crate) groups: Vec<Arc<Group>>,
    names: HashMap<String, usize>,
    variables: Vec<Variable>,
}

impl Shared {
    pub(crate) fn new(stream: &Stream, metrics: &Metrics) -> Self {
        let all = stream.upstreams.iter();
        Self {
            groups: all.map(|upstream| Group::new(upstream, metrics)).collect(),
            names: stream
                .upstreams
                .iter()
                .enumerate()
                .map(|(place, upstream)| (upstream.name.clone(), place))
                .collect(),
            variables: stream.variables.clone(),
        }
    }
}

/// A `server` of the `stream` block.
#[derive(Debug)]
pub(crate) struct TcpServer {
    pub(crate) model: StreamServer,
    shared: Arc<Shared>,
    /// TLS on listeners that say so.
    tls: Option<TlsServer>,
    /// `proxy_ssl on`
    secure: Option<TlsClient>,
}

/// Where a session goes.
enum Target {
    Group(Arc<Group>),
    /// An address that a variable gave: no upstream's.
    Addr(SocketAddr),
}

/// A peer in use.
struct Connected {
    io: Io,
    name: String,
    lease: Option<Lease>,
}

impl TcpServer {
    /// Reads the files that a server names and makes it ready.
    pub(crate) fn new(model: &StreamServer, shared: &Arc<Shared>) -> Result<Self, LbError> {
        let secure = model.proxy_tls.as_deref().map(TlsClient::new);
        Ok(Self {
            model: model.clone(),
            shared: Arc::clone(shared),
            tls: model.tls.as_ref().map(TlsServer::new).transpose()?,
            secure: secure.transpose()?,
        })
    }

    /// Serves a connection to its end; `before` says whether TLS and a PROXY header come first.
    pub(crate) async fn serve(
        &self,
        accepted: Accepted,
        before: (bool, bool),
        metrics: ListenerMetrics,
    ) {
        let _open = Open::new(&metrics);
        let start = Instant::now();
        let from = accepted.remote;
        let (mut io, session) = match Box::pin(greet::greet(self, accepted, before)).await {
            Ok(greeted) => greeted,
            Err(error) => {
                tracing::info!(client = ?from, %error, "no session was made");
                return;
            }
        };
        let client = session.name();
        let target = match self.target(&session) {
            Ok(Some(target)) => target,
            Ok(None) => return,
            Err(text) => {
                // The client may be gone: it is not needed to know.
                if io.write_all(&text).await.is_ok() {
                    let _ = io.shutdown().await;
                }
                return;
            }
        };
        let reaching = Box::pin(self.reach(&target, &client, &session, start));
        let Some(mut peer) = reaching.await else {
            return;
        };
        tracing::info!(%client, peer = %peer.name, "connected");
        let limits = Limits {
            idle: Duration::from_millis(self.model.idle_timeout_ms),
            half_close: (!self.model.half_close).then_some(HALF_CLOSE),
            buffer_bytes: self.model.buffer_bytes,
        };
        let report = copy::both(&mut io, &mut peer.io, &limits, &metrics).await;
        // However it ended, the peer took the connection.
        if let Some(lease) = peer.lease {
            lease.finish(Outcome::Answered);
        }
        let reason = match &report.ended {
            Ended::Done => "closed".to_owned(),
            Ended::Idle => "timed out".to_owned(),
            Ended::Broken(error) => error.to_string(),
        };
        tracing::info!(
            %client,
            peer = %peer.name,
            bytes_from_client = report.from_client_bytes,
            bytes_to_client = report.to_client_bytes,
            session_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
            reason,
            "disconnected"
        );
    }

    /// Where a session goes; `Err` is what `return` answers, `None` that there is no such place.
    fn target(&self, session: &Session) -> Result<Option<Target>, Vec<u8>> {
        let shared = &self.shared;
        let group = |place: usize| {
            shared
                .groups
                .get(place)
                .map(|it| Target::Group(Arc::clone(it)))
        };
        match &self.model.action {
            StreamAction::Return(text) => Err(session.value(text, &shared.variables)),
            StreamAction::Proxy(place) => Ok(group(*place)),
            StreamAction::ProxyTo(value) => {
                let value = session.value(value, &shared.variables);
                let text = String::from_utf8_lossy(&value);
                let named = shared
                    .names
                    .get(text.as_ref())
                    .and_then(|place| group(*place));
                let found = named.or_else(|| text.parse().ok().map(Target::Addr));
                if found.is_none() {
                    let client = session.name();
                    tracing::error!(%client, host = %text, "no upstream of this name");
                }
                Ok(found)
            }
        }
    }

    /// Connects to a peer, and to the next if that fails, and says who the client is.
    async fn reach(
        &self,
        target: &Target,
        client: &str,
        session: &Session,
        start: Instant,
    ) -> Option<Connected> {
        let group = match target {
            Target::Group(group) => group,
            Target::Addr(addr) => return self.reach_addr(*addr, client, session).await,
        };
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
            let (what, error) = match self.open(&lease.peer().addr, session).await {
                Ok(io) => {
                    return Some(Connected {
                        io,
                        name: lease.peer().name.clone(),
                        lease: Some(lease),
                    });
                }
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

    async fn reach_addr(
        &self,
        addr: SocketAddr,
        client: &str,
        session: &Session,
    ) -> Option<Connected> {
        match self.open(&addr.into(), session).await {
            Ok(io) => Some(Connected {
                io,
                name: addr.to_string(),
                lease: None,
            }),
            Err(error) => {
                tracing::error!(client, peer = %addr, %error, "connect() failed");
                None
            }
        }
    }

    async fn open(&self, addr: &Addr, session: &Session) -> std::io::Result<Io> {
        let limit = Duration::from_millis(self.model.connect_timeout_ms);
        let connect = async {
            let mut io = Io::connect(addr).await?;
            if self.model.proxy_protocol {
                let header = proxy_header::version_1(session.client, session.local);
                io.write_all(header.as_bytes()).await?;
            }
            match &self.secure {
                Some(secure) => secure.connect(io).await,
                None => Ok(io),
            }
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
