//! Video tag bodies.

use super::reader::{MULTITRACK_VIDEO, Reader};
use super::{CodecId, FlvError, VideoTag};
use crate::params::VideoCodec;
use bytes::Bytes;

const ENHANCED: u8 = 0x80;
const FRAME_KEY: u8 = 1;
const FRAME_GENERATED_KEY: u8 = 4;
const FRAME_COMMAND: u8 = 5;
const CODEC_AVC: u8 = 7;

/// Reads a video message's body.
pub fn parse_video(body: Bytes) -> Result<VideoTag, FlvError> {
    let Some(&head) = body.first() else {
        return Err(FlvError::Empty);
    };
    let mut reader = Reader::new(body);
    reader.byte("VideoTagHeader")?;
    if head & ENHANCED != 0 {
        return enhanced(reader, head >> 4 & 7, head & 0x0f);
    }
    let (frame_type, codec) = (head >> 4, head & 0x0f);
    if frame_type == FRAME_COMMAND {
        return Ok(VideoTag::Command);
    }
    if codec != CODEC_AVC {
        return Err(FlvError::UnsupportedVideoCodec(CodecId::Video(codec)));
    }
    let offset = reader.offset();
    let packet_type = reader.byte("AVCPacketType")?;
    if packet_type == 2 {
        // Some encoders leave the composition time out of this one.
        return Ok(VideoTag::EndOfSequence);
    }
    let composition_time_ms = reader.signed_24("CompositionTime")?;
    match packet_type {
        0 => Ok(header(reader)),
        1 => Ok(frames(reader, frame_type, composition_time_ms)),
        value => Err(FlvError::Unknown {
            field: "AVCPacketType",
            value,
            offset,
        }),
    }
}

fn enhanced(mut reader: Reader, frame_type: u8, packet_type: u8) -> Result<VideoTag, FlvError> {
    const METADATA: u8 = 4;
    let packet_type = reader.after_mod_ex(packet_type)?;
    if frame_type == FRAME_COMMAND && packet_type != METADATA {
        return Ok(VideoTag::Command);
    }
    let message = reader.enhanced(packet_type, MULTITRACK_VIDEO)?;
    let mut track = match message.track {
        Ok(track) => track,
        Err(track_id) => return Ok(VideoTag::OtherTrack { track_id }),
    };
    if message.packet_type == METADATA {
        return Ok(VideoTag::Metadata(track.rest()));
    }
    if &message.codec != b"avc1" {
        let codec = CodecId::FourCc(message.codec);
        return Err(FlvError::UnsupportedVideoCodec(codec));
    }
    match message.packet_type {
        0 => Ok(header(track)),
        1 => {
            let composition_time_ms = track.signed_24("compositionTimeOffset")?;
            Ok(frames(track, frame_type, composition_time_ms))
        }
        2 => Ok(VideoTag::EndOfSequence),
        3 => Ok(frames(track, frame_type, 0)),
        value => Err(FlvError::Unknown {
            field: "VideoPacketType",
            value,
            offset: 0,
        }),
    }
}

fn header(reader: Reader) -> VideoTag {
    VideoTag::SequenceHeader {
        codec: VideoCodec::H264,
        config: reader.rest(),
    }
}

fn frames(reader: Reader, frame_type: u8, composition_time_ms: i32) -> VideoTag {
    VideoTag::CodedFrames {
        codec: VideoCodec::H264,
        keyframe: matches!(frame_type, FRAME_KEY | FRAME_GENERATED_KEY),
        composition_time_ms,
        data: reader.rest(),
    }
}
