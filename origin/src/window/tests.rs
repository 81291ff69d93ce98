//! The window's promises, read off the playlists it renders as a player would read them.

mod histories;

use bytes::Bytes;
use weir_media::{AudioCodec, AudioParams, Timestamp, TrackParams, VideoCodec, VideoParams};

use super::span::MICROSECONDS_HZ;
use super::*;

const EPOCH: u64 = 1_700_000_000_000;
const LIST: usize = 4;

fn window(bytes_max: usize) -> Window {
    Window::new(WindowOptions {
        stream_id: "s".into(),
        playlist_segments: LIST,
        bytes_max,
    })
}

fn video_params() -> TrackParams {
    TrackParams::Video(VideoParams {
        codec: VideoCodec::H264,
        width: 1280,
        height: 720,
        codec_string: "avc1.64001f".into(),
        config: Bytes::from_static(b"avcC"),
    })
}

fn audio_params() -> TrackParams {
    TrackParams::Audio(AudioParams {
        codec: AudioCodec::Aac,
        sample_rate_hz: 48_000,
        channels: 2,
        codec_string: "mp4a.40.2".into(),
        config: Bytes::from_static(b"asc"),
    })
}

/// A window that took its init segments at the epoch's start.
fn started(bytes_max: usize) -> Window {
    let mut window = window(bytes_max);
    window.start_epoch(EPOCH, 7, 0);
    window.set_wall_clock(1_000_000);
    init(&mut window);
    window
}

fn init(window: &mut Window) {
    init_of(window, TrackKind::Video, video_params());
    init_of(window, TrackKind::Audio, audio_params());
}

fn init_of(window: &mut Window, track: TrackKind, params: TrackParams) {
    let init = InitSegment {
        track,
        index: 0,
        bytes: Bytes::from_static(b"init"),
        params,
    };
    window.push_init(init).unwrap();
}

fn us(ticks: u64) -> Timestamp {
    Timestamp::new(i64::try_from(ticks).unwrap(), MICROSECONDS_HZ)
}

/// The next segment of a stream that started at 0; its sound is 10 ms longer than its pictures.
fn segment(window: &Window, duration_us: u64, bytes: usize) -> Segment {
    let start_ms = window.media_time_ms();
    let start = Timestamp::from_ms(start_ms);
    let piece = |duration_us, frames| TrackSegment {
        init_index: 0,
        bytes: Bytes::from(vec![0; bytes]),
        start,
        duration: us(duration_us),
        frames,
    };
    let pictures = u32::try_from(duration_us * 30 / 1_000_000).unwrap();
    Segment {
        sequence_number: window.next_sequence_number(),
        discontinuity: false,
        start,
        duration: us(duration_us),
        epoch_offset_ms: start_ms,
        video: Some(piece(duration_us, pictures)),
        audio: Some(piece(duration_us.saturating_add(10_000), 1)),
    }
}

fn push(window: &mut Window, duration_us: u64) {
    let segment = segment(window, duration_us, 100);
    add(window, segment);
}

fn add(window: &mut Window, segment: Segment) {
    let end = segment.start.checked_add(segment.duration).unwrap();
    window.push_segment(segment).unwrap();
    window.set_media_time(end.to_ms());
}

/// A media playlist as a player reads it.
#[derive(Debug, Default)]
struct Read {
    media_sequence: u64,
    discontinuity_sequence: u64,
    target_s: u64,
    ended: bool,
    /// Number, epoch, duration in s, whether a discontinuity stands before it, its map.
    segments: Vec<(u64, u64, f64, bool, String)>,
    dates: Vec<String>,
}

fn read(playlist: &Bytes) -> Read {
    let text = std::str::from_utf8(playlist).unwrap();
    assert!(text.starts_with("#EXTM3U\n"), "{text}");
    let mut read = Read::default();
    let (mut duration, mut discontinuity, mut map) = (0.0, false, String::new());
    for line in text.lines() {
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        match tag {
            "#EXT-X-MEDIA-SEQUENCE" => read.media_sequence = value.parse().unwrap(),
            "#EXT-X-DISCONTINUITY-SEQUENCE" => {
                read.discontinuity_sequence = value.parse().unwrap();
            }
            "#EXT-X-TARGETDURATION" => read.target_s = value.parse().unwrap(),
            "#EXT-X-ENDLIST" => read.ended = true,
            "#EXT-X-DISCONTINUITY" => discontinuity = true,
            "#EXT-X-PROGRAM-DATE-TIME" => read.dates.push(value.into()),
            "#EXT-X-MAP" => map = value.into(),
            "#EXTINF" => duration = value.trim_end_matches(',').parse().unwrap(),
            uri if !uri.is_empty() && !uri.starts_with('#') => {
                let (epoch, name) = line.split_once('/').unwrap();
                let number = name
                    .trim_start_matches(['v', 'a'])
                    .strip_suffix(".m4s")
                    .unwrap();
                read.segments.push((
                    number.parse().unwrap(),
                    epoch.parse().unwrap(),
                    duration,
                    std::mem::take(&mut discontinuity),
                    map.clone(),
                ));
            }
            _ => {}
        }
    }
    read
}

fn video(window: &Window) -> Read {
    read(&window.snapshot().video.unwrap())
}

#[test]
fn nothing_is_there_before_the_first_segment() {
    let window = started(usize::MAX);
    let snapshot = window.snapshot();
    assert!(snapshot.multivariant.is_none() && snapshot.video.is_none());
    assert!(snapshot.init(TrackKind::Video, EPOCH, 0).is_none());
}

#[test]
fn the_first_segment_has_the_number_and_the_date_it_was_given() {
    let mut window = started(usize::MAX);
    push(&mut window, 2_000_000);
    push(&mut window, 2_000_000);
    let read = video(&window);
    assert_eq!((read.media_sequence, read.discontinuity_sequence), (7, 0));
    assert_eq!(read.target_s, 2);
    assert_eq!(
        read.dates,
        ["1970-01-01T00:16:40.000Z", "1970-01-01T00:16:42.000Z"]
    );
    assert!(read.segments.iter().all(|s| !s.3));
    let snapshot = window.snapshot();
    assert!(snapshot.segment(TrackKind::Video, EPOCH, 8).is_some());
    assert!(snapshot.segment(TrackKind::Video, EPOCH + 1, 8).is_none());
    assert!(snapshot.segment(TrackKind::Video, EPOCH, 9).is_none());
    assert!(snapshot.init(TrackKind::Audio, EPOCH, 0).is_some());
    assert!(snapshot.init(TrackKind::Audio, EPOCH, 1).is_none());
}

#[test]
fn audio_and_video_playlists_run_side_by_side() {
    let mut window = started(usize::MAX);
    for _ in 0..3 {
        push(&mut window, 2_000_000);
    }
    window.start_epoch(
        EPOCH + 5,
        window.next_sequence_number(),
        window.media_time_ms(),
    );
    init(&mut window);
    push(&mut window, 1_000_000);
    let (video, audio) = (video(&window), read(&window.snapshot().audio.unwrap()));
    let boundaries = |read: &Read| {
        let segments = read.segments.iter();
        segments.map(|s| (s.0, s.1, s.3)).collect::<Vec<_>>()
    };
    assert_eq!(boundaries(&video), boundaries(&audio));
    assert_eq!(video.target_s, audio.target_s);
    assert!(video.segments[3].3);
    assert_ne!(video.segments[2].4, video.segments[3].4);
}

#[test]
fn the_multivariant_playlist_names_codecs_size_and_rates() {
    let mut window = started(usize::MAX);
    push(&mut window, 2_000_000);
    let text = window.snapshot().multivariant.unwrap();
    let text = std::str::from_utf8(&text).unwrap();
    for part in [
        "CODECS=\"avc1.64001f,mp4a.40.2\"",
        "RESOLUTION=1280x720",
        "FRAME-RATE=30.000",
        "BANDWIDTH=",
        "\ns/video.m3u8",
        "URI=\"s/audio.m3u8\"",
        "TYPE=AUDIO",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_stream_of_sound_alone_has_one_variant_and_no_group() {
    let mut window = window(usize::MAX);
    window.start_epoch(EPOCH, 0, 0);
    init_of(&mut window, TrackKind::Audio, audio_params());
    let sound = Segment {
        video: None,
        ..segment(&window, 2_000_000, 10)
    };
    window.push_segment(sound).unwrap();
    let snapshot = window.snapshot();
    assert!(snapshot.video.is_none() && snapshot.audio.is_some());
    let text = snapshot.multivariant.unwrap();
    let text = std::str::from_utf8(&text).unwrap();
    assert!(text.contains("\ns/audio.m3u8"), "{text}");
    assert!(
        !text.contains("TYPE=AUDIO") && !text.contains("RESOLUTION"),
        "{text}"
    );
}

#[test]
fn a_track_that_stays_away_leaves_gaps_and_no_holes_in_the_count() {
    let mut window = started(usize::MAX);
    push(&mut window, 2_000_000);
    for _ in 0..LIST {
        let sound = Segment {
            video: None,
            ..segment(&window, 2_000_000, 10)
        };
        window.push_segment(sound).unwrap();
        let snapshot = window.snapshot();
        let (video, audio) = (snapshot.video.unwrap(), snapshot.audio.unwrap());
        let text = std::str::from_utf8(&video).unwrap();
        assert!(text.contains("#EXT-X-GAP\n"), "{text}");
        let numbers = |playlist| {
            read(playlist)
                .segments
                .iter()
                .map(|s| s.0)
                .collect::<Vec<_>>()
        };
        assert_eq!(numbers(&video), numbers(&audio));
    }
    // Whoever starts now is offered the sound alone.
    let text = window.snapshot().multivariant.unwrap();
    let text = std::str::from_utf8(&text).unwrap();
    assert!(text.contains("\ns/audio.m3u8"), "{text}");
}

#[test]
fn the_target_is_the_longest_so_far_rounded_up_and_never_shrinks() {
    let mut window = started(usize::MAX);
    for (duration_us, target_s) in [(1_500_000, 2), (2_000_001, 3), (1_000_000, 3)] {
        push(&mut window, duration_us);
        assert_eq!(video(&window).target_s, target_s);
    }
    for _ in 0..LIST + 1 {
        push(&mut window, 1_000_000);
    }
    assert_eq!(video(&window).target_s, 3);
}

#[test]
fn an_end_is_written_and_another_broadcast_lists_nothing_of_it() {
    let mut window = started(usize::MAX);
    push(&mut window, 2_000_000);
    window.end();
    assert!(video(&window).ended);
    let first = window.next_sequence_number();
    window.start_afresh(EPOCH + 9, first, window.media_time_ms());
    assert!(window.snapshot().video.is_none());
    assert!(
        window
            .snapshot()
            .segment(TrackKind::Video, EPOCH, 7)
            .is_some()
    );
    init(&mut window);
    push(&mut window, 2_000_000);
    let read = video(&window);
    assert!(!read.ended);
    assert_eq!(read.media_sequence, first);
    assert_eq!(read.segments.len(), 1);
}

#[test]
fn a_withdrawn_stream_keeps_its_segments_only() {
    let mut window = started(usize::MAX);
    push(&mut window, 2_000_000);
    window.withdraw();
    let snapshot = window.snapshot();
    assert!(snapshot.video.is_none() && snapshot.multivariant.is_none());
    assert!(snapshot.segment(TrackKind::Video, EPOCH, 7).is_some());
}

#[test]
fn the_same_epoch_resumed_numbers_its_inits_on() {
    let mut window = started(usize::MAX);
    push(&mut window, 2_000_000);
    window.start_epoch(EPOCH, window.next_sequence_number(), window.media_time_ms());
    init(&mut window);
    push(&mut window, 2_000_000);
    let read = video(&window);
    assert!(read.segments[1].3);
    assert!(read.segments[0].4.contains("v-init-0.mp4"), "{read:?}");
    assert!(read.segments[1].4.contains("v-init-1.mp4"), "{read:?}");
}

#[test]
fn what_comes_out_of_order_is_refused_and_changes_nothing() {
    let mut window = window(usize::MAX);
    let early = segment(&window, 1, 1);
    assert_eq!(window.push_segment(early), Err(WindowError::NotStarted));
    let mut window = started(usize::MAX);
    push(&mut window, 2_000_000);
    let mut late = segment(&window, 2_000_000, 1);
    late.sequence_number = 7;
    let refused = WindowError::OutOfOrder {
        expected: 8,
        found: 7,
    };
    assert_eq!(window.push_segment(late), Err(refused));
    assert_eq!(video(&window).segments.len(), 1);
}

#[test]
fn a_number_left_out_empties_the_list_first() {
    let mut window = started(usize::MAX);
    push(&mut window, 2_000_000);
    let mut later = segment(&window, 2_000_000, 1);
    later.sequence_number += 1;
    add(&mut window, later);
    let read = video(&window);
    assert_eq!((read.media_sequence, read.segments.len()), (9, 1));
}

#[test]
fn weight_outranks_length_but_never_the_newest() {
    let mut window = started(1_000);
    for _ in 0..20 {
        let heavy = segment(&window, 2_000_000, 300);
        window.push_segment(heavy).unwrap();
        assert!(window.kept.len() <= LISTED_MIN, "{}", window.kept.len());
    }
    assert_eq!(video(&window).segments.len(), LISTED_MIN);
}
