//! The window's playlists, as values for the writer in `weir_media::hls`.
//!
//! URIs are relative: the multivariant playlist stands beside the folder named after the stream,
//! the media playlists in it. A track that is missing from a segment is a gap (`EXT-X-GAP`) in its
//! playlist, so that the playlists of both tracks keep the same numbers.

use std::sync::Arc;

use bytes::Bytes;
use weir_media::hls::{
    AudioRendition, HlsError, MediaPlaylist, MediaSegment, MultivariantPlaylist, Variant,
};
use weir_media::{Timestamp, TrackKind, TrackParams};

use super::entry::{Entry, Init};
use super::span::MICROSECONDS_HZ;
use super::{Window, slot};

const AUDIO_GROUP: &str = "audio";
const AUDIO_NAME: &str = "Audio";

/// The playlist that names the others, for the tracks that the newest segment has.
pub(super) fn multivariant(window: &Window) -> Option<Bytes> {
    let newest = window.listed_entries().next_back()?;
    let params = |track| newest.part(track).map(|part| &part.init.params);
    let (video, audio) = (params(TrackKind::Video), params(TrackKind::Audio));
    let id = &window.options.stream_id;
    let mut variant = Variant {
        bandwidth_bps: window.bandwidth.announced_bps(),
        average_bandwidth_bps: Some(window.bandwidth.average_bps()),
        codecs: Vec::new(),
        resolution: None,
        frame_rate_mhz: None,
        audio_group: None,
        uri: format!("{id}/audio.m3u8"),
    };
    let mut renditions = Vec::new();
    if let Some(TrackParams::Video(video)) = video {
        variant.codecs.push(video.codec_string.clone());
        variant.resolution = Some((video.width, video.height));
        variant.frame_rate_mhz = window.frame_rate.milli();
        variant.uri = format!("{id}/video.m3u8");
    }
    if let Some(TrackParams::Audio(audio)) = audio {
        variant.codecs.push(audio.codec_string.clone());
        if video.is_some() {
            variant.audio_group = Some(AUDIO_GROUP.to_owned());
            renditions.push(AudioRendition {
                group_id: AUDIO_GROUP.to_owned(),
                name: AUDIO_NAME.to_owned(),
                channels: Some(audio.channels),
                default: true,
                uri: format!("{id}/audio.m3u8"),
            });
        }
    }
    let playlist = MultivariantPlaylist {
        audio: renditions,
        variants: vec![variant],
    };
    written(window, playlist.write())
}

/// A track's playlist; `None` when the broadcast never had the track.
pub(super) fn media_playlist(window: &Window, track: TrackKind) -> Option<Bytes> {
    let first = window.listed_entries().next()?;
    let newest_init = window.served.get(slot(track))?.as_ref()?;
    let mut init = window
        .listed_entries()
        .find_map(|entry| entry.part(track))
        .map_or(newest_init, |part| &part.init);
    let mut segments = Vec::with_capacity(window.listed);
    for entry in window.listed_entries() {
        if let Some(part) = entry.part(track) {
            init = &part.init;
        }
        segments.push(segment(entry, track, init));
    }
    let playlist = MediaPlaylist {
        target_duration_s: window.target_duration_s,
        media_sequence: first.sequence_number,
        discontinuity_sequence: first
            .discontinuities
            .saturating_sub(u64::from(first.discontinuity)),
        segments,
        ended: window.ended,
    };
    written(window, playlist.write())
}

fn segment(entry: &Entry, track: TrackKind, init: &Arc<Init>) -> MediaSegment {
    let letter = match track {
        TrackKind::Video => 'v',
        TrackKind::Audio => 'a',
    };
    let part = entry.part(track);
    let whole_us = i64::try_from(entry.duration_us).unwrap_or(i64::MAX);
    let whole = Timestamp::new(whole_us, MICROSECONDS_HZ);
    MediaSegment {
        uri: format!("{}/{letter}{}.m4s", entry.epoch, entry.sequence_number),
        duration: part.map_or(whole, |part| part.duration),
        map_uri: format!("{}/{letter}-init-{}.mp4", init.epoch, init.index),
        program_date_time_ms: Some(entry.program_date_time_ms),
        discontinuity: entry.discontinuity,
        gap: part.is_none(),
    }
}

/// A playlist that cannot be written would be our own mistake: better none than a wrong one.
fn written(window: &Window, playlist: Result<String, HlsError>) -> Option<Bytes> {
    match playlist {
        Ok(text) => Some(Bytes::from(text)),
        Err(error) => {
            tracing::error!(stream = window.options.stream_id, %error, "playlist not written");
            None
        }
    }
}
