//! Frames as a real encoder makes them: FFmpeg's FLV, read tag by tag.

use std::process::{Command, Stdio};

use bytes::Bytes;
use weir_media::codec::flv::{AudioTag, VideoTag, parse_audio, parse_video};
use weir_media::codec::{aac, h264};
use weir_media::{Frame, Timestamp, TrackKind, TrackParams};
use weir_origin::ingest::{PublishEvent, Publisher};

const FLV_HEADER_BYTES: usize = 13;
const TAG_HEADER_BYTES: usize = 11;
const TAG_TRAILER_BYTES: usize = 4;

/// What FFmpeg is asked for.
pub(crate) struct Source {
    pub(crate) seconds: u32,
    pub(crate) video: bool,
    pub(crate) audio: bool,
    pub(crate) gop_pictures: u32,
    pub(crate) size: &'static str,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            seconds: 6,
            video: true,
            audio: true,
            gop_pictures: 30,
            size: "320x180",
        }
    }
}

impl Source {
    /// Encodes 30 pictures a second, with B-frames, and 48 kHz sound.
    pub(crate) fn events(&self) -> Vec<PublishEvent> {
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error"]);
        if self.video {
            let pattern = format!("testsrc2=size={}:rate=30", self.size);
            ffmpeg.args(["-f", "lavfi", "-i", &pattern]);
        }
        if self.audio {
            ffmpeg.args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"]);
        }
        ffmpeg.args(["-t", &self.seconds.to_string()]);
        ffmpeg.args([
            "-c:v",
            "libx264",
            "-preset",
            "veryfast",
            "-bf",
            "2",
            "-sc_threshold",
            "0",
        ]);
        ffmpeg.args(["-g", &self.gop_pictures.to_string(), "-pix_fmt", "yuv420p"]);
        ffmpeg.args(["-c:a", "aac", "-f", "flv", "pipe:1"]);
        let output = ffmpeg.stdin(Stdio::null()).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        read(&Bytes::from(output.stdout))
    }
}

fn read(flv: &Bytes) -> Vec<PublishEvent> {
    let mut events = Vec::new();
    let mut at = FLV_HEADER_BYTES;
    while at + TAG_HEADER_BYTES <= flv.len() {
        let head = &flv[at..at + TAG_HEADER_BYTES];
        let size = u32::from_be_bytes([0, head[1], head[2], head[3]]);
        let time_ms = i64::from(u32::from_be_bytes([head[7], head[4], head[5], head[6]]));
        let from = at + TAG_HEADER_BYTES;
        let to = from + usize::try_from(size).unwrap();
        events.extend(event(head[0], time_ms, flv.slice(from..to)));
        at = to + TAG_TRAILER_BYTES;
    }
    events
}

fn event(tag: u8, time_ms: i64, body: Bytes) -> Option<PublishEvent> {
    let dts = Timestamp::from_ms(time_ms);
    let frame = |track, pts_ms, keyframe, data| {
        Some(PublishEvent::Frame(Frame {
            track,
            dts,
            pts: Timestamp::from_ms(pts_ms),
            keyframe,
            data,
        }))
    };
    match tag {
        8 => match parse_audio(body).unwrap() {
            AudioTag::SequenceHeader { config, .. } => Some(PublishEvent::Params(
                TrackParams::Audio(aac::audio_params(&config).unwrap()),
            )),
            AudioTag::CodedFrames { data, .. } => frame(TrackKind::Audio, time_ms, true, data),
            _ => None,
        },
        9 => match parse_video(body).unwrap() {
            VideoTag::SequenceHeader { config, .. } => Some(PublishEvent::Params(
                TrackParams::Video(h264::video_params(&config).unwrap()),
            )),
            VideoTag::CodedFrames {
                keyframe,
                composition_time_ms,
                data,
                ..
            } => {
                let pts_ms = time_ms + i64::from(composition_time_ms);
                frame(TrackKind::Video, pts_ms, keyframe, data)
            }
            _ => None,
        },
        _ => None,
    }
}

/// Sends all of `events`; the stream's owner sets the pace.
pub(crate) async fn send(publisher: &Publisher, events: &[PublishEvent]) {
    for event in events {
        publisher.events.send(event.clone()).await.unwrap();
    }
}
