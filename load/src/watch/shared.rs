//! What the viewers of a stream need to work out once: a playlist's text is parsed by the first
//! who gets it, a segment's boxes are read by the first who gets it, and the others only compare.
//!
//! That is what lets two cores judge ten thousand viewers; and it judges more, because one URL with
//! two contents is seen. Bounded: a few lists, [`SEGMENTS_MAX`] segments (a length and a checksum
//! each), [`INITS_MAX`] initialization sections a playlist.

use super::http::Body;
use super::playlist::List;
use super::timing::{Init, Timing, read_init, read_segment};
use crate::fault::{Fault, Kind};
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// Texts of a playlist remembered: nodes may be a version apart.
const LISTS_MAX: usize = 4;
/// Segments of a playlist remembered.
const SEGMENTS_MAX: usize = 64;
/// Initialization sections of a playlist remembered.
const INITS_MAX: usize = 16;

/// One stream's playlists by URL.
#[derive(Debug, Default)]
pub(crate) struct SharedStream {
    tracks: Mutex<HashMap<String, Arc<SharedTrack>>>,
}

/// What is known of one media playlist.
#[derive(Debug, Default)]
pub(super) struct SharedTrack {
    lists: Mutex<VecDeque<KnownList>>,
    segments: Mutex<VecDeque<Known<Timing>>>,
    inits: Mutex<VecDeque<Known<Init>>>,
}

/// A playlist's text and what it says.
type KnownList = (Bytes, Result<Arc<List>, String>);

/// A file that was read.
#[derive(Clone, Debug)]
struct Known<T> {
    url: String,
    fingerprint: (usize, u32),
    found: Result<T, String>,
}

impl SharedStream {
    /// The playlist at `url`.
    pub(super) fn track(&self, url: &str) -> Arc<SharedTrack> {
        let mut tracks = self.tracks.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tracks.entry(url.to_owned()).or_default())
    }
}

impl SharedTrack {
    /// A list's text, parsed.
    pub(super) fn list(&self, body: &Body) -> Result<Arc<List>, Fault> {
        let text = body.joined();
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lists.iter().find(|(known, _)| *known == text);
        let found = match known {
            Some((_, found)) => found.clone(),
            None => {
                let found = List::parse(&text).map(Arc::new);
                lists.push_front((text, found.clone()));
                lists.truncate(LISTS_MAX);
                found
            }
        };
        found.map_err(|problem| Fault::new(Kind::PlaylistUnreadable, problem))
    }

    /// An initialization section, read.
    pub(super) fn init(&self, url: &str, body: &Body) -> Result<Init, Fault> {
        recall(&self.inits, INITS_MAX, url, body, read_init)
    }

    /// A segment's times, read.
    pub(super) fn segment(&self, url: &str, body: &Body, init: Init) -> Result<Timing, Fault> {
        recall(&self.segments, SEGMENTS_MAX, url, body, |file| {
            read_segment(file, init)
        })
    }
}

/// What was found in the file at `url`, by whoever had it first.
fn recall<T: Copy>(
    known: &Mutex<VecDeque<Known<T>>>,
    known_max: usize,
    url: &str,
    body: &Body,
    read: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Result<T, Fault> {
    let fingerprint = body.fingerprint();
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(before) = known.iter().find(|known| known.url == url) {
        if before.fingerprint != fingerprint {
            let (before_bytes, before_crc) = before.fingerprint;
            let (bytes, crc) = fingerprint;
            let text = format!(
                "{bytes} bytes with CRC-32 {crc:08x}, another viewer got {before_bytes} with {before_crc:08x}"
            );
            return Err(Fault::new(Kind::SegmentChanged, text));
        }
        return unreadable(before.found.clone());
    }
    let found = read(&body.joined());
    known.push_front(Known {
        url: url.to_owned(),
        fingerprint,
        found: found.clone(),
    });
    known.truncate(known_max);
    unreadable(found)
}

fn unreadable<T>(found: Result<T, String>) -> Result<T, Fault> {
    found.map_err(|problem| Fault::new(Kind::SegmentUnreadable, problem))
}
