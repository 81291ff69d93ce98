//! Values to bytes.

use bytes::{BufMut, BytesMut};

use super::{Value, marker};

impl Value {
    /// Appends the value. Property names over 65535 bytes cannot be written and are left out with
    /// their values; longer strings go as long strings.
    pub fn encode(&self, output: &mut BytesMut) {
        match self {
            Self::Number(number) => {
                output.put_u8(marker::NUMBER);
                output.put_f64(*number);
            }
            Self::Boolean(truth) => {
                output.put_u8(marker::BOOLEAN);
                output.put_u8(u8::from(*truth));
            }
            Self::String(text) => string(text, output),
            Self::Object(pairs) => {
                output.put_u8(marker::OBJECT);
                properties(pairs, output);
            }
            Self::EcmaArray(pairs) => {
                output.put_u8(marker::ECMA_ARRAY);
                output.put_u32(u32::try_from(pairs.len()).unwrap_or(0));
                properties(pairs, output);
            }
            Self::StrictArray(elements) => {
                let count = u32::try_from(elements.len()).unwrap_or(u32::MAX);
                output.put_u8(marker::STRICT_ARRAY);
                output.put_u32(count);
                for element in elements.iter().take(count as usize) {
                    element.encode(output);
                }
            }
            Self::Date(ms) => {
                output.put_u8(marker::DATE);
                output.put_f64(*ms);
                output.put_i16(0);
            }
            Self::Null => output.put_u8(marker::NULL),
            Self::Undefined => output.put_u8(marker::UNDEFINED),
        }
    }
}

fn string(text: &str, output: &mut BytesMut) {
    if let Ok(length) = u16::try_from(text.len()) {
        output.put_u8(marker::STRING);
        output.put_u16(length);
        output.put_slice(text.as_bytes());
    } else {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        output.put_u8(marker::LONG_STRING);
        output.put_u32(length);
        output.extend(text.bytes().take(length as usize));
    }
}

fn properties(pairs: &[(String, Value)], output: &mut BytesMut) {
    for (name, value) in pairs {
        if let Ok(length) = u16::try_from(name.len()) {
            output.put_u16(length);
            output.put_slice(name.as_bytes());
            value.encode(output);
        }
    }
    output.put_u16(0);
    output.put_u8(marker::OBJECT_END);
}
