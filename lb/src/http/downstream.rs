//! A client's HTTP connection as the stream that Pingora reads and writes.
//!
//! It counts what is read and written, writes a header and a small body in one call, and reads
//! without a buffer, so that an idle connection holds little memory: [`WRITE_BUFFER_BYTES`] and
//! Pingora's own 4 KiB. The short way reads headers ahead, and hands them over when a request is
//! for Pingora; while one without a body is there, what comes is kept for the short way
//! ([`AHEAD_BYTES_MAX`]).

use std::fmt;
use std::os::fd::AsRawFd as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::{Buf as _, BytesMut};
use http::StatusCode;
use pingora::http::ResponseHeader;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use pingora::proxy::Session;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufWriter, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::absolute;
use super::conn::Conn;
use crate::io::Io;

/// Holds a header and a small body until they are flushed together.
const WRITE_BUFFER_BYTES: usize = 4096;

/// What is read of the next request, at most, while one is answered.
pub(crate) const AHEAD_BYTES_MAX: usize = 16 << 10;

/// What a read of a header asks for.
const READ_BYTES: usize = 4096;

/// The stream Pingora reads and writes.
pub(crate) struct Downstream {
    io: BufWriter<Io>,
    conn: Arc<Conn>,
    /// A header with a whole URL in it, until it has come.
    held: Vec<u8>,
    /// Read and not yet used: a header, and what came with it.
    ahead: BytesMut,
    /// How much of what is there to be read again is counted already.
    again: usize,
    /// A request without a body is in Pingora's hands: what comes now is the next one.
    gated: bool,
}

impl Downstream {
    pub(crate) fn new(io: Io, conn: Arc<Conn>) -> Self {
        Self {
            io: BufWriter::with_capacity(WRITE_BUFFER_BYTES, io),
            conn,
            held: Vec::new(),
            ahead: BytesMut::new(),
            again: 0,
            gated: false,
        }
    }

    /// What was read and not yet used.
    pub(crate) fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    /// So much of it is done with.
    pub(crate) fn consume(&mut self, count: usize) {
        self.ahead.advance(count.min(self.ahead.len()));
        if self.ahead.is_empty() {
            // An idle connection holds no buffer.
            self.ahead = BytesMut::new();
        }
    }

    /// Reads some more. Zero is the end.
    pub(crate) async fn read_ahead(&mut self) -> std::io::Result<usize> {
        std::future::poll_fn(|cx| {
            if self.io.get_ref().is_tls() {
                // A handshake's last words may still be held. An error comes back at a write.
                let _ = Pin::new(&mut self.io).poll_flush(cx);
            }
            self.poll_more(cx)
        })
        .await
    }

    /// Reads what comes of the next request, up to [`AHEAD_BYTES_MAX`]. Zero is the end.
    pub(crate) fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        if self.ahead.len() >= AHEAD_BYTES_MAX {
            return Poll::Pending;
        }
        self.poll_more(cx)
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        if self.ahead.capacity() == self.ahead.len() {
            self.ahead.reserve(READ_BYTES);
        }
        let result = poll_read_buf(Pin::new(self.io.get_mut()), cx, &mut self.ahead);
        if let Poll::Ready(Ok(count)) = &result
            && *count > 0
            && !self.conn.read(*count as u64)
        {
            return Poll::Ready(Err(std::io::Error::other("request header is too long")));
        }
        result
    }

    /// Gives what was read to Pingora: a header of `len` bytes and nothing else if nothing of the
    /// request comes after it (`gated`), else all there is.
    pub(crate) fn hand_over(&mut self, len: usize, gated: bool) {
        self.gated = gated;
        let count = if gated { len } else { self.ahead.len() };
        let bytes = self.ahead.split_to(count.min(self.ahead.len()));
        self.again = bytes.len();
        let whole = absolute::begins_with_url(&bytes) && absolute::is_whole(&bytes);
        let bytes = match whole.then(|| absolute::with_host(&bytes)).flatten() {
            Some(with_host) => with_host.into(),
            None => bytes.freeze(),
        };
        self.io.get_mut().unread(bytes);
    }

    /// Takes the connection back from Pingora.
    pub(crate) fn take_back(&mut self) {
        self.gated = false;
        self.again = 0;
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
        if this.gated && this.held.is_empty() && !this.io.get_ref().has_unread() {
            loop {
                match this.poll_ahead(cx) {
                    Poll::Ready(Ok(count)) if count > 0 => {}
                    other => return other.map_ok(|_| ()),
                }
            }
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
        let mut count = buf.filled().len().saturating_sub(before);
        // What is read again was counted the first time.
        let again = this.again.min(count);
        this.again -= again;
        count -= again;
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
