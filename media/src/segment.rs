//! Cuts a stream of frames into CMAF segments: pure, no clock but the frames' own.
//!
//! **Where.** A segment starts at a video key frame, at the one nearest to a multiple of
//! `segment_duration_ms` in media time and never before half of it has passed; a group of pictures
//! longer than that makes a segment as long. Sound is cut at the frame boundary nearest to the
//! video cut, so both tracks share sequence numbers, and each frame is in the segment in which most
//! of it sounds. A stream of sound alone is cut at the frames nearest to the multiples.
//!
//! **Time.** The first sample has the epoch's media time, and the output runs on from there without
//! hole or overlap. Video ticks are 1/90 000 s with durations from the next decode time; audio
//! ticks are samples, re-timed on the sample clock. With B-frames, where pictures are presented later
//! than they decode, decode times are moved so that a segment's `tfdt` is its key frame's
//! presentation time ([`crate::cmaf`] says why); sound begins and is cut by presentation.
//!
//! **Trouble.** A timestamp that jumps forward (beyond `jump_ms` ahead of both tracks) or back
//! (beyond `reorder_jitter_ms`), changed parameters, and a track that comes or goes make a
//! discontinuity: the next segment starts at the next key frame (at that very frame if it is one)
//! and says so, while the timeline runs on. Frames are not thrown away for it. Parameters equal to
//! those in force change nothing.
//!
//! **A track that falls silent** never stalls cutting. Sound that is `interleave_ms` late is
//! filled up with frames of silence, because a player whose audio playlist stops stops altogether;
//! what comes too late is dropped. (Configurations for which no silence can be made, such as
//! channels laid out by a program config element, get a short or missing audio file instead.)
//! Pictures cannot be made up: when they stay away for `jump_ms` of sound the stream goes on as
//! sound alone after a discontinuity, and their return at a key frame is another.
//!
//! **Starting.** With parameters of both tracks known it starts at the first key frame; with one
//! track it waits `track_wait_ms` for the other. A track that turns up later joins at the next cut.
//!
//! **Limits.** Groups of pictures of `gop_ms_max`, `segment_bytes_max` held; beyond them the
//! stream is refused ([`SegmentError`]). Everything dropped is counted ([`SegmenterStats`]).

mod audio;
mod clock;
mod cut;
mod emit;
mod policy;
#[cfg(test)]
mod tests;
mod types;
mod video;
mod waiting;

pub use types::{
    EpochStart, InitSegment, Segment, SegmentError, SegmentEvent, SegmenterOptions, SegmenterStats,
    TrackSegment,
};

use crate::cmaf::{CmafError, init_segment};
use crate::codec::aac;
use crate::frame::{Frame, TrackKind};
use crate::params::{AudioParams, TrackParams};
use crate::time::Timestamp;
use audio::AudioTrack;
use bytes::Bytes;
use clock::{Clock, FLICKS_HZ, flicks, to_flicks};
use policy::CutPolicy;
use std::collections::VecDeque;
use std::num::NonZeroU32;
use video::{VIDEO_TIMESCALE, VideoTrack};
use waiting::Waiting;

/// Parameters with the initialization segment made of them.
#[derive(Clone, Debug)]
struct Setup {
    params: TrackParams,
    init: Bytes,
}

/// A place between two segments that is decided but may still wait for sound.
#[derive(Debug)]
struct Boundary {
    /// When the next segment's first picture is presented, which is where sound is cut; flicks.
    at: i64,
    /// When it decodes, which is how long the last picture before it lasts; flicks. The same, but
    /// for encoders that delay some key frames more than others.
    decode: i64,
    /// Number of the video sample that starts the next segment.
    video_from: u64,
    /// Whether the segment after it begins a discontinuity.
    discontinuity: bool,
    /// Video parameters in force after it, when they change.
    video: Option<Setup>,
    /// Whether the sound that waits in `next_audio` takes over after it.
    swap_audio: bool,
}

/// Sound that cannot join before the next cut: other parameters, or no sound before.
#[derive(Debug)]
struct NextAudio {
    setup: Setup,
    /// Frames by time, flicks.
    incoming: VecDeque<(i64, Bytes)>,
    bytes: usize,
}

/// Which [`InitSegment`] of a track is in force, and how many there were.
#[derive(Clone, Copy, Debug, Default)]
struct InitCount {
    current: u32,
    next: u32,
}

/// The segmenter of one epoch of one stream.
#[derive(Debug)]
pub struct Segmenter {
    options: SegmenterOptions,
    /// Media time of the epoch's start, flicks.
    origin: i64,
    waiting: Waiting,
    /// `None` while waiting to start.
    clock: Option<Clock>,
    video_setup: Option<Setup>,
    audio_setup: Option<Setup>,
    /// Video parameters that wait for their first key frame.
    next_video: Option<Setup>,
    next_audio: Option<NextAudio>,
    video: VideoTrack,
    audio: Option<AudioTrack>,
    boundaries: VecDeque<Boundary>,
    policy: CutPolicy,
    /// The next cut is a discontinuity and comes at the next chance.
    force_cut: bool,
    /// Whether the segment being built begins a discontinuity.
    discontinuity: bool,
    next_sequence_number: u64,
    video_inits: InitCount,
    audio_inits: InitCount,
    /// End of what has been given out, flicks.
    end: i64,
    events: Vec<SegmentEvent>,
    stats: SegmenterStats,
}

impl Segmenter {
    /// A segmenter whose first segment is what `start` says.
    pub fn new(options: SegmenterOptions, start: EpochStart) -> Self {
        let ms = Timestamp::from_ms(start.media_time_ms.max(0));
        let origin = to_flicks(ms).unwrap_or(0);
        Self {
            policy: CutPolicy::new(flicks(options.segment_duration_ms)),
            options,
            origin,
            waiting: Waiting::default(),
            clock: None,
            video_setup: None,
            audio_setup: None,
            next_video: None,
            next_audio: None,
            video: VideoTrack::new(),
            audio: None,
            boundaries: VecDeque::new(),
            force_cut: false,
            discontinuity: false,
            next_sequence_number: start.first_sequence_number,
            video_inits: InitCount::default(),
            audio_inits: InitCount::default(),
            end: origin,
            events: Vec::new(),
            stats: SegmenterStats::default(),
        }
    }

    /// Tells a track's parameters: before its first frame, and whenever they change; the same
    /// again changes nothing. They hold for the frames pushed after.
    pub fn set_params(&mut self, params: TrackParams) -> Result<(), SegmentError> {
        let current = match &params {
            TrackParams::Video(_) => self.next_video.as_ref().or(self.video_setup.as_ref()),
            TrackParams::Audio(_) => match &self.next_audio {
                Some(next) => Some(&next.setup),
                None => self.audio_setup.as_ref(),
            },
        };
        if current.is_some_and(|setup| setup.params == params) {
            return Ok(());
        }
        let init = init_segment(&params, timescale(&params)?)?;
        let setup = Setup { params, init };
        let started = self.clock.is_some();
        match (&setup.params, started) {
            (TrackParams::Video(_), false) => self.video_setup = Some(setup),
            (TrackParams::Audio(_), false) => self.audio_setup = Some(setup),
            (TrackParams::Video(_), true) => self.next_video = Some(setup),
            (TrackParams::Audio(_), true) => {
                self.next_audio = Some(NextAudio {
                    setup,
                    incoming: VecDeque::new(),
                    bytes: 0,
                });
            }
        }
        Ok(())
    }

    /// Takes one frame; gives what it completed, often nothing. Frames of a track come in decode
    /// order, the tracks interleaved within `interleave_ms`.
    pub fn push(&mut self, frame: Frame) -> Result<Vec<SegmentEvent>, SegmentError> {
        if let Some(frame) = self.admit(frame) {
            if self.clock.is_none() {
                self.wait(frame)?;
            } else {
                self.run(frame)?;
            }
            self.check_bytes()?;
        }
        Ok(std::mem::take(&mut self.events))
    }

    /// Ends the epoch: gives the segments still open. Call it once.
    pub fn finish(&mut self) -> Result<Vec<SegmentEvent>, SegmentError> {
        if self.clock.is_none() {
            self.start_now()?;
        }
        self.flush()?;
        Ok(std::mem::take(&mut self.events))
    }

    /// What a next epoch must start with to go on after the segments given out so far.
    pub fn next_start(&self) -> EpochStart {
        // The first whole millisecond at or after the end.
        let end = Timestamp::new(self.end, FLICKS_HZ);
        let nearest = end.to_ms();
        let short = Timestamp::from_ms(nearest) < end;
        EpochStart {
            first_sequence_number: self.next_sequence_number,
            media_time_ms: nearest.saturating_add(i64::from(short)),
        }
    }

    /// Counts of what did not simply pass.
    pub fn stats(&self) -> SegmenterStats {
        self.stats
    }

    /// Turns away what can never be part of a segment.
    fn admit(&mut self, frame: Frame) -> Option<Incoming> {
        let known = match frame.track {
            TrackKind::Video => self.video_setup.is_some() || self.next_video.is_some(),
            TrackKind::Audio => self.audio_setup.is_some() || self.next_audio.is_some(),
        };
        let dropped = if !known {
            &mut self.stats.dropped_without_params
        } else if frame.data.is_empty() {
            &mut self.stats.dropped_empty
        } else {
            match (to_flicks(frame.dts), to_flicks(frame.pts)) {
                (Some(dts), Some(pts)) => {
                    return Some(Incoming {
                        composition: video::composition(dts, pts, &mut self.stats),
                        track: frame.track,
                        dts,
                        keyframe: frame.keyframe,
                        data: frame.data,
                    });
                }
                _ => &mut self.stats.dropped_bad_timestamp,
            }
        };
        *dropped = dropped.saturating_add(1);
        None
    }

    fn check_bytes(&self) -> Result<(), SegmentError> {
        let held = self
            .video
            .bytes()
            .saturating_add(self.audio.as_ref().map_or(0, AudioTrack::bytes))
            .saturating_add(self.next_audio.as_ref().map_or(0, |next| next.bytes))
            .saturating_add(self.waiting.bytes());
        let limit_bytes = self.options.segment_bytes_max;
        if held > limit_bytes {
            return Err(SegmentError::SegmentTooLarge { limit_bytes });
        }
        Ok(())
    }
}

/// A frame in the segmenter's own time.
#[derive(Debug)]
struct Incoming {
    track: TrackKind,
    /// Source time, flicks.
    dts: i64,
    /// Presentation less decode time, flicks.
    composition: i64,
    keyframe: bool,
    data: Bytes,
}

fn timescale(params: &TrackParams) -> Result<NonZeroU32, CmafError> {
    match params {
        TrackParams::Video(_) => Ok(VIDEO_TIMESCALE),
        TrackParams::Audio(AudioParams { config, .. }) => {
            let rate = aac::parse_asc(config)?.sample_rate_hz;
            Ok(NonZeroU32::new(rate).unwrap_or(NonZeroU32::MIN))
        }
    }
}
