//! A client's HTTP connection, seen by Pingora as its stream.
//!
//! Why our own: Pingora waits a time between two reads for a request's header, so a client that
//! sends a byte a minute holds it for ever. This counts the bytes of a header and knows when it
//! began, and [`super::serve`] cuts what is over time. It also writes a header and a small body
//! in one call, and reads without a buffer, so that an idle connection holds little memory:
//! [`WRITE_BUFFER_BYTES`] and Pingora's own 4 KiB.

use std::fmt;
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use pingora::http::ResponseHeader;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use pingora::proxy::Session;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufWriter, ReadBuf};
use tokio::time::Instant;

use super::absolute;
use super::replay::Again;
use super::route::Hosts;
use super::stub::{Doing, Stub};
use crate::io::Io;
use crate::metrics::ListenerMetrics;
use crate::proxy_protocol::Told;
use crate::tls::TlsInfo;

/// Holds a header and a small body until they are flushed together.
const WRITE_BUFFER_BYTES: usize = 4096;

/// Beyond what the configuration allows for a header, how much more is read before the
/// connection is cut without an answer. Within it the client is told (400).
const HEADER_SLACK_BYTES: u64 = 16 << 10;

/// Between requests, nothing of the next one read.
const IDLE: u8 = 0;
/// Some of a header was read.
const HEADER: u8 = 1;
/// A request is in hand.
const REQUEST: u8 = 2;

/// What is known of a connection, shared by its stream, its loop and its requests.
#[derive(Debug)]
pub(crate) struct Conn {
    /// Serial number: `$connection`.
    pub(crate) serial: u64,
    pub(crate) remote: Option<SocketAddr>,
    /// `$remote_addr`
    pub(crate) remote_text: String,
    pub(crate) local: Option<SocketAddr>,
    /// The servers that may be meant here.
    pub(crate) hosts: Arc<Hosts>,
    /// TLS, if the client speaks it.
    pub(crate) tls: Option<Secured>,
    /// What a PROXY header told.
    pub(crate) told: Option<Told>,
    /// The client speaks plain HTTP where TLS is spoken.
    pub(crate) plain_on_tls: bool,
    /// HTTP/2: the header's time and length are that side's own to watch.
    pub(crate) is_h2: bool,
    metrics: ListenerMetrics,
    stub: Arc<Stub>,
    /// `$connection_requests`
    requests: AtomicU64,
    header_bytes_max: u64,
    start: Instant,
    phase: AtomicU8,
    header_bytes: AtomicU64,
    header_start_ms: AtomicU64,
    /// A request to be read again before anything else.
    pub(crate) again: Again,
}

/// The TLS of a connection.
#[derive(Debug)]
pub(crate) struct Secured {
    pub(crate) info: TlsInfo,
    /// The server whose settings the handshake had, by its place.
    pub(crate) server: usize,
}

/// Whether a header's time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// Yes.
    Passed,
    /// No: look again then.
    At(Instant),
}

impl Conn {
    pub(crate) fn new(
        serial: u64,
        remote: Option<SocketAddr>,
        local: Option<SocketAddr>,
        hosts: Arc<Hosts>,
        header_bytes_max: u64,
        metrics: ListenerMetrics,
        stub: Arc<Stub>,
    ) -> Self {
        metrics.open.inc();
        stub.accepted();
        stub.moved(None, Some(Doing::Reading));
        Self {
            serial,
            remote,
            remote_text: remote.map_or_else(|| "unix:".to_owned(), |addr| addr.ip().to_string()),
            local,
            hosts,
            tls: None,
            told: None,
            plain_on_tls: false,
            is_h2: false,
            metrics,
            stub,
            requests: AtomicU64::new(0),
            header_bytes_max: header_bytes_max.saturating_add(HEADER_SLACK_BYTES),
            start: Instant::now(),
            // The first header's time runs from the start, as in nginx.
            phase: AtomicU8::new(HEADER),
            header_bytes: AtomicU64::new(0),
            header_start_ms: AtomicU64::new(0),
            again: Again::default(),
        }
    }

    /// A request's header has been read.
    pub(crate) fn header_done(&self) {
        self.enter(REQUEST);
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// The request is done; the next header may begin.
    pub(crate) fn request_done(&self) {
        self.header_bytes.store(0, Ordering::Relaxed);
        self.enter(IDLE);
    }

    /// Requests so far, the one in hand included.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// How long it has been open.
    pub(crate) fn age(&self) -> Duration {
        self.start.elapsed()
    }

    fn enter(&self, phase: u8) {
        let before = self.phase.swap(phase, Ordering::Relaxed);
        self.stub.moved(Some(doing(before)), Some(doing(phase)));
    }

    /// How it stands with the header being read, if one is.
    pub(crate) fn deadline(&self, limit: Duration) -> Deadline {
        let now = Instant::now();
        if self.phase.load(Ordering::Relaxed) != HEADER {
            return Deadline::At(now + limit);
        }
        let start_ms = self.header_start_ms.load(Ordering::Relaxed);
        let end = self.start + Duration::from_millis(start_ms) + limit;
        if end <= now {
            Deadline::Passed
        } else {
            Deadline::At(end)
        }
    }

    /// Whether the next byte is the first of a header.
    fn begins_header(&self) -> bool {
        let phase = self.phase.load(Ordering::Relaxed);
        phase != REQUEST && !self.is_h2 && self.header_bytes.load(Ordering::Relaxed) == 0
    }

    /// Counts what was read. False if a header has grown too long.
    fn read(&self, count: u64) -> bool {
        self.metrics.bytes_in.inc_by(count);
        let phase = self.phase.load(Ordering::Relaxed);
        if phase == REQUEST || self.is_h2 {
            return true;
        }
        if phase == IDLE {
            let now_ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.header_start_ms.store(now_ms, Ordering::Relaxed);
            self.enter(HEADER);
        }
        let total = self
            .header_bytes
            .fetch_add(count, Ordering::Relaxed)
            .saturating_add(count);
        total <= self.header_bytes_max
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.metrics.open.dec();
        let phase = self.phase.load(Ordering::Relaxed);
        self.stub.moved(Some(doing(phase)), None);
    }
}

fn doing(phase: u8) -> Doing {
    match phase {
        IDLE => Doing::Waiting,
        HEADER => Doing::Reading,
        _ => Doing::Writing,
    }
}

/// The stream Pingora reads and writes.
pub(crate) struct Downstream {
    io: BufWriter<Io>,
    conn: Arc<Conn>,
    /// A header with a whole URL in it, until it has come.
    held: Vec<u8>,
}

impl Downstream {
    pub(crate) fn new(io: Io, conn: Arc<Conn>) -> Self {
        Self {
            io: BufWriter::with_capacity(WRITE_BUFFER_BYTES, io),
            conn,
            held: Vec::new(),
        }
    }

    /// Holds back a header that begins with a whole URL until it can be read as it should be.
    /// True if there is nothing to read yet.
    fn hold(&mut self, buf: &mut ReadBuf<'_>, before: usize) -> bool {
        let read = buf.filled().get(before..).unwrap_or_default();
        if self.held.is_empty() && !absolute::begins_with_url(read) {
            return false;
        }
        let ended = read.is_empty();
        self.held.extend_from_slice(read);
        buf.set_filled(before);
        if !ended && !absolute::is_whole(&self.held) && self.held.len() < absolute::HELD_MAX {
            return true;
        }
        let held = std::mem::take(&mut self.held);
        let held = absolute::with_host(&held).unwrap_or(held);
        let count = held.len().min(buf.remaining());
        let (now, later) = held.split_at(count);
        buf.put_slice(now);
        if !later.is_empty() {
            self.io.get_mut().unread(later.to_vec());
        }
        false
    }
}

impl fmt::Debug for Downstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "connection {} of {}",
            self.conn.serial, self.conn.remote_text
        )
    }
}

impl AsyncRead for Downstream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        // Pingora waits here between two pieces of an answer whose length is known, and flushes
        // only at its end: what is held must not wait for the next piece.
        if !this.io.buffer().is_empty() || this.io.get_ref().is_tls() {
            // An error comes back at the next write.
            let _ = Pin::new(&mut this.io).poll_flush(cx);
        }
        if this.conn.again.is_due() {
            return Poll::Ready(this.conn.again.read(buf));
        }
        let before = buf.filled().len();
        let begins = this.conn.begins_header();
        let mut result = Pin::new(this.io.get_mut()).poll_read(cx, buf);
        while (begins || !this.held.is_empty())
            && matches!(result, Poll::Ready(Ok(())))
            && this.hold(buf, before)
        {
            result = Pin::new(this.io.get_mut()).poll_read(cx, buf);
        }
        let count = buf.filled().len().saturating_sub(before);
        if count > 0 && !this.conn.read(count as u64) {
            return Poll::Ready(Err(std::io::Error::other("request header is too long")));
        }
        result
    }
}

impl AsyncWrite for Downstream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_write(cx, buf);
        if let Poll::Ready(Ok(count)) = &result {
            this.conn.metrics.bytes_out.inc_by(*count as u64);
        }
        result
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

/// The connection of a session, as [`Downstream`] told it.
pub(crate) fn of_session(session: &Session) -> Option<Arc<Conn>> {
    let digest = session.as_downstream().digest()?;
    let data = digest.proxy_digest.as_ref()?.user_data.as_ref()?;
    data.downcast_ref::<Arc<Conn>>().map(Arc::clone)
}

#[async_trait]
impl Shutdown for Downstream {
    async fn shutdown(&mut self) {
        // The other side may be gone already; there is nothing to be done about it.
        let _ = self.io.shutdown().await;
    }
}

impl UniqueID for Downstream {
    fn id(&self) -> UniqueIDType {
        self.io.get_ref().as_raw_fd()
    }
}

impl Ssl for Downstream {
    fn selected_alpn_proto(&self) -> Option<ALPN> {
        Some(if self.conn.is_h2 { ALPN::H2 } else { ALPN::H1 })
    }
}

impl Peek for Downstream {}

impl GetTimingDigest for Downstream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Downstream {
    /// The way the streams of HTTP/2 come to know their connection: see [`of_session`].
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        let header = ResponseHeader::build(StatusCode::OK, None).ok()?;
        let conn = Box::new(Arc::clone(&self.conn));
        Some(Arc::new(ProxyDigest::new(Box::new(header), Some(conn))))
    }
}

impl GetSocketDigest for Downstream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}
