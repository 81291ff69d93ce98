//! Playlists to the letter and read back by another parser.

use super::*;
use m3u8_rs::{AlternativeMediaType, Playlist};
use proptest::prelude::*;
use std::num::NonZeroU32;

fn segment(number: u32) -> MediaSegment {
    MediaSegment {
        uri: format!("7/v{number}.m4s"),
        duration: Timestamp::new(180_090, NonZeroU32::new(90_000).unwrap()),
        map_uri: "7/v-init-0.mp4".into(),
        program_date_time_ms: Some(1_767_225_599_999 + i64::from(number) * 2001),
        discontinuity: false,
        gap: false,
    }
}

fn live() -> MediaPlaylist {
    MediaPlaylist {
        target_duration_s: 3,
        media_sequence: 41,
        discontinuity_sequence: 2,
        segments: (41..44).map(segment).collect(),
        ended: false,
    }
}

fn parse_media(text: &str) -> m3u8_rs::MediaPlaylist {
    match m3u8_rs::parse_playlist_res(text.as_bytes()).unwrap() {
        Playlist::MediaPlaylist(playlist) => playlist,
        Playlist::MasterPlaylist(_) => panic!("a media playlist"),
    }
}

#[test]
fn media_playlist_to_the_letter() {
    let mut playlist = live();
    playlist.segments.truncate(2);
    playlist.segments[1].discontinuity = true;
    playlist.segments[1].map_uri = "8/v-init-0.mp4".into();
    playlist.ended = true;
    let expected = "#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:3
#EXT-X-MEDIA-SEQUENCE:41
#EXT-X-DISCONTINUITY-SEQUENCE:2
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI=\"7/v-init-0.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:01:22.040Z
#EXTINF:2.001000,
7/v41.m4s
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI=\"8/v-init-0.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:01:24.041Z
#EXTINF:2.001000,
7/v42.m4s
#EXT-X-ENDLIST
";
    assert_eq!(playlist.write().unwrap(), expected);
}

#[test]
fn media_playlist_reads_back() {
    let mut playlist = live();
    playlist.segments[1].gap = true;
    playlist.segments[2].discontinuity = true;
    let read = parse_media(&playlist.write().unwrap());
    assert_eq!(read.version, Some(8));
    assert_eq!((read.target_duration, read.media_sequence), (3, 41));
    assert_eq!(read.discontinuity_sequence, 2);
    assert!(read.independent_segments && !read.end_list);
    assert_eq!(read.segments.len(), 3);
    assert!((read.segments[0].duration - 2.001).abs() < 1e-5);
    assert_eq!(read.segments[0].map.as_ref().unwrap().uri, "7/v-init-0.mp4");
    assert!(read.segments[1].map.is_none());
    let date = read.segments[0].program_date_time.unwrap();
    assert_eq!(
        date.timestamp_millis(),
        playlist.segments[0].program_date_time_ms.unwrap()
    );
    assert!(read.segments[2].discontinuity);
}

#[test]
fn multivariant_playlist_reads_back() {
    let playlist = MultivariantPlaylist {
        audio: vec![AudioRendition {
            group_id: "audio".into(),
            name: "Audio".into(),
            channels: Some(2),
            default: true,
            uri: "cam/audio.m3u8".into(),
        }],
        variants: vec![Variant {
            bandwidth_bps: 4_200_000,
            average_bandwidth_bps: Some(4_000_000),
            codecs: vec!["avc1.640028".into(), "mp4a.40.2".into()],
            resolution: Some((1920, 1080)),
            frame_rate_mhz: Some(29_970),
            audio_group: Some("audio".into()),
            uri: "cam/video.m3u8".into(),
        }],
    };
    let text = playlist.write().unwrap();
    let Playlist::MasterPlaylist(read) = m3u8_rs::parse_playlist_res(text.as_bytes()).unwrap()
    else {
        panic!("a multivariant playlist");
    };
    let variant = &read.variants[0];
    assert_eq!(variant.uri, "cam/video.m3u8");
    assert_eq!(variant.bandwidth, 4_200_000);
    assert_eq!(variant.average_bandwidth, Some(4_000_000));
    assert_eq!(variant.codecs.as_deref(), Some("avc1.640028,mp4a.40.2"));
    let size = variant.resolution.unwrap();
    assert_eq!((size.width, size.height), (1920, 1080));
    assert!((variant.frame_rate.unwrap() - 29.97).abs() < 1e-9);
    assert_eq!(variant.audio.as_deref(), Some("audio"));
    let audio = &read.alternatives[0];
    assert_eq!(audio.media_type, AlternativeMediaType::Audio);
    assert!(audio.default && audio.autoselect);
    assert_eq!(audio.uri.as_deref(), Some("cam/audio.m3u8"));
}

#[test]
fn names_forge_no_tags() {
    for uri in ["", "a\n#EXT-X-ENDLIST", "#a", "a b", "a\"b", "a\rb"] {
        let mut playlist = live();
        playlist.segments[0].uri = uri.into();
        assert!(
            matches!(playlist.write(), Err(HlsError::BadText { .. })),
            "{uri:?}"
        );
    }
    let mut playlist = live();
    playlist.segments[0].map_uri = "a\",BYTERANGE=\"1".into();
    assert!(matches!(playlist.write(), Err(HlsError::BadText { .. })));
}

#[test]
fn promises_are_kept() {
    let mut playlist = live();
    playlist.segments[2].duration = Timestamp::from_ms(3499);
    playlist.write().unwrap();
    playlist.segments[2].duration = Timestamp::from_ms(3500);
    assert!(matches!(
        playlist.write(),
        Err(HlsError::TargetDuration { .. })
    ));
    let variant = Variant {
        bandwidth_bps: 1,
        average_bandwidth_bps: None,
        codecs: vec!["mp4a.40.2".into()],
        resolution: None,
        frame_rate_mhz: None,
        audio_group: Some("missing".into()),
        uri: "a.m3u8".into(),
    };
    let playlist = MultivariantPlaylist {
        audio: vec![],
        variants: vec![variant],
    };
    assert!(matches!(playlist.write(), Err(HlsError::Variant { .. })));
    let seconds = |ms| target_duration_s(Timestamp::from_ms(ms));
    assert_eq!([0, 1, 2000, 2001, 10_000].map(seconds), [1, 1, 2, 3, 10]);
}

#[test]
fn dates() {
    assert_eq!(format_date_time(0), "1970-01-01T00:00:00.000Z");
    assert_eq!(
        format_date_time(951_782_400_000),
        "2000-02-29T00:00:00.000Z"
    );
    assert_eq!(format_date_time(-1), "1969-12-31T23:59:59.999Z");
    assert_eq!(
        format_date_time(1_767_225_599_999),
        "2025-12-31T23:59:59.999Z"
    );
    assert_eq!(format_date_time(i64::MIN), "0000-01-01T00:00:00.000Z");
    assert_eq!(format_date_time(i64::MAX), "9999-12-31T23:59:59.999Z");
}

proptest! {
    #[test]
    fn any_text_is_answered(uri in ".{0,40}", map in ".{0,40}", ticks in any::<i64>(), date in any::<i64>()) {
        let mut playlist = live();
        playlist.target_duration_s = u32::MAX;
        playlist.segments[1].uri = uri;
        playlist.segments[1].map_uri = map;
        playlist.segments[1].program_date_time_ms = Some(date);
        playlist.segments[1].duration = Timestamp::from_ms(ticks);
        if let Ok(text) = playlist.write() {
            prop_assert_eq!(text.lines().filter(|line| !line.starts_with('#')).count(), 3);
            prop_assert!(!text.contains("ENDLIST") || playlist.segments[1].uri.contains("ENDLIST") || playlist.segments[1].map_uri.contains("ENDLIST"));
        }
    }

    #[test]
    fn dates_read_back(ms in -62_000_000_000_000i64..253_000_000_000_000) {
        let mut playlist = live();
        playlist.segments[0].program_date_time_ms = Some(ms);
        let read = parse_media(&playlist.write().unwrap());
        prop_assert_eq!(read.segments[0].program_date_time.unwrap().timestamp_millis(), ms);
    }
}
