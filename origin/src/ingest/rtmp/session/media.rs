//! Audio and video messages to parameters and frames.
//!
//! Time: a message's 32-bit milliseconds become an `i64` that runs on over the wrap; both tracks
//! share one count, so they cannot drift apart by a wrap. Decode time is the message's, display
//! time adds the composition time. Whether a picture is a key frame is read from its NAL units,
//! not from the tag, which some encoders get wrong.
//!
//! What cannot be read is dropped and counted, and only a row of it ends the connection: one bad
//! frame is a glitch, a hundred are not media.

use bytes::Bytes;
use weir_media::codec::flv::{self, AudioTag, FlvError, VideoTag};
use weir_media::codec::{CodecError, aac, h264};
use weir_media::{Frame, Timestamp, TrackKind, TrackParams};

use super::status::Refusal;
use super::{Event, Metadata};
use crate::ingest::rtmp::chunk::{ChunkReader, Message};
use crate::ingest::rtmp::error::{Fault, WireError};
use crate::ingest::rtmp::message::kind;

/// Frames up to this length, and those that are less than half of their message, are copied out of
/// what they came in, bytes. See [`compact`].
const COPIED_BYTES_MAX: usize = 16 * 1024;

/// Why a message was thrown away.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DropReason {
    /// Media or metadata without a publish, or on another stream than the published one.
    #[error("not on a published stream")]
    NotPublishing,
    /// A frame whose decoder parameters have not come.
    #[error("frame before its sequence header")]
    BeforeSequenceHeader,
    /// No payload; some encoders send such.
    #[error("empty")]
    Empty,
    /// A tag with nothing a viewer needs: commands, extra tracks.
    #[error("not a frame of track 0")]
    NotUsed,
    /// A tag body that cannot be read.
    #[error("{0}")]
    BadTag(String),
    /// A data message that cannot be read.
    #[error("{0}")]
    BadMetadata(String),
    /// An aggregate message that ends inside a tag.
    #[error("aggregate ends inside a tag")]
    BadAggregate,
}

impl DropReason {
    /// A word for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::NotPublishing => "not_publishing",
            Self::BeforeSequenceHeader => "before_sequence_header",
            Self::Empty => "empty",
            Self::NotUsed => "not_used",
            Self::BadTag(_) => "bad_tag",
            Self::BadMetadata(_) => "bad_metadata",
            Self::BadAggregate => "bad_aggregate",
        }
    }

    fn is_bad(&self) -> bool {
        matches!(
            self,
            Self::BadTag(_) | Self::BadMetadata(_) | Self::BadAggregate
        )
    }
}

/// What one publish has said so far.
#[derive(Debug, Default)]
pub(super) struct MediaReader {
    /// The last `onMetaData`.
    pub(super) metadata: Option<Metadata>,
    clock: Clock,
    video: Option<VideoTrack>,
    audio: Option<TrackParams>,
    bad: u32,
    bad_max: u32,
}

#[derive(Debug)]
struct VideoTrack {
    params: TrackParams,
    nal_length_size: u8,
}

/// What a tag came to.
enum Outcome {
    Event(Event),
    Nothing,
    Drop(DropReason),
}

impl MediaReader {
    /// For a publish of which `bad_max` messages may be unreadable.
    pub(super) fn new(bad_max: u32) -> Self {
        Self {
            bad_max,
            ..Self::default()
        }
    }

    /// Reads an audio or video message.
    ///
    /// # Errors
    /// [`Fault::TooManyBadTags`].
    pub(super) fn read(
        &mut self,
        message: Message,
        reader: &ChunkReader,
    ) -> Result<Option<Event>, WireError> {
        let dts_ms = self.clock.unwrap(message.timestamp_ms);
        let message_bytes = message.payload.len();
        let outcome = if message.kind == kind::VIDEO {
            flv::parse_video(message.payload).map(|tag| self.video_tag(tag, dts_ms))
        } else {
            flv::parse_audio(message.payload).map(|tag| self.audio_tag(tag, dts_ms))
        };
        match outcome {
            Ok(Outcome::Event(Event::Frame(mut frame))) => {
                frame.data = compact(frame.data, message_bytes);
                Ok(Some(Event::Frame(frame)))
            }
            Ok(Outcome::Event(event)) => Ok(Some(event)),
            Ok(Outcome::Nothing) => Ok(None),
            Ok(Outcome::Drop(reason)) => self.dropped(reason, reader).map(Some),
            Err(FlvError::Empty) => Ok(Some(Event::Dropped(DropReason::Empty))),
            Err(FlvError::UnsupportedVideoCodec(codec)) => {
                Ok(Some(Event::Refused(Refusal::VideoCodec(codec.to_string()))))
            }
            Err(FlvError::UnsupportedAudioCodec(codec)) => {
                Ok(Some(Event::Refused(Refusal::AudioCodec(codec.to_string()))))
            }
            Err(error) => {
                let reason = DropReason::BadTag(error.to_string());
                self.dropped(reason, reader).map(Some)
            }
        }
    }

    /// Counts a message thrown away.
    ///
    /// # Errors
    /// [`Fault::TooManyBadTags`] when it was one too many that could not be read.
    pub(super) fn dropped(
        &mut self,
        reason: DropReason,
        reader: &ChunkReader,
    ) -> Result<Event, WireError> {
        if reason.is_bad() {
            self.bad += 1;
            if self.bad > self.bad_max {
                return Err(reader.error(Fault::TooManyBadTags {
                    count: self.bad,
                    last: reason.to_string(),
                }));
            }
        }
        Ok(Event::Dropped(reason))
    }

    fn video_tag(&mut self, tag: VideoTag, dts_ms: i64) -> Outcome {
        match tag {
            VideoTag::SequenceHeader { config, .. } => match read_video_header(&config) {
                Ok(track) => {
                    let known = self.video.as_ref().map(|video| &video.params);
                    let outcome = changed(known, &track.params);
                    self.video = Some(track);
                    outcome
                }
                Err(error) => Outcome::Drop(DropReason::BadTag(error.to_string())),
            },
            VideoTag::CodedFrames {
                composition_time_ms,
                data,
                ..
            } => {
                let Some(video) = &self.video else {
                    return Outcome::Drop(DropReason::BeforeSequenceHeader);
                };
                let keyframe = match h264::is_idr(&data, video.nal_length_size) {
                    Ok(keyframe) => keyframe,
                    Err(error) => return Outcome::Drop(DropReason::BadTag(error.to_string())),
                };
                let pts_ms = dts_ms.saturating_add(i64::from(composition_time_ms));
                Outcome::Event(Event::Frame(Frame {
                    track: TrackKind::Video,
                    dts: Timestamp::from_ms(dts_ms),
                    pts: Timestamp::from_ms(pts_ms),
                    keyframe,
                    data,
                }))
            }
            VideoTag::EndOfSequence => Outcome::Nothing,
            _ => Outcome::Drop(DropReason::NotUsed),
        }
    }

    fn audio_tag(&mut self, tag: AudioTag, dts_ms: i64) -> Outcome {
        match tag {
            AudioTag::SequenceHeader { config, .. } => match aac::audio_params(&config) {
                Ok(params) => {
                    let params = TrackParams::Audio(params);
                    let outcome = changed(self.audio.as_ref(), &params);
                    self.audio = Some(params);
                    outcome
                }
                Err(error) => Outcome::Drop(DropReason::BadTag(error.to_string())),
            },
            AudioTag::CodedFrames { .. } if self.audio.is_none() => {
                Outcome::Drop(DropReason::BeforeSequenceHeader)
            }
            AudioTag::CodedFrames { data, .. } if data.is_empty() => {
                Outcome::Drop(DropReason::Empty)
            }
            AudioTag::CodedFrames { data, .. } => Outcome::Event(Event::Frame(Frame {
                track: TrackKind::Audio,
                dts: Timestamp::from_ms(dts_ms),
                pts: Timestamp::from_ms(dts_ms),
                keyframe: true,
                data,
            })),
            AudioTag::EndOfSequence | AudioTag::MultichannelConfig => Outcome::Nothing,
            _ => Outcome::Drop(DropReason::NotUsed),
        }
    }
}

fn read_video_header(avcc: &[u8]) -> Result<VideoTrack, CodecError> {
    let nal_length_size = h264::parse_avcc(avcc)?.nal_length_size;
    Ok(VideoTrack {
        params: TrackParams::Video(h264::video_params(avcc)?),
        nal_length_size,
    })
}

/// A frame that holds about as much memory as it has bytes. A slice keeps alive all of the buffer
/// it is of, and whoever holds frames counts only the slices: without this, small frames strewn
/// among bytes that are thrown away would hold hundreds of times what the limits say.
fn compact(data: Bytes, message_bytes: usize) -> Bytes {
    if data.len() <= COPIED_BYTES_MAX || data.len() < message_bytes / 2 {
        Bytes::copy_from_slice(&data)
    } else {
        data
    }
}

/// Parameters are news only when they differ: encoders repeat them.
fn changed(known: Option<&TrackParams>, params: &TrackParams) -> Outcome {
    if known == Some(params) {
        Outcome::Nothing
    } else {
        Outcome::Event(Event::Params(params.clone()))
    }
}

/// Unwraps 32-bit milliseconds: each time is the one nearest to the last with its low 32 bits.
#[derive(Debug, Default)]
struct Clock {
    last: Option<(u32, i64)>,
}

impl Clock {
    fn unwrap(&mut self, timestamp_ms: u32) -> i64 {
        let ms = match self.last {
            None => i64::from(timestamp_ms),
            Some((raw, ms)) => {
                ms.saturating_add(i64::from(timestamp_ms.wrapping_sub(raw).cast_signed()))
            }
        };
        self.last = Some((timestamp_ms, ms));
        ms
    }
}

#[cfg(test)]
mod clock_tests {
    use super::Clock;

    #[test]
    fn time_runs_on_over_the_wrap_and_back() {
        let mut clock = Clock::default();
        let got: Vec<i64> = [0xffff_fff0, 0xffff_ffff, 5, 0xffff_fffe, 40]
            .map(|raw| clock.unwrap(raw))
            .to_vec();
        let wrap = 1_i64 << 32;
        assert_eq!(got, [wrap - 16, wrap - 1, wrap + 5, wrap - 2, wrap + 40]);
    }

    #[test]
    fn time_before_zero_is_negative() {
        let mut clock = Clock::default();
        assert_eq!(clock.unwrap(0), 0);
        assert_eq!(clock.unwrap(u32::MAX), -1);
    }
}
