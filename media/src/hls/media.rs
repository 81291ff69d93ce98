//! Media playlists.

use super::HlsError;
use super::text::{format_date_time, quoted, seconds, uri_line};
use crate::time::Timestamp;
use std::fmt::Write;

/// A live (or just ended) media playlist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaPlaylist {
    /// `EXT-X-TARGETDURATION`: see [`super::target_duration_s`].
    pub target_duration_s: u32,
    /// `EXT-X-MEDIA-SEQUENCE`: the first segment's number.
    pub media_sequence: u64,
    /// `EXT-X-DISCONTINUITY-SEQUENCE`: how many discontinuities have left the playlist.
    pub discontinuity_sequence: u64,
    /// The window, oldest first.
    pub segments: Vec<MediaSegment>,
    /// `EXT-X-ENDLIST`: nothing will be added.
    pub ended: bool,
}

/// One entry of a media playlist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaSegment {
    /// Where it is, relative to the playlist.
    pub uri: String,
    /// How long it is.
    pub duration: Timestamp,
    /// Where its initialization segment is; written again whenever it changes.
    pub map_uri: String,
    /// Wall clock of its first sample, milliseconds since 1970 in UTC.
    pub program_date_time_ms: Option<i64>,
    /// Whether `EXT-X-DISCONTINUITY` goes before it.
    pub discontinuity: bool,
    /// Whether there is no such file (`EXT-X-GAP`): the entry only keeps the count.
    pub gap: bool,
}

impl MediaPlaylist {
    /// The playlist's text.
    pub fn write(&self) -> Result<String, HlsError> {
        let mut out = String::with_capacity(self.segments.len().saturating_mul(160));
        let version = if self.segments.iter().any(|s| s.gap) {
            8
        } else {
            7
        };
        line(&mut out, format_args!("#EXTM3U"));
        line(&mut out, format_args!("#EXT-X-VERSION:{version}"));
        let target = self.target_duration_s.max(1);
        line(&mut out, format_args!("#EXT-X-TARGETDURATION:{target}"));
        let sequence = self.media_sequence;
        line(&mut out, format_args!("#EXT-X-MEDIA-SEQUENCE:{sequence}"));
        if self.discontinuity_sequence > 0 {
            let sequence = self.discontinuity_sequence;
            line(
                &mut out,
                format_args!("#EXT-X-DISCONTINUITY-SEQUENCE:{sequence}"),
            );
        }
        line(&mut out, format_args!("#EXT-X-INDEPENDENT-SEGMENTS"));
        let mut map = None;
        for segment in &self.segments {
            self.write_segment(&mut out, segment, map)?;
            map = Some(segment.map_uri.as_str());
        }
        if self.ended {
            line(&mut out, format_args!("#EXT-X-ENDLIST"));
        }
        Ok(out)
    }

    fn write_segment(
        &self,
        out: &mut String,
        segment: &MediaSegment,
        map: Option<&str>,
    ) -> Result<(), HlsError> {
        let uri = uri_line(&segment.uri)?;
        // Players judge by the rounded duration (§4.4.3.1).
        if rounded_s(segment.duration) > i64::from(self.target_duration_s.max(1)) {
            return Err(HlsError::TargetDuration {
                uri: segment.uri.clone(),
                target_duration_s: self.target_duration_s,
            });
        }
        if segment.discontinuity {
            line(out, format_args!("#EXT-X-DISCONTINUITY"));
        }
        if map != Some(segment.map_uri.as_str()) {
            let map = quoted("EXT-X-MAP URI", &segment.map_uri)?;
            line(out, format_args!("#EXT-X-MAP:URI=\"{map}\""));
        }
        if let Some(at) = segment.program_date_time_ms {
            let at = format_date_time(at);
            line(out, format_args!("#EXT-X-PROGRAM-DATE-TIME:{at}"));
        }
        if segment.gap {
            line(out, format_args!("#EXT-X-GAP"));
        }
        line(out, format_args!("#EXTINF:{},", seconds(segment.duration)));
        line(out, format_args!("{uri}"));
        Ok(())
    }
}

fn rounded_s(duration: Timestamp) -> i64 {
    duration
        .rescale(std::num::NonZeroU32::MIN)
        .map_or(i64::MAX, Timestamp::ticks)
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}
