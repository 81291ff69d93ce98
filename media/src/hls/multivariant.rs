//! Multivariant playlists.

use super::HlsError;
use super::text::{quoted, uri_line};
use std::fmt::Write;

/// The playlist that names the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MultivariantPlaylist {
    /// Sound that goes with variants of pictures.
    pub audio: Vec<AudioRendition>,
    /// What a player chooses from.
    pub variants: Vec<Variant>,
}

/// One `EXT-X-MEDIA` of type AUDIO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioRendition {
    /// `GROUP-ID`.
    pub group_id: String,
    /// `NAME`, for people.
    pub name: String,
    /// `CHANNELS`.
    pub channels: Option<u16>,
    /// Whether it plays unless the viewer chooses another.
    pub default: bool,
    /// Its media playlist.
    pub uri: String,
}

/// One `EXT-X-STREAM-INF` and its URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Largest rate of any segment, its renditions' included, bits a second; not 0.
    pub bandwidth_bps: u64,
    /// Mean rate of all segments, its renditions' included, bits a second.
    pub average_bandwidth_bps: Option<u64>,
    /// RFC 6381 codec strings, its renditions' included; not empty.
    pub codecs: Vec<String>,
    /// Width and height of the pictures, pixels.
    pub resolution: Option<(u32, u32)>,
    /// Pictures a second, in thousandths.
    pub frame_rate_mhz: Option<u32>,
    /// `GROUP-ID` of its sound, when that is not in its own segments.
    pub audio_group: Option<String>,
    /// Its media playlist.
    pub uri: String,
}

impl MultivariantPlaylist {
    /// The playlist's text.
    pub fn write(&self) -> Result<String, HlsError> {
        let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n");
        for rendition in &self.audio {
            rendition.write(&mut out)?;
        }
        for variant in &self.variants {
            self.check(variant)?;
            variant.write(&mut out)?;
        }
        Ok(out)
    }

    fn check(&self, variant: &Variant) -> Result<(), HlsError> {
        let defined = |group: &String| self.audio.iter().any(|audio| audio.group_id == *group);
        let problem = if variant.bandwidth_bps == 0 {
            "no bandwidth"
        } else if variant.codecs.is_empty() {
            "no codecs"
        } else if !variant.audio_group.as_ref().is_none_or(defined) {
            "its audio group is not defined"
        } else {
            return Ok(());
        };
        let uri = variant.uri.clone();
        Err(HlsError::Variant { uri, problem })
    }
}

impl AudioRendition {
    fn write(&self, out: &mut String) -> Result<(), HlsError> {
        let group = quoted("GROUP-ID", &self.group_id)?;
        let name = quoted("NAME", &self.name)?;
        let uri = quoted("URI", &self.uri)?;
        let default = if self.default { "YES" } else { "NO" };
        append(out, format_args!("#EXT-X-MEDIA:TYPE=AUDIO"));
        append(out, format_args!(",GROUP-ID=\"{group}\",NAME=\"{name}\""));
        append(out, format_args!(",DEFAULT={default},AUTOSELECT=YES"));
        if let Some(channels) = self.channels {
            append(out, format_args!(",CHANNELS=\"{channels}\""));
        }
        append(out, format_args!(",URI=\"{uri}\"\n"));
        Ok(())
    }
}

impl Variant {
    fn write(&self, out: &mut String) -> Result<(), HlsError> {
        let codecs = self.codecs.join(",");
        let codecs = quoted("CODECS", &codecs)?;
        let uri = uri_line(&self.uri)?;
        let bandwidth = self.bandwidth_bps;
        append(out, format_args!("#EXT-X-STREAM-INF:BANDWIDTH={bandwidth}"));
        if let Some(average) = self.average_bandwidth_bps {
            append(out, format_args!(",AVERAGE-BANDWIDTH={average}"));
        }
        append(out, format_args!(",CODECS=\"{codecs}\""));
        if let Some((width, height)) = self.resolution {
            append(out, format_args!(",RESOLUTION={width}x{height}"));
        }
        if let Some(rate) = self.frame_rate_mhz {
            let (whole, thousandths) = (rate / 1000, rate % 1000);
            append(out, format_args!(",FRAME-RATE={whole}.{thousandths:03}"));
        }
        if let Some(group) = &self.audio_group {
            let group = quoted("AUDIO", group)?;
            append(out, format_args!(",AUDIO=\"{group}\""));
        }
        append(out, format_args!("\n{uri}\n"));
        Ok(())
    }
}

fn append(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(text);
}
