//! Bytes to values.

use super::{DEPTH_MAX, ITEMS_MAX, Value, marker};

/// Why bytes are no AMF0, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("AMF0 at its byte {offset}: {fault}")]
pub struct AmfError {
    /// Byte of the message.
    pub offset: usize,
    /// What was wrong.
    pub fault: AmfFault,
}

/// What can be wrong with AMF0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AmfFault {
    /// The message ends inside a value.
    #[error("ends inside a value")]
    Truncated,
    /// A marker that is not taken.
    #[error("value type {0:#04x} is not supported")]
    Marker(u8),
    /// Nested too deep.
    #[error("nested deeper than {DEPTH_MAX}")]
    TooDeep,
    /// Too many values.
    #[error("more than {ITEMS_MAX} values")]
    TooMany,
    /// An object without its end.
    #[error("empty property name without an end marker")]
    NoObjectEnd,
}

/// All values in `bytes`.
///
/// # Errors
/// [`AmfError`] with the place.
pub fn decode_all(bytes: &[u8]) -> Result<Vec<Value>, AmfError> {
    let mut decoder = Decoder {
        bytes,
        at: 0,
        items_left: ITEMS_MAX,
    };
    let mut values = Vec::new();
    while decoder.at < bytes.len() {
        values.push(decoder.value(DEPTH_MAX)?);
    }
    Ok(values)
}

struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
    items_left: usize,
}

impl<'a> Decoder<'a> {
    fn value(&mut self, depth_left: usize) -> Result<Value, AmfError> {
        self.items_left = match self.items_left.checked_sub(1) {
            Some(left) => left,
            None => return Err(self.fail(AmfFault::TooMany)),
        };
        let [found] = self.array::<1>()?;
        Ok(match found {
            marker::NUMBER => Value::Number(f64::from_be_bytes(self.array()?)),
            marker::BOOLEAN => Value::Boolean(self.array::<1>()? != [0]),
            marker::STRING => Value::String(self.short_string()?),
            marker::OBJECT => Value::Object(self.properties(depth_left)?),
            marker::NULL => Value::Null,
            marker::UNDEFINED | marker::UNSUPPORTED => Value::Undefined,
            marker::ECMA_ARRAY => {
                // The count is a hint that encoders get wrong: the end marker rules (2.10).
                self.array::<4>()?;
                Value::EcmaArray(self.properties(depth_left)?)
            }
            marker::STRICT_ARRAY => Value::StrictArray(self.elements(depth_left)?),
            marker::DATE => {
                let ms = f64::from_be_bytes(self.array()?);
                self.array::<2>()?; // time zone, reserved
                Value::Date(ms)
            }
            marker::LONG_STRING | marker::XML => {
                let length = u32::from_be_bytes(self.array()?);
                Value::String(self.text(length as usize)?)
            }
            marker::TYPED_OBJECT => {
                self.short_string()?;
                Value::Object(self.properties(depth_left)?)
            }
            unknown => {
                self.at -= 1;
                return Err(self.fail(AmfFault::Marker(unknown)));
            }
        })
    }

    /// Name and value pairs up to the end marker. Where the message just stops between two
    /// pairs (seen in ECMA arrays), that is the end too.
    fn properties(&mut self, depth_left: usize) -> Result<Vec<(String, Value)>, AmfError> {
        let depth_left = self.deeper(depth_left)?;
        let mut properties = Vec::new();
        while self.at < self.bytes.len() {
            let name = self.short_string()?;
            if name.is_empty() {
                if self.array::<1>()? == [marker::OBJECT_END] {
                    break;
                }
                self.at -= 1;
                return Err(self.fail(AmfFault::NoObjectEnd));
            }
            let value = self.value(depth_left)?;
            properties.push((name, value));
        }
        Ok(properties)
    }

    fn elements(&mut self, depth_left: usize) -> Result<Vec<Value>, AmfError> {
        let depth_left = self.deeper(depth_left)?;
        let count = u32::from_be_bytes(self.array()?);
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(self.value(depth_left)?);
        }
        Ok(elements)
    }

    fn deeper(&self, depth_left: usize) -> Result<usize, AmfError> {
        depth_left
            .checked_sub(1)
            .ok_or_else(|| self.fail(AmfFault::TooDeep))
    }

    fn short_string(&mut self) -> Result<String, AmfError> {
        let length = u16::from_be_bytes(self.array()?);
        self.text(usize::from(length))
    }

    fn text(&mut self, length: usize) -> Result<String, AmfError> {
        let bytes = self.rest().get(..length);
        let bytes = bytes.ok_or_else(|| self.fail(AmfFault::Truncated))?;
        self.at += length;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], AmfError> {
        let bytes = self.rest().first_chunk::<N>();
        let bytes = *bytes.ok_or_else(|| self.fail(AmfFault::Truncated))?;
        self.at += N;
        Ok(bytes)
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn fail(&self, fault: AmfFault) -> AmfError {
        AmfError {
            offset: self.at,
            fault,
        }
    }
}
