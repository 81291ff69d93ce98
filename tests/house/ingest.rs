//! What encoders send that is odd, wrong or hostile, and what each gets for it.

use crate::spine::record_both;
use crate::support::encoder::Pattern;
use crate::support::hls::{self, MediaList, Recording};
use crate::support::pusher::{self, Pusher, Tag};
use crate::support::{Encoder, Weir, get, request, wait_for};
use std::time::Duration;

#[test]
fn names_that_cannot_be_are_refused_and_said_so() {
    let weir = Weir::start();
    let long = "x".repeat(300);
    for (name, words) in [
        ("../x", "only letters"),
        ("", "empty"),
        (long.as_str(), "300 bytes"),
        ("señal", "only letters"),
        ("a__b", "double underscore"),
    ] {
        let mut encoder = Encoder::publish(&weir.rtmp(name), &Pattern::default());
        let status = encoder.wait(Duration::from_secs(30));
        assert!(!status.success(), "{name:?} was accepted");
        weir.wait_log(&["refused", words]);
    }
    let mut encoder = Encoder::publish(
        &weir.rtmp("x").replace("LiveApp", "NoSuchApp"),
        &Pattern::default(),
    );
    assert!(!encoder.wait(Duration::from_secs(30)).success());
    weir.wait_log(&["refused", "NoSuchApp"]);
    assert_eq!(
        get(&weir.url("/LiveApp/rest/v2/broadcasts/list/0/10")).json(),
        serde_json::json!([])
    );
}

#[test]
fn a_second_publisher_of_a_live_id_is_refused_and_harms_nobody() {
    let weir = Weir::start();
    let first = Pattern {
        seconds: Some(10),
        ..Pattern::default()
    };
    let mut first = Encoder::publish(&weir.rtmp("one"), &first);
    weir.wait_live("one");
    let mut second = Encoder::publish(&weir.rtmp("one"), &Pattern::default());
    assert!(!second.wait(Duration::from_secs(30)).success());
    weir.wait_log(&["refused", "in use", "one"]);
    let (video, _) = record_both(&weir, "one");
    assert!(first.wait(Duration::from_secs(30)).success());
    assert!(video.segments.iter().all(|(e, _)| !e.discontinuity));
    assert!(decoded(&video, "v").0 == 300, "{:?}", decoded(&video, "v"));
}

#[test]
fn b_frames_keep_their_order_and_timing() {
    let frames = publish_and_record(
        "bframes",
        Pattern {
            b_frames: 3,
            ..Pattern::default()
        },
    );
    assert!(hls::largest_step_error(&frames) < 1.0 / 30.0);
    assert_eq!(frames.len(), 240);
}

#[test]
fn a_hundred_frames_a_second() {
    let frames = publish_and_record(
        "fast",
        Pattern {
            rate: 100,
            gop: 100,
            ..Pattern::default()
        },
    );
    assert_eq!(frames.len(), 800);
    assert!(hls::largest_step_error(&frames) < 1.0 / 100.0);
}

#[test]
fn video_without_sound() {
    let frames = publish_and_record(
        "mute",
        Pattern {
            audio: false,
            ..Pattern::default()
        },
    );
    assert_eq!(frames.len(), 240);
}

#[test]
fn sound_without_video() {
    let weir = Weir::start();
    let pattern = Pattern {
        size: None,
        seconds: Some(8),
        ..Pattern::default()
    };
    let _encoder = Encoder::publish(&weir.rtmp("radio"), &pattern);
    weir.wait_live("radio");
    let multivariant = get(&weir.url("/LiveApp/streams/radio.m3u8")).text();
    assert!(
        multivariant.contains("mp4a.40.2") && !multivariant.contains("avc1"),
        "{multivariant}"
    );
    let recording = Recording::follow_to_end(&weir.url("/LiveApp/streams/radio/audio.m3u8"));
    assert_eq!(recording.faults, Vec::<String>::new());
    let (count, step) = decoded(&recording, "a");
    assert!(count >= 8 * 48_000 / 1024, "{count} packets");
    assert!(step < 1024.0 / 48_000.0, "{step}");
}

#[test]
fn a_ten_second_gop_makes_ten_second_segments() {
    let weir = Weir::start();
    let pattern = Pattern {
        gop: 300,
        seconds: Some(21),
        real_time: false,
        ..Pattern::default()
    };
    let _encoder = Encoder::publish(&weir.rtmp("long"), &pattern);
    let recording = Recording::follow_to_end(&weir.url("/LiveApp/streams/long/video.m3u8"));
    let list = MediaList::fetch(&weir.url("/LiveApp/streams/long/video.m3u8")).unwrap();
    assert_eq!(list.target_duration_s, 10, "{list:?}");
    assert_eq!(decoded(&recording, "v").0, 630);
    assert!(
        recording
            .segments
            .iter()
            .any(|(e, _)| (e.duration_s - 10.0).abs() < 0.1)
    );
}

/// Four seconds each: as they come, 1000 s later, and back at the start.
#[test]
fn timestamps_that_jump_are_a_discontinuity_and_no_more() {
    let weir = Weir::start();
    let mut pusher = Pusher::publish(weir.address("lb rtmp"), "LiveApp", "jump");
    let tags = pusher::tags(&four_seconds_of_flv());
    for offset_ms in [0, 1_000_000, 0] {
        for tag in &tags {
            let time_ms = tag.time_ms + offset_ms;
            pusher.push(&Tag {
                time_ms,
                ..tag.clone()
            });
        }
    }
    weir.wait_live("jump");
    pusher.unpublish();
    let (video, audio) = record_both(&weir, "jump");
    for recording in [&video, &audio] {
        assert_eq!(recording.faults, Vec::<String>::new());
        let breaks = recording
            .segments
            .iter()
            .filter(|(e, _)| e.discontinuity)
            .count();
        assert_eq!(
            breaks,
            2,
            "{:?}",
            recording
                .segments
                .iter()
                .map(|(e, _)| e)
                .collect::<Vec<_>>()
        );
        let total: f64 = recording.segments.iter().map(|(e, _)| e.duration_s).sum();
        assert!(
            (11.5..12.5).contains(&total),
            "12 s of media became {total} s"
        );
    }
    assert_eq!(decoded(&video, "v").0, 360);
}

#[test]
fn a_stream_without_a_key_frame_is_let_go_and_said_so() {
    let weir = Weir::start();
    let mut pusher = Pusher::publish(weir.address("lb rtmp"), "LiveApp", "nokey");
    let key = |tag: &Tag| tag.kind == 9 && tag.body[0] >> 4 == 1 && tag.body[1] == 1;
    let tags: Vec<Tag> = pusher::tags(&four_seconds_of_flv())
        .into_iter()
        .filter(|t| t.kind == 9 && !key(t))
        .collect();
    assert!(tags.len() > 100);
    // Sixteen seconds of media time: past the limit of fifteen.
    for turn in 0..5 {
        for tag in &tags {
            pusher.push(&Tag {
                time_ms: tag.time_ms + turn * 4_000,
                ..tag.clone()
            });
        }
    }
    weir.wait_log(&["nokey", "key"]);
    assert_eq!(get(&weir.url("/LiveApp/streams/nokey.m3u8")).status, 404);
}

#[test]
fn segments_that_were_will_be_or_never_were_are_cheap_404s() {
    let weir = Weir::start();
    let _encoder = Encoder::publish(&weir.rtmp("cam1"), &Pattern::default());
    weir.wait_live("cam1");
    let list = MediaList::fetch(&weir.url("/LiveApp/streams/cam1/video.m3u8")).unwrap();
    let entry = list.entries.last().unwrap();
    let (folder, _) = entry.url.rsplit_once('/').unwrap();
    for url in [
        format!("{folder}/v{}.m4s", entry.sequence + 1000),
        format!("{folder}/v99999999999999999999999.m4s"),
        format!("{folder}/x1.m4s"),
        format!("{folder}/../../../etc/passwd"),
        weir.url("/LiveApp/streams/nobody.m3u8"),
        weir.url("/LiveApp/streams/nobody/video.m3u8"),
        weir.url("/LiveApp/streams/cam1_adaptive.m3u8"),
        weir.url("/NoApp/streams/cam1.m3u8"),
        weir.url("/LiveApp/streams/..%2f..%2fetc%2fpasswd"),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = request(method, &url).unwrap();
            assert_eq!(answer.status, 404, "{method} {url}");
        }
    }
    let head = request("HEAD", &entry.url).unwrap();
    let whole = get(&entry.url);
    assert_eq!(head.status, 200);
    assert!(head.body.is_empty());
    assert_eq!(head.header("content-length"), whole.body.len().to_string());
    let range = [("range", "bytes=10-19")];
    let part = crate::support::request_with("GET", &entry.url, &range).unwrap();
    assert_eq!(
        (part.status, part.body.as_slice()),
        (206, &whole.body[10..20])
    );
}

/// Publishes for eight seconds, records the video track, checks that it decodes without a word.
fn publish_and_record(id: &str, pattern: Pattern) -> Vec<(f64, f64)> {
    let weir = Weir::start();
    let pattern = Pattern {
        seconds: Some(8),
        ..pattern
    };
    let _encoder = Encoder::publish(&weir.rtmp(id), &pattern);
    let video = Recording::follow_to_end(&weir.url(&format!("/LiveApp/streams/{id}/video.m3u8")));
    assert_eq!(video.faults, Vec::<String>::new());
    let dir = tempfile::tempdir().unwrap();
    let files = video.join(dir.path(), id);
    assert_eq!(files.len(), 1, "one run of parameters");
    assert_eq!(hls::decode(&files[0]), "");
    hls::packets(&files[0])
}

/// Packets in all runs of a recording, and the largest step error inside one.
fn decoded(recording: &Recording, name: &str) -> (usize, f64) {
    let dir = tempfile::tempdir().unwrap();
    recording
        .join(dir.path(), name)
        .iter()
        .fold((0, 0.0), |(count, step), file| {
            assert_eq!(hls::decode(file), "");
            let packets = hls::packets(file);
            (
                count + packets.len(),
                f64::max(step, hls::largest_step_error(&packets)),
            )
        })
}

fn four_seconds_of_flv() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.flv");
    let inputs =
        "-v error -f lavfi -i testsrc2=size=320x180:rate=30 -f lavfi -i sine=frequency=440";
    let codecs = "-t 4 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 30 -bf 0 -c:a aac -ac 2";
    let mut args: Vec<&str> = inputs.split(' ').chain(codecs.split(' ')).collect();
    args.push(path.to_str().unwrap());
    crate::support::run("ffmpeg", &args);
    std::fs::read(path).unwrap()
}

#[test]
fn an_encoder_that_is_killed_and_returns_goes_on_in_the_same_playlist() {
    let weir = Weir::start();
    let first = Encoder::publish(&weir.rtmp("back"), &Pattern::default());
    weir.wait_live("back");
    let url = weir.url("/LiveApp/streams/back/video.m3u8");
    let before = wait_for("three segments", || {
        MediaList::fetch(&url).filter(|l| l.entries.len() >= 3)
    });
    first.kill();
    weir.wait_log(&["back", "publisher lost"]);
    let pattern = Pattern {
        seconds: Some(6),
        ..Pattern::default()
    };
    let _second = Encoder::publish(&weir.rtmp("back"), &pattern);
    let recording = Recording::follow_to_end(&url);
    assert_eq!(recording.faults, Vec::<String>::new());
    let sequences: Vec<u64> = recording.segments.iter().map(|(e, _)| e.sequence).collect();
    assert!(
        sequences[0] <= before.entries[0].sequence,
        "the same list goes on: {sequences:?}"
    );
    let breaks: Vec<&str> = recording
        .segments
        .iter()
        .filter(|(e, _)| e.discontinuity)
        .map(|(e, _)| e.url.as_str())
        .collect();
    assert_eq!(breaks.len(), 1, "one discontinuity: {breaks:?}");
    assert!(decoded(&recording, "v").0 > 0);
}
