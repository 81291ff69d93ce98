//! `onMetaData`: what an encoder says of its stream.
//!
//! For people and logs only: the truth about tracks is in their sequence headers.

use crate::ingest::rtmp::amf0::{self, AmfError, Value};

/// Text kept of each field, bytes.
const TEXT_BYTES_MAX: usize = 128;

/// The fields of interest; each only if it was there with a sane type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// Picture width, pixels.
    pub width: Option<f64>,
    /// Picture height, pixels.
    pub height: Option<f64>,
    /// Pictures a second.
    pub frame_rate: Option<f64>,
    /// Video bit rate, kbit/s.
    pub video_kbps: Option<f64>,
    /// Audio bit rate, kbit/s.
    pub audio_kbps: Option<f64>,
    /// FLV codec id or FourCC, as text.
    pub video_codec: Option<String>,
    /// FLV sound format or FourCC, as text.
    pub audio_codec: Option<String>,
    /// The encoder's name.
    pub encoder: Option<String>,
}

/// Reads a data message; `None` when it is not `onMetaData`, plain or inside `@setDataFrame`.
pub(super) fn read(payload: &[u8]) -> Result<Option<Metadata>, AmfError> {
    let values = amf0::decode_all(payload)?;
    let named = match values.split_first() {
        Some((Value::String(name), rest)) if name == "@setDataFrame" => rest,
        _ => &values,
    };
    let Some((Value::String(name), [object, ..])) = named.split_first() else {
        return Ok(None);
    };
    if name != "onMetaData" {
        return Ok(None);
    }
    let number = |key| object.get(key).and_then(Value::as_number);
    let text = |key| object.get(key).and_then(as_text);
    Ok(Some(Metadata {
        width: number("width"),
        height: number("height"),
        frame_rate: number("framerate"),
        video_kbps: number("videodatarate"),
        audio_kbps: number("audiodatarate"),
        video_codec: text("videocodecid"),
        audio_codec: text("audiocodecid"),
        encoder: text("encoder"),
    }))
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => {
            let end = text.floor_char_boundary(TEXT_BYTES_MAX);
            text.get(..end).map(str::to_owned)
        }
        _ => None,
    }
}
