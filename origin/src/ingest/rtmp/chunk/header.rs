//! Chunk headers: the basic one (5.3.1.1) and the message header (5.3.1.2), whose shorter types
//! are completed from the chunk stream's earlier one.

use super::EXTENDED;

/// What headers of a chunk stream say, and later ones may leave out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fields {
    /// The timestamp field: absolute in type 0, a delta in types 1 and 2.
    pub(super) time: u32,
    /// Whether that field was an extended one.
    pub(super) extended: bool,
    pub(super) length_bytes: usize,
    pub(super) kind: u8,
    pub(super) message_stream: u32,
}

/// A basic header.
#[derive(Clone, Copy)]
pub(super) struct Basic {
    /// Chunk type, 0 to 3.
    pub(super) fmt: u8,
    /// Chunk stream id.
    pub(super) id: u32,
    /// Its own length, bytes.
    length_bytes: usize,
}

impl Basic {
    /// Reads a basic header; `None` when it is not all there.
    pub(super) fn read(input: &[u8]) -> Option<Self> {
        let first = *input.first()?;
        let (id, length_bytes) = match first & 0x3f {
            0 => (64 + u32::from(*input.get(1)?), 2),
            1 => {
                let (low, high) = (u32::from(*input.get(1)?), u32::from(*input.get(2)?));
                (64 + low + 256 * high, 3)
            }
            id => (u32::from(id), 1),
        };
        Some(Self {
            fmt: first >> 6,
            id,
            length_bytes,
        })
    }

    /// Reads the message header that follows; its fields, and the length of both headers.
    pub(super) fn message(self, input: &[u8], earlier: Fields) -> Option<(Fields, usize)> {
        let rest = input.get(self.length_bytes..)?;
        let mut fields = earlier;
        if self.fmt == 3 {
            if !fields.extended {
                return Some((fields, self.length_bytes));
            }
            let time = u32::from_be_bytes(*rest.first_chunk()?);
            // An encoder that leaves the field out has payload here instead.
            let present_bytes = if time == fields.time { 4 } else { 0 };
            return Some((fields, self.length_bytes + present_bytes));
        }
        fields.time = be24(rest.first_chunk()?);
        let mut read_bytes = 3;
        if self.fmt <= 1 {
            let [a, b, c, kind] = *rest.get(read_bytes..)?.first_chunk()?;
            fields.length_bytes = be24(&[a, b, c]) as usize;
            fields.kind = kind;
            read_bytes += 4;
        }
        if self.fmt == 0 {
            fields.message_stream = u32::from_le_bytes(*rest.get(read_bytes..)?.first_chunk()?);
            read_bytes += 4;
        }
        fields.extended = fields.time == EXTENDED;
        if fields.extended {
            fields.time = u32::from_be_bytes(*rest.get(read_bytes..)?.first_chunk()?);
            read_bytes += 4;
        }
        Some((fields, self.length_bytes + read_bytes))
    }
}

fn be24(bytes: &[u8; 3]) -> u32 {
    u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]])
}
