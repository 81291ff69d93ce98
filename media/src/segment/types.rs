//! What goes into a segmenter and what comes out of it.

use crate::cmaf::CmafError;
use crate::frame::TrackKind;
use crate::params::TrackParams;
use crate::time::Timestamp;
use bytes::Bytes;

/// How segments are cut. `Default` is the house's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmenterOptions {
    /// Media time between the instants that cuts are sought near (`hls.time`).
    pub segment_duration_ms: u32,
    /// Media time that a stream with one track so far waits for the other before it starts alone.
    pub track_wait_ms: u32,
    /// How far one track may run behind the other, in media time, before segments stop waiting
    /// for it. It is also the latency that a silent audio track adds.
    pub interleave_ms: u32,
    /// A timestamp further ahead than this is a jump, not a pause; a picture track silent for
    /// longer while sound goes on is gone.
    pub jump_ms: u32,
    /// A decode time further back than this is a jump, not jitter.
    pub reorder_jitter_ms: u32,
    /// How far one audio timestamp may stray from the sample clock before silence is put in or
    /// frames are taken out. (A stray of a frame that lasts is mended too.)
    pub audio_resync_ms: u32,
    /// Longest group of pictures.
    pub gop_ms_max: u32,
    /// Most bytes held for the segments being built.
    pub segment_bytes_max: usize,
}

impl Default for SegmenterOptions {
    fn default() -> Self {
        Self {
            segment_duration_ms: 2000,
            track_wait_ms: 1000,
            interleave_ms: 1000,
            jump_ms: 3000,
            reorder_jitter_ms: 100,
            audio_resync_ms: 100,
            gop_ms_max: 60_000,
            segment_bytes_max: 64 << 20,
        }
    }
}

/// Where an epoch takes a stream's timeline up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EpochStart {
    /// Media sequence number of the epoch's first segment.
    pub first_sequence_number: u64,
    /// Media time of the epoch's first sample, milliseconds, not negative.
    pub media_time_ms: i64,
}

/// What a segmenter has made, in the order in which a playlist should learn of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SegmentEvent {
    /// A track's configuration, before the first segment that uses it.
    Init(InitSegment),
    /// A finished segment.
    Segment(Segment),
}

/// A track's initialization segment.
#[derive(Clone, Debug)]
pub struct InitSegment {
    /// Its track.
    pub track: TrackKind,
    /// Count of the track's configurations in the epoch, from 0.
    pub index: u32,
    /// `ftyp` and `moov`.
    pub bytes: Bytes,
    /// What it says.
    pub params: TrackParams,
}

/// One segment of a stream: a file for each track that has samples in it.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Media sequence number, one more than the segment before.
    pub sequence_number: u64,
    /// Whether decoders must start anew: parameters, tracks or source timestamps changed.
    pub discontinuity: bool,
    /// Media time of the first sample: the video track's when there is one.
    pub start: Timestamp,
    /// From there to the next segment: the video track's when there is one.
    pub duration: Timestamp,
    /// `start` less the epoch's start, milliseconds: add the wall clock of the epoch's start to
    /// get the program date. After a forward jump of the source it lags by what was jumped over.
    pub epoch_offset_ms: i64,
    /// Pictures. `None` when the stream has none (any more); then a playlist of pictures needs
    /// `EXT-X-GAP` for this number.
    pub video: Option<TrackSegment>,
    /// Sound. `None` when the stream has none, or in rare cases (see the module) no sample of it
    /// lies in this segment; then as above.
    pub audio: Option<TrackSegment>,
}

/// One track's file in a segment.
#[derive(Clone, Debug)]
pub struct TrackSegment {
    /// Which of the track's [`InitSegment`]s it needs.
    pub init_index: u32,
    /// `styp`, `moof`, `mdat`.
    pub bytes: Bytes,
    /// Its `tfdt`.
    pub start: Timestamp,
    /// Sum of its samples' durations, exact.
    pub duration: Timestamp,
    /// Count of its samples.
    pub frames: u32,
}

impl TrackSegment {
    /// Mean rate of the file over its duration, bits a second, rounded up.
    pub fn bitrate_bps(&self) -> u64 {
        let bits = u128::try_from(self.bytes.len())
            .unwrap_or(u128::MAX)
            .saturating_mul(8);
        let ticks = u128::try_from(self.duration.ticks().max(1)).unwrap_or(1);
        let rate = u128::from(self.duration.rate_hz().get());
        u64::try_from(bits.saturating_mul(rate).div_ceil(ticks)).unwrap_or(u64::MAX)
    }
}

/// Why a stream cannot be cut any further. All but `Cmaf` boxes are the publisher's fault, none is
/// cured by retrying; end the session. [`super::Segmenter::finish`] may still be called.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentError {
    /// No key frame for longer than the limit.
    #[error("no key frame for more than {limit_ms} ms")]
    GopTooLong {
        /// [`SegmenterOptions::gop_ms_max`].
        limit_ms: u32,
    },
    /// More bytes in a segment than the limit.
    #[error("segment holds more than {limit_bytes} bytes")]
    SegmentTooLarge {
        /// [`SegmenterOptions::segment_bytes_max`].
        limit_bytes: usize,
    },
    /// The parameters cannot be described, or the boxes cannot be written.
    #[error(transparent)]
    Cmaf(#[from] CmafError),
}

/// What happened to frames that did not simply pass. Counts since the epoch's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmenterStats {
    /// Dropped: no parameters for the track yet.
    pub dropped_without_params: u64,
    /// Dropped: no bytes in the frame.
    pub dropped_empty: u64,
    /// Dropped: pictures that no key frame went before.
    pub dropped_before_key_frame: u64,
    /// Dropped: sound or pictures from before the first segment (or the track's first).
    pub dropped_before_start: u64,
    /// Dropped: sound for a time that is already filled, late or overlapping.
    pub dropped_late_audio: u64,
    /// Dropped: timestamps centuries away.
    pub dropped_bad_timestamp: u64,
    /// Composition offsets beyond ten seconds, taken as none.
    pub bad_composition_time: u64,
    /// Decode times that repeated or went back a little, moved to one tick after the last.
    pub bumped_dts: u64,
    /// Frames of silence put in where sound was missing.
    pub silent_frames_inserted: u64,
    /// Times that a track's timestamps jumped.
    pub timestamp_jumps: u64,
    /// Segments that begin a discontinuity.
    pub discontinuities: u64,
}
