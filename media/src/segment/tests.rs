//! Synthetic streams: what ffmpeg does not send.

mod arbitrary;
mod trouble;

use super::*;
use crate::codec::{aac, h264};
use crate::params::AudioParams;

/// x264's 320x180 and, with another level, something that differs.
const AVCC: &[u8] = &[
    0x01, 0x64, 0x00, 0x0c, 0xff, 0xe1, 0x00, 0x0f, 0x67, 0x64, 0x00, 0x0c, 0xac, 0xd9, 0x41, 0x41,
    0x9f, 0x9f, 0x01, 0x10, 0x00, 0x00, 0x03, 0x01, 0x00, 0x04, 0x68, 0xeb, 0xec, 0xb2,
];

fn video_params(level: u8) -> TrackParams {
    let mut avcc = AVCC.to_vec();
    (avcc[3], avcc[11]) = (level, level);
    TrackParams::Video(h264::video_params(&avcc).unwrap())
}

fn audio_params(asc: &[u8]) -> TrackParams {
    TrackParams::Audio(aac::audio_params(asc).unwrap())
}

/// 48 kHz stereo: frames of 21.33 ms.
fn stereo() -> TrackParams {
    audio_params(&[0x11, 0x90])
}

/// A segmenter and all it has said.
struct Bench {
    segmenter: Segmenter,
    events: Vec<SegmentEvent>,
}

impl Bench {
    fn new(options: SegmenterOptions) -> Self {
        let start = EpochStart {
            first_sequence_number: 0,
            media_time_ms: 0,
        };
        Self {
            segmenter: Segmenter::new(options, start),
            events: Vec::new(),
        }
    }

    /// With pictures and sound announced.
    fn both() -> Self {
        let mut bench = Self::new(SegmenterOptions::default());
        bench.params(video_params(12));
        bench.params(stereo());
        bench
    }

    fn params(&mut self, params: TrackParams) {
        self.segmenter.set_params(params).unwrap();
    }

    fn try_push(&mut self, track: TrackKind, ms: i64, keyframe: bool) -> Result<(), SegmentError> {
        let at = Timestamp::from_ms(ms);
        let frame = Frame {
            track,
            dts: at,
            pts: at,
            keyframe,
            data: Bytes::from_static(&[0; 100]),
        };
        self.events.extend(self.segmenter.push(frame)?);
        Ok(())
    }

    fn push(&mut self, track: TrackKind, ms: i64, keyframe: bool) {
        self.try_push(track, ms, keyframe).unwrap();
    }

    /// Pictures every 40 ms with a key frame each second, over source time `ms`.
    fn pictures(&mut self, ms: std::ops::Range<i64>) {
        for at in ms.step_by(40) {
            self.push(TrackKind::Video, at, at % 1000 == 0);
        }
    }

    /// Sound over source time `ms`: frames on one grid of 64/3 ms, rounded as RTMP does.
    fn sound(&mut self, ms: std::ops::Range<i64>) {
        let grid = (ms.start * 3 / 64 - 1..).map(|frame: i64| frame * 64 / 3);
        for at in grid.skip_while(|at| *at < ms.start) {
            if at >= ms.end {
                break;
            }
            self.push(TrackKind::Audio, at, true);
        }
    }

    /// Both, interleaved by 200 ms.
    fn play(&mut self, ms: std::ops::Range<i64>) {
        for from in ms.clone().step_by(200) {
            let until = (from + 200).min(ms.end);
            self.pictures(from..until);
            self.sound(from..until);
        }
    }

    fn segments(&self) -> Vec<&Segment> {
        let segments = self.events.iter().filter_map(|event| match event {
            SegmentEvent::Segment(segment) => Some(segment),
            SegmentEvent::Init(_) => None,
        });
        segments.collect()
    }

    fn finish(&mut self) {
        self.events.extend(self.segmenter.finish().unwrap());
    }

    /// `*` before a discontinuity, then start and duration of each track, milliseconds.
    fn story(&self) -> Vec<String> {
        let track = |track: &Option<TrackSegment>| match track {
            Some(track) => format!("{}+{}", track.start.to_ms(), track.duration.to_ms()),
            None => "-".into(),
        };
        let told = self.segments().into_iter().map(|segment| {
            let star = if segment.discontinuity { "*" } else { "" };
            format!("{star}{} {}", track(&segment.video), track(&segment.audio))
        });
        told.collect()
    }

    fn inits(&self) -> Vec<(TrackKind, u32)> {
        let inits = self.events.iter().filter_map(|event| match event {
            SegmentEvent::Init(init) => Some((init.track, init.index)),
            SegmentEvent::Segment(_) => None,
        });
        inits.collect()
    }
}
