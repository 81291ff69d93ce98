//! From the source's timestamps to the stream's timeline.
//!
//! Inside the segmenter time is counted in flicks, 1/705 600 000 s: the unit that milliseconds,
//! 90 kHz and every usual sample rate divide, so that nothing is rounded twice.
//!
//! A track's *line* is what is added to its source time. Both tracks share one line until a
//! timestamp jumps. The track that jumps first gets a new line on which its output runs on without
//! hole or overlap; the other follows onto that line when its own timestamps jump to match it, so
//! lips stay in sync over the jump.

use super::SegmenterOptions;
use crate::frame::TrackKind;
use crate::time::Timestamp;
use std::num::NonZeroU32;

/// Flicks a second.
pub(super) const FLICKS_HZ: NonZeroU32 = match NonZeroU32::new(705_600_000) {
    Some(rate) => rate,
    None => NonZeroU32::MIN,
};
const FLICKS_PER_MS: i64 = 705_600;
/// Furthest instant from zero that is believed, two centuries: sums of two still fit.
const INSTANT_MAX: i64 = 1 << 62;

/// Longest guess of how long after a track's last frame its next one is due.
const STEP_MAX: i64 = 250 * FLICKS_PER_MS;

/// `timestamp` in flicks; `None` when it is centuries away.
pub(super) fn to_flicks(timestamp: Timestamp) -> Option<i64> {
    let flicks = timestamp.rescale(FLICKS_HZ)?.ticks();
    (-INSTANT_MAX..=INSTANT_MAX)
        .contains(&flicks)
        .then_some(flicks)
}

/// `ms` milliseconds in flicks.
pub(super) fn flicks(ms: u32) -> i64 {
    i64::from(ms).saturating_mul(FLICKS_PER_MS)
}

/// `at` flicks in ticks of `rate_hz`, nearest.
pub(super) fn to_ticks(at: i64, rate_hz: NonZeroU32) -> i64 {
    Timestamp::new(at, FLICKS_HZ)
        .rescale(rate_hz)
        .map_or(i64::MAX, Timestamp::ticks)
}

/// `ticks` of `rate_hz` in flicks.
pub(super) fn from_ticks(ticks: i64, rate_hz: NonZeroU32) -> i64 {
    Timestamp::new(ticks, rate_hz)
        .rescale(FLICKS_HZ)
        .map_or(i64::MAX, Timestamp::ticks)
}

/// The mapping of both tracks.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    /// The newest line, flicks to add to source time.
    line: i64,
    video: Option<Track>,
    audio: Option<Track>,
    /// Where the timeline began; the position before any frame.
    origin: i64,
    jump: i64,
    jitter: i64,
}

#[derive(Clone, Copy, Debug)]
struct Track {
    line: i64,
    /// Latest source time seen.
    source: i64,
    /// When its next frame is expected, on the timeline.
    end: i64,
}

/// A frame's place on the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mapped {
    pub(super) at: i64,
    /// Whether its track has just changed lines.
    pub(super) jumped: bool,
}

impl Clock {
    /// A timeline on which `source` lies at `origin`.
    pub(super) fn new(source: i64, origin: i64, options: &SegmenterOptions) -> Self {
        Self {
            line: origin.saturating_sub(source),
            video: None,
            audio: None,
            origin,
            jump: flicks(options.jump_ms),
            jitter: flicks(options.reorder_jitter_ms),
        }
    }

    /// Maps a decode time. `step` is a guess of the frame's duration for when nothing better is
    /// known.
    pub(super) fn map(&mut self, kind: TrackKind, source: i64, step: i64) -> Mapped {
        let position = self.position();
        let Some(track) = *self.slot(kind) else {
            return self.map_first(kind, source, step, position);
        };
        let at = source.saturating_add(track.line);
        let moved = source.saturating_sub(track.source);
        let ahead = at.saturating_sub(position) > self.jump && moved > self.jump;
        let back = moved < self.jitter.saturating_neg();
        if !ahead && !back {
            // A pause is no frame duration.
            let step = if moved > 0 { moved } else { step }.min(STEP_MAX);
            let track = Track {
                line: track.line,
                source: source.max(track.source),
                end: at.saturating_add(step).max(track.end),
            };
            *self.slot(kind) = Some(track);
            return Mapped { at, jumped: false };
        }
        let follows = self.follows(track, source, position);
        if !follows {
            let newest = self.line;
            self.line = position.saturating_sub(source);
            // A track that was late onto the last line and missed it takes the other along.
            let line = self.line;
            if track.line != newest
                && let Some(other) = self.other(kind).as_mut()
                && other.line == newest
            {
                other.line = line;
            }
        }
        let line = self.line;
        let at = source.saturating_add(line);
        let end = at.saturating_add(step);
        *self.slot(kind) = Some(Track { line, source, end });
        Mapped { at, jumped: true }
    }

    fn map_first(&mut self, kind: TrackKind, source: i64, step: i64, position: i64) -> Mapped {
        let mut line = self.line;
        // A track that counts from another zero than the first one is put where the stream is.
        if source
            .saturating_add(line)
            .abs_diff(position)
            .gt(&self.jump.unsigned_abs())
        {
            line = position.saturating_sub(source);
        }
        let at = source.saturating_add(line);
        let end = at.saturating_add(step);
        *self.slot(kind) = Some(Track { line, source, end });
        Mapped { at, jumped: false }
    }

    /// Whether a jump is the one the other track made before.
    fn follows(&self, track: Track, source: i64, position: i64) -> bool {
        let at = source.saturating_add(self.line);
        track.line != self.line
            && at >= track.end.saturating_sub(self.jitter)
            && at <= position.saturating_add(self.jump)
    }

    /// Where the further of the two tracks is.
    pub(super) fn position(&self) -> i64 {
        let end = |track: &Option<Track>| track.map_or(self.origin, |track| track.end);
        end(&self.video).max(end(&self.audio))
    }

    fn slot(&mut self, kind: TrackKind) -> &mut Option<Track> {
        match kind {
            TrackKind::Video => &mut self.video,
            TrackKind::Audio => &mut self.audio,
        }
    }

    fn other(&mut self, kind: TrackKind) -> &mut Option<Track> {
        match kind {
            TrackKind::Video => &mut self.audio,
            TrackKind::Audio => &mut self.video,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TrackKind::{Audio, Video};

    fn ms(value: i64) -> i64 {
        value * FLICKS_PER_MS
    }

    fn map(clock: &mut Clock, kind: TrackKind, source_ms: i64) -> (i64, bool) {
        let mapped = clock.map(kind, ms(source_ms), ms(20));
        (mapped.at / FLICKS_PER_MS, mapped.jumped)
    }

    #[test]
    fn both_tracks_follow_one_jump() {
        for (target, first) in [(90_000, Video), (90_000, Audio), (0, Video), (0, Audio)] {
            let second = if first == Video { Audio } else { Video };
            let mut clock = Clock::new(ms(5000), 0, &SegmenterOptions::default());
            for at in (0..1000).step_by(20) {
                assert_eq!(map(&mut clock, Video, 5000 + at), (at, false));
                assert_eq!(map(&mut clock, Audio, 5000 + at), (at, false));
            }
            assert_eq!(map(&mut clock, first, target), (1000, true));
            // The second's last frame of the old line still arrives, then it follows.
            assert_eq!(map(&mut clock, second, 6000), (1000, false));
            assert_eq!(map(&mut clock, second, target + 20), (1020, true));
            assert_eq!(map(&mut clock, first, target + 20), (1020, false));
        }
    }

    #[test]
    fn pauses_and_jitter_are_no_jumps() {
        let mut clock = Clock::new(0, 0, &SegmenterOptions::default());
        assert_eq!(map(&mut clock, Video, 0), (0, false));
        assert_eq!(map(&mut clock, Audio, 0), (0, false));
        assert_eq!(map(&mut clock, Video, 2900), (2900, false));
        assert_eq!(map(&mut clock, Video, 2850), (2850, false));
        // Sound ran on for a minute while pictures paused: their return is no jump.
        for at in (20..60_000).step_by(20) {
            assert_eq!(map(&mut clock, Audio, at), (at, false));
        }
        assert_eq!(map(&mut clock, Video, 60_000), (60_000, false));
    }

    #[test]
    fn tracks_with_different_zeros_meet() {
        let mut clock = Clock::new(ms(1_000_000), ms(40_000), &SegmenterOptions::default());
        assert_eq!(map(&mut clock, Video, 1_000_000), (40_000, false));
        assert_eq!(map(&mut clock, Audio, 7), (40_020, false));
        assert_eq!(map(&mut clock, Audio, 27), (40_040, false));
    }

    #[test]
    fn the_unit_is_exact() {
        let hz = |rate| NonZeroU32::new(rate).unwrap();
        for rate in [1000, 90_000, 44_100, 48_000, 22_050, 11_025, 96_000] {
            assert_eq!(705_600_000 % rate, 0, "{rate}");
            assert_eq!(to_ticks(from_ticks(1234, hz(rate)), hz(rate)), 1234);
        }
        assert!(to_flicks(Timestamp::from_ms(i64::MAX)).is_none());
    }
}
