//! The live window: a stream's newest segments in RAM, and the playlists that list them.
//!
//! Pure: segments in, an immutable [`Snapshot`] out. The owner makes a snapshot whenever something
//! changed and hangs it where requests find it, so a request takes no lock and copies no byte.
//!
//! What is kept (RFC 8216bis, 6.2.2): a segment that left the playlist stays for its own duration
//! plus the playlist's, in media time. [`WindowOptions::bytes_max`] outranks that, and then the
//! length of the list, down to [`LISTED_MIN`] segments; one segment's size is the segmenter's
//! limit. Durations here are microseconds, media times and wall clocks milliseconds.

mod bandwidth;
mod entry;
mod frame_rate;
mod keeping;
mod render;
mod span;

use std::collections::VecDeque;
use std::sync::Arc;

use weir_media::TrackKind;
use weir_media::segment::{InitSegment, Segment, TrackSegment};

use bandwidth::Bandwidth;
pub(crate) use entry::Snapshot;
use entry::{Entry, Init, Part};
use frame_rate::FrameRate;
use span::micros;

/// Segments that stay listed whatever they weigh: a player needs three target durations to start
/// (RFC 8216bis, 6.3.3).
pub(crate) const LISTED_MIN: usize = 3;
/// Entries a window holds at most, whatever their durations say.
pub(crate) const ENTRIES_MAX: usize = 1_024;

const US_PER_S: u64 = 1_000_000;

/// How much a window lists and holds.
#[derive(Clone, Debug)]
pub(crate) struct WindowOptions {
    /// The stream's id: playlists name each other by it.
    pub(crate) stream_id: String,
    /// Segments listed in a playlist.
    pub(crate) playlist_segments: usize,
    /// Bytes of segments held.
    pub(crate) bytes_max: usize,
}

/// Why a segment cannot be taken: the packager's mistake, never the encoder's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WindowError {
    #[error("segment {found} cut where {expected} or later was due")]
    OutOfOrder { expected: u64, found: u64 },
    #[error("segment {0} has no track")]
    Empty(u64),
    #[error("a segment or init segment came before its epoch or its init segment")]
    NotStarted,
}

#[derive(Debug)]
struct Kept {
    entry: Arc<Entry>,
    /// The longest playlist that listed it, µs.
    longest_list_us: u64,
    /// Once unlisted: the stream's length at which it may go, µs.
    keep_until_us: u64,
}

#[derive(Debug)]
struct Epoch {
    number: u64,
    /// When it started.
    wall_clock_ms: i64,
    inits: [u32; 2],
}

/// The window.
#[derive(Debug)]
pub(crate) struct Window {
    options: WindowOptions,
    kept: VecDeque<Kept>,
    /// How many of the newest are listed.
    listed: usize,
    bytes: usize,
    length_us: u64,
    epoch: Option<Epoch>,
    init: [Option<Arc<Init>>; 2],
    /// The newest a listed or formerly listed segment of this broadcast used.
    served: [Option<Arc<Init>>; 2],
    next_sequence_number: u64,
    media_time_ms: i64,
    discontinuities: u64,
    /// Segments of this stream were cut elsewhere, or by an earlier process.
    continued: bool,
    /// The last segment was the last of a broadcast: nobody waits for more.
    closed: bool,
    break_due: bool,
    target_duration_s: u32,
    bandwidth: Bandwidth,
    frame_rate: FrameRate,
    ended: bool,
    withdrawn: bool,
}

const fn slot(track: TrackKind) -> usize {
    match track {
        TrackKind::Video => 0,
        TrackKind::Audio => 1,
    }
}

impl Window {
    pub(crate) fn new(options: WindowOptions) -> Self {
        Self {
            options,
            kept: VecDeque::new(),
            listed: 0,
            bytes: 0,
            length_us: 0,
            epoch: None,
            init: [None, None],
            served: [None, None],
            next_sequence_number: 0,
            media_time_ms: 0,
            discontinuities: 0,
            continued: false,
            closed: false,
            break_due: false,
            target_duration_s: 1,
            bandwidth: Bandwidth::default(),
            frame_rate: FrameRate::default(),
            ended: false,
            withdrawn: false,
        }
    }

    /// The first sequence number not used.
    pub(crate) const fn next_sequence_number(&self) -> u64 {
        self.next_sequence_number
    }

    /// The stream's discontinuities so far.
    pub(crate) const fn discontinuities(&self) -> u64 {
        self.discontinuities
    }

    /// Says what nodes before this one have used of the stream's numbers: its first segment here
    /// comes after a discontinuity, and later ones are counted on from there.
    pub(crate) fn continues(&mut self, discontinuities: u64) {
        self.continued = true;
        self.discontinuities = self.discontinuities.max(discontinuities);
    }

    /// Lists so many segments from now on.
    pub(crate) const fn set_playlist_segments(&mut self, segments: usize) {
        self.options.playlist_segments = segments;
    }

    /// Drops all that is held; numbers run on.
    pub(crate) fn clear(&mut self) {
        self.unlist_all();
        self.kept.clear();
        self.bytes = 0;
    }

    /// Media time after the last segment, as it was said, ms.
    pub(crate) const fn media_time_ms(&self) -> i64 {
        self.media_time_ms
    }

    /// Bytes of segments held.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Goes on with another epoch, in the same playlists after a discontinuity. The epoch's
    /// first segment has at least `first_sequence_number`.
    pub(crate) fn start_epoch(
        &mut self,
        epoch: u64,
        first_sequence_number: u64,
        media_time_ms: i64,
    ) {
        self.ended = false;
        self.withdrawn = false;
        self.break_due = true;
        if first_sequence_number > self.next_sequence_number {
            // Numbers in a playlist have no holes.
            self.unlist_all();
            self.next_sequence_number = first_sequence_number;
        }
        self.media_time_ms = media_time_ms;
        self.init = [None, None];
        if self
            .epoch
            .as_ref()
            .is_none_or(|current| current.number != epoch)
        {
            self.epoch = Some(Epoch {
                number: epoch,
                wall_clock_ms: 0,
                inits: [0, 0],
            });
        }
    }

    /// As [`Self::start_epoch`], listing nothing of what was before.
    pub(crate) fn start_afresh(
        &mut self,
        epoch: u64,
        first_sequence_number: u64,
        media_time_ms: i64,
    ) {
        self.unlist_all();
        self.served = [None, None];
        self.bandwidth = Bandwidth::default();
        self.frame_rate = FrameRate::default();
        self.start_epoch(epoch, first_sequence_number, media_time_ms);
    }

    /// Says when the epoch's media started; segments pushed later are dated by it.
    pub(crate) const fn set_wall_clock(&mut self, wall_clock_ms: i64) {
        if let Some(epoch) = self.epoch.as_mut() {
            epoch.wall_clock_ms = wall_clock_ms;
        }
    }

    /// Takes a track's init segment; segments after it are decoded with it. Init segments are
    /// numbered here, since an epoch may see more than one segmenter.
    ///
    /// # Errors
    /// [`WindowError::NotStarted`] without an epoch.
    pub(crate) fn push_init(&mut self, init: InitSegment) -> Result<(), WindowError> {
        let epoch = self.epoch.as_mut().ok_or(WindowError::NotStarted)?;
        let slot = slot(init.track);
        let Some((count, place)) = epoch.inits.get_mut(slot).zip(self.init.get_mut(slot)) else {
            return Err(WindowError::NotStarted);
        };
        // RFC 8216bis, 4.4.4.3: a change of encoding parameters is a discontinuity.
        self.break_due |= *count > 0;
        *place = Some(Arc::new(Init {
            epoch: epoch.number,
            index: *count,
            bytes: init.bytes,
            params: init.params,
        }));
        *count = count.saturating_add(1);
        Ok(())
    }

    /// Takes the next segment.
    ///
    /// # Errors
    /// [`WindowError`]; the window is as it was.
    pub(crate) fn push_segment(&mut self, segment: Segment) -> Result<(), WindowError> {
        let found = segment.sequence_number;
        let epoch = self.epoch.as_ref().ok_or(WindowError::NotStarted)?;
        if found < self.next_sequence_number {
            return Err(WindowError::OutOfOrder {
                expected: self.next_sequence_number,
                found,
            });
        }
        let date_ms = epoch.wall_clock_ms.saturating_add(segment.epoch_offset_ms);
        let pictures = segment.video.as_ref().map_or(0, |video| video.frames);
        let video = self.part(TrackKind::Video, segment.video)?;
        let audio = self.part(TrackKind::Audio, segment.audio)?;
        if video.is_none() && audio.is_none() {
            return Err(WindowError::Empty(found));
        }
        let first_ever = self.length_us == 0 && !self.continued;
        let mut entry = Entry {
            sequence_number: found,
            epoch: epoch.number,
            discontinuity: !first_ever && (self.break_due || segment.discontinuity),
            discontinuities: 0,
            program_date_time_ms: date_ms,
            duration_us: micros(segment.duration),
            video,
            audio,
        };
        if found > self.next_sequence_number {
            self.unlist_all();
        }
        self.break_due = false;
        self.closed = false;
        self.discontinuities += u64::from(entry.discontinuity);
        entry.discontinuities = self.discontinuities;
        self.measure(&entry, pictures);
        for (served, part) in self.served.iter_mut().zip([&entry.video, &entry.audio]) {
            if let Some(part) = part {
                *served = Some(Arc::clone(&part.init));
            }
        }
        self.add(entry);
        self.evict();
        Ok(())
    }

    /// Says where on the stream's timeline a next epoch would go on, ms.
    pub(crate) const fn set_media_time(&mut self, media_time_ms: i64) {
        self.media_time_ms = media_time_ms;
    }

    /// Writes ENDLIST: nothing more will come.
    pub(crate) fn end(&mut self) {
        self.ended = true;
        self.closed = true;
    }

    /// Takes the playlists away; segments stay.
    pub(crate) fn withdraw(&mut self) {
        self.withdrawn = true;
    }

    /// Everything as it is now, playlists rendered.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let entries = self
            .kept
            .iter()
            .map(|kept| Arc::clone(&kept.entry))
            .collect();
        if self.withdrawn || self.listed == 0 {
            // Viewers of an earlier epoch wait for the next, here or at another node.
            let used_before = self.continued || self.length_us > 0;
            let begun = used_before && self.epoch.is_some();
            return Snapshot {
                entries,
                awaited: self.withdrawn || (begun && !self.closed),
                ..Snapshot::default()
            };
        }
        Snapshot {
            multivariant: render::multivariant(self),
            video: render::media_playlist(self, TrackKind::Video),
            audio: render::media_playlist(self, TrackKind::Audio),
            entries,
            awaited: false,
        }
    }

    fn part(
        &self,
        track: TrackKind,
        piece: Option<TrackSegment>,
    ) -> Result<Option<Part>, WindowError> {
        let Some(piece) = piece else { return Ok(None) };
        let init = self.init.get(slot(track)).cloned().flatten();
        Ok(Some(Part {
            bytes: piece.bytes,
            duration: piece.duration,
            init: init.ok_or(WindowError::NotStarted)?,
        }))
    }

    fn measure(&mut self, entry: &Entry, pictures: u32) {
        // The segment's own duration is rounded up; where a track's differs by an audio frame the
        // rule is RFC 8216bis, 4.4.3.1: rounded to the nearest, none is above the target.
        let parts = [&entry.video, &entry.audio].into_iter().flatten();
        let longest_s = parts
            .map(|part| micros(part.duration).saturating_add(US_PER_S / 2) / US_PER_S)
            .chain([entry.duration_us.div_ceil(US_PER_S)])
            .max();
        let longest_s = longest_s.and_then(|s| u32::try_from(s).ok());
        self.target_duration_s = self.target_duration_s.max(longest_s.unwrap_or(0));
        self.bandwidth.add(entry.bytes(), entry.duration_us);
        if let Some(video) = &entry.video {
            self.frame_rate.add(pictures, micros(video.duration));
        }
    }
}

#[cfg(test)]
mod tests;
