//! The viewer's connection as Pingora's session sees it.
//!
//! Pingora reads and writes; this layer adds what only the byte stream can know. Reading: when a
//! request's first byte came (so that being idle and being slow can be told apart) and how large
//! its head grew. Writing: the head waits for the body, so that both leave in one call, and a
//! viewer that takes nothing for too long is an error. Closing: a refused viewer that is still
//! sending is drained for a moment, else the reset would overtake the refusal.
//!
//! Limits: [`OUT_BYTES_MAX`] buffered, head bytes and send time from the options, and
//! [`LINGER_MS_MAX`] and [`LINGER_BYTES_MAX`] for [`LINGERS_MAX`] connections at once.

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Sleep, sleep, timeout};

/// Bytes held back so that small writes leave together.
const OUT_BYTES_MAX: usize = 16 << 10;
/// How long a refused viewer's bytes are still read, ms.
const LINGER_MS_MAX: u64 = 1_000;
/// How many of them.
const LINGER_BYTES_MAX: usize = 1 << 20;
/// Connections being drained so at once; more are just closed.
const LINGERS_MAX: usize = 256;

static LINGERS: Semaphore = Semaphore::const_new(LINGERS_MAX);

/// A byte stream from a viewer.
pub(crate) trait ViewerStream:
    AsyncRead + AsyncWrite + Unpin + Send + Sync + std::fmt::Debug + 'static
{
}
impl<S: AsyncRead + AsyncWrite + Unpin + Send + Sync + std::fmt::Debug + 'static> ViewerStream
    for S
{
}

/// What the wire has seen of the request being read; shared with who waits for it.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    reading_head: AtomicBool,
    head_bytes: AtomicUsize,
    head_too_large: AtomicBool,
    first_byte: Notify,
    linger: AtomicBool,
    write_through: AtomicBool,
}

impl Watch {
    /// A new request's head comes next.
    pub(crate) fn begin_head(&self) {
        self.head_bytes.store(0, Ordering::Relaxed);
        self.reading_head.store(true, Ordering::Relaxed);
    }

    /// The head is in; what follows is body.
    pub(crate) fn end_head(&self) {
        self.reading_head.store(false, Ordering::Relaxed);
    }

    /// Whether any byte of the request came.
    pub(crate) fn has_begun(&self) -> bool {
        self.head_bytes.load(Ordering::Relaxed) > 0
    }

    /// Waits for the request's first byte.
    pub(crate) async fn first_byte(&self) {
        // A permit left from an earlier request only costs one more turn.
        while !self.has_begun() {
            self.first_byte.notified().await;
        }
    }

    pub(crate) fn head_too_large(&self) -> bool {
        self.head_too_large.load(Ordering::Relaxed)
    }

    /// The viewer was refused while it may still be sending.
    pub(crate) fn linger(&self) {
        self.linger.store(true, Ordering::Relaxed);
    }

    /// Whether small writes may wait for the next one. Pingora flushes at the end of a body of
    /// known length only, which would be late for one that is still filling.
    pub(crate) fn hold_back(&self, may_wait: bool) {
        self.write_through.store(!may_wait, Ordering::Relaxed);
    }

    /// The request is over and the viewer was not refused.
    pub(crate) fn settle(&self) {
        self.linger.store(false, Ordering::Relaxed);
    }

    fn saw(&self, bytes: usize, head_bytes_max: usize) -> io::Result<()> {
        if bytes == 0 || !self.reading_head.load(Ordering::Relaxed) {
            return Ok(());
        }
        let before = self.head_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before == 0 {
            self.first_byte.notify_one();
        }
        if before + bytes > head_bytes_max {
            self.head_too_large.store(true, Ordering::Relaxed);
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "request head too large",
            ));
        }
        Ok(())
    }
}

/// Limits of one wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WireLimits {
    pub(crate) head_bytes_max: usize,
    pub(crate) send_max: Duration,
}

/// A viewer's connection.
#[derive(Debug)]
pub(crate) struct Wire<S: ViewerStream> {
    /// `None` only while being dropped.
    stream: Option<S>,
    watch: Arc<Watch>,
    limits: WireLimits,
    out: Vec<u8>,
    out_sent: usize,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S: ViewerStream> Wire<S> {
    pub(crate) fn new(stream: S, watch: Arc<Watch>, limits: WireLimits) -> Self {
        Self {
            stream: Some(stream),
            watch,
            limits,
            out: Vec::new(),
            out_sent: 0,
            stalled: None,
        }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut S>> {
        self.stream
            .as_mut()
            .map(Pin::new)
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Sends what is held back and then of `more`; returns how many of `more` went.
    fn poll_send(&mut self, cx: &mut Context<'_>, more: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let held = self.out.get(self.out_sent..).unwrap_or_default();
            if held.is_empty() && more.is_empty() {
                return Poll::Ready(Ok(0));
            }
            let held_len = held.len();
            let Some(stream) = self.stream.as_mut() else {
                return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
            };
            let slices = [IoSlice::new(held), IoSlice::new(more)];
            let sent = match Pin::new(stream).poll_write_vectored(cx, &slices) {
                Poll::Ready(sent) => sent?,
                Poll::Pending => return self.poll_stalled(cx),
            };
            self.stalled = None;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if sent < held_len {
                self.out_sent += sent;
                continue;
            }
            self.out.clear();
            self.out_sent = 0;
            if sent > held_len || more.is_empty() {
                return Poll::Ready(Ok(sent - held_len));
            }
        }
    }

    /// Pending until the viewer has taken nothing for too long.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let send_max = self.limits.send_max;
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(sleep(send_max)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: ViewerStream> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(self.stream()?.poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        let head_bytes_max = self.limits.head_bytes_max;
        Poll::Ready(self.watch.saw(read, head_bytes_max))
    }
}

impl<S: ViewerStream> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let may_wait = !self.watch.write_through.load(Ordering::Relaxed);
        if may_wait && self.out.len() + data.len() <= OUT_BYTES_MAX {
            self.out.extend_from_slice(data);
            return Poll::Ready(Ok(data.len()));
        }
        self.poll_send(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx, &[]))?;
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx, &[]))?;
        self.stream()?.poll_shutdown(cx)
    }
}

impl<S: ViewerStream> Drop for Wire<S> {
    fn drop(&mut self) {
        let Some(stream) = self.stream.take() else {
            return;
        };
        if !self.watch.linger.load(Ordering::Relaxed) {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(linger(stream));
        }
    }
}

/// Reads and drops what a refused viewer still sends, for a bounded time.
pub(crate) async fn linger<S: ViewerStream>(mut stream: S) {
    let Ok(_permit) = LINGERS.try_acquire() else {
        return;
    };
    let drain = async {
        // An error is as good an end as any.
        let _closed = stream.shutdown().await;
        let mut sink = [0; 4096];
        let mut left = LINGER_BYTES_MAX;
        while let Ok(read) = stream.read(&mut sink).await {
            left = left.saturating_sub(read);
            if read == 0 || left == 0 {
                break;
            }
        }
    };
    let _in_time = timeout(Duration::from_millis(LINGER_MS_MAX), drain).await;
}

#[async_trait]
impl<S: ViewerStream> Shutdown for Wire<S> {
    async fn shutdown(&mut self) {
        // Closing is best effort; the viewer may be gone already.
        let _closed = AsyncWriteExt::shutdown(self).await;
    }
}

impl<S: ViewerStream> UniqueID for Wire<S> {
    fn id(&self) -> UniqueIDType {
        0
    }
}

impl<S: ViewerStream> Ssl for Wire<S> {}

impl<S: ViewerStream> Peek for Wire<S> {}

impl<S: ViewerStream> GetTimingDigest for Wire<S> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl<S: ViewerStream> GetProxyDigest for Wire<S> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl<S: ViewerStream> GetSocketDigest for Wire<S> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}
