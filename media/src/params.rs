//! What a decoder must know before the first frame of a track.

use bytes::Bytes;

/// Parameters of a video track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoParams {
    /// The coding format.
    pub codec: VideoCodec,
    /// Shown width, pixels (after cropping).
    pub width: u32,
    /// Shown height, pixels (after cropping).
    pub height: u32,
    /// RFC 6381 string, for example `avc1.64001f`.
    pub codec_string: String,
    /// The decoder configuration record as carried in the container (`avcC` payload).
    pub config: Bytes,
}

/// Video coding formats known to the house. More arrive with Enhanced RTMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VideoCodec {
    /// H.264 / AVC (ISO/IEC 14496-10).
    H264,
}

/// Parameters of an audio track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioParams {
    /// The coding format.
    pub codec: AudioCodec,
    /// Samples a second of the decoded sound.
    pub sample_rate_hz: u32,
    /// Channels of the decoded sound.
    pub channels: u16,
    /// RFC 6381 string, for example `mp4a.40.2`.
    pub codec_string: String,
    /// The AudioSpecificConfig (ISO/IEC 14496-3).
    pub config: Bytes,
}

/// Audio coding formats known to the house.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AudioCodec {
    /// AAC (ISO/IEC 14496-3), raw frames.
    Aac,
}

/// Parameters of one track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackParams {
    /// A video track.
    Video(VideoParams),
    /// An audio track.
    Audio(AudioParams),
}
