//! The last playlist this edge has, in the place of one that cannot be had now.
//!
//! When an origin dies its streams are between two nodes: its lease lapses, the encoder finds
//! another origin, the first segment is cut there. Players give up on errors and are content with a
//! playlist that stands still, so for as long as that may take
//! ([`CacheOptions::stale_if_error_ms`](weir_cache::CacheOptions), counted from the end of the
//! playlist's lifetime) the cache answers with the last one (RFC 5861, `stale-if-error`). What is
//! decided here is when it may not, and when a refusal is no answer:
//!
//! - **404.** The origin that was restarted, and the directory that was told of its end, know no such
//!   stream: the same as a stream that is over. While this edge has a playlist without ENDLIST, that
//!   is a 503 ("try again"), in whose place the playlist stands. A stream that ended as streams do
//!   has its ENDLIST served while it lingers at its origin; so a playlist that lacks it is from
//!   before an end nobody was told of, and one that has it is the last word. Where the directory
//!   knows a newer epoch, the stream ended, unseen here, and begins anew: its owner, who would say
//!   503 if it went on with the former's timeline, is believed.
//! - **Epochs never go back.** What this edge has served of a newer epoch takes the older playlists
//!   of the stream out of its memory: of two tracks' playlists, one may have been fetched already.
//! - **The multivariant playlist** names no segment and does not age, but few ask for it. It stands
//!   in for [`MULTIVARIANT_MS`], as long as a media playlist is there that can, too.

use crate::edge::Edge;
use crate::path::{Kind, Media};
use http::StatusCode;
use weir_cache::{Answer, Object, Outcome};

/// How long past its lifetime a multivariant playlist may stand in, ms.
pub(crate) const MULTIVARIANT_MS: u64 = 60_000;
/// The names of media playlists.
const LISTS: [&str; 2] = ["video.m3u8", "audio.m3u8"];
const ENDLIST: &[u8] = b"#EXT-X-ENDLIST";

impl Edge {
    /// Before an object is fetched: the epoch of the playlist that this edge has and that may stand
    /// in for it, if there is one.
    pub(crate) fn stand_in(&self, path: &str, media: Media<'_>) -> Option<u64> {
        match media.kind {
            Kind::Init(_) | Kind::Segment(_) => None,
            Kind::Playlist => self.unended(path),
            Kind::Multivariant => {
                let epoch = lists(media)
                    .iter()
                    .filter_map(|list| self.unended(list))
                    .max();
                if epoch.is_none() && self.cache.stored(path).is_some() {
                    self.cache.purge(path);
                }
                epoch
            }
        }
    }

    /// After an object was fetched: forgets this stream's playlists of older epochs.
    pub(crate) fn forget_older(&self, media: Media<'_>, answer: &Answer) {
        if answer.outcome != Outcome::Miss || answer.object.head().status != StatusCode::OK {
            return;
        }
        let epoch = match media.kind {
            Kind::Multivariant => None,
            Kind::Playlist => newest_epoch(&answer.object),
            Kind::Init(object) | Kind::Segment(object) => object.epoch.parse().ok(),
        };
        let Some(epoch) = epoch else { return };
        for path in lists(media) {
            let kept = self.cache.stored(&path);
            if kept.is_some_and(|list| newest_epoch(&list).is_some_and(|kept| kept < epoch)) {
                self.cache.purge(&path);
            }
        }
    }

    /// The epoch of the playlist that is kept, if that has no ENDLIST.
    fn unended(&self, path: &str) -> Option<u64> {
        let list = self.cache.stored(path)?;
        let ended = lines(&list).any(|line| line == ENDLIST);
        let goes_on = list.head().status == StatusCode::OK && !ended;
        goes_on.then(|| newest_epoch(&list)).flatten()
    }
}

/// The paths of the stream's media playlists.
fn lists(media: Media<'_>) -> [String; 2] {
    LISTS.map(|name| format!("/{}/streams/{}/{name}", media.app, media.id))
}

/// The epoch of the newest segment that a media playlist lists: the folder of its last URI.
fn newest_epoch(list: &Object) -> Option<u64> {
    let uris = lines(list).filter(|line| !line.is_empty() && !line.starts_with(b"#"));
    let epoch = uris.last()?.split(|byte| *byte == b'/').next()?;
    std::str::from_utf8(epoch).ok()?.parse().ok()
}

fn lines(list: &Object) -> impl Iterator<Item = &[u8]> {
    let whole = list.whole().map_or(&[][..], |whole| whole);
    whole
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii_end)
}
