//! Servers of the `stream` block: a session in, a peer for it, bytes both ways.
//!
//! A peer that cannot be connected to is left for the next one (nothing has been sent yet, so
//! that is always safe); after that a session ends with its peer. With `proxy_protocol on`
//! the peer is told the client's address first. Before it: the PROXY header, TLS and the preread
//! of [`greet`]. Limits: two buffers of `proxy_buffer_size` a connection, `proxy_timeout` without
//! a byte either way. Failures are logged as nginx words them.

mod copy;
mod datagram;
mod door;
mod greet;
pub(crate) mod hello;
mod proxy_header;
mod reach;
mod session;
mod udp;
mod vars;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;
use weir_conf::nginx::Addr;
use weir_conf::nginx::model::stream::StreamAction;
use weir_conf::nginx::model::variable::Variable;
use weir_conf::nginx::model::{Stream, StreamServer};
use weir_conf::nginx::template::Template;

use crate::balance::Outcome;
use crate::error::LbError;
use crate::group::{Group, Lease};
use crate::io::Io;
use crate::listen::Accepted;
use crate::metrics::{ListenerMetrics, Metrics};
use crate::tls::{TlsClient, TlsServer};
use copy::{Ended, Limits, Told as _};
pub(crate) use door::StreamDoor;
use greet::{Greeting, Refused};
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
    Addr(Addr),
}

/// What a session comes to.
enum Aim {
    /// Bytes both ways.
    Peer(Target),
    /// `return`: this and the end.
    Say(Vec<u8>),
    /// `pass`: to who listens there.
    Pass(Addr),
    /// There is no such place.
    Nowhere,
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

    /// What becomes of a session.
    fn aim(&self, session: &mut Session) -> Aim {
        let shared = &self.shared;
        for (place, value) in &self.model.sets {
            let value = session.value(value, &shared.variables);
            session.set(*place, value);
        }
        match &self.model.action {
            StreamAction::Return(text) => Aim::Say(session.value(text, &shared.variables)),
            StreamAction::Proxy(place) => match shared.groups.get(*place) {
                Some(group) => Aim::Peer(Target::Group(Arc::clone(group))),
                None => Aim::Nowhere,
            },
            StreamAction::ProxyTo(value) => {
                let value = session.value(value, &shared.variables);
                let text = String::from_utf8_lossy(&value);
                match reach::named(&text, &shared.groups, &shared.names) {
                    Some(target) => Aim::Peer(target),
                    None => {
                        let client = session.name();
                        tracing::error!(%client, host = %text, "no upstream of this name");
                        Aim::Nowhere
                    }
                }
            }
            StreamAction::Pass(value) => {
                let value = session.value(value, &shared.variables);
                let text = String::from_utf8_lossy(&value);
                match reach::address(&text) {
                    Some(addr) => Aim::Pass(addr),
                    None => {
                        tracing::error!(address = %text, "port not found in \"pass\"");
                        Aim::Nowhere
                    }
                }
            }
        }
    }

    fn limits(&self, session: &mut Session) -> Limits {
        let mut rate = |value: &Option<Template>| {
            let value = session.value(value.as_ref()?, &self.shared.variables);
            weir_conf::nginx::size_bytes(&String::from_utf8_lossy(&value))
        };
        Limits {
            idle: Duration::from_millis(self.model.idle_timeout_ms),
            half_close: (!self.model.half_close).then_some(HALF_CLOSE),
            buffer_bytes: self.model.buffer_bytes,
            upload_rate: rate(&self.model.upload_rate).unwrap_or(0),
            download_rate: rate(&self.model.download_rate).unwrap_or(0),
        }
    }

    /// Bytes both ways until it ends.
    async fn proxy(
        &self,
        mut io: Io,
        target: &Target,
        session: &mut Session,
        metrics: &ListenerMetrics,
    ) {
        let reaching = Box::pin(self.reach(target, session));
        let Some(mut peer) = reaching.await else {
            session.status = 502;
            return;
        };
        let client = session.name();
        tracing::info!(%client, peer = %peer.name, "connected");
        let limits = self.limits(session);
        let begin = session.age();
        let mut use_of = Use {
            lease: peer.lease.take(),
            start: Instant::now(),
            first_byte: None,
        };
        let report = copy::both(&mut io, &mut peer.io, &limits, metrics, &mut use_of).await;
        // However it ended, the peer took the connection.
        use_of.half_done();
        session.received_bytes = report.from_client_bytes;
        session.sent_bytes = report.to_client_bytes;
        if let Some(last) = session.tries.last_mut() {
            last.sent_bytes = report.from_client_bytes;
            last.received_bytes = report.to_client_bytes;
            last.first_byte = use_of.first_byte;
            last.whole = Some(use_of.start.elapsed());
        }
        session.status = 200;
        let reason = match &report.ended {
            Ended::Done => "closed".to_owned(),
            Ended::Idle => "timed out".to_owned(),
            Ended::Broken(error) => error.to_string(),
        };
        let whole = session.age().saturating_sub(begin);
        tracing::info!(
            %client,
            peer = %peer.name,
            bytes_from_client = report.from_client_bytes,
            bytes_to_client = report.to_client_bytes,
            session_ms = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX),
            reason,
            "disconnected"
        );
    }
}

/// A peer's use by one session.
struct Use {
    lease: Option<Lease>,
    start: Instant,
    first_byte: Option<Duration>,
}

impl copy::Told for Use {
    fn answer_began(&mut self) {
        self.first_byte = Some(self.start.elapsed());
        if let Some(lease) = &self.lease {
            lease.answer_began();
        }
    }

    /// Given back here and not at the end: nginx ends a session when one side has.
    fn half_done(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.finish(Outcome::Answered);
        }
    }
}

impl StreamDoor {
    /// Serves a connection to its end. A connection that is to be passed on comes back, with the
    /// address of who is to serve it.
    pub(crate) async fn serve(
        &self,
        accepted: Accepted,
        metrics: &ListenerMetrics,
    ) -> Option<(Io, Addr)> {
        let _open = Open::new(metrics);
        let from = accepted.remote;
        let server = Arc::clone(self.default_server()?);
        let mut session = Session::new(from, accepted.local, "TCP");
        let mut greeting = Greeting {
            door: self,
            server,
            session: &mut session,
        };
        let greeted = Box::pin(greeting.greet(accepted)).await;
        let server = greeting.server;
        let passed = match greeted {
            Ok(io) => server.act(io, &mut session, metrics).await,
            Err(Refused { status, why }) => {
                session.status = status;
                tracing::info!(client = ?from, error = %why, "no session was made");
                None
            }
        };
        server.ended(&mut session);
        passed
    }
}

impl TcpServer {
    async fn act(
        &self,
        mut io: Io,
        session: &mut Session,
        metrics: &ListenerMetrics,
    ) -> Option<(Io, Addr)> {
        match self.aim(session) {
            Aim::Nowhere => session.status = 500,
            Aim::Say(text) => {
                session.status = 200;
                // The client may be gone: it is not needed to know.
                if io.write_all(&text).await.is_ok() {
                    session.sent_bytes = text.len() as u64;
                    let _ = io.shutdown().await;
                }
            }
            // What was read before TLS was put on cannot be handed on beneath it.
            Aim::Pass(_) if io.is_tls() && io.has_unread() => {
                tracing::error!(client = %session.name(), "cannot pass buffered data");
                session.status = 500;
            }
            Aim::Pass(addr) => return Some((io, addr)),
            Aim::Peer(target) => self.proxy(io, &target, session, metrics).await,
        }
        None
    }

    /// What is done when a session has ended, however it did.
    #[allow(
        clippy::unused_self,
        reason = "a server says where its sessions are logged"
    )]
    fn ended(&self, _session: &mut Session) {}
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
