//! Boundaries into events: files out of samples.

use super::clock::from_ticks;
use super::video::{Run, VIDEO_TIMESCALE};
use super::{
    AudioTrack, Boundary, InitSegment, NextAudio, Segment, SegmentError, SegmentEvent, Segmenter,
    TrackSegment,
};
use crate::cmaf::{CmafError, media_segment};
use crate::frame::TrackKind;
use crate::time::Timestamp;
use std::num::NonZeroU32;

impl Segmenter {
    /// Gives out the segment that ends at `boundary` and begins the one after it.
    pub(super) fn close(&mut self, boundary: Boundary) -> Result<(), SegmentError> {
        let video = self.video.take(boundary.video_from, boundary.decode);
        let audio = self
            .audio
            .as_mut()
            .and_then(|audio| audio.take(boundary.at));
        let carried = !self.emit(video, audio)? && self.discontinuity;
        self.discontinuity = boundary.discontinuity || carried;
        if let Some(setup) = boundary.video {
            self.video_setup = Some(setup);
            self.announce(TrackKind::Video);
        }
        if boundary.swap_audio
            && let Some(next) = self.next_audio.take()
        {
            self.swap_audio(next, boundary.at)?;
        }
        Ok(())
    }

    fn swap_audio(&mut self, next: NextAudio, at: i64) -> Result<(), SegmentError> {
        self.audio_setup = Some(next.setup);
        let before = self.audio.as_ref().map(AudioTrack::taken_end);
        self.start_audio(before.unwrap_or(at), before.is_some())?;
        if let Some(audio) = &mut self.audio {
            for (at, data) in next.incoming {
                audio.push(at, data, &mut self.stats);
            }
        }
        Ok(())
    }

    /// Gives out a track's parameters in force.
    pub(super) fn announce(&mut self, track: TrackKind) {
        let (setup, count) = match track {
            TrackKind::Video => (&self.video_setup, &mut self.video_inits),
            TrackKind::Audio => (&self.audio_setup, &mut self.audio_inits),
        };
        if let Some(setup) = setup {
            count.current = count.next;
            count.next = count.next.saturating_add(1);
            self.events.push(SegmentEvent::Init(InitSegment {
                track,
                index: count.current,
                bytes: setup.init.clone(),
                params: setup.params.clone(),
            }));
        }
    }

    /// Gives out a segment; says whether there was anything to give.
    pub(super) fn emit(
        &mut self,
        video: Option<Run>,
        audio: Option<Run>,
    ) -> Result<bool, SegmentError> {
        let video = video.map(|run| self.file(TrackKind::Video, run, VIDEO_TIMESCALE));
        let rate_hz = self
            .audio
            .as_ref()
            .map_or(NonZeroU32::MIN, AudioTrack::rate_hz);
        let audio = audio.map(|run| self.file(TrackKind::Audio, run, rate_hz));
        let (video, audio) = (video.transpose()?, audio.transpose()?);
        let Some(lead) = video.as_ref().or(audio.as_ref()) else {
            return Ok(false);
        };
        let (start, duration) = (lead.start, lead.duration);
        for track in [&video, &audio].into_iter().flatten() {
            let start = from_ticks(track.start.ticks(), track.start.rate_hz());
            let span = from_ticks(track.duration.ticks(), track.duration.rate_hz());
            self.end = self.end.max(start.saturating_add(span));
        }
        let offset = start.checked_sub(self.origin_timestamp());
        let segment = Segment {
            sequence_number: self.next_sequence_number,
            discontinuity: self.discontinuity,
            start,
            duration,
            epoch_offset_ms: offset.map_or(0, Timestamp::to_ms),
            video,
            audio,
        };
        self.stats.discontinuities = self
            .stats
            .discontinuities
            .saturating_add(u64::from(self.discontinuity));
        self.discontinuity = false;
        self.next_sequence_number = self.next_sequence_number.saturating_add(1);
        self.events.push(SegmentEvent::Segment(segment));
        Ok(true)
    }

    fn file(
        &self,
        track: TrackKind,
        run: Run,
        rate_hz: NonZeroU32,
    ) -> Result<TrackSegment, CmafError> {
        let init = match track {
            TrackKind::Video => self.video_inits,
            TrackKind::Audio => self.audio_inits,
        };
        // 32 bits of an ever growing number: it wraps after millennia.
        let sequence = u32::try_from(self.next_sequence_number & u64::from(u32::MAX)).unwrap_or(0);
        let start = u64::try_from(run.start).unwrap_or(0);
        Ok(TrackSegment {
            init_index: init.current,
            bytes: media_segment(track, sequence, start, &run.samples)?,
            start: Timestamp::new(run.start, rate_hz),
            duration: Timestamp::new(run.duration, rate_hz),
            frames: u32::try_from(run.samples.len()).unwrap_or(u32::MAX),
        })
    }
}
