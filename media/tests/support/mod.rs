//! What the tests on real media share: ffmpeg makes a stream, this reads it as an RTMP ingest
//! would, cuts it and asks ffprobe what came out.

use bytes::Bytes;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use weir_media::codec::flv::{AudioTag, VideoTag, parse_audio, parse_video};
use weir_media::codec::{aac, h264};
use weir_media::segment::{
    EpochStart, InitSegment, Segment, SegmentEvent, Segmenter, SegmenterOptions,
};
use weir_media::{Frame, Timestamp, TrackKind, TrackParams};

/// What a publisher sends.
#[derive(Clone, Debug)]
pub(crate) enum Published {
    Params(TrackParams),
    Frame(Frame),
}

/// Runs ffmpeg with these arguments (split at spaces) into `output`.
pub(crate) fn ffmpeg(arguments: &str, output: &Path) {
    let run = Command::new("ffmpeg")
        .args(["-v", "error", "-y"])
        .args(arguments.split_whitespace())
        .arg(output)
        .output()
        .expect("ffmpeg runs");
    let errors = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.success(), "ffmpeg {arguments}: {errors}");
}

/// An FLV made by ffmpeg, as published.
pub(crate) fn publish(arguments: &str) -> Vec<Published> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("source.flv");
    ffmpeg(arguments, &path);
    read_flv(&std::fs::read(&path).unwrap())
}

/// Reads an FLV file's tags.
fn read_flv(file: &[u8]) -> Vec<Published> {
    assert_eq!(&file[..3], b"FLV");
    let mut at = 9 + 4;
    let mut published = Vec::new();
    while at + 11 <= file.len() {
        let head = &file[at..at + 11];
        let size = usize::from(head[1]) << 16 | usize::from(head[2]) << 8 | usize::from(head[3]);
        let ms = i64::from(u32::from_be_bytes([head[7], head[4], head[5], head[6]]));
        let body = Bytes::copy_from_slice(&file[at + 11..at + 11 + size]);
        published.extend(read_tag(head[0], ms, body));
        at += 11 + size + 4;
    }
    published
}

fn read_tag(kind: u8, ms: i64, body: Bytes) -> Option<Published> {
    let dts = Timestamp::from_ms(ms);
    match kind {
        8 => match parse_audio(body).unwrap() {
            AudioTag::SequenceHeader { config, .. } => Some(Published::Params(TrackParams::Audio(
                aac::audio_params(&config).unwrap(),
            ))),
            AudioTag::CodedFrames { data, .. } => Some(Published::Frame(Frame {
                track: TrackKind::Audio,
                dts,
                pts: dts,
                keyframe: true,
                data,
            })),
            _ => None,
        },
        9 => match parse_video(body).unwrap() {
            VideoTag::SequenceHeader { config, .. } => Some(Published::Params(TrackParams::Video(
                h264::video_params(&config).unwrap(),
            ))),
            VideoTag::CodedFrames {
                keyframe,
                composition_time_ms,
                data,
                ..
            } => {
                assert_eq!(h264::is_idr(&data, 4).unwrap(), keyframe);
                Some(Published::Frame(Frame {
                    track: TrackKind::Video,
                    dts,
                    pts: Timestamp::from_ms(ms + i64::from(composition_time_ms)),
                    keyframe,
                    data,
                }))
            }
            _ => None,
        },
        _ => None,
    }
}

/// Everything a segmenter made of a stream.
pub(crate) struct Cut {
    pub(crate) inits: Vec<InitSegment>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) segmenter: Segmenter,
}

/// Cuts a stream with the house's options, the epoch starting at `start`.
pub(crate) fn cut(stream: &[Published], start: EpochStart) -> Cut {
    let mut segmenter = Segmenter::new(SegmenterOptions::default(), start);
    let mut events = Vec::new();
    for item in stream {
        match item {
            Published::Params(params) => segmenter.set_params(params.clone()).unwrap(),
            Published::Frame(frame) => events.extend(segmenter.push(frame.clone()).unwrap()),
        }
    }
    events.extend(segmenter.finish().unwrap());
    let (mut inits, mut segments) = (Vec::new(), Vec::new());
    for event in events {
        match event {
            SegmentEvent::Init(init) => inits.push(init),
            SegmentEvent::Segment(segment) => segments.push(segment),
            _ => {}
        }
    }
    check_invariants(&segments, start);
    Cut {
        inits,
        segments,
        segmenter,
    }
}

/// What holds for every stream: numbers without gaps, durations above zero, each track's
/// segments end to end wherever it is present in both.
fn check_invariants(segments: &[Segment], start: EpochStart) {
    for (index, segment) in segments.iter().enumerate() {
        let index = u64::try_from(index).unwrap();
        assert_eq!(segment.sequence_number, start.first_sequence_number + index);
        assert!(segment.duration.ticks() > 0);
    }
    for pair in segments.windows(2) {
        for (a, b) in [
            (&pair[0].video, &pair[1].video),
            (&pair[0].audio, &pair[1].audio),
        ] {
            if let (Some(a), Some(b)) = (a, b) {
                if a.init_index != b.init_index {
                    continue;
                }
                let end = a.start.ticks() + a.duration.ticks();
                assert_eq!(end, b.start.ticks(), "{:?}", pair[1].sequence_number);
            }
        }
    }
}

impl Cut {
    /// One track's files joined, its first configuration before them.
    pub(crate) fn join(&self, track: TrackKind, dir: &Path) -> PathBuf {
        let init = self.inits.iter().find(|init| init.track == track).unwrap();
        let mut bytes = init.bytes.to_vec();
        for segment in &self.segments {
            let file = match track {
                TrackKind::Video => &segment.video,
                TrackKind::Audio => &segment.audio,
            };
            if let Some(file) = file {
                assert_eq!(file.init_index, init.index, "one configuration only");
                bytes.extend_from_slice(&file.bytes);
            }
        }
        let path = dir.join(format!("{track:?}.mp4"));
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// Decodes a file; any word ffmpeg says is a failure.
pub(crate) fn assert_decodes(path: &Path) {
    let run = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-i"])
        .arg(path)
        .args(["-f", "null", "-"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(
        run.status.success() && said.is_empty(),
        "{}: {said}",
        path.display()
    );
}

/// ffprobe's view of the only stream of a file.
pub(crate) struct Probe {
    pub(crate) stream: Value,
    /// (pts, dts) of every packet, seconds.
    pub(crate) packets: Vec<(f64, f64)>,
}

pub(crate) fn probe(path: &Path) -> Probe {
    let run = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-of",
            "json",
            "-show_streams",
            "-show_packets",
        ])
        .arg(path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(said.is_empty(), "{}: {said}", path.display());
    let value: Value = serde_json::from_slice(&run.stdout).unwrap();
    let seconds = |packet: &Value, key: &str| packet[key].as_str().unwrap().parse().unwrap();
    let packets = value["packets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|packet| (seconds(packet, "pts_time"), seconds(packet, "dts_time")));
    assert_eq!(value["streams"].as_array().unwrap().len(), 1);
    Probe {
        stream: value["streams"][0].clone(),
        packets: packets.collect(),
    }
}

impl Probe {
    /// Presentation times in order.
    pub(crate) fn presentation(&self) -> Vec<f64> {
        let mut times: Vec<f64> = self.packets.iter().map(|p| p.0).collect();
        times.sort_by(f64::total_cmp);
        times
    }

    /// Asserts that the presentation goes on in steps of `step` seconds, give or take `slack`.
    pub(crate) fn assert_continuous(&self, step: f64, slack: f64) {
        for pair in self.presentation().windows(2) {
            let gap = pair[1] - pair[0];
            assert!((gap - step).abs() <= slack, "{} to {}", pair[0], pair[1]);
        }
    }
}
