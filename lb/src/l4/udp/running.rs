//! One session of datagrams: its peer, and what goes both ways until it ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{Interest, Ready};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::Instant;
use weir_conf::nginx::Addr;

use super::DATAGRAM_BYTES_MAX;
use crate::balance::Outcome;
use crate::group::Lease;
use crate::l4::copy::Pace;
use crate::l4::datagram::Back;
use crate::l4::session::{Session, Try};
use crate::l4::{Aim, Open, Target, TcpServer, proxy_header};
use crate::metrics::{ListenerMetrics, UpstreamFault};

/// A session as it runs.
pub(super) struct Running {
    pub(super) back: Back,
    pub(super) server: Arc<TcpServer>,
    pub(super) metrics: ListenerMetrics,
    pub(super) client: SocketAddr,
    pub(super) session: Session,
}

impl Running {
    pub(super) async fn run(mut self, queue: mpsc::Receiver<Bytes>) {
        let metrics = self.metrics.clone();
        let _open = Open::new(&metrics);
        let server = Arc::clone(&self.server);
        match server.aim(&mut self.session) {
            Aim::Nowhere | Aim::Pass(_) => self.session.status = 500,
            Aim::Say(text) => {
                self.session.status = 200;
                self.session.sent_bytes = text.len() as u64;
                // Lost ones are not sent again; that is UDP.
                let _ = self.back.send(&text).await;
            }
            Aim::Peer(target) => match self.reach(&target).await {
                None => self.session.status = 502,
                Some((peer, lease)) => {
                    let well = self.exchange(&peer, lease.as_ref(), queue).await;
                    self.session.status = if well { 200 } else { 502 };
                    let outcome = if well {
                        Outcome::Answered
                    } else {
                        Outcome::Failed
                    };
                    if let Some(lease) = lease {
                        lease.finish(outcome);
                    }
                }
            },
        }
        server.ended(&mut self.session);
    }

    /// A socket that speaks to a peer alone. To connect it finds only what no route leads to.
    async fn reach(&mut self, target: &Target) -> Option<(UdpSocket, Option<Lease>)> {
        let server = Arc::clone(&self.server);
        let bind = server.bind(&mut self.session);
        let group = match target {
            Target::Addr(addr) => {
                self.session.tries.push(Try::to(&addr.to_string()));
                return open(addr, bind).await.ok().map(|peer| (peer, None));
            }
            Target::Group(group) => group,
        };
        let mut walk = server.walk(group, &mut self.session);
        let mut tried = Vec::new();
        let client = self.session.name();
        while let Some(lease) = group.acquire_for(&mut walk, &tried) {
            let peer = &lease.peer().name;
            self.session.tries.push(Try::to(peer));
            let error = match open(&lease.peer().addr, bind).await {
                Ok(socket) => {
                    lease.connected();
                    if let Some(last) = self.session.tries.last_mut() {
                        last.connect = Some(Duration::ZERO);
                    }
                    return Some((socket, Some(lease)));
                }
                Err(error) => error,
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
    async fn exchange(
        &mut self,
        peer: &UdpSocket,
        lease: Option<&Lease>,
        mut queue: mpsc::Receiver<Bytes>,
    ) -> bool {
        let server = Arc::clone(&self.server);
        let limits = server.limits(&mut self.session);
        let begin = Instant::now();
        let mut count = Counts::default();
        let mut open = true;
        let mut end = begin + limits.idle;
        let (mut up, mut down) = (
            Gate::new(limits.upload_rate),
            Gate::new(limits.download_rate),
        );
        loop {
            if self.is_finished(&count) {
                // What came meanwhile is sent yet; what comes now begins another session.
                queue.close();
                if queue.is_empty() {
                    return true;
                }
            }
            let passed = tokio::select! {
                datagram = up.let_by(queue.recv()), if open => match datagram {
                    Some(datagram) => {
                        count.sent += 1;
                        up.took(datagram.len());
                        self.send(peer, &datagram, count.sent == 1).await
                    }
                    None => {
                        open = false;
                        continue;
                    }
                },
                ready = down.let_by(peer.ready(Interest::READABLE | Interest::ERROR)) => {
                    match ready.and_then(|ready| faulty(peer, ready)) {
                        Ok(()) => self.answer(peer).await.map(|bytes| {
                            down.took(bytes);
                            count.answers += 1;
                            if count.answers == 1 {
                                self.first(lease, begin.elapsed());
                            }
                        }),
                        Err(error) => Err(error),
                    }
                }
                () = tokio::time::sleep_until(end) => return self.timed_out(&count),
            };
            match passed {
                Ok(()) => end = Instant::now() + limits.idle,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    let client = self.client;
                    tracing::error!(%client, %error, "upstream cannot be spoken to");
                    return false;
                }
            }
            if let Some(last) = self.session.tries.last_mut() {
                last.whole = Some(begin.elapsed());
            }
        }
    }

    fn first(&mut self, lease: Option<&Lease>, time: Duration) {
        if let Some(lease) = lease {
            lease.answer_began();
        }
        if let Some(last) = self.session.tries.last_mut() {
            last.first_byte = Some(time);
        }
    }

    async fn send(
        &mut self,
        peer: &UdpSocket,
        datagram: &[u8],
        first: bool,
    ) -> std::io::Result<()> {
        let count = datagram.len() as u64;
        self.session.received_bytes += count;
        if let Some(last) = self.session.tries.last_mut() {
            last.sent_bytes += count;
        }
        if first && self.server.model.proxy_protocol {
            let line = proxy_header::version_1(self.session.client, self.session.local);
            peer.send(&[line.as_bytes(), datagram].concat()).await?;
        } else {
            peer.send(datagram).await?;
        }
        Ok(())
    }

    /// Passes one answer on. The buffer is there for this alone: most sessions wait.
    async fn answer(&mut self, peer: &UdpSocket) -> std::io::Result<usize> {
        let mut buffer = Vec::with_capacity(DATAGRAM_BYTES_MAX);
        let count = peer.try_recv_buf(&mut buffer)?;
        self.metrics.bytes_out.inc_by(count as u64);
        self.session.sent_bytes += count as u64;
        if let Some(last) = self.session.tries.last_mut() {
            last.received_bytes += count as u64;
        }
        // A client that cannot be sent to is silent, which ends it in time.
        let _ = self.back.send(&buffer).await;
        Ok(count)
    }

    /// After silence: whether the peer has answered what it was asked; always if nobody says how
    /// often it does.
    fn timed_out(&self, count: &Counts) -> bool {
        let well = self.is_answered(count);
        if !well {
            let client = self.client;
            tracing::error!(%client, "upstream timed out while proxying connection");
        }
        well
    }

    fn is_answered(&self, count: &Counts) -> bool {
        let wanted = self.server.model.datagrams.responses;
        wanted.is_none_or(|each| count.answers >= each.saturating_mul(count.sent))
    }

    fn is_finished(&self, count: &Counts) -> bool {
        let model = self.server.model.datagrams;
        let all_sent = count.sent > 0 && count.sent >= model.requests;
        all_sent && model.responses.is_some() && self.is_answered(count)
    }
}

/// What a session has passed on.
#[derive(Default)]
struct Counts {
    sent: u32,
    answers: u32,
}

/// What a socket has heard of its peer (that nobody is there, say).
fn faulty(peer: &UdpSocket, ready: Ready) -> std::io::Result<()> {
    match peer.take_error()? {
        Some(error) => Err(error),
        // Nothing to be read after all: look again.
        None if ready.is_error() && !ready.is_readable() => {
            Err(std::io::ErrorKind::WouldBlock.into())
        }
        None => Ok(()),
    }
}

/// Holds datagrams of one direction back as a rate asks for.
struct Gate {
    pace: Option<Pace>,
    until: Option<Instant>,
}

impl Gate {
    fn new(rate: u64) -> Self {
        Self {
            pace: (rate > 0).then(|| Pace::new(rate)),
            until: None,
        }
    }

    async fn let_by<T>(&self, work: impl Future<Output = T>) -> T {
        if let Some(until) = self.until {
            tokio::time::sleep_until(until).await;
        }
        work.await
    }

    fn took(&mut self, bytes: usize) {
        if let Some(pace) = &mut self.pace {
            self.until = Some(Instant::now() + pace.took(bytes as u64));
        }
    }
}

async fn open(addr: &Addr, bind: Option<SocketAddr>) -> std::io::Result<UdpSocket> {
    let Addr::Inet(addr) = addr else {
        return Err(std::io::ErrorKind::Unsupported.into());
    };
    let any: SocketAddr = if addr.is_ipv4() {
        (std::net::Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(bind.unwrap_or(any)).await?;
    socket.connect(addr).await?;
    Ok(socket)
}
