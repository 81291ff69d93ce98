//! Playlists as a viewer reads them: `m3u8-rs` parses, so that what our own writer says is read by
//! somebody else, and here they become what the judge asks for.

use m3u8_rs::{AlternativeMediaType, MasterPlaylist, MediaSegment};
use url::Url;

/// Entries of a playlist, at most; live ones have a handful.
const ENTRIES_MAX: usize = 10_000;
/// Longest target duration believed, seconds.
const TARGET_S_MAX: u64 = 3600;

/// A media playlist.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct List {
    /// `EXT-X-TARGETDURATION`, seconds.
    pub(crate) target_s: u64,
    /// `EXT-X-DISCONTINUITY-SEQUENCE`.
    pub(crate) discontinuity_sequence: u64,
    /// `EXT-X-MEDIA-SEQUENCE`.
    pub(crate) media_sequence: u64,
    /// Oldest first.
    pub(crate) entries: Vec<Entry>,
    /// `EXT-X-ENDLIST`.
    pub(crate) ended: bool,
}

/// A listed segment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Entry {
    /// Media sequence number.
    pub(crate) sequence: u64,
    /// As written.
    pub(crate) uri: String,
    /// URI of its initialization section, if it has one.
    pub(crate) map_uri: Option<String>,
    /// `EXTINF`, seconds.
    pub(crate) duration_s: f64,
    /// Whether `EXT-X-DISCONTINUITY` stands before it.
    pub(crate) discontinuity: bool,
    /// Whether `EXT-X-GAP` does.
    pub(crate) gap: bool,
}

impl List {
    /// Reads a media playlist.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        let list = m3u8_rs::parse_media_playlist_res(text)
            .map_err(|_| format!("no media playlist: {}", beginning(text)))?;
        if list.target_duration == 0 || list.target_duration > TARGET_S_MAX {
            let found = list.target_duration;
            return Err(format!(
                "EXT-X-TARGETDURATION is {found} (1 to {TARGET_S_MAX})"
            ));
        }
        if list.segments.len() > ENTRIES_MAX {
            return Err(format!(
                "{} segments (at most {ENTRIES_MAX})",
                list.segments.len()
            ));
        }
        let mut map_uri = None;
        let mut entries = Vec::with_capacity(list.segments.len());
        for (segment, sequence) in list.segments.into_iter().zip(list.media_sequence..) {
            if let Some(map) = &segment.map {
                map_uri = Some(map.uri.clone());
            }
            entries.push(entry(segment, sequence, map_uri.clone()));
        }
        Ok(Self {
            target_s: list.target_duration,
            discontinuity_sequence: list.discontinuity_sequence,
            media_sequence: list.media_sequence,
            entries,
            ended: list.end_list,
        })
    }
}

fn entry(segment: MediaSegment, sequence: u64, map_uri: Option<String>) -> Entry {
    Entry {
        sequence,
        duration_s: f64::from(segment.duration),
        discontinuity: segment.discontinuity,
        gap: segment.unknown_tags.iter().any(|tag| tag.tag == "X-GAP"),
        uri: segment.uri,
        map_uri,
    }
}

/// The media playlists that viewer number `viewer` of the multivariant playlist at `url` watches:
/// one of its variants, by turns, and that variant's own audio.
pub(crate) fn choose(url: &Url, text: &[u8], viewer: u64) -> Result<Vec<Url>, String> {
    let master = m3u8_rs::parse_master_playlist_res(text)
        .map_err(|_| format!("no multivariant playlist: {}", beginning(text)))?;
    let variants: Vec<_> = master.variants.iter().filter(|v| !v.is_i_frame).collect();
    let count = u64::try_from(variants.len()).unwrap_or(u64::MAX);
    let turn = viewer
        .checked_rem(count)
        .and_then(|turn| usize::try_from(turn).ok());
    let Some(variant) = turn.and_then(|turn| variants.get(turn)) else {
        return Err(format!("no variant in it: {}", beginning(text)));
    };
    let mut uris = vec![variant.uri.clone()];
    if let Some(group) = &variant.audio {
        uris.extend(audio(&master, group));
    }
    uris.iter()
        .map(|uri| url.join(uri).map_err(|e| format!("URI {uri:?}: {e}")))
        .collect()
}

/// URI of a group's default rendition, or its first.
fn audio(master: &MasterPlaylist, group: &str) -> Option<String> {
    let renditions = master
        .alternatives
        .iter()
        .filter(|media| media.media_type == AlternativeMediaType::Audio && media.group_id == group);
    let chosen = renditions.reduce(|a, b| if b.default && !a.default { b } else { a });
    chosen.and_then(|media| media.uri.clone())
}

/// Enough of a body to recognise what it was instead.
fn beginning(text: &[u8]) -> String {
    const SHOWN_BYTES: usize = 80;
    let shown = text.get(..SHOWN_BYTES).unwrap_or(text);
    format!("{:?}", String::from_utf8_lossy(shown))
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_media::Timestamp;
    use weir_media::hls::{AudioRendition, MediaPlaylist, MultivariantPlaylist, Variant};

    #[test]
    fn what_the_house_writes_is_read() {
        let segment = |number: u64, discontinuity, gap| weir_media::hls::MediaSegment {
            uri: format!("7/v{number}.m4s"),
            duration: Timestamp::from_ms(2000),
            map_uri: "7/v-init-0.mp4".to_owned(),
            program_date_time_ms: Some(1_767_225_599_999),
            discontinuity,
            gap,
        };
        let list = MediaPlaylist {
            target_duration_s: 2,
            media_sequence: 41,
            discontinuity_sequence: 3,
            segments: vec![
                segment(41, false, false),
                segment(42, true, false),
                segment(43, false, true),
            ],
            ended: true,
        };
        let found = List::parse(list.write().unwrap().as_bytes()).unwrap();
        assert_eq!(
            (found.target_s, found.discontinuity_sequence, found.ended),
            (2, 3, true)
        );
        let entries: Vec<_> = found
            .entries
            .iter()
            .map(|e| (e.sequence, e.discontinuity, e.gap))
            .collect();
        assert_eq!(
            entries,
            [(41, false, false), (42, true, false), (43, false, true)]
        );
        assert_eq!(found.entries[2].map_uri.as_deref(), Some("7/v-init-0.mp4"));
        assert_eq!(
            (found.entries[0].uri.as_str(), found.entries[0].duration_s),
            ("7/v41.m4s", 2.0)
        );
    }

    #[test]
    fn a_viewer_takes_a_variant_by_turns_and_its_audio() {
        let variant = |uri: &str| Variant {
            bandwidth_bps: 1000,
            average_bandwidth_bps: None,
            codecs: vec!["avc1.640020".to_owned()],
            resolution: None,
            frame_rate_mhz: None,
            audio_group: Some("audio".to_owned()),
            uri: uri.to_owned(),
        };
        let text = MultivariantPlaylist {
            audio: vec![AudioRendition {
                group_id: "audio".to_owned(),
                name: "Audio".to_owned(),
                channels: Some(2),
                default: true,
                uri: "cam1/audio.m3u8".to_owned(),
            }],
            variants: vec![variant("cam1/video.m3u8"), variant("cam1/low.m3u8")],
        };
        let text = text.write().unwrap();
        let url = Url::parse("http://h/App/streams/cam1.m3u8").unwrap();
        let paths = |viewer| {
            let urls = choose(&url, text.as_bytes(), viewer).unwrap();
            urls.iter().map(|u| u.path().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            paths(0),
            [
                "/App/streams/cam1/video.m3u8",
                "/App/streams/cam1/audio.m3u8"
            ]
        );
        assert_eq!(paths(3)[0], "/App/streams/cam1/low.m3u8");
    }

    #[test]
    fn other_bodies_are_refused_and_shown() {
        let url = Url::parse("http://h/App/streams/cam1.m3u8").unwrap();
        let page = b"<html>not here</html>";
        assert!(List::parse(page).unwrap_err().contains("<html>not here"));
        assert!(choose(&url, page, 0).unwrap_err().contains("<html>"));
        assert!(
            List::parse(b"#EXTM3U\n#EXTINF:2,\na.ts\n").is_err(),
            "no target duration"
        );
        assert!(choose(&url, b"#EXTM3U\n#EXT-X-VERSION:7\n", 0).is_err());
    }
}
