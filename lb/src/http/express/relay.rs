//! Bytes between the two sockets of an exchange, each wait watched: for its time, and for a
//! client that leaves.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio_util::io::poll_read_buf;

use crate::http::downstream::Downstream;
use crate::io::Io;

/// Why bytes do not flow.
#[derive(Debug)]
pub(super) enum Stop {
    /// The client left, or does not read.
    Client,
    /// The upstream broke off, or was never there.
    Broken(io::Error),
    /// The upstream took too long.
    Timeout,
    /// The upstream's header is none.
    Invalid,
}

/// Reads some more from the upstream; zero is its end. What the client has not got yet goes out
/// meanwhile.
pub(super) async fn pull(
    up: &mut Io,
    buf: &mut BytesMut,
    down: &mut Downstream,
    limit: Duration,
) -> Result<usize, Stop> {
    let read = poll_fn(|cx| {
        if let Poll::Ready(read) = poll_read_buf(Pin::new(&mut *up), cx, buf) {
            return Poll::Ready(read.map_err(Stop::Broken));
        }
        if let Poll::Ready(Err(_)) = Pin::new(&mut *down).poll_flush(cx) {
            return Poll::Ready(Err(Stop::Client));
        }
        // What comes is the next request; its end means that nobody waits for the answer.
        loop {
            match down.poll_ahead(cx) {
                Poll::Ready(Ok(count)) if count > 0 => {}
                Poll::Ready(_) => return Poll::Ready(Err(Stop::Client)),
                Poll::Pending => return Poll::Pending,
            }
        }
    });
    match tokio::time::timeout(limit, read).await {
        Ok(read) => read,
        Err(_) => Err(Stop::Timeout),
    }
}

/// Sends a request.
pub(super) async fn push(up: &mut Io, bytes: &[u8], limit: Duration) -> Result<(), Stop> {
    match tokio::time::timeout(limit, up.write_all(bytes)).await {
        Ok(sent) => sent.map_err(Stop::Broken),
        Err(_) => Err(Stop::Timeout),
    }
}

/// Writes to the client, who has `limit` for each piece that its socket takes.
pub(super) async fn give(
    down: &mut Downstream,
    mut bytes: &[u8],
    limit: Duration,
) -> Result<(), Stop> {
    while !bytes.is_empty() {
        match tokio::time::timeout(limit, down.write(bytes)).await {
            Ok(Ok(count)) if count > 0 => bytes = bytes.get(count..).unwrap_or_default(),
            _ => return Err(Stop::Client),
        }
    }
    Ok(())
}

/// Sends what is still held.
pub(super) async fn flush(down: &mut Downstream, limit: Duration) -> Result<(), Stop> {
    match tokio::time::timeout(limit, down.flush()).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(Stop::Client),
    }
}
