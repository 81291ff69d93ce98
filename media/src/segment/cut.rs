//! Running: frames onto the timeline, boundaries between them.

use super::clock::flicks;
use super::{Boundary, Incoming, SegmentError, Segmenter};
use crate::frame::TrackKind;
use crate::segment::video::FRAME_OVERHEAD_BYTES;

impl Segmenter {
    /// Takes a frame after the start.
    pub(super) fn run(&mut self, frame: Incoming) -> Result<(), SegmentError> {
        let step = match frame.track {
            TrackKind::Video => self.video.step(),
            TrackKind::Audio => self.audio.as_ref().map_or(0, super::AudioTrack::step),
        };
        let Some(clock) = &mut self.clock else {
            return Ok(());
        };
        let mapped = clock.map(frame.track, frame.dts, step);
        if mapped.jumped {
            self.stats.timestamp_jumps = self.stats.timestamp_jumps.saturating_add(1);
            self.force_cut = true;
        }
        match frame.track {
            TrackKind::Video => self.run_video(mapped.at, frame),
            TrackKind::Audio => self.run_audio(mapped.at, frame),
        }
    }

    fn run_video(&mut self, at: i64, frame: Incoming) -> Result<(), SegmentError> {
        if frame.keyframe {
            if !self.take_key(at, frame) {
                return Ok(());
            }
        } else if !self.video.active || self.next_video.is_some() {
            self.stats.dropped_before_key_frame =
                self.stats.dropped_before_key_frame.saturating_add(1);
            return Ok(());
        } else {
            self.video
                .push(at, frame.composition, false, frame.data, &mut self.stats);
        }
        let limit_ms = self.options.gop_ms_max;
        if self.video.position().saturating_sub(self.policy.start()) > flicks(limit_ms) {
            return Err(SegmentError::GopTooLong { limit_ms });
        }
        self.close_ready()
    }

    /// Queues a key frame, with a boundary before it when a segment should start there. Says
    /// whether it could be taken.
    fn take_key(&mut self, at: i64, frame: Incoming) -> bool {
        let sound_waits = self
            .next_audio
            .as_ref()
            .is_some_and(|next| !next.incoming.is_empty());
        let anew = self.force_cut || self.next_video.is_some() || !self.video.active || sound_waits;
        let shown = at.saturating_add(frame.composition);
        if !self.video.active && shown < self.policy.start() {
            // Sound alone has been cut beyond this picture: join at a later one.
            self.stats.dropped_before_start = self.stats.dropped_before_start.saturating_add(1);
            return false;
        }
        if anew {
            self.video.start_anew(frame.composition);
        }
        let decode = self.video.decode_time(at);
        let group = self.video.group_duration(decode);
        let cut = anew || self.policy.should_cut(decode, group);
        let video_from = self.video.next_number();
        let decode = self
            .video
            .push(at, frame.composition, true, frame.data, &mut self.stats);
        if cut {
            self.video.active = true;
            self.force_cut = false;
            self.policy.restart(decode);
            self.boundaries.push_back(Boundary {
                at: decode.max(shown),
                decode,
                video_from,
                discontinuity: anew,
                video: self.next_video.take(),
                swap_audio: sound_waits,
            });
        }
        true
    }

    fn run_audio(&mut self, at: i64, frame: Incoming) -> Result<(), SegmentError> {
        if self.next_audio.is_some() && !self.video.active {
            self.cut_sound_now(true)?;
        }
        if let Some(next) = &mut self.next_audio {
            next.bytes = next
                .bytes
                .saturating_add(frame.data.len())
                .saturating_add(FRAME_OVERHEAD_BYTES);
            next.incoming.push_back((at, frame.data));
        } else {
            if self.force_cut && !self.video.active {
                self.cut_sound_now(false)?;
            }
            if let Some(audio) = &mut self.audio {
                audio.push(at, frame.data, &mut self.stats);
            }
        }
        self.close_ready()?;
        self.give_up_pictures(at)?;
        if !self.video.active {
            self.cut_sound()?;
        }
        Ok(())
    }

    /// Of sound alone: cuts before the frame that comes now.
    fn cut_sound_now(&mut self, swap_audio: bool) -> Result<(), SegmentError> {
        let at = self.sound_end();
        self.force_cut = false;
        self.policy.restart(at);
        self.close(Boundary {
            at,
            decode: at,
            video_from: self.video.next_number(),
            discontinuity: true,
            video: None,
            swap_audio,
        })
    }

    /// Of sound alone: cuts wherever the policy wants.
    fn cut_sound(&mut self) -> Result<(), SegmentError> {
        while let Some(audio) = &self.audio {
            let step = audio.step();
            let policy = &self.policy;
            let found = audio.candidates().find(|at| policy.should_cut(*at, step));
            let Some(at) = found else {
                break;
            };
            self.policy.restart(at);
            self.close(Boundary {
                at,
                decode: at,
                video_from: self.video.next_number(),
                discontinuity: false,
                video: None,
                swap_audio: false,
            })?;
        }
        Ok(())
    }

    /// Pictures that stay away while sound goes on are gone: the segment ends where they did.
    fn give_up_pictures(&mut self, sound_at: i64) -> Result<(), SegmentError> {
        let at = self.video.end();
        let away = sound_at.saturating_sub(at) > flicks(self.options.jump_ms);
        if !self.video.active || !self.boundaries.is_empty() || !away {
            return Ok(());
        }
        let swap_audio = self.next_audio.is_some();
        self.fill_sound(at);
        self.policy.restart(at);
        self.force_cut = false;
        self.close(Boundary {
            at,
            decode: at,
            video_from: self.video.next_number(),
            discontinuity: true,
            video: None,
            swap_audio,
        })?;
        self.video.active = false;
        Ok(())
    }

    /// Closes the boundaries that sound has reached, or has been waited for long enough.
    fn close_ready(&mut self) -> Result<(), SegmentError> {
        while let Some(boundary) = self.boundaries.front() {
            let at = boundary.at;
            let latest = boundary
                .decode
                .saturating_add(flicks(self.options.interleave_ms));
            let overdue = boundary.swap_audio || self.video.position() >= latest;
            let reached = self.audio.as_ref().is_none_or(|audio| audio.reached(at));
            if !reached && !overdue {
                break;
            }
            self.close_front()?;
        }
        Ok(())
    }

    fn close_front(&mut self) -> Result<(), SegmentError> {
        let Some(boundary) = self.boundaries.pop_front() else {
            return Ok(());
        };
        self.fill_sound(boundary.at);
        self.close(boundary)
    }

    /// Gives out everything that is left.
    pub(super) fn flush(&mut self) -> Result<(), SegmentError> {
        while !self.boundaries.is_empty() {
            self.close_front()?;
        }
        if self.video.active {
            // Sound that ends with the pictures, give or take, is not patched up.
            let end = self.video.end();
            let tolerance = flicks(self.options.audio_resync_ms);
            if self.sound_end() < end.saturating_sub(tolerance) {
                self.fill_sound(end);
            }
        }
        let end = self.video.end();
        let video = self.video.take(self.video.next_number(), end);
        let audio = self.audio.as_mut().and_then(super::AudioTrack::take_all);
        self.emit(video, audio)?;
        Ok(())
    }

    fn fill_sound(&mut self, at: i64) {
        if let Some(audio) = &mut self.audio {
            audio.fill_to(at, &mut self.stats);
        }
    }

    fn sound_end(&self) -> i64 {
        self.audio
            .as_ref()
            .map_or(self.policy.start(), super::AudioTrack::end)
    }
}
