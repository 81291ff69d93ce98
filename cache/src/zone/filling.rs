//! An answer that is being filled.

use crate::body::Writer;
use crate::fetch::FetchError;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::boarding::Ticket;
use super::kept::Kept;

/// Fills an answer. Dropped before its end, the answer is broken for all who read it, and not kept.
#[derive(Debug)]
pub struct Filler<H: Send + Sync + 'static> {
    ticket: Ticket<H>,
    kept: Arc<Kept<H>>,
    writer: Option<Writer>,
    /// So many of the zone's filling bytes are this one's.
    bytes: u64,
}

impl<H: Send + Sync + 'static> Filler<H> {
    pub(crate) fn new(ticket: Ticket<H>, kept: Arc<Kept<H>>) -> Self {
        Self {
            writer: Some(Writer::new(Arc::clone(kept.body()))),
            ticket,
            kept,
            bytes: 0,
        }
    }

    /// What it fills.
    pub fn kept(&self) -> &Arc<Kept<H>> {
        &self.kept
    }

    /// Appends a piece.
    ///
    /// # Errors
    /// [`FetchError::TooLarge`]: more than one answer may have, or than the zone may fill at once.
    pub fn push(&mut self, piece: Bytes) -> Result<(), FetchError> {
        let zone = self.ticket.zone();
        let count = piece.len() as u64;
        let all = zone.filling_bytes.fetch_add(count, Ordering::Relaxed);
        self.bytes += count;
        let options = zone.options();
        if self.bytes > options.object_bytes_max || all.saturating_add(count) > options.bytes_max {
            let limit_bytes = options.object_bytes_max;
            return Err(FetchError::TooLarge { limit_bytes });
        }
        if let Some(writer) = &mut self.writer {
            writer.push(piece);
        }
        Ok(())
    }

    /// The body is whole: the answer is kept.
    pub fn done(mut self) {
        if let Some(writer) = self.writer.take() {
            writer.complete();
            self.ticket.land(&self.kept);
        }
    }

    /// The body will never be whole.
    pub fn broken(mut self, error: FetchError) {
        if let Some(writer) = self.writer.take() {
            writer.fail(error);
        }
    }
}

impl<H: Send + Sync + 'static> Drop for Filler<H> {
    fn drop(&mut self) {
        let filling = &self.ticket.zone().filling_bytes;
        filling.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
