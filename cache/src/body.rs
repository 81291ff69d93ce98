//! A body that many read while one fills it.
//!
//! The writer appends pieces and wakes the readers; each reader walks the pieces at its own pace
//! and shares their memory. When the last piece is in, they are joined into one buffer: the small
//! slices of the transport's read buffer are freed (they pin more memory than they show), ranges
//! become slices, and a hit is one write.
//!
//! Failures: a fill that ends without [`Writer::complete`] fails the body, and every reader sees
//! the error after the bytes that did come.

use crate::fetch::FetchError;
use bytes::{Bytes, BytesMut};
use prometheus::IntCounter;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::Notify;

/// The shared body.
#[derive(Debug, Default)]
pub(crate) struct Body {
    filling: Mutex<Filling>,
    wake: Notify,
    /// Set once, when complete: readers then need no lock.
    whole: OnceLock<Bytes>,
}

#[derive(Debug, Default)]
struct Filling {
    pieces: Vec<Bytes>,
    len_bytes: u64,
    failed: Option<FetchError>,
}

impl Body {
    /// All of it, once complete.
    pub(crate) fn whole(&self) -> Option<&Bytes> {
        self.whole.get()
    }

    /// Waits for the last byte.
    pub(crate) async fn wait_whole(&self) -> Result<&Bytes, FetchError> {
        loop {
            let woken = self.wake.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            if let Some(whole) = self.whole.get() {
                return Ok(whole);
            }
            if let Some(error) = &self.lock().failed {
                return Err(error.clone());
            }
            woken.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Filling> {
        // Nothing panics while the lock is held, so a poisoned state is still a whole one.
        self.filling.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one who fills a body. Dropping it without [`Writer::complete`] fails the body.
#[derive(Debug)]
pub(crate) struct Writer {
    body: Option<Arc<Body>>,
}

impl Writer {
    pub(crate) fn new(body: Arc<Body>) -> Self {
        Self { body: Some(body) }
    }

    /// Appends a piece and returns the length so far, bytes.
    pub(crate) fn push(&mut self, piece: Bytes) -> u64 {
        let Some(body) = &self.body else { return 0 };
        let mut filling = body.lock();
        filling.len_bytes += piece.len() as u64;
        if !piece.is_empty() {
            filling.pieces.push(piece);
        }
        let len_bytes = filling.len_bytes;
        drop(filling);
        body.wake.notify_waiters();
        len_bytes
    }

    /// The body is whole. Returns its length, bytes.
    pub(crate) fn complete(mut self) -> u64 {
        let Some(body) = self.body.take() else {
            return 0;
        };
        let pieces = body.lock().pieces.clone();
        let whole = join(&pieces);
        let len_bytes = whole.len() as u64;
        // Order matters to readers, which look at `whole` first and at the pieces under the lock.
        let _already = body.whole.set(whole);
        body.lock().pieces = Vec::new();
        body.wake.notify_waiters();
        len_bytes
    }

    /// The body will never be whole.
    pub(crate) fn fail(mut self, error: FetchError) {
        self.end(error);
    }

    fn end(&mut self, error: FetchError) {
        if let Some(body) = self.body.take() {
            body.lock().failed = Some(error);
            body.wake.notify_waiters();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end(FetchError::Abandoned);
    }
}

/// One piece is copied, too: it may be a small slice of a large read buffer.
fn join(pieces: &[Bytes]) -> Bytes {
    let mut whole = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    for piece in pieces {
        whole.extend_from_slice(piece);
    }
    whole.freeze()
}

/// Reads a body, or a range of it, from the first byte wanted to the last.
#[derive(Debug)]
pub struct Reader {
    body: Arc<Body>,
    served_bytes: IntCounter,
    /// Where in the body the next byte is.
    at_bytes: u64,
    /// Where to stop.
    end_bytes: u64,
    /// Which piece holds it, and where that piece starts.
    piece: usize,
    piece_start_bytes: u64,
}

enum Step {
    Piece(Bytes),
    End,
    Wait,
}

impl Reader {
    pub(crate) fn new(body: Arc<Body>, served_bytes: IntCounter, from: u64, end: u64) -> Self {
        Self {
            body,
            served_bytes,
            at_bytes: from,
            end_bytes: end,
            piece: 0,
            piece_start_bytes: 0,
        }
    }

    /// The next bytes, `None` at the end. Waits for the fill where it has not come that far.
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`FetchError`] when the fill broke off: the bytes so far are not the whole.
    pub async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        loop {
            if let Some(done) = self.now()? {
                return Ok(done);
            }
            let body = Arc::clone(&self.body);
            let woken = body.wake.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            // Looked at again after enlisting: a piece may have come in between.
            if let Some(done) = self.now()? {
                return Ok(done);
            }
            woken.await;
        }
    }

    /// `None`: must wait.
    fn now(&mut self) -> Result<Option<Option<Bytes>>, FetchError> {
        match self.step()? {
            Step::Piece(bytes) => {
                self.at_bytes += bytes.len() as u64;
                self.served_bytes.inc_by(bytes.len() as u64);
                Ok(Some(Some(bytes)))
            }
            Step::End => Ok(Some(None)),
            Step::Wait => Ok(None),
        }
    }

    fn step(&mut self) -> Result<Step, FetchError> {
        if self.at_bytes >= self.end_bytes {
            return Ok(Step::End);
        }
        if let Some(whole) = self.body.whole.get() {
            return Ok(self.rest_of(whole, 0));
        }
        let filling = self.body.lock();
        while let Some(piece) = filling.pieces.get(self.piece) {
            let piece_end = self.piece_start_bytes + piece.len() as u64;
            if self.at_bytes < piece_end {
                return Ok(self.rest_of(piece, self.piece_start_bytes));
            }
            self.piece += 1;
            self.piece_start_bytes = piece_end;
        }
        if let Some(error) = &filling.failed {
            return Err(error.clone());
        }
        drop(filling);
        // Completed between the first look and the lock: the pieces have moved.
        match self.body.whole.get() {
            Some(whole) => Ok(self.rest_of(whole, 0)),
            None => Ok(Step::Wait),
        }
    }

    /// What of `bytes`, which start at `start` in the body, is still wanted.
    fn rest_of(&self, bytes: &Bytes, start: u64) -> Step {
        let clamp = |at: u64| {
            usize::try_from(at.saturating_sub(start))
                .unwrap_or(usize::MAX)
                .min(bytes.len())
        };
        let (from, to) = (clamp(self.at_bytes), clamp(self.end_bytes));
        if from >= to {
            Step::End
        } else {
            Step::Piece(bytes.slice(from..to))
        }
    }
}
