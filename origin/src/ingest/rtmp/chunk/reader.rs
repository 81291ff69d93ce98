//! Chunks in, messages out.
//!
//! Memory: a message's buffer grows with the bytes that came, never with the length announced
//! (at most [`FIRST_RESERVE_BYTES`] or twice what came); [`ChunkLimits`] bounds the rest.
//!
//! Two habits of encoders are allowed for: a type 1 header opening a chunk stream (librtmp's
//! control messages), and type 3 chunks that leave the extended timestamp out.

use bytes::{Buf, BytesMut};

use super::header::{Basic, Fields};
use super::{CHUNK_BYTES_MAX, DEFAULT_CHUNK_BYTES, Message};
use crate::ingest::rtmp::error::{Fault, WireError};
use crate::ingest::rtmp::message::kind;

/// First allocation for a message that does not lie whole in the read buffer, at most, bytes.
const FIRST_RESERVE_BYTES: usize = 32 * 1024;

/// What a peer may make us hold.
#[derive(Clone, Debug)]
pub struct ChunkLimits {
    /// Longest audio, video, data or aggregate message, bytes.
    pub media_message_bytes_max: usize,
    /// Longest command or control message, bytes.
    pub command_message_bytes_max: usize,
    /// Chunk streams in use on one connection.
    pub chunk_streams_max: usize,
    /// All unfinished messages of a connection together, bytes.
    pub buffered_bytes_max: usize,
}

impl Default for ChunkLimits {
    fn default() -> Self {
        Self {
            media_message_bytes_max: 8 * 1024 * 1024,
            command_message_bytes_max: 64 * 1024,
            chunk_streams_max: 64,
            buffered_bytes_max: 16 * 1024 * 1024,
        }
    }
}

/// Reassembles messages.
#[derive(Debug)]
pub struct ChunkReader {
    limits: ChunkLimits,
    chunk_bytes: usize,
    streams: Vec<ChunkStream>,
    open: Option<OpenChunk>,
    buffered_bytes: usize,
    offset: u64,
}

/// The chunk whose header was read and whose payload is coming.
#[derive(Clone, Copy, Debug)]
struct OpenChunk {
    slot: usize,
    left_bytes: usize,
}

/// The last header of a chunk stream, and its unfinished message.
#[derive(Debug)]
struct ChunkStream {
    id: u32,
    timestamp_ms: u32,
    fields: Fields,
    /// A message has begun and not ended.
    unfinished: bool,
    assembled: BytesMut,
}

impl ChunkReader {
    /// A reader whose first byte is the connection's byte `offset` (for errors).
    pub fn new(limits: ChunkLimits, offset: u64) -> Self {
        Self {
            limits,
            chunk_bytes: DEFAULT_CHUNK_BYTES,
            streams: Vec::new(),
            open: None,
            buffered_bytes: 0,
            offset,
        }
    }

    /// Bytes of the connection read so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes held for unfinished messages.
    pub fn buffered_bytes(&self) -> usize {
        self.buffered_bytes
    }

    /// Memory held for unfinished messages, bytes.
    #[cfg(test)]
    pub(super) fn capacity_bytes(&self) -> usize {
        let streams = self.streams.iter();
        streams.map(|stream| stream.assembled.capacity()).sum()
    }

    /// A [`WireError`] at the present place.
    pub fn error(&self, fault: impl Into<Fault>) -> WireError {
        WireError {
            offset: self.offset,
            fault: fault.into(),
        }
    }

    /// Follows the peer's Set Chunk Size. Sizes over [`CHUNK_BYTES_MAX`] are lowered to it.
    ///
    /// # Errors
    /// [`Fault::ChunkSize`] for 0 and for a set top bit (5.4.1).
    pub fn set_chunk_size(&mut self, size: u32) -> Result<(), WireError> {
        if size == 0 || size > 0x7fff_ffff {
            return Err(self.error(Fault::ChunkSize { found: size }));
        }
        self.chunk_bytes = (size as usize).min(CHUNK_BYTES_MAX);
        Ok(())
    }

    /// Follows the peer's Abort Message: forgets a chunk stream's unfinished message (5.4.2).
    pub fn abort(&mut self, id: u32) {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.id == id) {
            self.buffered_bytes -= stream.assembled.len();
            stream.assembled = BytesMut::new();
            stream.unfinished = false;
        }
    }

    /// The next whole message in `input`, or `None` when more bytes are needed. What was read is
    /// taken from `input`.
    ///
    /// # Errors
    /// [`WireError`]; the reader is of no use after one.
    pub fn read(&mut self, input: &mut BytesMut) -> Result<Option<Message>, WireError> {
        loop {
            let open = match self.open {
                Some(open) => open,
                None => match self.read_header(input)? {
                    Some(open) => open,
                    None => return Ok(None),
                },
            };
            let before = input.len();
            let message = self.read_payload(open, input)?;
            self.offset += (before - input.len()) as u64;
            if message.is_some() {
                return Ok(message);
            }
            if self.open.is_some() {
                return Ok(None);
            }
        }
    }

    /// Reads a chunk header; `None` when it is not all there yet.
    fn read_header(&mut self, input: &mut BytesMut) -> Result<Option<OpenChunk>, WireError> {
        let Some(basic) = Basic::read(input) else {
            return Ok(None);
        };
        let (fmt, id) = (basic.fmt, basic.id);
        let slot = self.streams.iter().position(|stream| stream.id == id);
        let earlier = slot.and_then(|slot| self.streams.get(slot));
        if earlier.is_none() && fmt >= 2 {
            return Err(self.error(Fault::NoEarlierHeader { fmt, id }));
        }
        let earlier_fields = earlier.map_or_else(Fields::default, |stream| stream.fields);
        let Some((fields, header_bytes)) = basic.message(input, earlier_fields) else {
            return Ok(None);
        };
        if fmt != 3 && earlier.is_some_and(|stream| stream.unfinished) {
            return Err(self.error(Fault::HeaderInsideMessage { fmt, id }));
        }
        self.check_length(&fields)?;
        let slot = match slot {
            Some(slot) => slot,
            None => self.add_stream(id)?,
        };
        let Some(stream) = self.streams.get_mut(slot) else {
            return Ok(None); // cannot be: the slot was just found or made
        };
        input.advance(header_bytes);
        self.offset += header_bytes as u64;
        stream.begin(fmt, fields);
        Ok(Some(OpenChunk {
            slot,
            left_bytes: stream.left_bytes().min(self.chunk_bytes),
        }))
    }

    fn check_length(&self, fields: &Fields) -> Result<(), WireError> {
        let max_bytes = if kind::is_bulk(fields.kind) {
            self.limits.media_message_bytes_max
        } else {
            self.limits.command_message_bytes_max
        };
        if fields.length_bytes > max_bytes {
            return Err(self.error(Fault::MessageTooLong {
                kind: fields.kind,
                length_bytes: fields.length_bytes,
                max_bytes,
            }));
        }
        Ok(())
    }

    fn add_stream(&mut self, id: u32) -> Result<usize, WireError> {
        let max = self.limits.chunk_streams_max;
        if self.streams.len() >= max {
            return Err(self.error(Fault::ChunkStreamsTooMany { id, max }));
        }
        self.streams.push(ChunkStream::new(id));
        Ok(self.streams.len() - 1)
    }

    /// Moves what `input` has of the open chunk; a message when it is whole.
    fn read_payload(
        &mut self,
        open: OpenChunk,
        input: &mut BytesMut,
    ) -> Result<Option<Message>, WireError> {
        let Some(stream) = self.streams.get_mut(open.slot) else {
            return Ok(None); // cannot be: slots are never removed
        };
        let left_in_message = stream.left_bytes();
        if stream.assembled.is_empty()
            && open.left_bytes == left_in_message
            && input.len() >= left_in_message
        {
            self.open = None;
            let payload = input.split_to(left_in_message);
            return Ok(Some(stream.finish(payload)));
        }
        let take = open.left_bytes.min(input.len());
        self.buffered_bytes += take;
        let max_bytes = self.limits.buffered_bytes_max;
        if self.buffered_bytes > max_bytes {
            return Err(self.error(Fault::BufferedTooMuch { max_bytes }));
        }
        stream.append(input, take);
        let left_bytes = open.left_bytes - take;
        self.open = (left_bytes > 0).then_some(OpenChunk {
            slot: open.slot,
            left_bytes,
        });
        if stream.left_bytes() > 0 {
            return Ok(None);
        }
        let payload = std::mem::take(&mut stream.assembled);
        self.buffered_bytes -= payload.len();
        Ok(Some(stream.finish(payload)))
    }
}

impl ChunkStream {
    fn new(id: u32) -> Self {
        Self {
            id,
            timestamp_ms: 0,
            fields: Fields::default(),
            unfinished: false,
            assembled: BytesMut::new(),
        }
    }

    /// Bytes of the message that have not been put together yet.
    fn left_bytes(&self) -> usize {
        self.fields.length_bytes - self.assembled.len()
    }

    /// Takes a header. Inside a message (type 3 there) it changes nothing; at a message's start
    /// type 3 repeats the last time field as a delta, even after type 0 (5.3.1.2.4).
    fn begin(&mut self, fmt: u8, fields: Fields) {
        if self.unfinished {
            return;
        }
        self.unfinished = true;
        self.timestamp_ms = match fmt {
            0 => fields.time,
            _ => self.timestamp_ms.wrapping_add(fields.time),
        };
        self.fields = fields;
    }

    fn append(&mut self, input: &mut BytesMut, take: usize) {
        let Some(bytes) = input.get(..take) else {
            return;
        };
        if self.assembled.capacity() - self.assembled.len() < take {
            let room = self.assembled.len().max(FIRST_RESERVE_BYTES).max(take);
            self.assembled.reserve(self.left_bytes().min(room));
        }
        self.assembled.extend_from_slice(bytes);
        input.advance(take);
    }

    fn finish(&mut self, payload: BytesMut) -> Message {
        self.unfinished = false;
        Message {
            kind: self.fields.kind,
            stream: self.fields.message_stream,
            timestamp_ms: self.timestamp_ms,
            payload: payload.freeze(),
        }
    }
}
