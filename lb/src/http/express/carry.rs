//! An answer's body, from the peer to the client, as it is framed.

use bytes::{Buf as _, BytesMut};

use super::answer::Framing;
use super::chunks::{self, Chunks};
use super::exchange::{Begun, Done, PIECE_BYTES, Try, Upstream};
use super::relay::{Stop, flush, give, pull};
use crate::balance::Outcome;

impl Try<'_> {
    pub(super) async fn answer(mut self, mut up: Upstream, begun: Begun) -> Done {
        let Begun {
            framing,
            mut keeps,
            out,
        } = begun;
        let relayed = match framing {
            Framing::None => self.length(&mut up, out, 0).await,
            Framing::Length(length) => self.length(&mut up, out, length).await,
            Framing::Chunked => self.chunked(&mut up, out).await,
            Framing::Close => self.until_close(&mut up, out).await,
        };
        let flushed = match relayed {
            Ok(()) => flush(self.down, self.limits.give).await,
            stopped => stopped,
        };
        // Bytes that nobody asked for.
        keeps &= up.buf.is_empty();
        match flushed {
            Ok(()) => {
                if keeps && !up.last {
                    self.group.pool.put(self.lease.peer().number, up.io);
                }
                let close = self.job.close;
                self.lease.observe(self.status < 500);
                self.end(Outcome::Answered);
                if close { Done::Close } else { Done::Kept }
            }
            Err(stop) => {
                self.broke_off(&stop);
                // An answer that broke off may be its object's fault.
                self.end(Outcome::Abandoned);
                Done::Close
            }
        }
    }

    /// A body of known length.
    async fn length(
        &mut self,
        up: &mut Upstream,
        mut out: Vec<u8>,
        length: u64,
    ) -> Result<(), Stop> {
        let mut left = length;
        let first = split(&mut up.buf, left);
        out.extend_from_slice(&first);
        left -= first.len() as u64;
        drop(first);
        give(self.down, &out, self.limits.give).await?;
        self.sent += length - left;
        drop(out);
        while left > 0 {
            self.refill(up).await?;
            let piece = split(&mut up.buf, left);
            give(self.down, &piece, self.limits.give).await?;
            left -= piece.len() as u64;
            self.sent += piece.len() as u64;
        }
        Ok(())
    }

    /// A body in chunks, which goes on in chunks of our own.
    async fn chunked(&mut self, up: &mut Upstream, mut out: Vec<u8>) -> Result<(), Stop> {
        let mut chunks = Chunks::default();
        loop {
            let mut input = &up.buf[..];
            loop {
                match chunks.next(&mut input) {
                    Ok(Some(data)) => {
                        chunks::write(data, &mut out);
                        self.sent += data.len() as u64;
                    }
                    Ok(None) => break,
                    Err(chunks::Malformed) => {
                        return Err(Stop::Broken(std::io::ErrorKind::InvalidData.into()));
                    }
                }
            }
            let taken = up.buf.len() - input.len();
            up.buf.advance(taken);
            if chunks.is_done() {
                out.extend_from_slice(chunks::LAST);
                return give(self.down, &out, self.limits.give).await;
            }
            give(self.down, &out, self.limits.give).await?;
            out.clear();
            self.refill(up).await?;
        }
    }

    /// A body that ends with the connection; the client gets it in chunks.
    async fn until_close(&mut self, up: &mut Upstream, mut out: Vec<u8>) -> Result<(), Stop> {
        loop {
            if !up.buf.is_empty() {
                chunks::write(&up.buf, &mut out);
                self.sent += up.buf.len() as u64;
                up.buf.clear();
            }
            give(self.down, &out, self.limits.give).await?;
            out.clear();
            up.buf.reserve(PIECE_BYTES);
            if pull(&mut up.io, &mut up.buf, self.down, self.limits.read).await? == 0 {
                return give(self.down, chunks::LAST, self.limits.give).await;
            }
        }
    }

    /// Reads more of a body that has not ended.
    async fn refill(&mut self, up: &mut Upstream) -> Result<(), Stop> {
        up.buf.reserve(PIECE_BYTES);
        match pull(&mut up.io, &mut up.buf, self.down, self.limits.read).await? {
            0 => Err(Stop::Broken(std::io::ErrorKind::UnexpectedEof.into())),
            _ => Ok(()),
        }
    }
}

/// The first bytes of a buffer, so many at most.
fn split(buf: &mut BytesMut, most: u64) -> BytesMut {
    let count = usize::try_from(most).unwrap_or(usize::MAX).min(buf.len());
    buf.split_to(count)
}
