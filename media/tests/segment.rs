//! Real streams, made by ffmpeg and read as RTMP carries them, cut into segments: ffmpeg decodes
//! what comes out without a word and ffprobe finds in it what was put in.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers outside test functions; a panic is how a test fails"
)]

mod support;

use mp4_atom::{Decode, Moof, Styp};
use support::{Cut, Published, assert_decodes, cut, probe, publish};
use weir_media::segment::{EpochStart, TrackSegment};
use weir_media::{Frame, Timestamp, TrackKind};

const START: EpochStart = EpochStart {
    first_sequence_number: 40,
    media_time_ms: 10_000,
};
const TONE: &str = "-f lavfi -i sine=frequency=440:sample_rate=48000";
const AAC: &str = "-c:a aac -ac 2 -b:a 96k";

fn pictures(rate: u32, seconds: u32) -> String {
    format!("-f lavfi -i testsrc2=size=322x180:rate={rate}:duration={seconds}")
}

fn x264(gop: u32, b_frames: u32) -> String {
    format!(
        "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g {gop} -keyint_min {gop} \
         -sc_threshold 0 -bf {b_frames}"
    )
}

fn count(stream: &[Published], kind: TrackKind) -> usize {
    stream
        .iter()
        .filter(|item| matches!(item, Published::Frame(frame) if frame.track == kind))
        .count()
}

fn durations_ms(made: &Cut) -> Vec<i64> {
    made.segments.iter().map(|s| s.duration.to_ms()).collect()
}

/// The last one ends with a guess: millisecond times leave a thirtieth second uneven.
fn assert_durations(made: &Cut, expected: &[i64]) {
    let durations = durations_ms(made);
    let off = durations
        .iter()
        .zip(expected)
        .any(|(a, b)| (a - b).abs() > 1);
    assert!(!off && durations.len() == expected.len(), "{durations:?}");
}

fn near(a: f64, b: f64) {
    assert!((a - b).abs() < 0.002, "{a} is not {b}");
}

/// Decodes both tracks and checks what every audible and visible stream has in common.
fn check_tracks(stream: &[Published], made: &Cut, rate: u32) {
    let dir = tempfile::tempdir().unwrap();
    let video = made.join(TrackKind::Video, dir.path());
    assert_decodes(&video);
    let seen = probe(&video);
    assert_eq!(seen.stream["codec_name"], "h264");
    assert_eq!(
        (&seen.stream["width"], &seen.stream["height"]),
        (&322.into(), &180.into())
    );
    assert_eq!(seen.packets.len(), count(stream, TrackKind::Video));
    near(seen.packets[0].1, 10.0);
    seen.assert_continuous(1.0 / f64::from(rate), 0.0011);

    let audio = made.join(TrackKind::Audio, dir.path());
    assert_decodes(&audio);
    let heard = probe(&audio);
    assert_eq!(heard.stream["codec_name"], "aac");
    assert_eq!(heard.stream["sample_rate"], "48000");
    assert_eq!(heard.stream["channels"], 2);
    heard.assert_continuous(1024.0 / 48_000.0, 0.000_002);
    for segment in &made.segments {
        let (video, audio) = (
            segment.video.as_ref().unwrap(),
            segment.audio.as_ref().unwrap(),
        );
        let apart = audio.start.to_seconds_f64() - video.start.to_seconds_f64();
        assert!(apart.abs() <= 0.024, "{}: {apart}", segment.sequence_number);
    }
}

/// When a file's samples are presented, seconds, in the order of decoding.
fn presented(track: &TrackSegment) -> Vec<f64> {
    let mut rest = track.bytes.as_ref();
    Styp::decode(&mut rest).unwrap();
    let moof = Moof::decode(&mut rest).unwrap();
    let mut at = i64::try_from(moof.traf[0].tfdt.as_ref().unwrap().base_media_decode_time).unwrap();
    let entries = moof.traf[0].trun[0].samples.iter();
    let times = entries.map(|entry| {
        let shown = at + entry.cts.unwrap_or(0);
        at += i64::from(entry.duration.unwrap());
        Timestamp::new(shown, track.start.rate_hz()).to_seconds_f64()
    });
    times.collect()
}

#[test]
fn plain_thirty_a_second_with_sound() {
    let stream = publish(&format!(
        "{} {TONE} -t 10 {} {AAC}",
        pictures(30, 10),
        x264(60, 0)
    ));
    let made = cut(&stream, START);
    assert_durations(&made, &[2000; 5]);
    check_tracks(&stream, &made, 30);
    assert_eq!(made.inits.len(), 2);
    assert!(made.segments.iter().all(|segment| !segment.discontinuity));
    let offsets: Vec<i64> = made.segments.iter().map(|s| s.epoch_offset_ms).collect();
    assert_eq!(offsets, [0, 2000, 4000, 6000, 8000]);
    let next = made.segmenter.next_start();
    assert_eq!(next.first_sequence_number, 45);
    assert!((20_000..20_030).contains(&next.media_time_ms), "{next:?}");
    let stats = made.segmenter.stats();
    assert_eq!(
        (stats.silent_frames_inserted, stats.dropped_late_audio),
        (0, 0)
    );
}

#[test]
fn b_frames_keep_lips_in_sync() {
    let stream = publish(&format!(
        "{} {TONE} -t 6 {} {AAC}",
        pictures(25, 6),
        x264(50, 3)
    ));
    let late = |item: &Published| matches!(item, Published::Frame(f) if f.pts > f.dts);
    assert!(stream.iter().any(late), "the source has B-frames");
    let made = cut(&stream, START);
    check_tracks(&stream, &made, 25);
    assert_durations(&made, &[2000; 3]);
    // The first picture and the first sound of the source are as far apart as in what was made.
    let first = |kind| {
        let of_kind = stream.iter().filter_map(|item| match item {
            Published::Frame(frame) if frame.track == kind => Some(frame.pts),
            _ => None,
        });
        of_kind.min().unwrap()
    };
    let source =
        first(TrackKind::Audio).to_seconds_f64() - first(TrackKind::Video).to_seconds_f64();
    // Read from the boxes: FFmpeg presents negative offsets late.
    let opening = &made.segments[0];
    let video = presented(opening.video.as_ref().unwrap())[0];
    let audio = presented(opening.audio.as_ref().unwrap())[0];
    for segment in &made.segments {
        let track = segment.video.as_ref().unwrap();
        let first = presented(track)[0];
        near(first, track.start.to_seconds_f64());
    }
    let all = made
        .segments
        .iter()
        .map(|s| presented(s.video.as_ref().unwrap()));
    let mut all: Vec<f64> = all.flatten().collect();
    all.sort_by(f64::total_cmp);
    assert!(
        all.windows(2)
            .all(|pair| (pair[1] - pair[0] - 0.04).abs() < 0.0011)
    );
    if source >= 0.0 {
        near(audio - video, source);
    } else {
        // Sound from before the first picture is dropped, frame by frame.
        assert!((0.0..0.0214).contains(&(audio - video)), "{audio} {video}");
        let steps = (audio - video - source) / (1024.0 / 48_000.0);
        assert!((steps - steps.round()).abs() < 0.06, "{steps}");
    }
}

#[test]
fn a_hundred_a_second() {
    let stream = publish(&format!(
        "{} {TONE} -t 4 {} {AAC}",
        pictures(100, 4),
        x264(100, 0)
    ));
    let made = cut(&stream, START);
    check_tracks(&stream, &made, 100);
    assert_durations(&made, &[2000; 2]);
}

#[test]
fn a_ten_second_group_of_pictures() {
    let stream = publish(&format!(
        "{} {TONE} -t 21 {} {AAC}",
        pictures(15, 21),
        x264(150, 0)
    ));
    let made = cut(&stream, START);
    check_tracks(&stream, &made, 15);
    assert_durations(&made, &[10_000, 10_000, 1000]);
}

#[test]
fn sound_alone() {
    let stream = publish(&format!(
        "-f lavfi -i sine=frequency=440:sample_rate=44100 -t 9 {AAC}"
    ));
    let made = cut(&stream, START);
    let dir = tempfile::tempdir().unwrap();
    let path = made.join(TrackKind::Audio, dir.path());
    assert_decodes(&path);
    let heard = probe(&path);
    assert_eq!(heard.packets.len(), count(&stream, TrackKind::Audio));
    near(heard.presentation()[0], 10.0);
    heard.assert_continuous(1024.0 / 44_100.0, 0.000_002);
    let durations = durations_ms(&made);
    assert_eq!(durations.len(), 5);
    let whole = &durations[..4];
    assert!(whole.iter().all(|ms| (ms - 2000).abs() < 24), "{whole:?}");
    assert!(
        made.segments
            .iter()
            .all(|s| s.video.is_none() && s.audio.is_some())
    );
}

#[test]
fn pictures_alone() {
    let stream = publish(&format!("{} {}", pictures(30, 5), x264(60, 2)));
    let made = cut(&stream, START);
    assert_durations(&made, &[2000, 2000, 1000]);
    let dir = tempfile::tempdir().unwrap();
    let path = made.join(TrackKind::Video, dir.path());
    assert_decodes(&path);
    let seen = probe(&path);
    assert_eq!(seen.packets.len(), 150);
    near(seen.packets[0].1, 10.0);
    seen.assert_continuous(1.0 / 30.0, 0.0011);
}

#[test]
fn high_efficiency_sound_keeps_its_rate() {
    // No HE-AAC encoder is at hand everywhere; a mono 22.05 kHz core shows the same arithmetic.
    let stream = publish("-f lavfi -i sine=frequency=440:sample_rate=22050 -t 4 -c:a aac -ac 1");
    let made = cut(&stream, START);
    let dir = tempfile::tempdir().unwrap();
    let path = made.join(TrackKind::Audio, dir.path());
    assert_decodes(&path);
    assert_eq!(probe(&path).stream["sample_rate"], "22050");
}

/// Moves every frame from source time `from_ms` on by `by_ms`.
fn jump(stream: &mut [Published], from_ms: i64, by_ms: i64) {
    let moved = |at: Timestamp| at.checked_add(Timestamp::from_ms(by_ms)).unwrap();
    for item in stream {
        if let Published::Frame(Frame { dts, pts, .. }) = item
            && dts.to_ms() >= from_ms
        {
            *dts = moved(*dts);
            *pts = moved(*pts);
        }
    }
}

#[test]
fn jumps_run_on() {
    // At a key frame and in the middle of a group, forward and back.
    for (from_ms, by_ms) in [
        (4000, 60_000),
        (4000, -4000),
        (4500, 1_000_000),
        (4500, -4321),
    ] {
        let mut stream = publish(&format!(
            "{} {TONE} -t 8 {} {AAC}",
            pictures(25, 8),
            x264(50, 0)
        ));
        jump(&mut stream, from_ms, by_ms);
        let made = cut(&stream, START);
        let dir = tempfile::tempdir().unwrap();
        let video = made.join(TrackKind::Video, dir.path());
        assert_decodes(&video);
        let seen = probe(&video);
        assert_eq!(seen.packets.len(), 200, "{from_ms} {by_ms}");
        seen.assert_continuous(0.04, 0.025);
        let audio = made.join(TrackKind::Audio, dir.path());
        assert_decodes(&audio);
        probe(&audio).assert_continuous(1024.0 / 48_000.0, 0.000_002);
        let breaks: Vec<i64> = made
            .segments
            .iter()
            .filter(|segment| segment.discontinuity)
            .map(|segment| segment.epoch_offset_ms)
            .collect();
        assert_eq!(breaks.len(), 1, "{from_ms} {by_ms}: {breaks:?}");
        let expected = if from_ms == 4000 { 4000 } else { 6000 };
        assert!((breaks[0] - expected).abs() <= 40, "{breaks:?}");
        let end = seen.presentation()[199];
        assert!((end - 17.96).abs() < 0.05, "{end}");
    }
}
