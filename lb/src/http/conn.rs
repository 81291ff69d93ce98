//! What is known of a client's HTTP connection, shared by its stream, its loop and its requests.
//!
//! Why: Pingora waits a time between two reads for a request's header, so a client that sends a
//! byte a minute holds it for ever. This counts the bytes of a header and knows when it began, and
//! [`super::serve`] cuts what is over time.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::express::Failed;
use super::replay::Again;
use super::route::Hosts;
use super::stub::{Doing, Stub};
use crate::metrics::ListenerMetrics;
use crate::proxy_protocol::Told;
use crate::tls::TlsInfo;

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
    pub(super) metrics: ListenerMetrics,
    stub: Arc<Stub>,
    /// `$connection_requests`
    requests: AtomicU64,
    header_bytes_max: u64,
    start: Instant,
    phase: AtomicU8,
    header_bytes: AtomicU64,
    header_start_ms: AtomicU64,
    /// `keepalive_timeout` of the request before.
    keep_ms: AtomicU64,
    /// What Pingora's proxy goes on from.
    failed: Mutex<Option<Box<Failed>>>,
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
            keep_ms: AtomicU64::new(0),
            failed: Mutex::new(None),
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

    /// [`Self::header_done`] was too early: somebody else reads the header again.
    pub(crate) fn header_undone(&self) {
        self.requests.fetch_sub(1, Ordering::Relaxed);
        self.stub.uncounted();
        self.enter(HEADER);
    }

    /// So much of the next header came while a request was in hand.
    pub(crate) fn header_began(&self, bytes: usize) {
        self.begin_header();
        self.header_bytes.store(bytes as u64, Ordering::Relaxed);
    }

    /// Whether it waits for a next request.
    pub(crate) fn is_idle(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == IDLE
    }

    /// What a client may send of a header.
    pub(crate) fn header_bytes_max(&self) -> u64 {
        self.header_bytes_max.saturating_sub(HEADER_SLACK_BYTES)
    }

    /// Says how long it may wait after the request in hand.
    pub(crate) fn keep(&self, keepalive_timeout_ms: u64) {
        self.keep_ms.store(keepalive_timeout_ms, Ordering::Relaxed);
    }

    /// How long it may wait for a next request.
    pub(crate) fn kept_for(&self) -> Duration {
        Duration::from_millis(self.keep_ms.load(Ordering::Relaxed))
    }

    /// Leaves word of a try that failed.
    pub(crate) fn leave_failed(&self, failed: Option<Box<Failed>>) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = failed;
    }

    /// The try that failed before, if any.
    pub(crate) fn take_failed(&self) -> Option<Box<Failed>> {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.take()
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
    pub(super) fn begins_header(&self) -> bool {
        let phase = self.phase.load(Ordering::Relaxed);
        phase != REQUEST && !self.is_h2 && self.header_bytes.load(Ordering::Relaxed) == 0
    }

    /// Counts what was read. False if a header has grown too long.
    pub(super) fn read(&self, count: u64) -> bool {
        self.metrics.bytes_in.inc_by(count);
        let phase = self.phase.load(Ordering::Relaxed);
        if phase == REQUEST || self.is_h2 {
            return true;
        }
        if phase == IDLE {
            self.begin_header();
        }
        let total = self
            .header_bytes
            .fetch_add(count, Ordering::Relaxed)
            .saturating_add(count);
        total <= self.header_bytes_max
    }

    fn begin_header(&self) {
        let now_ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.header_start_ms.store(now_ms, Ordering::Relaxed);
        self.enter(HEADER);
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
