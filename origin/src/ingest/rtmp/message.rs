//! Message type ids, and the protocol control messages a server sends.

use bytes::{BufMut, BytesMut};

use super::amf0::Value;
use super::chunk::ChunkWriter;

/// Message type ids (Adobe's RTMP 1.0 specification, 5.4, 6.2, 7.1).
pub mod kind {
    /// Set Chunk Size.
    pub const SET_CHUNK_SIZE: u8 = 1;
    /// Abort Message.
    pub const ABORT: u8 = 2;
    /// Acknowledgement.
    pub const ACKNOWLEDGEMENT: u8 = 3;
    /// User Control.
    pub const USER_CONTROL: u8 = 4;
    /// Window Acknowledgement Size.
    pub const WINDOW_ACK_SIZE: u8 = 5;
    /// Set Peer Bandwidth.
    pub const SET_PEER_BANDWIDTH: u8 = 6;
    /// One FLV audio tag body.
    pub const AUDIO: u8 = 8;
    /// One FLV video tag body.
    pub const VIDEO: u8 = 9;
    /// Data, AMF3.
    pub const DATA_AMF3: u8 = 15;
    /// Command, AMF3.
    pub const COMMAND_AMF3: u8 = 17;
    /// Data, AMF0.
    pub const DATA_AMF0: u8 = 18;
    /// Command, AMF0.
    pub const COMMAND_AMF0: u8 = 20;
    /// Several FLV tags.
    pub const AGGREGATE: u8 = 22;

    /// Whether messages of this type carry media, and may so be large.
    pub fn is_bulk(kind: u8) -> bool {
        matches!(kind, AUDIO | VIDEO | AGGREGATE)
    }
}

/// User Control event: a stream became usable.
const EVENT_STREAM_BEGIN: u16 = 0;
/// User Control event: are you there.
pub const EVENT_PING_REQUEST: u16 = 6;
/// User Control event: I am.
const EVENT_PING_RESPONSE: u16 = 7;

/// Chunk stream of protocol control messages.
const CONTROL_CHUNK_STREAM: u8 = 2;
/// Chunk stream of answers to commands.
const COMMAND_CHUNK_STREAM: u8 = 3;
/// Set Peer Bandwidth's limit type "dynamic".
const LIMIT_DYNAMIC: u8 = 2;

/// What waits to be written to the peer.
#[derive(Debug, Default)]
pub struct Outbox {
    /// The bytes.
    pub bytes: BytesMut,
    writer: ChunkWriter,
}

impl Outbox {
    /// Set Chunk Size, and the size itself from now on.
    pub fn chunk_size(&mut self, bytes: u32) {
        self.control(kind::SET_CHUNK_SIZE, &bytes.to_be_bytes());
        self.writer.set_chunk_size(bytes as usize);
    }

    /// Window Acknowledgement Size.
    pub fn window_ack_size(&mut self, bytes: u32) {
        self.control(kind::WINDOW_ACK_SIZE, &bytes.to_be_bytes());
    }

    /// Set Peer Bandwidth, limit type dynamic.
    pub fn peer_bandwidth(&mut self, bytes: u32) {
        let [a, b, c, d] = bytes.to_be_bytes();
        self.control(kind::SET_PEER_BANDWIDTH, &[a, b, c, d, LIMIT_DYNAMIC]);
    }

    /// Acknowledgement of all bytes received, modulo 2^32.
    pub fn acknowledgement(&mut self, received: u32) {
        self.control(kind::ACKNOWLEDGEMENT, &received.to_be_bytes());
    }

    /// Answer to a ping with its own timestamp.
    pub fn ping_response(&mut self, timestamp: u32) {
        self.user_control(EVENT_PING_RESPONSE, timestamp);
    }

    /// Stream Begin.
    pub fn stream_begin(&mut self, stream: u32) {
        self.user_control(EVENT_STREAM_BEGIN, stream);
    }

    /// A command message (`_result`, `onStatus`, …) made of AMF0 values.
    pub fn command(&mut self, stream: u32, values: &[Value]) {
        let mut payload = BytesMut::new();
        for value in values {
            value.encode(&mut payload);
        }
        self.writer.write(
            &mut self.bytes,
            COMMAND_CHUNK_STREAM,
            kind::COMMAND_AMF0,
            stream,
            0,
            &payload,
        );
    }

    fn user_control(&mut self, event: u16, value: u32) {
        let mut payload = BytesMut::with_capacity(6);
        payload.put_u16(event);
        payload.put_u32(value);
        self.control(kind::USER_CONTROL, &payload);
    }

    fn control(&mut self, kind: u8, payload: &[u8]) {
        self.writer
            .write(&mut self.bytes, CONTROL_CHUNK_STREAM, kind, 0, 0, payload);
    }
}
