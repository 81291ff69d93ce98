//! Tracks that come late, stop, change or send nonsense.

use super::*;
use TrackKind::{Audio, Video};

#[test]
fn silence_stands_in_for_missing_sound() {
    let mut bench = Bench::both();
    bench.play(0..3000);
    bench.pictures(3000..7000);
    // Sound is waited for by one second of pictures, no longer.
    assert_eq!(bench.segments().len(), 2);
    bench.play(7000..10_000);
    bench.finish();
    let story = [
        "0+2000 0+2005",
        "2000+2000 2005+1984",
        "4000+2000 3989+2005",
        "6000+2000 5995+2005",
        "8000+2000 8000+1984",
    ];
    assert_eq!(bench.story(), story);
    let stats = bench.segmenter.stats();
    assert!(
        (180..195).contains(&stats.silent_frames_inserted),
        "{stats:?}"
    );
    assert_eq!(stats.dropped_late_audio, 0);
}

#[test]
fn sound_that_comes_too_late_is_in_no_wrong_segment() {
    let mut bench = Bench::both();
    bench.play(0..1000);
    bench.pictures(1000..3040);
    assert_eq!(bench.segments().len(), 1);
    bench.sound(1000..3040);
    bench.play(3040..4000);
    bench.finish();
    assert_eq!(bench.story(), ["0+2000 0+2005", "2000+2000 2005+2005"]);
    let stats = bench.segmenter.stats();
    assert!(
        (46..48).contains(&stats.silent_frames_inserted),
        "{stats:?}"
    );
    assert!((42..48).contains(&stats.dropped_late_audio), "{stats:?}");
}

#[test]
fn skew_within_the_tolerance_changes_nothing() {
    for (pictures_lead, sound_leads) in [(900, 0), (0, 900)] {
        let mut bench = Bench::both();
        for from in (0..6000).step_by(100) {
            let lead = |lead: i64| (from - lead).max(0)..(from + 100 - lead).max(0);
            bench.pictures(lead(sound_leads));
            bench.sound(lead(pictures_lead));
        }
        let stats = bench.segmenter.stats();
        assert_eq!(stats.silent_frames_inserted, 0);
        assert_eq!(stats.dropped_late_audio, 0);
        let story = bench.story();
        assert_eq!(story[..2], ["0+2000 0+2005", "2000+2000 2005+1984"]);
    }
}

#[test]
fn pictures_that_stop_and_come_back() {
    let mut bench = Bench::both();
    bench.play(0..3000);
    bench.sound(3000..9000);
    let gone = [
        "0+2000 0+2005",
        "2000+1000 2005+1003",
        "*- 3008+1003",
        "- 4011+1984",
    ];
    assert_eq!(bench.story()[..4], gone);
    bench.play(9000..14_000);
    bench.finish();
    let back = [
        "*9000+1000 9003+1003",
        "10000+2000 10005+1984",
        "12000+2000 11989+2027",
    ];
    let story = bench.story();
    assert_eq!(story[story.len() - 3..], back, "{story:?}");
    assert_eq!(bench.segmenter.stats().silent_frames_inserted, 0);
}

#[test]
fn sound_that_joins_late() {
    let mut bench = Bench::new(SegmenterOptions::default());
    bench.params(video_params(12));
    bench.pictures(0..3200);
    bench.params(stereo());
    bench.play(3200..6000);
    bench.finish();
    assert_eq!(
        bench.story(),
        ["0+2000 -", "2000+2000 -", "*4000+2000 4010+2005"]
    );
    assert_eq!(bench.inits(), [(Video, 0), (Audio, 0)]);
}

#[test]
fn pictures_that_join_late() {
    let mut bench = Bench::new(SegmenterOptions::default());
    bench.params(stereo());
    bench.sound(0..2500);
    bench.params(video_params(12));
    bench.play(2600..6000);
    bench.finish();
    let story = [
        "- 0+2005",
        "- 2005+1003",
        "*3000+1000 3008+981",
        "4000+2000 3989+2005",
    ];
    assert_eq!(bench.story(), story);
    assert_eq!(bench.segmenter.stats().dropped_before_key_frame, 10);
}

#[test]
fn changed_parameters_start_anew() {
    let mut bench = Bench::both();
    bench.play(0..2400);
    bench.params(video_params(12));
    bench.params(video_params(13));
    bench.play(3000..5000);
    // 44.1 kHz from here; the next key frame is at 6000.
    bench.params(audio_params(&[0x12, 0x10]));
    bench.play(5040..8000);
    bench.finish();
    let story = bench.story();
    assert_eq!(story[0], "0+2000 0+2005");
    assert!(story[1].starts_with("2000+1000 "), "{story:?}");
    assert!(story[2].starts_with("*3000+1000 "), "{story:?}");
    assert!(story.iter().any(|s| s.starts_with("*6000+")), "{story:?}");
    let inits = [(Video, 0), (Audio, 0), (Video, 1), (Audio, 1)];
    assert_eq!(bench.inits(), inits);
    let last = bench.segments().last().copied().unwrap();
    let sound = last.audio.as_ref().unwrap();
    assert_eq!((sound.init_index, sound.start.rate_hz().get()), (1, 44_100));
    assert_eq!(last.video.as_ref().unwrap().init_index, 1);
}

#[test]
fn changed_sound_alone_starts_anew_at_once() {
    let mut bench = Bench::new(SegmenterOptions::default());
    bench.params(stereo());
    bench.sound(0..3000);
    bench.params(audio_params(&[0x12, 0x10]));
    bench.sound(3000..4000);
    bench.finish();
    assert_eq!(bench.story()[..2], ["- 0+2005", "- 2005+1003"]);
    assert!(bench.story()[2].starts_with("*- 3008+"));
}

#[test]
fn odd_frames_are_dropped_or_bumped_and_counted() {
    let mut bench = Bench::new(SegmenterOptions::default());
    bench.push(Video, 0, true);
    bench.params(video_params(12));
    bench.params(stereo());
    bench.push(Video, 0, false);
    bench.push(Video, 40, true);
    for ms in [40, 80, 80, 80, 60, 120] {
        bench.push(Video, ms, false);
    }
    bench.push(Video, i64::MAX, false);
    let empty = Frame {
        track: Audio,
        dts: Timestamp::from_ms(0),
        pts: Timestamp::from_ms(0),
        keyframe: true,
        data: Bytes::new(),
    };
    bench.segmenter.push(empty).unwrap();
    bench.finish();
    let stats = bench.segmenter.stats();
    assert_eq!(stats.dropped_without_params, 1);
    assert_eq!(stats.dropped_before_key_frame, 1);
    assert_eq!(stats.dropped_bad_timestamp, 1);
    assert_eq!(stats.dropped_empty, 1);
    assert_eq!(stats.bumped_dts, 4);
    let segments = bench.segments();
    assert_eq!(segments[0].video.as_ref().unwrap().frames, 7);
}

#[test]
fn limits_are_errors() {
    let mut bench = Bench::both();
    bench.push(Video, 0, true);
    let mut at = 0;
    let error = loop {
        at += 1000;
        if let Err(error) = bench.try_push(Video, at, false) {
            break error;
        }
    };
    assert!(matches!(
        error,
        SegmentError::GopTooLong { limit_ms: 60_000 }
    ));
    assert_eq!(at, 61_000);
    bench.finish();
    assert_eq!(bench.segments().len(), 1);

    let mut bench = Bench::new(SegmenterOptions {
        segment_bytes_max: 5000,
        ..Default::default()
    });
    bench.params(video_params(12));
    bench.push(Video, 0, true);
    let refused = (1..100).find_map(|at| bench.try_push(Video, at, false).err());
    assert!(matches!(
        refused,
        Some(SegmentError::SegmentTooLarge { limit_bytes: 5000 })
    ));

    // Pictures announced, and never a key frame.
    let mut bench = Bench::both();
    let refused = (0..100).find_map(|s| bench.try_push(Video, s * 1000, false).err());
    assert!(matches!(refused, Some(SegmentError::GopTooLong { .. })));
}

#[test]
fn starts_only_when_it_is_known_with_what() {
    // One track waits a second for the other.
    let mut bench = Bench::new(SegmenterOptions::default());
    bench.params(video_params(12));
    bench.pictures(0..980);
    assert!(bench.events.is_empty());
    bench.pictures(1000..1100);
    assert_eq!(bench.inits(), [(Video, 0)]);
    // Sound that was announced and never comes is silence; pictures are given up.
    let mut bench = Bench::both();
    bench.pictures(0..4000);
    bench.finish();
    assert_eq!(bench.story(), ["0+2000 0+2005", "2000+2000 2005+1984"]);
    let mut bench = Bench::both();
    bench.sound(0..6000);
    bench.finish();
    assert_eq!(
        bench.story(),
        ["- 0+2005", "- 2005+1984", "- 3989+2005", "- 5995+21"]
    );
    assert!(
        bench
            .segments()
            .iter()
            .all(|segment| segment.video.is_none())
    );
    // Nothing at all.
    let mut bench = Bench::both();
    bench.finish();
    assert!(bench.events.is_empty());
}

#[test]
fn epochs_meet() {
    let mut bench = Bench::both();
    bench.play(0..3330);
    bench.finish();
    let next = bench.segmenter.next_start();
    assert_eq!(next.first_sequence_number, 2);
    let last = bench.segments().last().copied().unwrap();
    for track in [last.video.as_ref().unwrap(), last.audio.as_ref().unwrap()] {
        let end = track.start.checked_add(track.duration).unwrap();
        assert!(end <= Timestamp::from_ms(next.media_time_ms));
    }
    let mut second = Segmenter::new(SegmenterOptions::default(), next);
    second.set_params(video_params(12)).unwrap();
    let mut events = Vec::new();
    for at in (0..4000).step_by(40) {
        let at = Timestamp::from_ms(500_000 + at);
        let frame = Frame {
            track: Video,
            dts: at,
            pts: at,
            keyframe: at.to_ms() % 1000 == 0,
            data: Bytes::from_static(&[1]),
        };
        events.extend(second.push(frame).unwrap());
    }
    let first = events.iter().find_map(|event| match event {
        SegmentEvent::Segment(segment) => Some(segment),
        SegmentEvent::Init(_) => None,
    });
    let first = first.unwrap();
    assert_eq!((first.sequence_number, first.discontinuity), (2, false));
    assert_eq!(first.start.to_ms(), next.media_time_ms);
}

#[test]
fn drifting_sound_is_pulled_back() {
    // Timestamps run 1 % faster than samples, then 1 % slower.
    for percent in [101, 99] {
        let mut bench = Bench::new(SegmenterOptions::default());
        bench.params(stereo());
        for frame in 0..3000_i64 {
            bench.push(Audio, frame * 64 * percent / 300, true);
        }
        bench.finish();
        let end = bench.segmenter.next_start().media_time_ms;
        let source = 3000 * 64 * percent / 300;
        assert!((end - source).abs() <= 125, "{end} {source}");
        let stats = bench.segmenter.stats();
        let mended = stats.silent_frames_inserted + stats.dropped_late_audio;
        assert!((20..40).contains(&mended), "{stats:?}");
    }
}

#[test]
fn without_silence_sound_may_be_missing() {
    // Channels laid out by a program config element: front pair, nothing else.
    let asc = [0x11, 0x80, 0x04, 0xc4, 0x00, 0x00, 0x20, 0x00, 0x00, 0x00];
    let TrackParams::Audio(AudioParams { channels, .. }) = audio_params(&asc) else {
        unreachable!()
    };
    assert_eq!(channels, 2);
    let mut bench = Bench::new(SegmenterOptions::default());
    bench.params(video_params(12));
    bench.params(audio_params(&asc));
    bench.play(0..1000);
    bench.pictures(1000..6000);
    bench.play(6000..8000);
    bench.finish();
    let story = bench.story();
    assert_eq!(story[1], "2000+2000 -");
    assert_eq!(story.len(), 4);
    assert_eq!(bench.segmenter.stats().silent_frames_inserted, 0);
}
