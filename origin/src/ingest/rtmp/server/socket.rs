//! An encoder's TCP socket, read the way encoders write.
//!
//! Many encoders (ffmpeg among them) write a message's header and its payload apart. Nagle's
//! algorithm on their side then holds the payload back until the header is acknowledged, which the
//! kernel does as soon as the header is read: so when a read gave no more than a header, the
//! payload is there a moment later. Asking once more at once costs a system call; not asking costs
//! a round through the event loop for each message, which is most of what a message costs.

use std::io::{self, ErrorKind, Read as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Longest chunk header, bytes: 3 basic, 11 message, 4 extended timestamp (5.3.1).
const HEADER_BYTES_MAX: usize = 18;
/// Read at most by the second read: most pictures of a few Mbit/s. What is longer comes with the
/// next event.
const SECOND_READ_BYTES_MAX: usize = 8 * 1024;

/// The socket.
#[derive(Debug)]
pub(super) struct EncoderSocket {
    tcp: TcpStream,
    /// What a second read said; the next read tells it.
    failed: Option<io::Error>,
}

impl EncoderSocket {
    /// Takes over a connected socket.
    pub(super) const fn new(tcp: TcpStream) -> Self {
        Self { tcp, failed: None }
    }

    fn read_once_more(&mut self, buf: &mut ReadBuf<'_>) {
        let room_bytes = buf.remaining().min(SECOND_READ_BYTES_MAX);
        if room_bytes == 0 {
            return;
        }
        // The runtime's own read would not ask the kernel again before the next event. Bytes taken
        // past it leave an event that finds nothing, which the runtime allows for.
        let socket = SockRef::from(&self.tcp);
        match (&*socket).read(buf.initialize_unfilled_to(room_bytes)) {
            // 0 bytes: the end, which every later read says too.
            Ok(bytes) => buf.advance(bytes),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(e) => self.failed = Some(e),
        }
    }
}

impl AsyncRead for EncoderSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        let before_bytes = buf.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(cx, buf))?;
        let read_bytes = buf.filled().len() - before_bytes;
        if (1..=HEADER_BYTES_MAX).contains(&read_bytes) {
            self.read_once_more(buf);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for EncoderSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn pair() -> (EncoderSocket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let encoder = TcpStream::connect(listener.local_addr().unwrap());
        let (accepted, encoder) = tokio::join!(listener.accept(), encoder);
        (EncoderSocket::new(accepted.unwrap().0), encoder.unwrap())
    }

    /// Waits until `bytes` lie in the socket, without telling the runtime's reader.
    async fn arrived(socket: &EncoderSocket, bytes: usize) {
        let mut peeked = vec![0; bytes];
        while socket.tcp.peek(&mut peeked).await.unwrap() < bytes {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_header_alone_is_read_alone() {
        let (mut socket, mut encoder) = pair().await;
        let mut buf = [0; 16 * 1024];
        for _ in 0..3 {
            for size in [8, 9_000, 18, 1] {
                encoder.write_all(&vec![7; size]).await.unwrap();
                arrived(&socket, size).await;
                assert_eq!(socket.read(&mut buf).await.unwrap(), size);
            }
        }
    }

    #[tokio::test]
    async fn every_byte_comes_once_however_it_is_cut() {
        let (mut socket, mut encoder) = pair().await;
        let sizes = [1, 8, 3_617, 12, 30_000, 18, 18, 19, 70_000, 1];
        let writes = tokio::spawn(async move {
            let mut sent = Vec::new();
            for (n, size) in sizes.into_iter().cycle().take(400).enumerate() {
                let piece = vec![u8::try_from(n % 251).unwrap(); size];
                encoder.write_all(&piece).await.unwrap();
                sent.extend_from_slice(&piece);
            }
            sent
        });
        let mut got = Vec::new();
        socket.read_to_end(&mut got).await.unwrap();
        assert!(got == writes.await.unwrap(), "bytes differ");
    }

    #[tokio::test]
    async fn what_follows_a_header_is_read_with_it() {
        let (mut socket, mut encoder) = pair().await;
        encoder.set_nodelay(true).unwrap();
        let mut buf = [0; 64];
        // Room for the header alone makes the first read end there, as a header sent apart does.
        encoder.write_all(&[7; 8 + 40]).await.unwrap();
        arrived(&socket, 8 + 40).await;
        let mut read = ReadBuf::new(&mut buf);
        read.put_slice(&[7; 8]);
        let taken = socket.tcp.try_read(&mut [0; 8]).unwrap();
        socket.read_once_more(&mut read);
        assert_eq!((taken, read.filled().len()), (8, 48));
        // Nothing there is no error, and the end is told by the read after.
        socket.read_once_more(&mut read);
        assert_eq!(read.filled().len(), 48);
        drop(encoder);
        assert_eq!(socket.read(&mut [0; 8]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn an_error_of_the_second_read_is_told_by_the_next() {
        let (mut socket, encoder) = pair().await;
        SockRef::from(&encoder)
            .set_linger(Some(std::time::Duration::ZERO))
            .unwrap();
        drop(encoder); // a reset
        socket.tcp.readable().await.unwrap();
        let mut buf = [0; 64];
        socket.read_once_more(&mut ReadBuf::new(&mut buf));
        let error = socket.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}
