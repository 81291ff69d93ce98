//! Segments read back box by box, as a player finds its samples.

use super::*;
use crate::codec::{aac, h264};
use crate::frame::TrackKind;
use crate::params::TrackParams;
use bytes::Bytes;
use mp4_atom::{Decode, DecodeMaybe, Ftyp, Header, Moof, Moov, Styp};
use std::num::NonZeroU32;

const AVCC_320X180: &[u8] = &[
    0x01, 0x64, 0x00, 0x0c, 0xff, 0xe1, 0x00, 0x0f, 0x67, 0x64, 0x00, 0x0c, 0xac, 0xd9, 0x41, 0x41,
    0x9f, 0x9f, 0x01, 0x10, 0x00, 0x00, 0x03, 0x01, 0x00, 0x04, 0x68, 0xeb, 0xec, 0xb2,
];

fn hz(rate: u32) -> NonZeroU32 {
    NonZeroU32::new(rate).unwrap()
}

fn samples(sizes: &[usize]) -> Vec<Sample> {
    let sample = |(index, size): (usize, &usize)| Sample {
        duration: 3000,
        composition_offset: if index == 1 { -3000 } else { 0 },
        keyframe: index == 0,
        data: Bytes::from(vec![u8::try_from(index).unwrap(); *size]),
    };
    sizes.iter().enumerate().map(sample).collect()
}

/// Splits a segment into its moof and the samples' bytes, found as a player finds them.
fn read_back(segment: &[u8]) -> (Moof, Vec<Vec<u8>>) {
    let mut rest = segment;
    Styp::decode(&mut rest).unwrap();
    let moof_start = segment.len() - rest.len();
    let moof = Moof::decode(&mut rest).unwrap();
    let mdat = Header::decode_maybe(&mut rest).unwrap().unwrap();
    assert_eq!(mdat.size, Some(rest.len()));
    let run = &moof.traf[0].trun[0];
    let mut at = moof_start + usize::try_from(run.data_offset.unwrap()).unwrap();
    let mut data = Vec::new();
    for entry in run.samples.iter() {
        let size = usize::try_from(entry.size.unwrap()).unwrap();
        data.push(segment[at..at + size].to_vec());
        at += size;
    }
    assert_eq!(at, segment.len());
    (moof, data)
}

#[test]
fn init_segments_carry_the_configuration() {
    let video = h264::video_params(AVCC_320X180).unwrap();
    let bytes = init_segment(&TrackParams::Video(video), hz(90_000)).unwrap();
    let mut rest = bytes.as_ref();
    Ftyp::decode(&mut rest).unwrap();
    let moov = Moov::decode(&mut rest).unwrap();
    assert!(rest.is_empty());
    assert_eq!(moov.trak[0].mdia.mdhd.timescale, 90_000);
    assert_eq!(moov.trak[0].tkhd.width.integer(), 320);

    let audio = aac::audio_params(&[0x12, 0x10]).unwrap();
    let bytes = init_segment(&TrackParams::Audio(audio), hz(44_100)).unwrap();
    let mut rest = bytes.as_ref();
    Ftyp::decode(&mut rest).unwrap();
    Moov::decode(&mut rest).unwrap();
    assert!(bytes.windows(2).any(|pair| pair == [0x12, 0x10]));
}

#[test]
fn media_segments_find_their_samples() {
    for sizes in [&[5_usize][..], &[9, 1, 40]] {
        let samples = samples(sizes);
        for track in [TrackKind::Video, TrackKind::Audio] {
            let bytes = media_segment(track, 7, 1 << 40, &samples).unwrap();
            let (moof, data) = read_back(&bytes);
            assert_eq!(moof.mfhd.sequence_number, 7);
            let base = moof.traf[0].tfdt.as_ref().unwrap().base_media_decode_time;
            assert_eq!(base, 1 << 40);
            let expected: Vec<_> = samples.iter().map(|s| s.data.to_vec()).collect();
            assert_eq!(data, expected);
            if track == TrackKind::Video && sizes.len() > 1 {
                let entry = moof.traf[0].trun[0].samples.get(1).unwrap();
                assert_eq!((entry.cts, entry.flags), (Some(-3000), Some(0x0101_0000)));
            }
        }
    }
}

#[test]
fn one_allocation_is_enough() {
    let samples = samples(&[1000; 200]);
    let bytes = media_segment(TrackKind::Video, 1, 0, &samples).unwrap();
    let fixed = bytes.len() - 200 * (1000 + 16);
    assert!(fixed <= 192, "{fixed}");
}

#[test]
fn nothing_is_no_segment() {
    assert!(matches!(
        media_segment(TrackKind::Audio, 1, 0, &[]),
        Err(CmafError::Empty)
    ));
}
