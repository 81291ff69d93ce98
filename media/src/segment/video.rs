//! Pictures waiting to be cut.

use super::SegmenterStats;
use super::clock::{flicks, from_ticks, to_ticks};
use crate::cmaf::Sample;
use bytes::Bytes;
use std::collections::VecDeque;
use std::num::NonZeroU32;

/// Ticks a second of video tracks: milliseconds and the usual frame rates fit it.
pub(super) const VIDEO_TIMESCALE: NonZeroU32 = match NonZeroU32::new(90_000) {
    Some(rate) => rate,
    None => NonZeroU32::MIN,
};
/// What a queued frame costs beyond its bytes; keeps empty-ish frames from being free.
pub(super) const FRAME_OVERHEAD_BYTES: usize = 64;
/// A duration for the only picture there is: 30 a second.
const DURATION_GUESS: i64 = 3000;
/// Longest believed distance between decode and presentation.
const COMPOSITION_MS_MAX: u32 = 10_000;

#[derive(Debug)]
struct Queued {
    /// Ticks.
    dts: i64,
    composition_offset: i32,
    keyframe: bool,
    data: Bytes,
}

/// A run of samples taken out, with where it starts and how long it is, in ticks.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) start: i64,
    pub(super) duration: i64,
    pub(super) samples: Vec<Sample>,
}

/// The video track of the segments being built.
#[derive(Debug)]
pub(super) struct VideoTrack {
    /// Whether pictures are part of the segments now; set and cleared by the owner.
    pub(super) active: bool,
    /// Where pictures begin, the position before the first; flicks.
    begin: i64,
    /// Flicks that decode times are moved forward by, so that a key frame decodes when it is
    /// presented.
    shift: i64,
    queue: VecDeque<Queued>,
    /// Number of the queue's front, counting all samples ever queued.
    front: u64,
    last_dts: Option<i64>,
    /// Where the samples taken so far end, ticks: nothing may decode before it any more.
    taken_end: i64,
    last_duration: i64,
    last_key: i64,
    bytes: usize,
}

impl VideoTrack {
    pub(super) fn new() -> Self {
        Self {
            active: false,
            begin: 0,
            shift: 0,
            queue: VecDeque::new(),
            front: 0,
            last_dts: None,
            taken_end: 0,
            last_duration: DURATION_GUESS,
            last_key: 0,
            bytes: 0,
        }
    }

    /// Pictures are part of the stream from its start at `at` flicks.
    pub(super) fn begin(&mut self, at: i64) {
        self.active = true;
        self.begin = at;
        self.last_key = at;
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The duration of the last picture, flicks.
    pub(super) fn step(&self) -> i64 {
        from_ticks(self.last_duration, VIDEO_TIMESCALE)
    }

    /// When the last picture decodes, flicks.
    pub(super) fn position(&self) -> i64 {
        self.last_dts
            .map_or(self.begin, |dts| from_ticks(dts, VIDEO_TIMESCALE))
    }

    /// When the last picture presumably makes way for a next one, in decode time, flicks.
    pub(super) fn end(&self) -> i64 {
        self.position().saturating_add(self.step())
    }

    /// When a picture mapped to `at` decodes, flicks.
    pub(super) fn decode_time(&self, at: i64) -> i64 {
        at.saturating_add(self.shift)
    }

    /// Decoding starts anew with a key frame of this composition offset, flicks.
    pub(super) fn start_anew(&mut self, composition: i64) {
        self.shift = composition;
    }

    /// Number of the next sample to be queued.
    pub(super) fn next_number(&self) -> u64 {
        self.front
            .saturating_add(u64::try_from(self.queue.len()).unwrap_or(0))
    }

    /// Time from the last key frame to `at`, flicks, and remembers `at` as the last.
    pub(super) fn group_duration(&mut self, at: i64) -> i64 {
        let duration = at.saturating_sub(self.last_key);
        self.last_key = at;
        duration
    }

    /// Queues a picture mapped to `at`; returns its decode time, flicks.
    pub(super) fn push(
        &mut self,
        at: i64,
        composition: i64,
        keyframe: bool,
        data: Bytes,
        stats: &mut SegmenterStats,
    ) -> i64 {
        let mut dts = to_ticks(self.decode_time(at), VIDEO_TIMESCALE);
        let pts = to_ticks(at.saturating_add(composition), VIDEO_TIMESCALE);
        let earliest = self
            .last_dts
            .map_or(0, |last| last.saturating_add(1))
            .max(self.taken_end);
        if dts < earliest {
            dts = earliest;
            stats.bumped_dts = stats.bumped_dts.saturating_add(1);
        }
        if let Some(last) = self.last_dts {
            self.last_duration = dts.saturating_sub(last);
        }
        self.last_dts = Some(dts);
        self.bytes = self
            .bytes
            .saturating_add(data.len())
            .saturating_add(FRAME_OVERHEAD_BYTES);
        self.queue.push_back(Queued {
            dts,
            composition_offset: i32::try_from(pts.saturating_sub(dts)).unwrap_or(0),
            keyframe,
            data,
        });
        from_ticks(dts, VIDEO_TIMESCALE)
    }

    /// Takes the samples before number `until`; the last one lasts until `end` (decode time,
    /// flicks).
    pub(super) fn take(&mut self, until: u64, end: i64) -> Option<Run> {
        let end = to_ticks(end, VIDEO_TIMESCALE);
        let count = usize::try_from(until.saturating_sub(self.front)).unwrap_or(usize::MAX);
        let taken: Vec<Queued> = self.queue.drain(..count.min(self.queue.len())).collect();
        let start = taken.first()?.dts;
        self.front = self
            .front
            .saturating_add(u64::try_from(taken.len()).unwrap_or(0));
        let nexts = taken
            .iter()
            .skip(1)
            .map(|sample| sample.dts)
            .chain([end])
            .collect::<Vec<_>>();
        let mut samples = Vec::with_capacity(taken.len());
        let mut duration = 0_i64;
        for (sample, next) in taken.into_iter().zip(nexts) {
            self.bytes = self
                .bytes
                .saturating_sub(sample.data.len().saturating_add(FRAME_OVERHEAD_BYTES));
            let ticks = u32::try_from(next.saturating_sub(sample.dts).max(1)).unwrap_or(u32::MAX);
            duration = duration.saturating_add(i64::from(ticks));
            samples.push(Sample {
                duration: ticks,
                composition_offset: sample.composition_offset,
                keyframe: sample.keyframe,
                data: sample.data,
            });
        }
        self.taken_end = start.saturating_add(duration);
        Some(Run {
            start,
            duration,
            samples,
        })
    }
}

/// Presentation less decode time, flicks; none when it is beyond belief.
pub(super) fn composition(dts: i64, pts: i64, stats: &mut SegmenterStats) -> i64 {
    let composition = pts.saturating_sub(dts);
    if composition.unsigned_abs() > flicks(COMPOSITION_MS_MAX).unsigned_abs() {
        stats.bad_composition_time = stats.bad_composition_time.saturating_add(1);
        return 0;
    }
    composition
}
