//! Synthetic tags, legacy and enhanced, and any bytes at all.

use super::*;
use proptest::prelude::*;

fn video(bytes: &[u8]) -> Result<VideoTag, FlvError> {
    parse_video(Bytes::copy_from_slice(bytes))
}

fn audio(bytes: &[u8]) -> Result<AudioTag, FlvError> {
    parse_audio(Bytes::copy_from_slice(bytes))
}

fn coded(keyframe: bool, composition_time_ms: i32, data: &'static [u8]) -> VideoTag {
    VideoTag::CodedFrames {
        codec: VideoCodec::H264,
        keyframe,
        composition_time_ms,
        data: Bytes::from_static(data),
    }
}

fn avc_header(config: &'static [u8]) -> VideoTag {
    VideoTag::SequenceHeader {
        codec: VideoCodec::H264,
        config: Bytes::from_static(config),
    }
}

#[test]
fn legacy_video() {
    assert_eq!(
        video(&[0x17, 0, 0, 0, 0, 1, 2]).unwrap(),
        avc_header(&[1, 2])
    );
    assert_eq!(
        video(&[0x17, 1, 0, 0, 66, 9]).unwrap(),
        coded(true, 66, &[9])
    );
    assert_eq!(
        video(&[0x27, 1, 0xff, 0xff, 0xdf, 9]).unwrap(),
        coded(false, -33, &[9])
    );
    assert_eq!(
        video(&[0x27, 1, 0x80, 0, 0]).unwrap(),
        coded(false, -8_388_608, &[])
    );
    assert_eq!(video(&[0x17, 2, 0, 0, 0]).unwrap(), VideoTag::EndOfSequence);
    assert_eq!(video(&[0x57, 0]).unwrap(), VideoTag::Command);
}

#[test]
fn legacy_audio() {
    let header = AudioTag::SequenceHeader {
        codec: AudioCodec::Aac,
        config: Bytes::from_static(&[0x12, 0x10]),
    };
    assert_eq!(audio(&[0xaf, 0, 0x12, 0x10]).unwrap(), header);
    let frame = AudioTag::CodedFrames {
        codec: AudioCodec::Aac,
        data: Bytes::from_static(&[7]),
    };
    assert_eq!(audio(&[0xaf, 1, 7]).unwrap(), frame);
}

#[test]
fn enhanced_video() {
    assert_eq!(video(b"\x90avc1\x01\x02").unwrap(), avc_header(&[1, 2]));
    assert_eq!(
        video(b"\x91avc1\0\0\x21\x05").unwrap(),
        coded(true, 33, &[5])
    );
    assert_eq!(video(b"\xa3avc1\x05").unwrap(), coded(false, 0, &[5]));
    assert_eq!(video(b"\x92avc1").unwrap(), VideoTag::EndOfSequence);
    assert_eq!(
        video(b"\xd4avc1\x02").unwrap(),
        VideoTag::Metadata(Bytes::from_static(&[2]))
    );
    assert_eq!(video(b"\xd1\x00").unwrap(), VideoTag::Command);
}

#[test]
fn enhanced_audio() {
    let frame = AudioTag::CodedFrames {
        codec: AudioCodec::Aac,
        data: Bytes::from_static(&[7]),
    };
    assert_eq!(audio(b"\x91mp4a\x07").unwrap(), frame);
    assert_eq!(audio(b"\x92mp4a").unwrap(), AudioTag::EndOfSequence);
    assert_eq!(
        audio(b"\x94mp4a\x01\x02").unwrap(),
        AudioTag::MultichannelConfig
    );
}

#[test]
fn wrappers_come_off() {
    // ModEx with three bytes of nanoseconds, then CodedFramesX.
    assert_eq!(
        video(b"\x97\x02\0\0\x01\x03avc1\x05").unwrap(),
        coded(true, 0, &[5])
    );
    // A long ModEx: size byte 255 says that 16 bits follow.
    let mut long = b"\x97\xff\x01\x03".to_vec();
    long.extend([0; 260]);
    long.extend(b"\x03avc1\x05");
    assert_eq!(video(&long).unwrap(), coded(true, 0, &[5]));
    // One track, number 0 and number 3.
    assert_eq!(
        video(b"\x96\x03avc1\x00\x05").unwrap(),
        coded(true, 0, &[5])
    );
    assert_eq!(
        video(b"\x96\x03avc1\x03\x05").unwrap(),
        VideoTag::OtherTrack { track_id: 3 }
    );
    // Many tracks: 1 then 0.
    assert_eq!(
        video(b"\x96\x13avc1\x01\0\0\x01\x09\x00\0\0\x01\x05").unwrap(),
        coded(true, 0, &[5])
    );
    // Many codecs: HEVC on 1, H.264 on 0.
    assert_eq!(
        video(b"\x96\x23hvc1\x01\0\0\x01\x09avc1\x00\0\0\x01\x05").unwrap(),
        coded(true, 0, &[5])
    );
    assert_eq!(
        audio(b"\x95\x01mp4a\x02\x05").unwrap(),
        AudioTag::OtherTrack { track_id: 2 }
    );
}

#[test]
fn refusals_name_the_codec() {
    let message = |result: Result<VideoTag, FlvError>| result.unwrap_err().to_string();
    assert_eq!(
        message(video(b"\x90hvc1\x01")),
        "video codec H.265/HEVC (FourCC hvc1) is not supported; publish H.264"
    );
    assert_eq!(
        message(video(&[0x12, 0])),
        "video codec Sorenson H.263 (CodecID 2) is not supported; publish H.264"
    );
    assert_eq!(
        audio(b"\x90Opus").unwrap_err().to_string(),
        "audio codec Opus (FourCC Opus) is not supported; publish AAC"
    );
    assert_eq!(
        audio(&[0x2f, 1]).unwrap_err(),
        FlvError::UnsupportedAudioCodec(CodecId::Audio(2))
    );
}

#[test]
fn short_bodies_name_the_offset() {
    assert_eq!(video(&[]).unwrap_err(), FlvError::Empty);
    assert_eq!(
        video(&[0x17, 1, 0]).unwrap_err(),
        FlvError::Truncated {
            field: "CompositionTime",
            offset: 2
        }
    );
    assert_eq!(
        video(b"\x96\x13avc1\x00\0\0\x09\x05").unwrap_err(),
        FlvError::Truncated {
            field: "trackData",
            offset: 10
        }
    );
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = video(&bytes);
        let _ = audio(&bytes);
    }

    #[test]
    fn enhanced_heads_are_answered(packet in 0u8..16, mut tail in proptest::collection::vec(any::<u8>(), 0..80),
                                   four in prop::sample::select(vec![*b"avc1", *b"mp4a", *b"hvc1"])) {
        for (slot, byte) in tail.iter_mut().skip(1).zip(four) { *slot = byte; }
        let mut bytes = vec![0x90 | packet];
        bytes.extend(tail);
        let _ = video(&bytes);
        let _ = audio(&bytes);
    }
}
