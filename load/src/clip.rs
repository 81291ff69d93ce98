//! What is published: an FLV file's tags, looped for ever with running timestamps.
//!
//! Each track loops by itself, on a period that is a whole number of its own frames, so that the
//! last frame of one round and the first of the next are as far apart as any two: no seam, no
//! drift. The built-in clip's tracks are equally long and stay together; those of a file whose
//! tracks are not drift apart by less than a frame a round, which load does not mind.
//!
//! Tags go out as the file has them. Time is microseconds from the start of the publish; what
//! goes over the wire is RTMP's 32-bit count of milliseconds, which wraps.

#[cfg(test)]
mod tests;

use bytes::Bytes;
use std::path::Path;
use weir_media::codec::aac;
use weir_media::codec::flv::{AudioTag, VideoTag, parse_audio, parse_video};

/// FLV tag type of sound, also RTMP's message type.
pub(crate) const AUDIO: u8 = 8;
/// FLV tag type of pictures.
pub(crate) const VIDEO: u8 = 9;
/// FLV tag type of script data (`onMetaData`).
const SCRIPT: u8 = 18;
/// Samples of an AAC frame.
const AAC_SAMPLES: u64 = 1024;
/// Largest file read, bytes: it is held in memory.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// A file header and the first back pointer, bytes.
const FILE_HEADER_BYTES: usize = 9 + 4;
/// A tag's header, bytes.
const TAG_HEADER_BYTES: usize = 11;

/// Made by `scripts/load-clip.sh`.
static BUILT_IN: &[u8] = include_bytes!("../clip/clip.flv");

/// Why a file cannot be published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClipError {
    #[error("cannot be read: {0}")]
    Read(#[from] std::io::Error),
    #[error("is larger than {FILE_BYTES_MAX} bytes")]
    TooLarge,
    #[error("is no FLV file (ffmpeg -i FILE -c:v libx264 -bf 2 -g 50 -c:a aac out.flv makes one)")]
    NotFlv,
    #[error("the tag at byte {offset} cannot be read: {problem}")]
    Tag { offset: usize, problem: String },
    #[error("has no picture that decoding can start at, and no sound either")]
    Empty,
    #[error("has {0} frames without their sequence header")]
    NoHeader(&'static str),
}

/// A clip, ready to be looped.
#[derive(Debug)]
pub(crate) struct Clip {
    /// `onMetaData` and its value as AMF0, if the file has it.
    pub(crate) metadata: Option<Bytes>,
    /// Sequence headers: tag type and body.
    pub(crate) headers: Vec<(u8, Bytes)>,
    tracks: Vec<Track>,
}

/// One track's frames.
#[derive(Debug)]
struct Track {
    kind: u8,
    /// Offset from the clip's start, microseconds, and the tag's body.
    tags: Vec<(u64, Bytes)>,
    period_us: u64,
}

/// A frame that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// Since the publish began, microseconds.
    pub(crate) at_us: u64,
    /// Tag type.
    pub(crate) kind: u8,
    /// Tag body.
    pub(crate) body: Bytes,
}

impl Due {
    /// What RTMP says of the time: milliseconds modulo 2^32.
    pub(crate) fn timestamp_ms(&self) -> u32 {
        u32::try_from((self.at_us / 1000) & u64::from(u32::MAX)).unwrap_or_default()
    }
}

impl Clip {
    /// The clip that is part of the program.
    pub(crate) fn built_in() -> Result<Self, ClipError> {
        Self::parse(&Bytes::from_static(BUILT_IN))
    }

    /// The clip in a file.
    pub(crate) fn load(path: &Path) -> Result<Self, ClipError> {
        if std::fs::metadata(path)?.len() > FILE_BYTES_MAX {
            return Err(ClipError::TooLarge);
        }
        Self::parse(&Bytes::from(std::fs::read(path)?))
    }

    /// Reads a whole FLV file. What comes before the first key frame is left out.
    pub(crate) fn parse(file: &Bytes) -> Result<Self, ClipError> {
        if !file.starts_with(b"FLV") || file.len() < FILE_HEADER_BYTES {
            return Err(ClipError::NotFlv);
        }
        let mut read = Reading::default();
        let mut offset = FILE_HEADER_BYTES;
        while let Some(head) = file.get(offset..offset + TAG_HEADER_BYTES) {
            let length =
                usize::from(head[1]) << 16 | usize::from(head[2]) << 8 | usize::from(head[3]);
            let time_ms = u32::from_be_bytes([head[7], head[4], head[5], head[6]]);
            let start = offset + TAG_HEADER_BYTES;
            // A file cut off in its last tag is published up to there.
            if start + length > file.len() {
                break;
            }
            let body = file.slice(start..start + length);
            read.tag(head[0] & 0x1f, time_ms, body)
                .map_err(|problem| ClipError::Tag { offset, problem })?;
            offset = start + length + 4;
        }
        read.clip()
    }

    /// Frames from the start, for ever.
    pub(crate) fn looped(&self) -> Looped<'_> {
        Looped {
            tracks: &self.tracks,
            next: vec![0; self.tracks.len()],
        }
    }
}

/// Tags as they are found.
#[derive(Default)]
struct Reading {
    metadata: Option<Bytes>,
    headers: Vec<(u8, Bytes)>,
    video: Vec<(u64, Bytes)>,
    audio: Vec<(u64, Bytes)>,
    sample_rate_hz: Option<u32>,
}

impl Reading {
    fn tag(&mut self, kind: u8, time_ms: u32, body: Bytes) -> Result<(), String> {
        let at_us = u64::from(time_ms) * 1000;
        match kind {
            SCRIPT if self.metadata.is_none() => self.metadata = Some(body),
            VIDEO => match parse_video(body.clone()).map_err(|e| e.to_string())? {
                VideoTag::SequenceHeader { .. } => self.header(VIDEO, body),
                VideoTag::CodedFrames { keyframe, .. } if keyframe || !self.video.is_empty() => {
                    self.video.push((at_us, body));
                }
                _ => {}
            },
            AUDIO => match parse_audio(body.clone()).map_err(|e| e.to_string())? {
                AudioTag::SequenceHeader { config, .. } => {
                    let params = aac::audio_params(&config).map_err(|e| e.to_string())?;
                    self.sample_rate_hz = Some(params.sample_rate_hz);
                    self.header(AUDIO, body);
                }
                AudioTag::CodedFrames { .. } => self.audio.push((at_us, body)),
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }

    /// Keeps the first of each track: a clip that changes its configuration is published by it.
    fn header(&mut self, kind: u8, body: Bytes) {
        if self.headers.iter().all(|(known, _)| *known != kind) {
            self.headers.push((kind, body));
        }
    }

    fn clip(mut self) -> Result<Clip, ClipError> {
        let has = |kind: u8| self.headers.iter().any(|(known, _)| *known == kind);
        if !self.video.is_empty() && !has(VIDEO) {
            return Err(ClipError::NoHeader("video"));
        }
        if !self.audio.is_empty() && !has(AUDIO) {
            return Err(ClipError::NoHeader("audio"));
        }
        let start_us = self.video.first().map_or(0, |(at_us, _)| *at_us);
        self.audio.retain(|(at_us, _)| *at_us >= start_us);
        let video_us = period_us(&self.video, None);
        let mut tracks = Vec::new();
        if let Some(first) = self.audio.first().map(|(at_us, _)| *at_us) {
            let frame_us = self
                .sample_rate_hz
                .map(|rate| AAC_SAMPLES as f64 * 1e6 / f64::from(rate));
            if video_us > 0 {
                // As many frames as fit the pictures, half a frame allowed for rounded times.
                let end_us =
                    (first + video_us).saturating_sub(as_us(frame_us.unwrap_or(0.0) / 2.0));
                self.audio.retain(|(at_us, _)| *at_us < end_us);
            }
            let period_us = period_us(&self.audio, frame_us);
            tracks.push(Track::new(
                AUDIO,
                self.audio,
                start_us.min(first),
                period_us,
            ));
        }
        if !self.video.is_empty() {
            tracks.push(Track::new(VIDEO, self.video, start_us, video_us));
        }
        if tracks.is_empty() {
            return Err(ClipError::Empty);
        }
        Ok(Clip {
            metadata: self.metadata,
            headers: self.headers,
            tracks,
        })
    }
}

impl Track {
    fn new(kind: u8, mut tags: Vec<(u64, Bytes)>, start_us: u64, period_us: u64) -> Self {
        for (at_us, _) in &mut tags {
            *at_us -= start_us;
        }
        Self {
            kind,
            tags,
            period_us,
        }
    }

    /// When frame `number` is due, counted over all rounds.
    fn at_us(&self, number: u64) -> u64 {
        let count = self.tags.len() as u64;
        let offset_us = self.tag(number).0;
        (number / count) * self.period_us + offset_us
    }

    fn tag(&self, number: u64) -> &(u64, Bytes) {
        let count = self.tags.len() as u64;
        let index = usize::try_from(number % count).unwrap_or_default();
        &self.tags[index]
    }
}

/// One round of a track: frames times the frame's duration, which is said or the average.
fn period_us(tags: &[(u64, Bytes)], frame_us: Option<f64>) -> u64 {
    /// What a clip of one frame is taken to last.
    const LONE_FRAME_US: f64 = 40_000.0;
    let (Some(first), Some(last)) = (tags.first(), tags.last()) else {
        return 0;
    };
    let steps = tags.len() as f64 - 1.0;
    let average = (last.0.saturating_sub(first.0)) as f64 / steps;
    let frame_us = frame_us.unwrap_or(if steps > 0.0 { average } else { LONE_FRAME_US });
    as_us((frame_us * tags.len() as f64).max(1.0))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates; never negative"
)]
fn as_us(us: f64) -> u64 {
    us.round() as u64
}

/// A clip's frames in the order they are due.
#[derive(Debug)]
pub(crate) struct Looped<'a> {
    tracks: &'a [Track],
    /// Number of each track's next frame.
    next: Vec<u64>,
}

impl Looped<'_> {
    /// When the next frame is due, microseconds from the start.
    pub(crate) fn due_us(&self) -> u64 {
        self.soonest().0
    }

    /// The next frame.
    pub(crate) fn take(&mut self) -> Due {
        let (at_us, index) = self.soonest();
        let number = self.next[index];
        self.next[index] += 1;
        let track = &self.tracks[index];
        Due {
            at_us,
            kind: track.kind,
            body: track.tag(number).1.clone(),
        }
    }

    /// Time and track of the next frame; a clip has a track, and a track a frame.
    fn soonest(&self) -> (u64, usize) {
        let tracks = self.tracks.iter().zip(&self.next).enumerate();
        tracks
            .map(|(index, (track, next))| (track.at_us(*next), index))
            .min()
            .unwrap_or((u64::MAX, 0))
    }
}
