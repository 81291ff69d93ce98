//! What a path asks for.
//!
//! Strict: one object has one spelling, so that neither the cache nor the directory is asked for
//! anything else. Names hold only characters that need no escaping, so a path with `%` in it is
//! never media. Works on the text as it came and allocates nothing; the stream's names are
//! checked by `weir_cluster::names` when the cache had no answer.

use std::fmt;

/// What a request's path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// A playlist, an initialization section or a segment.
    Media(Media<'a>),
    /// Something under `/{app}/streams/` that is no media object.
    Nothing,
    /// Not media at all.
    Other,
}

/// A media object's path in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Media<'a> {
    /// The application, unchecked.
    pub app: &'a str,
    /// The stream's id, unchecked.
    pub id: &'a str,
    /// What of the stream.
    pub kind: Kind<'a>,
}

/// What of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// The playlist that names the stream's media playlists.
    Multivariant,
    /// A media playlist.
    Playlist,
    /// A track's initialization section; never changes.
    Init(Object<'a>),
    /// A segment; never changes.
    Segment(Object<'a>),
}

/// An object of one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object<'a> {
    /// The epoch, decimal.
    pub epoch: &'a str,
    /// The file's name.
    pub file: &'a str,
    /// Audio rather than video.
    pub audio: bool,
}

impl Kind<'_> {
    /// Whether it changes: a playlist of either sort.
    pub fn is_playlist(self) -> bool {
        matches!(self, Self::Multivariant | Self::Playlist)
    }

    /// The media type if the origin names none.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Multivariant | Self::Playlist => "application/vnd.apple.mpegurl",
            Self::Init(object) if object.audio => "audio/mp4",
            Self::Init(_) => "video/mp4",
            Self::Segment(_) => "video/iso.segment",
        }
    }
}

impl fmt::Display for Kind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Multivariant | Self::Playlist => "playlist",
            Self::Init(_) => "init",
            Self::Segment(_) => "segment",
        })
    }
}

/// Reads `path` (without query).
pub fn parse(path: &str) -> Target<'_> {
    let Some((app, rest)) = path.strip_prefix('/').and_then(|p| p.split_once('/')) else {
        return Target::Other;
    };
    let Some(rest) = rest.strip_prefix("streams/") else {
        return Target::Other;
    };
    match media(rest) {
        Some((id, kind)) => Target::Media(Media { app, id, kind }),
        None => Target::Nothing,
    }
}

fn media(rest: &str) -> Option<(&str, Kind<'_>)> {
    let mut parts = rest.split('/');
    let (first, second, third) = (parts.next()?, parts.next(), parts.next());
    if parts.next().is_some() {
        return None;
    }
    let (id, kind) = match (second, third) {
        (None, _) => {
            let id = first.strip_suffix(".m3u8")?;
            // The adaptive playlist's name (of the stream before the suffix), not another id.
            if id.ends_with("_adaptive") {
                return None;
            }
            (id, Kind::Multivariant)
        }
        (Some("video.m3u8" | "audio.m3u8"), None) => (first, Kind::Playlist),
        (Some(epoch), Some(file)) => (first, object(epoch, file)?),
        (Some(_), None) => return None,
    };
    (!id.is_empty()).then_some((id, kind))
}

fn object<'a>(epoch: &'a str, file: &'a str) -> Option<Kind<'a>> {
    if !is_number(epoch) {
        return None;
    }
    let audio = file.starts_with('a');
    let rest = file.strip_prefix(['a', 'v'])?;
    let object = Object { epoch, file, audio };
    if let Some(number) = rest.strip_suffix(".m4s") {
        return is_number(number).then_some(Kind::Segment(object));
    }
    let number = rest.strip_prefix("-init-")?.strip_suffix(".mp4")?;
    is_number(number).then_some(Kind::Init(object))
}

/// A decimal number as we write it: no sign, no leading zero, fits 64 bits.
fn is_number(text: &str) -> bool {
    let canonical = text == "0" || !text.starts_with('0');
    canonical && text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kind(path: &str) -> String {
        match parse(path) {
            Target::Media(media) => format!("{} {} {}", media.app, media.id, media.kind),
            Target::Nothing => "nothing".to_owned(),
            Target::Other => "other".to_owned(),
        }
    }

    #[test]
    fn every_kind_of_object_is_known() {
        assert_eq!(kind("/LiveApp/streams/s.m3u8"), "LiveApp s playlist");
        assert_eq!(
            kind("/LiveApp/streams/a.b_c-1.m3u8"),
            "LiveApp a.b_c-1 playlist"
        );
        assert_eq!(kind("/live/streams/s/video.m3u8"), "live s playlist");
        assert_eq!(kind("/live/streams/s/audio.m3u8"), "live s playlist");
        assert_eq!(
            kind("/live/streams/s/1763800000000/v12.m4s"),
            "live s segment"
        );
        assert_eq!(kind("/live/streams/s/0/a0.m4s"), "live s segment");
        assert_eq!(kind("/live/streams/s/7/v-init-0.mp4"), "live s init");
        assert_eq!(kind("/live/streams/s/7/a-init-3.mp4"), "live s init");
    }

    #[test]
    fn anything_else_below_streams_is_nothing() {
        for rest in [
            "",
            "s",
            ".m3u8",
            "s.mpd",
            "s.m3u8/",
            "s/other.m3u8",
            "s/video.m3u8/x",
            "s_adaptive.m3u8",
            "s/7/v.m4s",
            "s/7/v01.m4s",
            "s/7/v-1.m4s",
            "s/7/x1.m4s",
            "s/07/v1.m4s",
            "s/7/v1.m4s/",
            "s/7/v-init-.mp4",
            "s/7/v-init-00.mp4",
            "s/7/v1.mp4",
            "s//v1.m4s",
            "/7/v1.m4s",
            "s/99999999999999999999/v1.m4s",
            "s/7/v+1.m4s",
            "s/7/",
            "s/7",
        ] {
            assert_eq!(
                kind(&format!("/live/streams/{rest}")),
                "nothing",
                "{rest:?}"
            );
        }
    }

    #[test]
    fn everything_else_is_for_others() {
        for path in [
            "",
            "/",
            "*",
            "/live",
            "/live/",
            "/live/streams",
            "/live/play.html",
            "/rest/v2/x",
            "/a/b/streams/s.m3u8",
        ] {
            assert_eq!(kind(path), "other", "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn noise_never_panics(path in "/[a-z]{0,3}/streams/[a-z0-9./%-]{0,40}") {
            let _ = parse(&path);
        }

        #[test]
        fn what_is_media_spells_itself(epoch: u64, n: u64) {
            let path = format!("/live/streams/s/{epoch}/v{n}.m4s");
            prop_assert_eq!(kind(&path), "live s segment");
        }
    }
}
