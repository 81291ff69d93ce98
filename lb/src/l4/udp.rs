//! Datagrams: sessions by the client's address, each with a socket to its peer.
//!
//! Why our own table: UDP has no connections; nginx makes a session of what one client sends to
//! one listener, and so does this. A session ends after `proxy_timeout` of silence, after
//! `proxy_responses` answers, or when its peer cannot be reached; after `proxy_requests`
//! datagrams a client's next one begins another.
//!
//! Limits: sessions count among the connections of the `stream` block; a session holds at most
//! [`QUEUE`] datagrams that its peer has not been sent; the rest are dropped, as a network would.

mod running;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::datagram::{Back, Inbox};
use super::greet::allowed;
use super::session::Session;
use crate::generation::Target as Door;
use crate::metrics::ListenerMetrics;
use running::Running;

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
    pub(crate) target: Arc<ArcSwap<Door>>,
}

/// A client, and where it sends to.
type Ends = (SocketAddr, Option<SocketAddr>);

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
        let inbox = Inbox::new(Arc::clone(&self.socket));
        let mut known: HashMap<Ends, Known> = HashMap::new();
        let mut sweep_at = 1024;
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        loop {
            let received = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                received = inbox.receive(&mut buffer) => received,
            };
            // What a client's system answers to our own datagrams; it is nobody else's matter.
            let Ok((count, client, to)) = received else {
                continue;
            };
            let bytes = Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default());
            self.metrics.bytes_in.inc_by(count as u64);
            if known.len() >= sweep_at {
                known.retain(|_, session| !session.datagrams.is_closed());
                sweep_at = (known.len() * 2).max(1024);
            }
            let ends = (client, to);
            self.give(&mut known, ends, bytes, &inbox);
        }
    }

    /// Gives a datagram to its client's session, which it may begin.
    fn give(&self, known: &mut HashMap<Ends, Known>, ends: Ends, bytes: Bytes, inbox: &Inbox) {
        if known.get(&ends).is_none_or(|it| it.datagrams.is_closed()) {
            let Some(begun) = self.begin(inbox.back(ends.0, ends.1), ends.1) else {
                known.remove(&ends);
                return;
            };
            known.insert(ends, begun);
        }
        let Some(session) = known.get_mut(&ends) else {
            return;
        };
        session.count = session.count.saturating_add(1);
        // A full queue drops it.
        let _ = session.datagrams.try_send(bytes);
        if session.most > 0 && session.count >= session.most {
            // The session goes on for its answers; the next datagram begins another.
            known.remove(&ends);
        }
    }

    fn begin(&self, back: Back, local: Option<SocketAddr>) -> Option<Known> {
        let client = back.client;
        let target = self.target.load();
        let (server, permit) = target.session()?;
        let canonical = SocketAddr::new(client.ip().to_canonical(), client.port());
        let mut session = Session::new(Some(canonical), local, "UDP");
        if !allowed(&server.model.rules, session.client) {
            tracing::info!(%client, "access forbidden by rule");
            session.status = 403;
            server.ended(&mut session);
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
            back,
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
