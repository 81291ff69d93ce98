//! A request path, read as the name of a media object.
//!
//! ```text
//! /{app}/streams/{id}.m3u8                      multivariant playlist
//! /{app}/streams/{id}/video.m3u8                media playlist (audio.m3u8 likewise)
//! /{app}/streams/{id}/{epoch}/v-init-{n}.mp4    init segment (a-init-{n}.mp4)
//! /{app}/streams/{id}/{epoch}/v{msn}.m4s        segment (a{msn}.m4s)
//! ```
//!
//! One object has one spelling: no percent-encoding (no allowed character needs it), no leading
//! zeros, no sign. Everything else names nothing, and that is the only failure.

use weir_cluster::StreamKey;
use weir_media::TrackKind;

/// An object that may exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ObjectPath {
    pub(crate) stream: StreamKey,
    pub(crate) object: Object,
}

/// Which of a stream's objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Object {
    Multivariant,
    Playlist(TrackKind),
    Init {
        track: TrackKind,
        epoch: u64,
        index: u32,
    },
    Segment {
        track: TrackKind,
        epoch: u64,
        sequence_number: u64,
    },
}

impl ObjectPath {
    /// Reads an absolute path, without its query.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let (app, rest) = path.strip_prefix('/')?.split_once("/streams/")?;
        let mut parts = rest.split('/');
        let (first, second, third) = (parts.next()?, parts.next(), parts.next());
        if parts.next().is_some() {
            return None;
        }
        let (id, object) = match (second, third) {
            (None, _) => (first.strip_suffix(".m3u8")?, Object::Multivariant),
            (Some("video.m3u8"), None) => (first, Object::Playlist(TrackKind::Video)),
            (Some("audio.m3u8"), None) => (first, Object::Playlist(TrackKind::Audio)),
            (Some(epoch), Some(name)) => (first, piece(decimal(epoch)?, name)?),
            (Some(_), None) => return None,
        };
        Some(Self {
            stream: StreamKey::parse(app, id).ok()?,
            object,
        })
    }
}

fn piece(epoch: u64, name: &str) -> Option<Object> {
    let (track, rest) = match name.strip_prefix('v') {
        Some(rest) => (TrackKind::Video, rest),
        None => (TrackKind::Audio, name.strip_prefix('a')?),
    };
    if let Some(number) = rest.strip_prefix("-init-") {
        let index = u32::try_from(decimal(number.strip_suffix(".mp4")?)?).ok()?;
        return Some(Object::Init {
            track,
            epoch,
            index,
        });
    }
    Some(Object::Segment {
        track,
        epoch,
        sequence_number: decimal(rest.strip_suffix(".m4s")?)?,
    })
}

fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit());
    if !plain || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(path: &str) -> Option<Object> {
        ObjectPath::parse(path).map(|p| p.object)
    }

    #[test]
    fn every_kind_of_object_has_its_path() {
        assert_eq!(
            object("/LiveApp/streams/s1.m3u8"),
            Some(Object::Multivariant)
        );
        assert_eq!(
            object("/LiveApp/streams/s1/audio.m3u8"),
            Some(Object::Playlist(TrackKind::Audio))
        );
        assert_eq!(
            object("/LiveApp/streams/s1/17/v-init-2.mp4"),
            Some(Object::Init {
                track: TrackKind::Video,
                epoch: 17,
                index: 2
            })
        );
        assert_eq!(
            object("/LiveApp/streams/s.1/17/a40.m4s"),
            Some(Object::Segment {
                track: TrackKind::Audio,
                epoch: 17,
                sequence_number: 40
            })
        );
    }

    #[test]
    fn an_id_may_look_like_a_playlist() {
        let path = ObjectPath::parse("/a/streams/x.m3u8.m3u8").unwrap();
        assert_eq!(path.stream.id.as_str(), "x.m3u8");
    }

    #[test]
    fn other_spellings_name_nothing() {
        for path in [
            "",
            "/",
            "LiveApp/streams/s1.m3u8",
            "/LiveApp/streams/",
            "/LiveApp/streams/.m3u8",
            "/LiveApp/streams/../x.m3u8",
            "/LiveApp/streams/s%31.m3u8",
            "/LiveApp/streams/s1",
            "/LiveApp/streams/s1/",
            "/LiveApp/streams/s1/other.m3u8",
            "/LiveApp/streams/s1/17/",
            "/LiveApp/streams/s1/17/v.m4s",
            "/LiveApp/streams/s1/17/v07.m4s",
            "/LiveApp/streams/s1/+17/v7.m4s",
            "/LiveApp/streams/s1/17/v7.m4s/",
            "/LiveApp/streams/s1/17/x7.m4s",
            "/LiveApp/streams/s1/17/v-init-.mp4",
            "/LiveApp/streams/s1/17/v-init-99999999999.mp4",
            "/LiveApp/streams/s1/99999999999999999999/v7.m4s",
            "//streams/s1.m3u8",
        ] {
            assert_eq!(ObjectPath::parse(path), None, "{path}");
        }
    }
}
