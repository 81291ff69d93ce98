//! Sound waiting to be cut, re-timed on its own sample clock.
//!
//! RTMP rounds to milliseconds, and an AAC frame at 44.1 kHz lasts 23.22 of them: durations taken
//! from such timestamps would wobble and click. So a frame follows the one before by exactly its
//! samples, and timestamps only say when that has gone wrong: by more than a tolerance once, or by
//! more than a frame for [`DRIFT_FRAMES`] in a row, which jitter does not do and lost sound does.
//! Missing sound is then filled with frames of silence, surplus sound is dropped.

use super::SegmenterStats;
use super::clock::{from_ticks, to_ticks};
use super::video::{FRAME_OVERHEAD_BYTES, Run};
use crate::cmaf::Sample;
use crate::codec::{CodecError, aac};
use crate::params::AudioParams;
use bytes::Bytes;
use std::collections::VecDeque;
use std::num::NonZeroU32;

/// Frames over which a stray of more than one frame must last to be believed; two thirds of a
/// second at 48 kHz.
const DRIFT_FRAMES: u32 = 32;

#[derive(Debug)]
struct Queued {
    /// Ticks.
    start: i64,
    duration: i64,
    data: Bytes,
}

/// How far timestamps strayed from the sample clock over some frames, ticks; early is positive.
#[derive(Clone, Copy, Debug, Default)]
struct Drift {
    frames: u32,
    /// Largest and smallest.
    bounds: (i64, i64),
}

impl Drift {
    /// Notes a frame; after enough of them says how far all of them strayed at least.
    fn note(&mut self, early: i64) -> Option<i64> {
        let (largest, smallest) = self.bounds;
        self.bounds = if self.frames == 0 {
            (early, early)
        } else {
            (largest.max(early), smallest.min(early))
        };
        self.frames = self.frames.saturating_add(1);
        if self.frames < DRIFT_FRAMES {
            return None;
        }
        let (largest, smallest) = self.bounds;
        *self = Self::default();
        Some(if smallest > 0 {
            smallest
        } else {
            largest.min(0)
        })
    }
}

/// The audio track of the segments being built. Ticks are of its sample rate.
#[derive(Debug)]
pub(super) struct AudioTrack {
    rate_hz: NonZeroU32,
    frame_ticks: i64,
    tolerance_ticks: i64,
    /// A frame of silence, when one can be made for this configuration.
    silence: Option<Bytes>,
    /// Where sound begins; nothing before it is taken.
    begin: i64,
    /// Whether other sound ends where this begins, so that a gap would be heard.
    continues: bool,
    /// Where the next frame goes; `None` before the first.
    next: Option<i64>,
    /// Whether surplus is being dropped until timestamps and sample clock meet again.
    shedding: bool,
    drift: Drift,
    queue: VecDeque<Queued>,
    bytes: usize,
}

impl AudioTrack {
    /// A track whose sound begins at `begin` flicks and may stray by `tolerance` flicks; with
    /// `continues` its first frame is put at `begin` exactly.
    pub(super) fn new(
        params: &AudioParams,
        begin: i64,
        continues: bool,
        tolerance: i64,
    ) -> Result<Self, CodecError> {
        let config = aac::parse_asc(&params.config)?;
        let rate_hz = NonZeroU32::new(config.sample_rate_hz).unwrap_or(NonZeroU32::MIN);
        let frame_ticks = i64::from(config.samples_per_frame.max(1));
        let begin_ticks = to_ticks(begin, rate_hz);
        let early = from_ticks(begin_ticks, rate_hz) < begin;
        Ok(Self {
            rate_hz,
            frame_ticks,
            // Less than a frame would never settle.
            tolerance_ticks: to_ticks(tolerance, rate_hz).max(frame_ticks),
            silence: aac::silent_frame(config.object_type, config.channel_configuration),
            begin: begin_ticks.saturating_add(i64::from(early)).max(0),
            continues,
            next: None,
            shedding: false,
            drift: Drift::default(),
            queue: VecDeque::new(),
            bytes: 0,
        })
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Ticks a second.
    pub(super) fn rate_hz(&self) -> NonZeroU32 {
        self.rate_hz
    }

    /// The duration of a frame, flicks.
    pub(super) fn step(&self) -> i64 {
        from_ticks(self.frame_ticks, self.rate_hz)
    }

    /// Where the next frame will start, flicks.
    pub(super) fn end(&self) -> i64 {
        from_ticks(self.next.unwrap_or(self.begin), self.rate_hz)
    }

    /// Where the frames taken so far end, flicks.
    pub(super) fn taken_end(&self) -> i64 {
        self.queue
            .front()
            .map_or(self.end(), |frame| from_ticks(frame.start, self.rate_hz))
    }

    /// Whether every frame that belongs before `at` flicks has come.
    pub(super) fn reached(&self, at: i64) -> bool {
        self.middle(self.next.unwrap_or(self.begin)) >= to_ticks(at, self.rate_hz)
    }

    /// Starts of the queued frames but the first, flicks: where sound alone could be cut.
    pub(super) fn candidates(&self) -> impl Iterator<Item = i64> {
        self.queue
            .iter()
            .skip(1)
            .map(|frame| from_ticks(frame.start, self.rate_hz))
    }

    /// Queues a frame mapped to `at` flicks.
    pub(super) fn push(&mut self, at: i64, data: Bytes, stats: &mut SegmenterStats) {
        let ticks = to_ticks(at, self.rate_hz);
        let next = match self.next {
            Some(next) => next,
            None => match self.first(ticks) {
                Some(next) => next,
                None => {
                    stats.dropped_before_start = stats.dropped_before_start.saturating_add(1);
                    return;
                }
            },
        };
        let early = next.saturating_sub(ticks);
        let surplus = if self.shedding {
            self.frame_ticks / 2
        } else {
            self.tolerance_ticks
        };
        let drift = self.drift.note(early);
        self.shedding = early > surplus || drift.is_some_and(|early| early > self.frame_ticks);
        if self.shedding {
            self.drift = Drift::default();
            stats.dropped_late_audio = stats.dropped_late_audio.saturating_add(1);
            return;
        }
        self.next = Some(next);
        if early < self.tolerance_ticks.saturating_neg() {
            self.bridge(ticks, stats);
        } else if let Some(drift) = drift
            && drift < self.frame_ticks.saturating_neg()
        {
            self.bridge(next.saturating_sub(drift), stats);
        }
        self.append(data);
    }

    /// Fills with silence up to `at` flicks, when silence can be made.
    pub(super) fn fill_to(&mut self, at: i64, stats: &mut SegmenterStats) {
        let Some(silence) = self.silence.clone() else {
            return;
        };
        let at = to_ticks(at, self.rate_hz);
        let mut next = *self.next.get_or_insert(self.begin);
        while self.middle(next) < at {
            self.append(silence.clone());
            stats.silent_frames_inserted = stats.silent_frames_inserted.saturating_add(1);
            next = next.saturating_add(self.frame_ticks);
        }
    }

    /// Takes the frames that belong before `at` flicks: those whose middle lies before it.
    pub(super) fn take(&mut self, at: i64) -> Option<Run> {
        let at = to_ticks(at, self.rate_hz);
        let count = self
            .queue
            .partition_point(|frame| self.middle(frame.start) < at);
        self.take_count(count)
    }

    /// Takes all frames.
    pub(super) fn take_all(&mut self) -> Option<Run> {
        self.take_count(self.queue.len())
    }

    fn take_count(&mut self, count: usize) -> Option<Run> {
        let start = self.queue.front()?.start;
        if count == 0 {
            return None;
        }
        let mut samples = Vec::with_capacity(count);
        let mut duration = 0_i64;
        for frame in self.queue.drain(..count.min(self.queue.len())) {
            self.bytes = self
                .bytes
                .saturating_sub(frame.data.len().saturating_add(FRAME_OVERHEAD_BYTES));
            duration = duration.saturating_add(frame.duration);
            samples.push(Sample {
                duration: u32::try_from(frame.duration).unwrap_or(u32::MAX),
                composition_offset: 0,
                keyframe: true,
                data: frame.data,
            });
        }
        Some(Run {
            start,
            duration,
            samples,
        })
    }

    /// Closes the gap before a frame that belongs at `ticks`: whole frames of silence and less
    /// than a frame of lateness; or, without silence, a longer last frame.
    fn bridge(&mut self, ticks: i64, stats: &mut SegmenterStats) {
        self.drift = Drift::default();
        let before = from_ticks(ticks, self.rate_hz).saturating_sub(self.step() / 2);
        self.fill_to(before, stats);
        if self.silence.is_none() {
            if let Some(last) = self.queue.back_mut() {
                last.duration = ticks.saturating_sub(last.start);
            }
            self.next = Some(ticks);
        }
    }

    /// Where the first frame goes that belongs at `ticks`; `None` when it is too early.
    fn first(&self, ticks: i64) -> Option<i64> {
        let after = ticks.saturating_sub(self.begin);
        let early = if self.continues {
            (self.frame_ticks / 2).saturating_neg()
        } else {
            0
        };
        let exact = !self.continues && after <= self.tolerance_ticks;
        (after >= early).then_some(if exact { ticks } else { self.begin })
    }

    fn append(&mut self, data: Bytes) {
        let start = self.next.unwrap_or(self.begin);
        self.next = Some(start.saturating_add(self.frame_ticks));
        self.bytes = self
            .bytes
            .saturating_add(data.len())
            .saturating_add(FRAME_OVERHEAD_BYTES);
        self.queue.push_back(Queued {
            start,
            duration: self.frame_ticks,
            data,
        });
    }

    fn middle(&self, start: i64) -> i64 {
        start.saturating_add(self.frame_ticks / 2)
    }
}
