//! What a window keeps, and the immutable picture of it that requests are answered from.

use std::sync::Arc;

use bytes::Bytes;
use weir_media::{Timestamp, TrackKind, TrackParams};

/// An init segment and what it sets up.
#[derive(Debug)]
pub(crate) struct Init {
    pub(crate) epoch: u64,
    pub(crate) index: u32,
    pub(crate) bytes: Bytes,
    pub(crate) params: TrackParams,
}

/// One track's part of a kept segment.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) bytes: Bytes,
    pub(crate) duration: Timestamp,
    pub(crate) init: Arc<Init>,
}

/// A kept segment.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) sequence_number: u64,
    pub(crate) epoch: u64,
    pub(crate) discontinuity: bool,
    /// Discontinuities of the stream up to and including this segment's own.
    pub(crate) discontinuities: u64,
    pub(crate) program_date_time_ms: i64,
    /// To the next segment.
    pub(crate) duration_us: u64,
    pub(crate) video: Option<Part>,
    pub(crate) audio: Option<Part>,
}

impl Entry {
    pub(crate) fn part(&self, track: TrackKind) -> Option<&Part> {
        match track {
            TrackKind::Video => self.video.as_ref(),
            TrackKind::Audio => self.audio.as_ref(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let parts = [&self.video, &self.audio];
        parts
            .into_iter()
            .flatten()
            .map(|part| part.bytes.len())
            .sum()
    }
}

/// What requests are answered from: everything that exists at one moment.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) multivariant: Option<Bytes>,
    pub(crate) video: Option<Bytes>,
    pub(crate) audio: Option<Bytes>,
    /// There are no playlists, but there were, and there will be: here or at another node.
    pub(crate) awaited: bool,
    pub(super) entries: Vec<Arc<Entry>>,
}

impl Snapshot {
    pub(crate) fn segment(&self, track: TrackKind, epoch: u64, number: u64) -> Option<&Bytes> {
        let at = self
            .entries
            .binary_search_by_key(&number, |entry| entry.sequence_number)
            .ok()?;
        let entry = self.entries.get(at).filter(|entry| entry.epoch == epoch)?;
        entry.part(track).map(|part| &part.bytes)
    }

    pub(crate) fn init(&self, track: TrackKind, epoch: u64, index: u32) -> Option<&Bytes> {
        let inits = self
            .entries
            .iter()
            .rev()
            .filter_map(|entry| entry.part(track));
        inits
            .map(|part| &part.init)
            .find(|init| init.epoch == epoch && init.index == index)
            .map(|init| &init.bytes)
    }
}
