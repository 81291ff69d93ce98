//! A request that was read to its end, to be read once more.
//!
//! Why: Pingora keeps 64 KiB of a body for a second try and no more. A longer one lies in a file,
//! and the connection gives it again, behind a header that tells its length, to whoever reads.
//! What the client had sent of its next request comes after it. Failures: the file's.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::ReadBuf;

/// A body in a file without a name.
#[derive(Debug)]
pub(crate) struct Spooled {
    pub(crate) file: std::fs::File,
    pub(crate) bytes: u64,
}

/// A request to be read again.
#[derive(Debug)]
pub(crate) struct Replay {
    head: Bytes,
    body: Arc<Spooled>,
    at: u64,
    next: Bytes,
}

/// What a connection is to give before it reads on. Asked at each read, so it costs nothing while
/// there is nothing.
#[derive(Debug, Default)]
pub(crate) struct Again {
    due: AtomicBool,
    replay: Mutex<Option<Replay>>,
}

impl Again {
    /// Has the next reads give this request.
    pub(crate) fn rewind(&self, mut replay: Replay) {
        let mut place = self.replay.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = &*place {
            replay.follows(before);
        }
        *place = Some(replay);
        self.due.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_due(&self) -> bool {
        self.due.load(Ordering::Relaxed)
    }

    pub(crate) fn read(&self, buf: &mut ReadBuf<'_>) -> io::Result<()> {
        let mut replay = self.replay.lock().unwrap_or_else(PoisonError::into_inner);
        let last = match &mut *replay {
            Some(replay) => replay.read(buf)?,
            None => true,
        };
        if last {
            *replay = None;
            self.due.store(false, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Replay {
    /// A header (see [`told`]), the body, and what had come of the next request.
    pub(crate) fn new(head: Bytes, body: Arc<Spooled>, next: Option<BytesMut>) -> Self {
        Self {
            head,
            body,
            at: 0,
            next: next.unwrap_or_default().freeze(),
        }
    }

    /// Puts what is left of the next request in `before` behind what is known of it here.
    fn follows(&mut self, before: &Self) {
        if !before.next.is_empty() {
            self.next = [&self.next[..], &before.next[..]].concat().into();
        }
    }

    /// Reads some. True if there is no more.
    fn read(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<bool> {
        if !self.head.is_empty() {
            give(&mut self.head, buf);
        } else if self.at < self.body.bytes {
            let left = usize::try_from(self.body.bytes - self.at).unwrap_or(usize::MAX);
            let room = buf.initialize_unfilled();
            let count = left.min(room.len());
            let room = room.get_mut(..count).unwrap_or_default();
            self.body.file.read_exact_at(room, self.at)?;
            buf.advance(count);
            self.at += count as u64;
        } else {
            give(&mut self.next, buf);
        }
        Ok(self.head.is_empty() && self.at >= self.body.bytes && self.next.is_empty())
    }
}

fn give(bytes: &mut Bytes, buf: &mut ReadBuf<'_>) {
    let count = bytes.len().min(buf.remaining());
    buf.put_slice(bytes.get(..count).unwrap_or_default());
    bytes.advance(count);
}

/// A header with the length of the body in place of how it came.
pub(crate) fn told(header: &[u8], bytes: u64) -> Bytes {
    let framing = ["transfer-encoding:", "content-length:", "expect:"];
    let mut out = Vec::with_capacity(header.len() + 32);
    for (index, line) in header.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let is = |name: &str| {
            let start = line.get(..name.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
        };
        if line.trim_ascii_end().is_empty() {
            break;
        }
        if index == 0 || !framing.into_iter().any(is) {
            out.extend_from_slice(line);
        }
    }
    out.extend_from_slice(format!("Content-Length: {bytes}\r\n\r\n").as_bytes());
    out.into()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_request_is_read_again_with_its_length_and_what_follows() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"hello world").unwrap();
        let body = Arc::new(Spooled { file, bytes: 11 });
        let header = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\nA: 1\r\n\r\n";
        let mut replay = Replay::new(told(header, 11), body, Some(BytesMut::from("GET")));
        let before = Replay {
            next: Bytes::from_static(b" /"),
            head: Bytes::new(),
            body: Arc::clone(&replay.body),
            at: 11,
        };
        replay.follows(&before);
        let mut out = Vec::new();
        loop {
            let mut room = [0; 4];
            let mut buf = ReadBuf::new(&mut room);
            let last = replay.read(&mut buf).unwrap();
            out.extend_from_slice(buf.filled());
            if last {
                break;
            }
        }
        let wanted = "POST / HTTP/1.1\r\nA: 1\r\nContent-Length: 11\r\n\r\nhello worldGET /";
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
    }
}
