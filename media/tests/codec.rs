//! Decoder configurations of real encoders, and the silence made here in a real decoder.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers outside test functions; a panic is how a test fails"
)]

mod support;

use std::process::Command;
use support::{Published, assert_decodes, cut, probe, publish};
use weir_media::segment::EpochStart;
use weir_media::{TrackKind, TrackParams};

#[test]
fn sizes_of_every_kind_of_picture() {
    // Size, pixel format, encoder's wishes: profiles, fields, scaling lists, aspect, cropping.
    let kinds = [
        (320, 180, "yuv420p", "-profile:v baseline"),
        (322, 182, "yuv420p", "-profile:v main"),
        (1920, 1080, "yuv420p", "-profile:v high"),
        (1280, 720, "yuv420p", "-x264-params cqm=jvt"),
        (720, 576, "yuv420p", "-x264-params tff=1 -flags +ildct"),
        (720, 476, "yuv420p", "-x264-params bff=1 -vf setsar=8/9"),
        (320, 180, "yuv422p", "-profile:v high422"),
        (322, 182, "yuv420p10le", "-profile:v high10"),
        (
            321,
            181,
            "yuv444p",
            "-profile:v high444 -vf format=yuv444p,scale=321:181",
        ),
        (64, 64, "gray", "-preset veryfast"),
        (
            322,
            180,
            "yuv420p",
            "-x264-params nal-hrd=cbr -b:v 300k -maxrate 300k -bufsize 300k",
        ),
    ];
    for (width, height, format, wishes) in kinds {
        let stream = publish(&format!(
            "-f lavfi -i testsrc2=size={width}x{height}:rate=25:duration=0.4 -pix_fmt {format} \
             -c:v libx264 -preset veryfast {wishes}"
        ));
        let params = stream.iter().find_map(|item| match item {
            Published::Params(TrackParams::Video(params)) => Some(params),
            _ => None,
        });
        let params = params.unwrap();
        assert_eq!(
            (params.width, params.height),
            (width, height),
            "{format} {wishes}"
        );
        let made = cut(&stream, EpochStart::default());
        let dir = tempfile::tempdir().unwrap();
        let path = made.join(TrackKind::Video, dir.path());
        assert_decodes(&path);
        let seen = probe(&path);
        assert_eq!(seen.stream["width"], width, "{format} {wishes}");
        assert_eq!(seen.stream["height"], height, "{format} {wishes}");
        if format != "gray" {
            // ffmpeg shows monochrome with chroma planes of nothing.
            assert_eq!(seen.stream["pix_fmt"], format, "{wishes}");
        }
        let profile = u8::from_str_radix(&params.codec_string[5..7], 16).unwrap();
        assert_eq!(profile, params.config[1]);
    }
}

#[test]
fn silence_decodes_and_is_silent() {
    for (channels, name) in [(1, "mono"), (2, "stereo"), (6, "5.1")] {
        let mut stream = publish(&format!(
            "-f lavfi -i testsrc2=size=64x64:rate=25:duration=6 \
             -f lavfi -i sine=frequency=440:sample_rate=48000 -t 6 \
             -c:v libx264 -preset ultrafast -g 25 -c:a aac -ac {channels}"
        ));
        // Two seconds without sound.
        stream.retain(|item| match item {
            Published::Frame(frame) if frame.track == TrackKind::Audio => {
                !(2000..4000).contains(&frame.dts.to_ms())
            }
            _ => true,
        });
        let made = cut(&stream, EpochStart::default());
        let silent = made.segmenter.stats().silent_frames_inserted;
        assert!((92..96).contains(&silent), "{silent}");
        let dir = tempfile::tempdir().unwrap();
        let path = made.join(TrackKind::Audio, dir.path());
        assert_decodes(&path);
        let heard = probe(&path);
        heard.assert_continuous(1024.0 / 48_000.0, 0.000_002);
        assert_eq!(heard.stream["channels"], channels, "{name}");
        assert!(volume(&path, 0.5, 1.5) > -40.0);
        assert!(volume(&path, 2.2, 3.8) < -90.0);
        assert!(volume(&path, 4.5, 5.5) > -40.0);
    }
}

/// Loudest sample between two times, dB of full scale, as ffmpeg hears it.
fn volume(path: &std::path::Path, from: f64, until: f64) -> f64 {
    let run = Command::new("ffmpeg")
        .args(["-hide_banner", "-i"])
        .arg(path)
        .args(["-af", &format!("atrim={from}:{until},volumedetect")])
        .args(["-f", "null", "-"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    let (_, rest) = said.split_once("max_volume: ").expect("volumedetect spoke");
    rest.split_whitespace().next().unwrap().parse().unwrap()
}
