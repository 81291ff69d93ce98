//! What an RTMP peer can do wrong, with the byte it did it at.
//!
//! Every fault here is the client's; none is cured by sending the same bytes again.

use super::amf0::AmfError;

/// A fault in what the peer sent.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("byte {offset}: {fault}")]
pub struct WireError {
    /// Bytes of the connection that had been read when the fault was seen (a PROXY header not
    /// counted).
    pub offset: u64,
    /// What was wrong.
    pub fault: Fault,
}

/// The ways in which bytes can be wrong.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// C0 names RTMPE.
    #[error("RTMPE (version {version}) is not supported: use RTMP, or RTMPS for encryption")]
    Encrypted {
        /// The version byte.
        version: u8,
    },
    /// C0 is no RTMP version.
    #[error("first byte is {found:#04x}, RTMP starts with 0x03{hint}")]
    Version {
        /// The byte found.
        found: u8,
        /// What it looks like, if it is well known.
        hint: &'static str,
    },
    /// More chunk streams at once than allowed.
    #[error("chunk stream {id} would be one more than the {max} allowed")]
    ChunkStreamsTooMany {
        /// The one too many.
        id: u32,
        /// The limit.
        max: usize,
    },
    /// A compressed header with nothing to complete it from.
    #[error("chunk type {fmt} on chunk stream {id}, which had no earlier header")]
    NoEarlierHeader {
        /// Chunk type, 2 or 3.
        fmt: u8,
        /// Chunk stream id.
        id: u32,
    },
    /// A new message began before the last one ended.
    #[error("chunk type {fmt} on chunk stream {id} inside an unfinished message")]
    HeaderInsideMessage {
        /// Chunk type, 0 to 2.
        fmt: u8,
        /// Chunk stream id.
        id: u32,
    },
    /// A message announces more bytes than its type may have.
    #[error("message of type {kind} announces {length_bytes} bytes; at most {max_bytes} are taken")]
    MessageTooLong {
        /// Message type id.
        kind: u8,
        /// Announced length.
        length_bytes: usize,
        /// The limit for that type.
        max_bytes: usize,
    },
    /// Unfinished messages hold too much memory.
    #[error("unfinished messages hold more than {max_bytes} bytes")]
    BufferedTooMuch {
        /// The limit.
        max_bytes: usize,
    },
    /// Set Chunk Size of nothing, or with its top bit set.
    #[error("chunk size {found} is not allowed (1 to 2147483647)")]
    ChunkSize {
        /// The value as sent.
        found: u32,
    },
    /// A protocol control message of the wrong length.
    #[error("control message of type {kind} has {length_bytes} bytes, needs {needs_bytes}")]
    ControlLength {
        /// Message type id.
        kind: u8,
        /// Bytes it had.
        length_bytes: usize,
        /// Bytes it needs.
        needs_bytes: usize,
    },
    /// A command message does not parse.
    #[error("command message: {0}")]
    Amf(#[from] AmfError),
    /// A command message that does not start with a name.
    #[error("command message does not start with a command name")]
    NoCommandName,
    /// Too many tag bodies in one publish could not be read.
    #[error("{count} media messages could not be read; the last: {last}")]
    TooManyBadTags {
        /// How many.
        count: u32,
        /// What was wrong with the last.
        last: String,
    },
    /// Too many `createStream`.
    #[error("more than {max} streams created on one connection")]
    StreamsTooMany {
        /// The limit.
        max: u32,
    },
}
