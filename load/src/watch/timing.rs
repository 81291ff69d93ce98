//! When a CMAF segment's samples decode, read from its boxes: what EXTINF and the segment before
//! it are judged by.
//!
//! Reads `moof` boxes (`tfdt`, `trun`) of the first track; the rest is stepped over by its size,
//! which must add up to the file's, so that a file that was cut short is seen without a
//! Content-Length.

use mp4_atom::{Decode as _, DecodeMaybe as _, Header, Moof, Moov};
use std::io::Cursor;

/// What an initialization section says of its track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Init {
    /// Ticks a second.
    pub(crate) timescale: u32,
    /// Ticks of a sample that says nothing of its own.
    pub(crate) default_duration: u32,
}

/// A segment's samples on the track's timeline, ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timing {
    /// Decode time of the first.
    pub(crate) start: u64,
    /// All together.
    pub(crate) duration: u64,
    /// The longest: what one frame is.
    pub(crate) frame: u64,
    /// Ticks a second.
    pub(crate) timescale: u32,
}

impl Timing {
    /// Where the next segment should begin.
    pub(crate) fn end(&self) -> u64 {
        self.start.saturating_add(self.duration)
    }

    /// Ticks as seconds.
    pub(crate) fn seconds(&self, ticks: u64) -> f64 {
        ticks as f64 / f64::from(self.timescale)
    }
}

/// Reads an initialization section.
pub(crate) fn read_init(file: &[u8]) -> Result<Init, String> {
    let mut init = None;
    boxes(file, |kind, body| {
        if kind == *b"moov" {
            let moov = Moov::decode(&mut Cursor::new(body)).map_err(|e| format!("moov: {e}"))?;
            let track = moov.trak.first().ok_or("moov has no trak")?;
            let defaults = moov.mvex.as_ref().and_then(|mvex| mvex.trex.first());
            init = Some(Init {
                timescale: track.mdia.mdhd.timescale,
                default_duration: defaults.map_or(0, |trex| trex.default_sample_duration),
            });
        }
        Ok(())
    })?;
    let init = init.ok_or("no moov box")?;
    if init.timescale == 0 {
        return Err("mdhd says a timescale of 0".to_owned());
    }
    Ok(init)
}

/// Reads a media segment of the track that `init` tells of.
pub(crate) fn read_segment(file: &[u8], init: Init) -> Result<Timing, String> {
    let mut start = None;
    let (mut duration, mut frame, mut media) = (0_u64, 0_u64, false);
    boxes(file, |kind, body| {
        media |= kind == *b"mdat";
        if kind != *b"moof" {
            return Ok(());
        }
        let moof = Moof::decode(&mut Cursor::new(body)).map_err(|e| format!("moof: {e}"))?;
        let track = moof.traf.first().ok_or("moof has no traf")?;
        let decode_time = track.tfdt.as_ref().ok_or("traf has no tfdt")?;
        start.get_or_insert(decode_time.base_media_decode_time);
        let default = track
            .tfhd
            .default_sample_duration
            .unwrap_or(init.default_duration);
        for run in &track.trun {
            for sample in &run.samples {
                let ticks = u64::from(sample.duration.unwrap_or(default));
                duration = duration.saturating_add(ticks);
                frame = frame.max(ticks);
            }
        }
        Ok(())
    })?;
    match (start, media) {
        (Some(start), true) if duration > 0 => Ok(Timing {
            start,
            duration,
            frame,
            timescale: init.timescale,
        }),
        (Some(_), true) => Err("its samples last nothing".to_owned()),
        (Some(_), false) => Err("no mdat box".to_owned()),
        (None, _) => Err("no moof box".to_owned()),
    }
}

/// Walks the top boxes; each is given whole, its header included.
fn boxes(
    file: &[u8],
    mut each: impl FnMut([u8; 4], &[u8]) -> Result<(), String>,
) -> Result<(), String> {
    let mut at = 0;
    while at < file.len() {
        let rest = &file[at..];
        let mut cursor = Cursor::new(rest);
        let header =
            Header::decode_maybe(&mut cursor).map_err(|e| format!("box at byte {at}: {e}"))?;
        let head_bytes = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
        let short = || {
            format!(
                "box at byte {at} is longer than the file of {} bytes",
                file.len()
            )
        };
        let header = header.ok_or_else(short)?;
        let size = match header.size {
            Some(body) => head_bytes.checked_add(body).ok_or_else(short)?,
            None => rest.len(),
        };
        let whole = rest.get(..size).ok_or_else(short)?;
        each(header.kind.into(), whole)?;
        at += size;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use weir_media::TrackKind;
    use weir_media::cmaf::{Sample, media_segment};

    const INIT: Init = Init {
        timescale: 90_000,
        default_duration: 0,
    };

    fn segment(start: u64, durations: &[u32]) -> Bytes {
        let sample = |duration: &u32| Sample {
            duration: *duration,
            composition_offset: 0,
            keyframe: true,
            data: Bytes::from_static(b"data"),
        };
        let samples: Vec<_> = durations.iter().map(sample).collect();
        media_segment(TrackKind::Video, 7, start, &samples).unwrap()
    }

    #[test]
    fn a_segments_times_are_read() {
        let timing = read_segment(&segment(180_000, &[3000, 3003, 3000]), INIT).unwrap();
        assert_eq!(
            (timing.start, timing.duration, timing.frame),
            (180_000, 9003, 3003)
        );
        assert_eq!(timing.end(), 189_003);
        let two = [segment(0, &[3000]), segment(3000, &[3000])].concat();
        assert_eq!(read_segment(&two, INIT).unwrap().duration, 6000);
    }

    #[test]
    fn what_is_cut_short_or_no_segment_is_told() {
        let whole = segment(0, &[3000, 3000]);
        for length in 1..whole.len() {
            let error = read_segment(&whole[..length], INIT).unwrap_err();
            assert!(!error.is_empty(), "{length}");
        }
        let error = read_segment(&whole[..whole.len() - 1], INIT).unwrap_err();
        assert!(error.contains("longer than the file"), "{error}");
        assert!(read_segment(b"<html>not found</html>", INIT).is_err());
        assert!(read_init(&whole).unwrap_err().contains("no moov"));
    }
}
