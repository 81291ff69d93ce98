//! A connection's bytes, whatever carries them: TCP, a unix socket, TLS over either.
//!
//! Why one type: who reads a PROXY header, a ClientHello or the first byte of a request must be
//! able to give back what it read ([`Io::unread`]), and who serves must not care what lies
//! below. Limits: what is given back is what was read, so it is the reader's bound that holds.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use weir_conf::nginx::Addr;

use crate::tls;

/// A connection.
#[derive(Debug)]
pub(crate) struct Io {
    /// Read before, to be read again.
    again: Bytes,
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<tls::Stream>),
}

impl From<TcpStream> for Io {
    fn from(stream: TcpStream) -> Self {
        Inner::Tcp(stream).into()
    }
}

impl From<UnixStream> for Io {
    fn from(stream: UnixStream) -> Self {
        Inner::Unix(stream).into()
    }
}

impl From<tls::Stream> for Io {
    fn from(stream: tls::Stream) -> Self {
        Inner::Tls(Box::new(stream)).into()
    }
}

impl From<Inner> for Io {
    fn from(inner: Inner) -> Self {
        Self {
            again: Bytes::new(),
            inner,
        }
    }
}

impl Io {
    /// Connects in the clear from an address of ours, and has the kernel look whether the peer is
    /// there if `keepalive` says so; neither is for unix sockets.
    pub(crate) async fn connect_from(
        addr: &Addr,
        bind: Option<SocketAddr>,
        keepalive: bool,
    ) -> std::io::Result<Self> {
        match addr {
            Addr::Inet(addr) => {
                let socket = if addr.is_ipv4() {
                    TcpSocket::new_v4()?
                } else {
                    TcpSocket::new_v6()?
                };
                socket.set_keepalive(keepalive)?;
                if let Some(from) = bind {
                    socket.bind(from)?;
                }
                let stream = socket.connect(*addr).await?;
                stream.set_nodelay(true)?;
                Ok(stream.into())
            }
            Addr::Unix(path) => UnixStream::connect(path).await.map(Self::from),
        }
    }

    /// Reads some more onto `buffer`, up to `bytes_max` in all. Zero is the end, or a full buffer.
    pub(crate) async fn read_more(
        &mut self,
        buffer: &mut Vec<u8>,
        bytes_max: usize,
    ) -> std::io::Result<usize> {
        let room = bytes_max.saturating_sub(buffer.len()) as u64;
        self.take(room).read_buf(buffer).await
    }

    /// Gives back what was read and is for somebody else.
    pub(crate) fn unread(&mut self, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        self.again = if self.again.is_empty() {
            bytes
        } else {
            [&bytes[..], &self.again[..]].concat().into()
        };
    }

    /// Whether something was given back and not read again.
    pub(crate) fn has_unread(&self) -> bool {
        !self.again.is_empty()
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.inner, Inner::Tls(_))
    }
}

impl AsRawFd for Io {
    fn as_raw_fd(&self) -> RawFd {
        match &self.inner {
            Inner::Tcp(stream) => stream.as_raw_fd(),
            Inner::Unix(stream) => stream.as_raw_fd(),
            Inner::Tls(stream) => tls::fd(stream),
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        if !this.again.is_empty() {
            let count = this.again.len().min(buf.remaining());
            buf.put_slice(this.again.get(..count).unwrap_or_default());
            this.again.advance(count);
            return Poll::Ready(Ok(()));
        }
        match &mut this.inner {
            Inner::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Inner::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Inner::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match &mut self.get_mut().inner {
            Inner::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Inner::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Inner::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match &mut self.get_mut().inner {
            Inner::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Inner::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Inner::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match &mut self.get_mut().inner {
            Inner::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Inner::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Inner::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
