//! The packager of one epoch: frames off the bus, segments into the window.
//!
//! Frames pass the publisher's frame bus, where others may read them too. The packager is a reader
//! like any other, but one that is drained in the same turn in which the bus is fed: it costs no
//! wake-up, is never behind, and loses nothing. Like any other it starts at a key frame. A bus is
//! one publisher's: who returns gets another, so that nothing of before is read into an epoch.

use std::sync::Arc;

use weir_cluster::WallClock;
use weir_media::bus::{Bus, BusEvent, BusOptions, Consumer, Producer};
use weir_media::segment::{
    EpochStart, SegmentError, SegmentEvent, Segmenter, SegmenterOptions, SegmenterStats,
};
use weir_media::{Frame, TrackKind, TrackParams};

use crate::options::AppOptions;
use crate::window::{Window, WindowError};

/// Frames a publisher's bus holds, for readers that join later: some 6 s.
const BUS_FRAMES_MAX: usize = 1_024;
/// Bytes a publisher's bus holds.
const BUS_BYTES_MAX: usize = 16 << 20;

/// Why nothing more can be cut.
#[derive(Debug, thiserror::Error)]
pub(super) enum PackageError {
    /// The encoder's fault, except where it says otherwise.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// Ours.
    #[error("segments do not fit the window: {0}")]
    Window(#[from] WindowError),
}

/// Cuts one epoch, or what a returning publisher adds to it.
pub(super) struct Packager {
    producer: Producer,
    consumer: Consumer,
    segmenter: Segmenter,
    /// A frame came from which the epoch's start can be dated.
    dated: bool,
    pictures_seen: bool,
    key_frame_seen: bool,
    cut: bool,
}

impl Packager {
    pub(super) fn new(app: &AppOptions, sequence_number: u64, media_time_ms: i64) -> Self {
        let options = SegmenterOptions {
            segment_duration_ms: app.segment_duration_ms,
            ..SegmenterOptions::default()
        };
        let start = EpochStart {
            first_sequence_number: sequence_number,
            media_time_ms,
        };
        let (producer, bus) = Bus::new(BusOptions {
            frames_max: BUS_FRAMES_MAX,
            bytes_max: BUS_BYTES_MAX,
        });
        Self {
            producer,
            consumer: bus.subscribe(),
            segmenter: Segmenter::new(options, start),
            dated: false,
            pictures_seen: false,
            key_frame_seen: false,
            cut: false,
        }
    }

    /// Whether a viewer can start from what came: a key frame, or sound of a stream that sends no
    /// pictures.
    pub(super) const fn started(&self) -> bool {
        self.key_frame_seen || (self.cut && !self.pictures_seen)
    }

    /// What happened to frames that did not simply pass.
    pub(super) fn stats(&self) -> SegmenterStats {
        self.segmenter.stats()
    }

    /// Frames lost by not keeping up with the bus; none, if what is said above holds.
    pub(super) fn lost_frames(&self) -> u64 {
        self.consumer.lost_frames()
    }

    /// Takes a track's parameters: they hold for the frames after.
    pub(super) fn set_params(&self, params: TrackParams) {
        self.producer.set_params(params);
    }

    /// Takes a frame; returns how many segments it completed.
    ///
    /// # Errors
    /// [`PackageError`]: the publisher must go.
    pub(super) fn push(
        &mut self,
        frame: Frame,
        window: &mut Window,
        clock: &dyn WallClock,
    ) -> Result<u64, PackageError> {
        self.date(&frame, window, clock);
        self.producer.push(frame);
        let mut segments = 0;
        while let Some(event) = self.consumer.try_recv() {
            match event {
                BusEvent::Params(params) => {
                    let params = Arc::unwrap_or_clone(params);
                    self.segmenter.set_params(params)?;
                }
                BusEvent::Frame(frame) => {
                    let events = self.segmenter.push(frame)?;
                    segments += self.take(events, window)?;
                }
                _ => {}
            }
        }
        Ok(segments)
    }

    /// Cuts what is open; returns how many segments that made.
    ///
    /// # Errors
    /// [`PackageError`]: what was open is lost.
    pub(super) fn finish(mut self, window: &mut Window) -> Result<u64, PackageError> {
        let events = self.segmenter.finish()?;
        self.take(events, window)
    }

    fn take(
        &mut self,
        events: Vec<SegmentEvent>,
        window: &mut Window,
    ) -> Result<u64, PackageError> {
        let mut segments = 0;
        for event in events {
            match event {
                SegmentEvent::Init(init) => window.push_init(init)?,
                SegmentEvent::Segment(segment) => {
                    window.push_segment(segment)?;
                    segments += 1;
                }
                _ => {}
            }
        }
        if segments > 0 {
            self.cut = true;
            window.set_media_time(self.segmenter.next_start().media_time_ms);
        }
        Ok(segments)
    }

    /// The epoch starts with the first key frame, or with the first sound when no picture comes
    /// before a segment is cut.
    fn date(&mut self, frame: &Frame, window: &mut Window, clock: &dyn WallClock) {
        let first = match frame.track {
            TrackKind::Video => {
                self.pictures_seen = true;
                frame.keyframe && !self.key_frame_seen
            }
            TrackKind::Audio => !self.dated,
        };
        if first {
            self.key_frame_seen |= frame.track == TrackKind::Video;
            self.dated = true;
            if !self.cut {
                window.set_wall_clock(clock.now_ms());
            }
        }
    }
}
