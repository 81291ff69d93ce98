//! A real SPS in a record of our own, cut and mutated.

use super::*;
use proptest::prelude::*;

// x264, 1920x1080 High, 4:2:0: cropped from 1088 lines.
const SPS_1080: &[u8] = &[
    0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0x84, 0x00, 0x00, 0x03, 0x00,
    0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc6, 0x58,
];
const PPS: &[u8] = &[0x68, 0xeb, 0xec, 0xb2, 0x2c];

fn avcc(sps: &[u8]) -> Vec<u8> {
    let mut record = vec![1, sps[1], sps[2], sps[3], 0xff, 0xe1];
    record.extend(u16::try_from(sps.len()).unwrap().to_be_bytes());
    record.extend(sps);
    record.push(1);
    record.extend(u16::try_from(PPS.len()).unwrap().to_be_bytes());
    record.extend(PPS);
    record
}

#[test]
fn size_and_codec_string() {
    let params = video_params(&avcc(SPS_1080)).unwrap();
    assert_eq!((params.width, params.height), (1920, 1080));
    assert_eq!(params.codec_string, "avc1.640028");
    assert_eq!(params.config, avcc(SPS_1080));
    let config = parse_avcc(&params.config).unwrap();
    assert_eq!(config.nal_length_size, 4);
    assert_eq!((config.sps, config.pps), (vec![SPS_1080], vec![PPS]));
}

#[test]
fn the_high_profile_extension_is_let_be() {
    let mut record = avcc(SPS_1080);
    record.extend([0xfd, 0xf8, 0xf8, 0]);
    assert_eq!(video_params(&record).unwrap().width, 1920);
}

#[test]
fn records_without_parameter_sets_are_refused() {
    let mut record = avcc(SPS_1080);
    record.truncate(6);
    record[5] = 0xe0;
    record.push(0);
    assert!(matches!(
        parse_avcc(&record),
        Err(CodecError::Invalid { .. })
    ));
    let mut record = avcc(SPS_1080);
    record[0] = 2;
    assert_eq!(
        parse_avcc(&record).unwrap_err().to_string(),
        "configurationVersion = 2 is not allowed (byte 0)"
    );
    let record = avcc(SPS_1080);
    for length in 0..record.len() {
        assert!(parse_avcc(&record[..length]).is_err(), "{length}");
    }
}

#[test]
fn nal_units_are_walked_and_idr_found() {
    let unit = [0, 0, 0, 2, 0x09, 0x10, 0, 0, 0, 0, 0, 0, 0, 1, 0x65];
    let nals: Vec<_> = nal_units(&unit, 4).map(Result::unwrap).collect();
    assert_eq!(nals, [&[0x09, 0x10][..], &[0x65]]);
    assert!(is_idr(&unit, 4).unwrap());
    assert!(!is_idr(&[0, 2, 0x41, 0x9a], 2).unwrap());
    assert_eq!(
        is_idr(&[0, 0, 0, 9, 1], 4).unwrap_err(),
        CodecError::Truncated {
            field: "NALUnit",
            offset: 4
        }
    );
    assert!(is_idr(&[0, 0, 0], 4).is_err());
    assert!(!is_idr(&[], 4).unwrap());
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200), size in 0u8..6) {
        let _ = video_params(&bytes);
        let _ = parse_sps(&bytes);
        let _ = is_idr(&bytes, size);
    }

    #[test]
    fn mutated_sets_are_answered(at in 1usize..26, value in any::<u8>(), cut in 4usize..27) {
        let mut sps = SPS_1080.to_vec();
        if let Some(byte) = sps.get_mut(at) { *byte = value; }
        sps.truncate(cut);
        if let Ok(read) = parse_sps(&sps) {
            prop_assert!(read.width > 0 && read.width <= 16_384 && read.height > 0);
        }
        let _ = video_params(&avcc(&sps));
    }
}
