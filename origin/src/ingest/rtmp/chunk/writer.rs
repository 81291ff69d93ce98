//! Messages in, chunks out.
//!
//! Every message opens with a full header (type 0): what a server says to an encoder is little
//! and seldom, so header compression would buy nothing.

use bytes::{BufMut, BytesMut};

use super::{CHUNK_BYTES_MAX, DEFAULT_CHUNK_BYTES, EXTENDED};

/// Cuts messages into chunks of the size last announced.
#[derive(Clone, Copy, Debug)]
pub struct ChunkWriter {
    chunk_bytes: usize,
}

impl Default for ChunkWriter {
    fn default() -> Self {
        Self {
            chunk_bytes: DEFAULT_CHUNK_BYTES,
        }
    }
}

impl ChunkWriter {
    /// Cuts by `bytes` from now on; the Set Chunk Size message must go out before.
    pub fn set_chunk_size(&mut self, bytes: usize) {
        self.chunk_bytes = bytes.clamp(1, CHUNK_BYTES_MAX);
    }

    /// Appends one message to `output`. `chunk_stream` is 2 to 63; a payload over 16 MiB - 1 is
    /// cut short (the length has 24 bits; no message of ours comes near).
    pub fn write(
        &self,
        output: &mut BytesMut,
        chunk_stream: u8,
        kind: u8,
        stream: u32,
        timestamp_ms: u32,
        payload: &[u8],
    ) {
        let payload = payload.get(..CHUNK_BYTES_MAX).unwrap_or(payload);
        let id = chunk_stream & 0x3f;
        let extended = timestamp_ms >= EXTENDED;
        output.put_u8(id);
        output.put_uint(u64::from(timestamp_ms.min(EXTENDED)), 3);
        output.put_uint(payload.len() as u64, 3);
        output.put_u8(kind);
        output.put_u32_le(stream);
        for (index, part) in payload.chunks(self.chunk_bytes).enumerate() {
            if index > 0 {
                output.put_u8(0xc0 | id);
            }
            if extended {
                output.put_u32(timestamp_ms);
            }
            output.put_slice(part);
        }
        if extended && payload.is_empty() {
            output.put_u32(timestamp_ms);
        }
    }
}
