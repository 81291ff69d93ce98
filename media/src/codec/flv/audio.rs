//! Audio tag bodies.

use super::reader::{MULTITRACK_AUDIO, Reader};
use super::{AudioTag, CodecId, FlvError};
use crate::params::AudioCodec;
use bytes::Bytes;

const FORMAT_ENHANCED: u8 = 9;
const FORMAT_AAC: u8 = 10;

/// Reads an audio message's body.
pub fn parse_audio(body: Bytes) -> Result<AudioTag, FlvError> {
    let Some(&head) = body.first() else {
        return Err(FlvError::Empty);
    };
    let mut reader = Reader::new(body);
    reader.byte("AudioTagHeader")?;
    match head >> 4 {
        FORMAT_ENHANCED => enhanced(reader, head & 0x0f),
        FORMAT_AAC => {
            let offset = reader.offset();
            match reader.byte("AACPacketType")? {
                0 => Ok(header(reader)),
                1 => Ok(frames(reader)),
                value => Err(FlvError::Unknown {
                    field: "AACPacketType",
                    value,
                    offset,
                }),
            }
        }
        format => Err(FlvError::UnsupportedAudioCodec(CodecId::Audio(format))),
    }
}

fn enhanced(mut reader: Reader, packet_type: u8) -> Result<AudioTag, FlvError> {
    let packet_type = reader.after_mod_ex(packet_type)?;
    let message = reader.enhanced(packet_type, MULTITRACK_AUDIO)?;
    let track = match message.track {
        Ok(track) => track,
        Err(track_id) => return Ok(AudioTag::OtherTrack { track_id }),
    };
    if &message.codec != b"mp4a" {
        let codec = CodecId::FourCc(message.codec);
        return Err(FlvError::UnsupportedAudioCodec(codec));
    }
    match message.packet_type {
        0 => Ok(header(track)),
        1 => Ok(frames(track)),
        2 => Ok(AudioTag::EndOfSequence),
        4 => Ok(AudioTag::MultichannelConfig),
        value => Err(FlvError::Unknown {
            field: "AudioPacketType",
            value,
            offset: 0,
        }),
    }
}

fn header(reader: Reader) -> AudioTag {
    AudioTag::SequenceHeader {
        codec: AudioCodec::Aac,
        config: reader.rest(),
    }
}

fn frames(reader: Reader) -> AudioTag {
    AudioTag::CodedFrames {
        codec: AudioCodec::Aac,
        data: reader.rest(),
    }
}
