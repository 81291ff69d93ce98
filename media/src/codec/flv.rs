//! FLV tag bodies, which are RTMP's audio and video messages: the legacy headers (Adobe FLV 10.1
//! Annex E.4.2 and E.4.3) and the enhanced ones (Enhanced RTMP v1 and v2, `ExVideoTagHeader`,
//! `ExAudioTagHeader`).
//!
//! Zero-copy: payloads are slices of the body. Of a multitrack message track 0 is read, other
//! tracks are named and left. Codecs the house cannot carry yet are an error that names them, so
//! that ingest can refuse in clear words. A sub-millisecond `TimestampOffsetNano` is stepped over:
//! the house counts RTMP time in milliseconds.

mod audio;
mod reader;
#[cfg(test)]
mod tests;
mod video;

pub use audio::parse_audio;
pub use video::parse_video;

use crate::params::{AudioCodec, VideoCodec};
use bytes::Bytes;
use std::fmt;

/// A video message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VideoTag {
    /// The decoder configuration; for H.264 an `avcC` payload.
    SequenceHeader {
        /// Whose configuration.
        codec: VideoCodec,
        /// The record.
        config: Bytes,
    },
    /// One access unit.
    CodedFrames {
        /// Its codec.
        codec: VideoCodec,
        /// As the tag claims; [`super::h264::is_idr`] tells the truth.
        keyframe: bool,
        /// Presentation minus decode time, milliseconds, −8 388 608 to 8 388 607.
        composition_time_ms: i32,
        /// Length-prefixed NAL units.
        data: Bytes,
    },
    /// No frames follow until the next sequence header.
    EndOfSequence,
    /// A seek mark or another command frame: nothing to decode.
    Command,
    /// AMF metadata about the pictures (HDR); the bytes as they came.
    Metadata(Bytes),
    /// A message of a track other than 0.
    OtherTrack {
        /// Its number.
        track_id: u8,
    },
}

/// An audio message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AudioTag {
    /// The decoder configuration; for AAC an AudioSpecificConfig.
    SequenceHeader {
        /// Whose configuration.
        codec: AudioCodec,
        /// The record.
        config: Bytes,
    },
    /// One frame.
    CodedFrames {
        /// Its codec.
        codec: AudioCodec,
        /// For AAC a raw frame.
        data: Bytes,
    },
    /// No frames follow until the next sequence header.
    EndOfSequence,
    /// Speaker layout; the AudioSpecificConfig says it too.
    MultichannelConfig,
    /// A message of a track other than 0.
    OtherTrack {
        /// Its number.
        track_id: u8,
    },
}

/// A codec as FLV writes it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum CodecId {
    /// Legacy `CodecID` of a video tag.
    Video(u8),
    /// Legacy `SoundFormat` of an audio tag.
    Audio(u8),
    /// Enhanced RTMP's four characters.
    FourCc([u8; 4]),
}

impl CodecId {
    /// The name people use, when there is one.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Video(2) => "Sorenson H.263",
            Self::Video(3 | 6) => "Screen video",
            Self::Video(4 | 5) => "On2 VP6",
            Self::Video(12) => "H.265/HEVC (legacy id)",
            Self::FourCc([b'h', b'v', b'c', b'1']) => "H.265/HEVC",
            Self::FourCc([b'v', b'v', b'c', b'1']) => "H.266/VVC",
            Self::FourCc([b'a', b'v', b'0', b'1']) => "AV1",
            Self::FourCc([b'v', b'p', b'0', b'8']) => "VP8",
            Self::FourCc([b'v', b'p', b'0', b'9']) => "VP9",
            Self::Audio(0 | 3) => "PCM",
            Self::Audio(1) => "ADPCM",
            Self::Audio(2 | 14) => "MP3",
            Self::Audio(4..=6) => "Nellymoser",
            Self::Audio(7 | 8) => "G.711",
            Self::Audio(11) => "Speex",
            Self::FourCc([b'O', b'p', b'u', b's']) => "Opus",
            Self::FourCc([b'f', b'L', b'a', b'C']) => "FLAC",
            Self::FourCc([b'a', b'c', b'-', b'3']) => "AC-3",
            Self::FourCc([b'e', b'c', b'-', b'3']) => "E-AC-3",
            Self::FourCc([b'.', b'm', b'p', b'3']) => "MP3",
            _ => return None,
        })
    }
}

impl fmt::Display for CodecId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = self.name() {
            write!(f, "{name} ")?;
        }
        match self {
            Self::Video(id) => write!(f, "(CodecID {id})"),
            Self::Audio(id) => write!(f, "(SoundFormat {id})"),
            Self::FourCc(code) => write!(f, "(FourCC {})", code.escape_ascii()),
        }
    }
}

impl fmt::Debug for CodecId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a tag body cannot be used. The encoder's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlvError {
    /// No bytes at all. Some encoders send such messages as keep-alives: skipping them is fine.
    #[error("message is empty")]
    Empty,
    /// The body ends inside a field.
    #[error("message ends inside {field} at byte {offset}")]
    Truncated {
        /// Specification name of the field.
        field: &'static str,
        /// Offset of the field in the body.
        offset: usize,
    },
    /// A field has a reserved value.
    #[error("{field} = {value} is not known (byte {offset})")]
    Unknown {
        /// Specification name of the field.
        field: &'static str,
        /// What it said.
        value: u8,
        /// Offset of the field in the body.
        offset: usize,
    },
    /// A video codec the house cannot carry: the publisher must choose H.264.
    #[error("video codec {0} is not supported; publish H.264")]
    UnsupportedVideoCodec(CodecId),
    /// An audio codec the house cannot carry: the publisher must choose AAC.
    #[error("audio codec {0} is not supported; publish AAC")]
    UnsupportedAudioCodec(CodecId),
}
