//! One coded picture or audio packet, as it travels from ingest to packager.

use crate::time::Timestamp;
use bytes::Bytes;

/// Which of a stream's two tracks a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrackKind {
    /// Coded pictures.
    Video,
    /// Coded sound.
    Audio,
}

/// One access unit. Video is length-prefixed NAL units (ISO/IEC 14496-15), audio a raw AAC frame
/// (no ADTS). `dts` and `pts` have the same rate.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The track it belongs to.
    pub track: TrackKind,
    /// When it must be decoded.
    pub dts: Timestamp,
    /// When it is shown or heard.
    pub pts: Timestamp,
    /// Whether decoding can start here (always true for audio).
    pub keyframe: bool,
    /// The coded bytes.
    pub data: Bytes,
}
