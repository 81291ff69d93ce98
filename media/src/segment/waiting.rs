//! Before the first segment: until it is known which tracks there are.

use super::clock::{Clock, flicks};
use super::{AudioTrack, Incoming, SegmentError, Segmenter};
use crate::cmaf::CmafError;
use crate::frame::TrackKind;
use crate::segment::video::FRAME_OVERHEAD_BYTES;
use crate::time::Timestamp;
use std::collections::VecDeque;

/// Frames that came before the start.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    frames: VecDeque<Incoming>,
    bytes: usize,
    /// Whether a video key frame is among them.
    key_frame: bool,
    /// Whether any picture came, key frame or not.
    picture: bool,
    /// Source times of the first frame and the latest, flicks.
    span: Option<(i64, i64)>,
    /// Latest source time of pictures and of sound, flicks.
    latest: [Option<i64>; 2],
}

impl Waiting {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn queue(&mut self, frame: Incoming) {
        self.bytes = self
            .bytes
            .saturating_add(frame.data.len())
            .saturating_add(FRAME_OVERHEAD_BYTES);
        self.frames.push_back(frame);
    }

    fn unqueue(&mut self) -> Option<Incoming> {
        let frame = self.frames.pop_front()?;
        self.bytes = self
            .bytes
            .saturating_sub(frame.data.len())
            .saturating_sub(FRAME_OVERHEAD_BYTES);
        Some(frame)
    }

    /// Source time waited so far, flicks.
    fn waited(&self) -> i64 {
        self.span
            .map_or(0, |(first, latest)| latest.saturating_sub(first))
    }

    /// Notes a frame's time; says whether its track's timestamps jumped.
    fn note(&mut self, frame: &Incoming, jump: i64, jitter: i64) -> bool {
        let [video, audio] = &mut self.latest;
        let latest = match frame.track {
            TrackKind::Video => video,
            TrackKind::Audio => audio,
        };
        let moved = latest.map_or(0, |latest| frame.dts.saturating_sub(latest));
        *latest = Some(frame.dts);
        if moved > jump || moved < jitter.saturating_neg() {
            self.latest = [None; 2];
            self.span = Some((frame.dts, frame.dts));
            return true;
        }
        let (first, last) = self.span.unwrap_or((frame.dts, frame.dts));
        self.span = Some((first.min(frame.dts), last.max(frame.dts)));
        false
    }
}

impl Segmenter {
    /// Takes a frame before the start, and starts when it is time.
    pub(super) fn wait(&mut self, frame: Incoming) -> Result<(), SegmentError> {
        let jump = flicks(self.options.jump_ms);
        let jitter = flicks(self.options.reorder_jitter_ms);
        if self.waiting.note(&frame, jump, jitter) {
            // What was gathered has no place on the timeline that begins now.
            let gathered = self.waiting.frames.len();
            self.drop_before_start(gathered);
            self.waiting.key_frame = false;
        }
        let limit_ms = self.options.gop_ms_max;
        if self.waiting.picture
            && !self.waiting.key_frame
            && self.waiting.waited() > flicks(limit_ms)
        {
            return Err(SegmentError::GopTooLong { limit_ms });
        }
        match frame.track {
            TrackKind::Video => {
                self.waiting.picture = true;
                if !frame.keyframe && !self.waiting.key_frame {
                    self.stats.dropped_before_key_frame =
                        self.stats.dropped_before_key_frame.saturating_add(1);
                } else {
                    self.waiting.key_frame = true;
                    self.waiting.queue(frame);
                }
            }
            TrackKind::Audio => {
                self.waiting.queue(frame);
                self.trim_sound();
            }
        }
        self.start_if_ready()
    }

    /// Sound from long before the key frame that is waited for is of no use.
    fn trim_sound(&mut self) {
        if self.video_setup.is_none() || self.waiting.key_frame || !self.waiting.picture {
            return;
        }
        let keep = flicks(self.options.interleave_ms);
        let latest = self.waiting.span.map_or(0, |(_, latest)| latest);
        let stale = self
            .waiting
            .frames
            .iter()
            .take_while(|frame| latest.saturating_sub(frame.dts) > keep)
            .count();
        self.drop_before_start(stale);
    }

    fn drop_before_start(&mut self, count: usize) {
        for _ in 0..count {
            self.waiting.unqueue();
            self.stats.dropped_before_start = self.stats.dropped_before_start.saturating_add(1);
        }
    }

    fn start_if_ready(&mut self) -> Result<(), SegmentError> {
        let waited = self.waiting.waited();
        let alone = waited >= flicks(self.options.track_wait_ms);
        let ready = match (self.video_setup.is_some(), self.audio_setup.is_some()) {
            (true, true) => {
                // Pictures that were announced and never came are given up like ones that stop.
                self.waiting.key_frame
                    || (!self.waiting.picture && waited > flicks(self.options.jump_ms))
            }
            (true, false) => self.waiting.key_frame && alone,
            (false, true) => alone,
            (false, false) => false,
        };
        if ready { self.start_now() } else { Ok(()) }
    }

    /// Starts with what there is; does nothing when there is nothing to start with.
    pub(super) fn start_now(&mut self) -> Result<(), SegmentError> {
        let pictures = self.waiting.key_frame;
        let first = self
            .waiting
            .frames
            .iter()
            .find(|frame| !pictures || frame.track == TrackKind::Video);
        let Some(first) = first else {
            return Ok(());
        };
        // The first picture is presented, and the first sound heard, at the epoch's media time.
        let delay = if pictures { first.composition } else { 0 };
        let source = first.dts.saturating_add(delay);
        self.clock = Some(Clock::new(source, self.origin, &self.options));
        self.policy.restart(self.origin);
        if pictures {
            self.video.begin(self.origin);
            self.video.start_anew(delay);
            self.announce(TrackKind::Video);
        } else {
            // A header without pictures: they join later, at a key frame.
            self.next_video = self.video_setup.take();
        }
        self.start_audio(self.origin, false)?;
        while let Some(frame) = self.waiting.unqueue() {
            self.run(frame)?;
        }
        Ok(())
    }

    /// Begins the sound of the parameters in force at `at` flicks, if there are any; `continues`
    /// when other sound ends there.
    pub(super) fn start_audio(&mut self, at: i64, continues: bool) -> Result<(), SegmentError> {
        let Some(setup) = &self.audio_setup else {
            return Ok(());
        };
        if let crate::params::TrackParams::Audio(params) = &setup.params {
            let tolerance = flicks(self.options.audio_resync_ms);
            let track =
                AudioTrack::new(params, at, continues, tolerance).map_err(CmafError::Codec)?;
            self.audio = Some(track);
            self.announce(TrackKind::Audio);
        }
        Ok(())
    }

    /// The epoch's start on the timeline.
    pub(super) fn origin_timestamp(&self) -> Timestamp {
        Timestamp::new(self.origin, super::FLICKS_HZ)
    }
}
