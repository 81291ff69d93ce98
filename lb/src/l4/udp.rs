//! Datagrams: sessions by the client's address, each with a socket to its peer.
//!
//! Why our own table: UDP has no connections; nginx makes a session of what one client sends to
//! one listener, and so does this. A session ends after `proxy_timeout` of silence, after
//! `proxy_responses` answers, or when its peer cannot be reached; after `proxy_requests`
//! datagrams a client's next one begins another.
//!
//! Limits: sessions count among the connections of the `stream` block; a session holds at most
//! [`QUEUE`] datagrams that its peer has not been sent; the rest are dropped, as a network would.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_conf::nginx::Addr;

use super::greet::allowed;
use super::session::Session;
use super::{Open, TcpServer, proxy_header};
use crate::balance::Outcome;
use crate::generation::Target;
use crate::group::Lease;
use crate::metrics::{ListenerMetrics, UpstreamFault};

/// Largest datagram there is.
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// Datagrams that wait in a session for its peer to be chosen and sent to.
const QUEUE: usize = 64;

/// A UDP listener's work.
pub(crate) struct UdpLoop {
    pub(crate) socket: Arc<UdpSocket>,
    pub(crate) metrics: ListenerMetrics,
    pub(crate) refused: prometheus::IntCounter,
    /// Whose sessions begin here by then.
    pub(crate) target: Arc<ArcSwap<Target>>,
}

/// A session as its listener knows it.
struct Known {
    datagrams: mpsc::Sender<Bytes>,
    count: u32,
    /// `proxy_requests`
    most: u32,
}

impl UdpLoop {
    /// Takes datagrams until `stop`; sessions that run then end in their own time.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut known: HashMap<SocketAddr, Known> = HashMap::new();
        let mut sweep_at = 1024;
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        loop {
            let received = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                received = self.socket.recv_from(&mut buffer) => received,
            };
            // What a client's system answers to our own datagrams; it is nobody else's matter.
            let Ok((count, client)) = received else {
                continue;
            };
            let bytes = Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default());
            self.metrics.bytes_in.inc_by(count as u64);
            if known.len() >= sweep_at {
                known.retain(|_, session| !session.datagrams.is_closed());
                sweep_at = (known.len() * 2).max(1024);
            }
            self.give(&mut known, client, bytes);
        }
    }

    /// Gives a datagram to its client's session, which it may begin.
    fn give(&self, known: &mut HashMap<SocketAddr, Known>, client: SocketAddr, bytes: Bytes) {
        if known.get(&client).is_none_or(|it| it.datagrams.is_closed()) {
            let Some(begun) = self.begin(client) else {
                known.remove(&client);
                return;
            };
            known.insert(client, begun);
        }
        let Some(session) = known.get_mut(&client) else {
            return;
        };
        session.count = session.count.saturating_add(1);
        // A full queue drops it.
        let _ = session.datagrams.try_send(bytes);
        if session.most > 0 && session.count >= session.most {
            // The session goes on for its answers; the next datagram begins another.
            known.remove(&client);
        }
    }

    fn begin(&self, client: SocketAddr) -> Option<Known> {
        let target = self.target.load();
        let (server, permit) = target.session()?;
        let local = self.socket.local_addr().ok();
        let canonical = SocketAddr::new(client.ip().to_canonical(), client.port());
        let mut session = Session::new(Some(canonical), local, "UDP");
        if !allowed(&server.model.rules, session.client) {
            tracing::info!(%client, "access forbidden by rule");
            return None;
        }
        let Some(permit) = permit else {
            self.refused.inc();
            tracing::warn!(%client, "worker_connections are not enough");
            return None;
        };
        session.permit = Some(permit);
        self.metrics.accepted.inc();
        let most = server.model.datagrams.requests;
        let (datagrams, queue) = mpsc::channel(QUEUE);
        let running = Running {
            socket: Arc::clone(&self.socket),
            server,
            metrics: self.metrics.clone(),
            client,
            session,
        };
        target.spawn(running.run(queue));
        let count = 0;
        Some(Known {
            datagrams,
            count,
            most,
        })
    }
}

/// A session as it runs.
struct Running {
    socket: Arc<UdpSocket>,
    server: Arc<TcpServer>,
    metrics: ListenerMetrics,
    client: SocketAddr,
    session: Session,
}

impl Running {
    async fn run(self, queue: mpsc::Receiver<Bytes>) {
        let _open = Open::new(&self.metrics);
        let target = match self.server.target(&self.session) {
            Ok(Some(target)) => target,
            Ok(None) => return,
            Err(text) => {
                // Lost ones are not sent again; that is UDP.
                let _ = self.socket.send_to(&text, self.client).await;
                return;
            }
        };
        let Some((peer, lease)) = self.reach(&target).await else {
            return;
        };
        let well = self.exchange(&peer, queue).await;
        if let Some(lease) = lease {
            let outcome = if well {
                Outcome::Answered
            } else {
                Outcome::Failed
            };
            lease.finish(outcome);
        }
    }

    /// A socket that speaks to a peer alone. To connect it finds only what no route leads to.
    async fn reach(&self, target: &super::Target) -> Option<(UdpSocket, Option<Lease>)> {
        let group = match target {
            super::Target::Addr(addr) => return open(*addr).await.ok().map(|peer| (peer, None)),
            super::Target::Group(group) => group,
        };
        let mut tried = Vec::new();
        let client = self.client;
        while let Some(lease) = group.acquire(&tried) {
            let peer = &lease.peer().name;
            let error = match &lease.peer().addr {
                Addr::Inet(addr) => match open(*addr).await {
                    Ok(peer) => return Some((peer, Some(lease))),
                    Err(error) => error,
                },
                Addr::Unix(_) => std::io::ErrorKind::Unsupported.into(),
            };
            tracing::error!(%client, upstream = %group.name, %peer, %error, "connect() failed");
            group.metrics.failed(UpstreamFault::Connect);
            tried.push(lease.peer().number);
            lease.finish(Outcome::Failed);
        }
        group.metrics.failed(UpstreamFault::NoLive);
        let reason = group.shortage();
        tracing::error!(%client, upstream = %group.name, reason, "no live upstreams");
        None
    }

    /// Datagrams both ways until the session ends. False if the peer is found not to be there.
    async fn exchange(&self, peer: &UdpSocket, mut queue: mpsc::Receiver<Bytes>) -> bool {
        let model = &self.server.model;
        let idle = Duration::from_millis(model.idle_timeout_ms);
        let mut end = Instant::now() + idle;
        let (mut sent, mut answers, mut open) = (0, 0, true);
        loop {
            if self.is_finished(sent, answers) {
                // What came meanwhile is sent yet; what comes now begins another session.
                queue.close();
                if queue.is_empty() {
                    return true;
                }
            }
            let passed = tokio::select! {
                datagram = queue.recv(), if open => match datagram {
                    Some(datagram) => {
                        sent += 1;
                        self.send(peer, &datagram, sent == 1).await
                    }
                    None => {
                        open = false;
                        continue;
                    }
                },
                ready = peer.readable() => {
                    answers += 1;
                    match ready {
                        Ok(()) => self.answer(peer).await,
                        Err(error) => Err(error),
                    }
                }
                () = tokio::time::sleep_until(end) => return self.is_answered(sent, answers),
            };
            match passed {
                Ok(()) => end = Instant::now() + idle,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => answers -= 1,
                Err(error) => {
                    let client = self.client;
                    tracing::error!(%client, %error, "upstream cannot be spoken to");
                    return false;
                }
            }
        }
    }

    async fn send(&self, peer: &UdpSocket, datagram: &[u8], first: bool) -> std::io::Result<()> {
        if first && self.server.model.proxy_protocol {
            let line = proxy_header::version_1(self.session.client, self.session.local);
            peer.send(&[line.as_bytes(), datagram].concat()).await?;
        } else {
            peer.send(datagram).await?;
        }
        Ok(())
    }

    /// Passes one answer on. The buffer is there for this alone: most sessions wait.
    async fn answer(&self, peer: &UdpSocket) -> std::io::Result<()> {
        let mut buffer = Vec::with_capacity(DATAGRAM_BYTES_MAX);
        let count = peer.try_recv_buf(&mut buffer)?;
        self.metrics.bytes_out.inc_by(count as u64);
        // A client that cannot be sent to is silent, which ends it in time.
        let _ = self.socket.send_to(&buffer, self.client).await;
        Ok(())
    }

    /// Whether as many answers came as were asked for; always if nobody says how many.
    fn is_answered(&self, sent: u32, answers: u32) -> bool {
        let wanted = self.server.model.datagrams.responses;
        wanted.is_none_or(|each| answers >= each.saturating_mul(sent))
    }

    fn is_finished(&self, sent: u32, answers: u32) -> bool {
        let model = self.server.model.datagrams;
        let all_sent = sent > 0 && sent >= model.requests;
        all_sent && model.responses.is_some() && self.is_answered(sent, answers)
    }
}

async fn open(addr: SocketAddr) -> std::io::Result<UdpSocket> {
    let any: SocketAddr = if addr.is_ipv4() {
        (std::net::Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(addr).await?;
    Ok(socket)
}
