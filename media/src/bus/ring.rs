//! The ring itself: entries, bounds and the newest place to join at.

use super::{BusOptions, BusStats};
use crate::frame::{Frame, TrackKind};
use crate::params::TrackParams;
use std::collections::VecDeque;
use std::sync::Arc;

/// The parameters of both tracks, video first.
pub(super) type BothParams = [Option<Arc<TrackParams>>; 2];

#[derive(Debug, Default)]
pub(super) struct Ring {
    pub(super) options: Option<BusOptions>,
    pub(super) entries: VecDeque<Entry>,
    /// Number of the front entry.
    pub(super) front: u64,
    pub(super) bytes: usize,
    /// Parameters in force at the ring's end.
    pub(super) params: BothParams,
    pub(super) key: Option<JoinPoint>,
    pub(super) ended: bool,
    pub(super) stats: BusStats,
}

#[derive(Debug)]
pub(super) enum Entry {
    Params(Arc<TrackParams>),
    Frame(Frame),
}

/// The newest place to join at.
#[derive(Clone, Debug)]
pub(super) struct JoinPoint {
    pub(super) number: u64,
    pub(super) frames_before: u64,
    pub(super) params: BothParams,
}

impl Ring {
    /// Number of the next entry.
    pub(super) fn end(&self) -> u64 {
        self.front
            .saturating_add(u64::try_from(self.entries.len()).unwrap_or(0))
    }

    /// Whether decoding can start at a frame: at any frame of a stream without pictures.
    pub(super) fn joinable(&self, frame: &Frame) -> bool {
        match frame.track {
            TrackKind::Video => frame.keyframe,
            TrackKind::Audio => self.params.iter().all(|params| {
                !params
                    .as_deref()
                    .is_some_and(|params| matches!(params, TrackParams::Video(_)))
            }),
        }
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.bytes = self.bytes.saturating_add(entry.bytes());
        self.entries.push_back(entry);
        let options = self.options.unwrap_or_default();
        while self.entries.len() > 1
            && (self.entries.len() > options.frames_max || self.bytes > options.bytes_max)
        {
            if let Some(oldest) = self.entries.pop_front() {
                self.bytes = self.bytes.saturating_sub(oldest.bytes());
                self.front = self.front.saturating_add(1);
            }
        }
        let front = self.front;
        self.key.take_if(|key| key.number < front);
    }
}

impl Entry {
    fn bytes(&self) -> usize {
        match self {
            Self::Params(_) => 0,
            Self::Frame(frame) => frame.data.len(),
        }
    }
}

/// The place of a track's parameters.
pub(super) fn slot<'a>(
    slots: &'a mut BothParams,
    params: &TrackParams,
) -> &'a mut Option<Arc<TrackParams>> {
    let [video, audio] = slots;
    match params {
        TrackParams::Video(_) => video,
        TrackParams::Audio(_) => audio,
    }
}
