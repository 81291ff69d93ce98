//! The publishing side of an RTMP session: bytes in, bytes and events out; no socket, no clock.
//!
//! Chunks and AMF0 are the origin's own wire layer (`weir_origin::ingest::rtmp`): of the client
//! crates at hand rml_rtmp has been silent since 2023 and brings crypto crates of that age, and
//! rtmp-rs publishes sound alone. That both ends share that layer hides no fault of it: real
//! encoders publish in the origin's tests, and real decoders judge what comes out.
//!
//! Says what OBS and FFmpeg say, in their order: connect, releaseStream, FCPublish, createStream,
//! publish, and at the end FCUnpublish and deleteStream.

#[cfg(test)]
mod tests;

use bytes::{BufMut, BytesMut};
use weir_origin::ingest::rtmp::amf0::{AmfError, Value, decode_all};
use weir_origin::ingest::rtmp::chunk::{ChunkLimits, ChunkReader, ChunkWriter, Message};
use weir_origin::ingest::rtmp::error::WireError;
use weir_origin::ingest::rtmp::handshake::PACKET_BYTES;
use weir_origin::ingest::rtmp::message::{EVENT_PING_REQUEST, kind};

/// RTMP's version byte.
const VERSION: u8 = 3;
/// Chunk size of what we send, as OBS has it.
const CHUNK_BYTES: u32 = 4096;
/// S0, S1 and S2.
const SERVER_HELLO_BYTES: usize = 1 + 2 * PACKET_BYTES;
/// User Control event: answer to a ping.
const EVENT_PING_RESPONSE: u16 = 7;
/// Chunk streams, as FFmpeg has them.
const CONTROL: u8 = 2;
const COMMANDS: u8 = 3;
const SOUND: u8 = 4;
const PICTURES: u8 = 6;
/// Transaction ids of the commands whose answers matter.
const CONNECT: f64 = 1.0;
const CREATE_STREAM: f64 = 4.0;

/// What the server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// `NetStream.Publish.Start`: frames may go out.
    Accepted,
    /// An error status, or `_error`: the code and description that encoders show.
    Refused(String),
}

/// A peer that does not speak RTMP.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    #[error("the server answers no RTMP handshake (version byte {0})")]
    Version(u8),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("a command cannot be read: {0}")]
    Amf(#[from] AmfError),
}

/// One connection's session.
#[derive(Debug)]
pub(super) struct Session {
    app: String,
    tc_url: String,
    stream: String,
    /// `None` until the handshake is done.
    reader: Option<ChunkReader>,
    writer: ChunkWriter,
    input: BytesMut,
    output: BytesMut,
    message_stream: u32,
    ack: Ack,
}

/// Acknowledgements that the server asked for.
#[derive(Debug, Default)]
struct Ack {
    window_bytes: u64,
    received_bytes: u64,
    told_bytes: u64,
}

impl Session {
    /// A session that will publish `stream` of `app`; its first bytes wait in the output.
    pub(super) fn new(app: &str, tc_url: &str, stream: &str) -> Self {
        let mut output = BytesMut::with_capacity(1 + PACKET_BYTES);
        output.put_u8(VERSION);
        output.put_bytes(0, PACKET_BYTES);
        Self {
            app: app.to_owned(),
            tc_url: tc_url.to_owned(),
            stream: stream.to_owned(),
            reader: None,
            writer: ChunkWriter::default(),
            input: BytesMut::new(),
            output,
            message_stream: 1,
            ack: Ack::default(),
        }
    }

    /// What is to be sent.
    pub(super) fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// Takes what the server sent; gives the first event in it.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Result<Option<Event>, SessionError> {
        self.input.extend_from_slice(bytes);
        self.ack.received_bytes += bytes.len() as u64;
        if self.reader.is_none() && !self.shake_hands()? {
            return Ok(None);
        }
        let mut first = None;
        while let Some(message) = self.message()? {
            let event = self.handle(&message)?;
            first = first.or(event);
        }
        self.acknowledge();
        Ok(first)
    }

    /// Appends a frame or a sequence header.
    pub(super) fn media(&mut self, tag_kind: u8, timestamp_ms: u32, body: &[u8]) {
        let chunk_stream = if tag_kind == kind::VIDEO {
            PICTURES
        } else {
            SOUND
        };
        self.write(
            chunk_stream,
            tag_kind,
            self.message_stream,
            timestamp_ms,
            body,
        );
    }

    /// Appends the clip's `onMetaData` as encoders send it.
    pub(super) fn metadata(&mut self, on_metadata: &[u8]) {
        let mut payload = BytesMut::new();
        Value::string("@setDataFrame").encode(&mut payload);
        payload.extend_from_slice(on_metadata);
        self.write(SOUND, kind::DATA_AMF0, self.message_stream, 0, &payload);
    }

    /// Appends the goodbye: the stream is over.
    pub(super) fn unpublish(&mut self) {
        let stream = Value::string(self.stream.clone());
        self.command(
            0,
            &[
                Value::string("FCUnpublish"),
                Value::Number(6.0),
                Value::Null,
                stream,
            ],
        );
        let id = Value::Number(f64::from(self.message_stream));
        self.command(
            0,
            &[
                Value::string("deleteStream"),
                Value::Number(7.0),
                Value::Null,
                id,
            ],
        );
    }

    /// Reads S0, S1 and S2; true when they were all there. What they say is echoed, not judged.
    fn shake_hands(&mut self) -> Result<bool, SessionError> {
        if let Some(version) = self.input.first().filter(|v| **v != VERSION) {
            return Err(SessionError::Version(*version));
        }
        if self.input.len() < SERVER_HELLO_BYTES {
            return Ok(false);
        }
        let hello = self.input.split_to(SERVER_HELLO_BYTES);
        self.output.extend_from_slice(&hello[1..=PACKET_BYTES]);
        let offset = SERVER_HELLO_BYTES as u64;
        self.reader = Some(ChunkReader::new(ChunkLimits::default(), offset));
        self.write(
            CONTROL,
            kind::SET_CHUNK_SIZE,
            0,
            0,
            &CHUNK_BYTES.to_be_bytes(),
        );
        self.writer.set_chunk_size(CHUNK_BYTES as usize);
        let object = Value::object([
            ("app", Value::string(self.app.clone())),
            ("type", Value::string("nonprivate")),
            (
                "flashVer",
                Value::string("FMLE/3.0 (compatible; weir load)"),
            ),
            ("tcUrl", Value::string(self.tc_url.clone())),
        ]);
        self.command(
            0,
            &[Value::string("connect"), Value::Number(CONNECT), object],
        );
        Ok(true)
    }

    fn message(&mut self) -> Result<Option<Message>, SessionError> {
        match &mut self.reader {
            Some(reader) => Ok(reader.read(&mut self.input)?),
            None => Ok(None),
        }
    }

    fn handle(&mut self, message: &Message) -> Result<Option<Event>, SessionError> {
        let number = message
            .payload
            .first_chunk()
            .map(|b| u32::from_be_bytes(*b));
        match (message.kind, number) {
            (kind::SET_CHUNK_SIZE, Some(size)) => {
                if let Some(reader) = &mut self.reader {
                    reader.set_chunk_size(size)?;
                }
            }
            (kind::WINDOW_ACK_SIZE, Some(bytes)) => self.ack.window_bytes = u64::from(bytes),
            (kind::USER_CONTROL, _) => self.ping(&message.payload),
            (kind::COMMAND_AMF0, _) => return self.answer(&decode_all(&message.payload)?),
            _ => {}
        }
        Ok(None)
    }

    fn ping(&mut self, payload: &[u8]) {
        let event = payload.first_chunk().map(|b| u16::from_be_bytes(*b));
        if let (Some(EVENT_PING_REQUEST), Some(stamp)) = (event, payload.get(2..6)) {
            let pong = [&EVENT_PING_RESPONSE.to_be_bytes(), stamp].concat();
            self.write(CONTROL, kind::USER_CONTROL, 0, 0, &pong);
        }
    }

    fn answer(&mut self, values: &[Value]) -> Result<Option<Event>, SessionError> {
        let name = values.first().and_then(Value::as_str).unwrap_or_default();
        let transaction = values.get(1).and_then(Value::as_number).unwrap_or_default();
        let info = values.last();
        let text = |key| {
            info.and_then(|i| i.get(key))
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        match name {
            "_result" if transaction == CONNECT => self.ask_for_a_stream(),
            "_result" if transaction == CREATE_STREAM => {
                let id = values.last().and_then(Value::as_number).unwrap_or(1.0);
                self.publish(id);
            }
            // Servers that do not know the courtesies of FMLE refuse them; encoders go on.
            "_error" if transaction != CONNECT && transaction != CREATE_STREAM => {}
            "_error" => return Ok(Some(refused(text("code"), text("description")))),
            "onStatus" if text("code") == "NetStream.Publish.Start" => {
                return Ok(Some(Event::Accepted));
            }
            "onStatus" if text("level") == "error" => {
                return Ok(Some(refused(text("code"), text("description"))));
            }
            _ => {}
        }
        Ok(None)
    }

    fn ask_for_a_stream(&mut self) {
        let stream = Value::string(self.stream.clone());
        for (name, id) in [("releaseStream", 2.0), ("FCPublish", 3.0)] {
            let values = [
                Value::string(name),
                Value::Number(id),
                Value::Null,
                stream.clone(),
            ];
            self.command(0, &values);
        }
        let values = [
            Value::string("createStream"),
            Value::Number(CREATE_STREAM),
            Value::Null,
        ];
        self.command(0, &values);
    }

    fn publish(&mut self, id: f64) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates"
        )]
        let id = id as u32;
        self.message_stream = id;
        let values = [
            Value::string("publish"),
            Value::Number(5.0),
            Value::Null,
            Value::string(self.stream.clone()),
            Value::string("live"),
        ];
        self.command(id, &values);
    }

    fn acknowledge(&mut self) {
        let ack = &mut self.ack;
        if ack.window_bytes > 0 && ack.received_bytes - ack.told_bytes >= ack.window_bytes {
            ack.told_bytes = ack.received_bytes;
            let count = u32::try_from(ack.received_bytes & u64::from(u32::MAX)).unwrap_or_default();
            self.write(CONTROL, kind::ACKNOWLEDGEMENT, 0, 0, &count.to_be_bytes());
        }
    }

    fn command(&mut self, stream: u32, values: &[Value]) {
        let mut payload = BytesMut::new();
        for value in values {
            value.encode(&mut payload);
        }
        self.write(COMMANDS, kind::COMMAND_AMF0, stream, 0, &payload);
    }

    fn write(
        &mut self,
        chunk_stream: u8,
        kind: u8,
        stream: u32,
        timestamp_ms: u32,
        payload: &[u8],
    ) {
        let writer = self.writer;
        writer.write(
            &mut self.output,
            chunk_stream,
            kind,
            stream,
            timestamp_ms,
            payload,
        );
    }
}

fn refused(code: &str, description: &str) -> Event {
    Event::Refused(match (code, description) {
        ("", "") => "refused without a reason".to_owned(),
        (code, "") => code.to_owned(),
        (code, description) => format!("{code}: {description}"),
    })
}
