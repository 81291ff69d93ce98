//! The chunk stream: messages cut into chunks, several of them interleaved on one connection
//! (Adobe's RTMP 1.0 specification, 5.3).
//!
//! [`ChunkReader`] puts messages together with at most one copy of a payload byte: a message that
//! lies whole in one chunk in the read buffer is a slice of that buffer. [`ChunkWriter`] cuts.
//! Time is a message's 32-bit count of milliseconds; unwrapping it is the session's.

mod header;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use bytes::Bytes;

pub use reader::{ChunkLimits, ChunkReader};
pub use writer::ChunkWriter;

/// Chunk size of both directions until a Set Chunk Size, bytes (5.4.1).
pub const DEFAULT_CHUNK_BYTES: usize = 128;
/// Largest effective chunk size, bytes: no message is longer than 24 bits can say, so larger
/// values mean the same (5.4.1). They are taken and lowered to this.
pub const CHUNK_BYTES_MAX: usize = 0x00ff_ffff;
/// Timestamp field value that says "four more bytes follow the header" (5.3.1.3).
const EXTENDED: u32 = 0x00ff_ffff;

/// One whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Message type id.
    pub kind: u8,
    /// Message stream id.
    pub stream: u32,
    /// Milliseconds, modulo 2^32.
    pub timestamp_ms: u32,
    /// The message's bytes.
    pub payload: Bytes,
}
