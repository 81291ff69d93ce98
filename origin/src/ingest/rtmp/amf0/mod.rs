//! AMF0 values (Adobe's Action Message Format 0 specification), bounded both ways.
//!
//! Decoding limits what a message can make of itself: [`DEPTH_MAX`], [`ITEMS_MAX`]; strings
//! are bounded by the message that has them. References, which can blow a small message up
//! without bound, and AMF3 values are refused: no encoder sends them.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub use decode::{AmfError, AmfFault, decode_all};

/// How deep objects and arrays may nest.
pub const DEPTH_MAX: usize = 16;
/// How many values one message may have, nested ones counted.
pub const ITEMS_MAX: usize = 1024;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Number, an IEEE 754 double.
    Number(f64),
    /// Boolean.
    Boolean(bool),
    /// String, long string or XML. Bytes that are not UTF-8 have become U+FFFD.
    String(String),
    /// Object or typed object (its class name dropped), in the order sent.
    Object(Vec<(String, Value)>),
    /// ECMA array: an object by another marker.
    EcmaArray(Vec<(String, Value)>),
    /// Strict array.
    StrictArray(Vec<Value>),
    /// Date, milliseconds since the Unix epoch.
    Date(f64),
    /// Null.
    Null,
    /// Undefined, or the marker "unsupported".
    Undefined,
}

impl Value {
    /// A string value.
    pub fn string(text: impl Into<String>) -> Self {
        Self::String(text.into())
    }

    /// An object of these properties.
    pub fn object<const N: usize>(properties: [(&str, Self); N]) -> Self {
        Self::Object(
            properties
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect(),
        )
    }

    /// The text, if it is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// An object's or ECMA array's property.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(properties) | Self::EcmaArray(properties) => properties
                .iter()
                .find_map(|(name, value)| (name == key).then_some(value)),
            _ => None,
        }
    }
}

/// Markers (2.1).
mod marker {
    pub(super) const NUMBER: u8 = 0x00;
    pub(super) const BOOLEAN: u8 = 0x01;
    pub(super) const STRING: u8 = 0x02;
    pub(super) const OBJECT: u8 = 0x03;
    pub(super) const NULL: u8 = 0x05;
    pub(super) const UNDEFINED: u8 = 0x06;
    pub(super) const ECMA_ARRAY: u8 = 0x08;
    pub(super) const OBJECT_END: u8 = 0x09;
    pub(super) const STRICT_ARRAY: u8 = 0x0a;
    pub(super) const DATE: u8 = 0x0b;
    pub(super) const LONG_STRING: u8 = 0x0c;
    pub(super) const UNSUPPORTED: u8 = 0x0d;
    pub(super) const XML: u8 = 0x0f;
    pub(super) const TYPED_OBJECT: u8 = 0x10;
}
