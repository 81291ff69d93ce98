//! The server's half of an RTMP publishing connection, without its socket.
//!
//! Bytes in, one [`Event`] at a time and bytes out. One at a time, so that nothing queues up
//! here: who calls [`Session::poll`] decides when the next message is looked at, and after
//! [`Event::PublishRequested`] none is until it was answered. No clock either: what must happen in
//! time is the server's to watch, by [`Session::stage`].
//!
//! Spoken: Adobe's RTMP 1.0 specification, chapters 5 to 7, as far as publishing needs it, and
//! the commands encoders send beside it (`releaseStream`, `FCPublish`, `FCUnpublish`,
//! `_checkbw`). `play` is refused: viewers are served elsewhere.

mod aggregate;
mod command;
mod connect;
mod media;
mod metadata;
pub mod status;
#[cfg(test)]
mod tests;

use bytes::{Buf, Bytes, BytesMut};
use weir_media::{Frame, TrackParams};

use super::chunk::{ChunkLimits, ChunkReader, Message};
use super::error::{Fault, WireError};
use super::handshake::{Handshake, PACKET_BYTES};
use super::message::{EVENT_PING_REQUEST, Outbox, kind};
use aggregate::Aggregate;
use media::MediaReader;

pub use connect::ConnectInfo;
pub use media::DropReason;
pub use metadata::Metadata;
pub use status::Refusal;

/// `createStream`s answered on one connection; encoders need one.
pub const STREAMS_MAX: u32 = 16;
/// Smallest acknowledgement window followed, bytes: a smaller one would only buy a flood of
/// acknowledgements.
const ACK_WINDOW_BYTES_MIN: u64 = 16 * 1024;

/// What a session allows and announces.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// What the peer may make us hold.
    pub chunk: ChunkLimits,
    /// Chunk size we announce for what we send, bytes.
    pub chunk_bytes: u32,
    /// Acknowledgement window we announce, and use until the peer announces its own, bytes.
    pub ack_window_bytes: u32,
    /// Media messages of one publish that may be unreadable before the connection is closed.
    pub bad_tags_max: u32,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            chunk: ChunkLimits::default(),
            chunk_bytes: 4096,
            ack_window_bytes: 2_500_000,
            bad_tags_max: 100,
        }
    }
}

/// What happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// `connect` was accepted.
    Connected,
    /// The peer asks to publish. Answer with [`Session::accept_publish`] or
    /// [`Session::refuse_publish`]; nothing more is read until then.
    PublishRequested(PublishCommand),
    /// Decoder parameters, first or changed.
    Params(TrackParams),
    /// One access unit, in the order received.
    Frame(Frame),
    /// `onMetaData` arrived; see [`Session::metadata`].
    Metadata,
    /// A media or data message was thrown away.
    Dropped(DropReason),
    /// The peer ended its publish by this command.
    Unpublished(&'static str),
    /// The session refused what the peer asked for and told it so; it is closing now.
    Refused(Refusal),
}

/// `publish`, with what `connect` said before.
#[derive(Clone, PartialEq, Eq)]
pub struct PublishCommand {
    /// Application, without instance `_definst_` and query.
    pub app: String,
    /// Stream name, without one leading slash and query; unchecked.
    pub stream: String,
    /// Query of the stream name, else of the application; may hold a secret.
    pub query: String,
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// In the handshake.
    Handshake,
    /// Not publishing: before `connect`, before `publish` or after an unpublish.
    Idle,
    /// A publish request waits for its answer.
    Asking,
    /// Publishing.
    Publishing,
    /// Over; what is left to do is to write [`Session::take_output`] and close.
    Closing,
}

/// The session.
#[derive(Debug)]
pub struct Session {
    options: SessionOptions,
    stage: Stage,
    handshake: Handshake,
    handshake_bytes: u64,
    reader: ChunkReader,
    outbox: Outbox,
    connect: Option<ConnectInfo>,
    streams: u32,
    /// Message stream of the present or requested publish.
    publish_stream: u32,
    publish_name: String,
    media: MediaReader,
    aggregate: Option<Aggregate>,
    ack_window_bytes: u64,
    acknowledged: u64,
    messages: u64,
}

impl Session {
    /// A session at its first byte; `noise` makes its handshake unlike any other.
    pub fn new(options: SessionOptions, noise: Box<[u8; PACKET_BYTES]>) -> Self {
        Self {
            stage: Stage::Handshake,
            handshake: Handshake::new(noise),
            handshake_bytes: 0,
            reader: ChunkReader::new(options.chunk.clone(), 0),
            outbox: Outbox::default(),
            connect: None,
            streams: 0,
            publish_stream: 0,
            publish_name: String::new(),
            media: MediaReader::default(),
            aggregate: None,
            ack_window_bytes: u64::from(options.ack_window_bytes),
            acknowledged: 0,
            messages: 0,
            options,
        }
    }

    /// Where the session stands.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// What `connect` said, once it was accepted.
    pub fn connect_info(&self) -> Option<&ConnectInfo> {
        self.connect.as_ref()
    }

    /// The last `onMetaData` of the present publish.
    pub fn metadata(&self) -> Option<&Metadata> {
        self.media.metadata.as_ref()
    }

    /// Whole messages read so far, of any kind.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Bytes held for unfinished messages.
    pub fn buffered_bytes(&self) -> usize {
        self.reader.buffered_bytes()
    }

    /// Whether there is something to write to the peer.
    pub fn has_output(&self) -> bool {
        !self.outbox.bytes.is_empty()
    }

    /// What to write to the peer.
    pub fn take_output(&mut self) -> Bytes {
        self.outbox.bytes.split().freeze()
    }

    /// The next event in `input`; `None` when more bytes are needed (or, while a publish request
    /// waits, its answer). What was read is taken from `input`.
    ///
    /// # Errors
    /// [`WireError`] when the peer breaks the protocol; close the connection.
    pub fn poll(&mut self, input: &mut BytesMut) -> Result<Option<Event>, WireError> {
        if self.stage == Stage::Handshake && !self.shake_hands(input)? {
            return Ok(None);
        }
        while !matches!(self.stage, Stage::Asking | Stage::Closing) {
            let message = match self.next_of_aggregate() {
                Some(Ok(message)) => message,
                Some(Err(reason)) => return self.media.dropped(reason, &self.reader).map(Some),
                None => match self.reader.read(input)? {
                    Some(message) => {
                        self.messages += 1;
                        message
                    }
                    None => {
                        self.acknowledge();
                        return Ok(None);
                    }
                },
            };
            if let Some(event) = self.dispatch(message)? {
                return Ok(Some(event));
            }
        }
        if self.stage == Stage::Closing {
            input.clear();
        }
        Ok(None)
    }

    fn shake_hands(&mut self, input: &mut BytesMut) -> Result<bool, WireError> {
        let before = input.len();
        let done = self.handshake.receive(input, &mut self.outbox.bytes)?;
        self.handshake_bytes += (before - input.len()) as u64;
        if done {
            self.stage = Stage::Idle;
            self.reader = ChunkReader::new(self.options.chunk.clone(), self.handshake_bytes);
        }
        Ok(done)
    }

    fn next_of_aggregate(&mut self) -> Option<Result<Message, DropReason>> {
        let aggregate = self.aggregate.as_mut()?;
        let next = aggregate.next();
        if !matches!(next, Some(Ok(_))) {
            self.aggregate = None;
        }
        next
    }

    /// Acknowledges what was received, once a window of it came (5.4.3).
    fn acknowledge(&mut self) {
        let received = self.reader.offset();
        if received - self.acknowledged >= self.ack_window_bytes {
            self.acknowledged = received;
            let [.., a, b, c, d] = received.to_be_bytes();
            self.outbox
                .acknowledgement(u32::from_be_bytes([a, b, c, d]));
        }
    }

    fn dispatch(&mut self, message: Message) -> Result<Option<Event>, WireError> {
        match message.kind {
            kind::AUDIO | kind::VIDEO => self.take_media(message),
            kind::AGGREGATE => {
                self.aggregate = Some(Aggregate::new(message));
                Ok(None)
            }
            kind::DATA_AMF0 | kind::DATA_AMF3 => self.take_data(&message),
            kind::COMMAND_AMF0 | kind::COMMAND_AMF3 => self.take_command(&message),
            _ => self.take_control(message).map(|()| None),
        }
    }

    fn take_media(&mut self, message: Message) -> Result<Option<Event>, WireError> {
        if self.stage != Stage::Publishing || message.stream != self.publish_stream {
            return Ok(Some(Event::Dropped(DropReason::NotPublishing)));
        }
        let event = self.media.read(message, &self.reader)?;
        if let Some(Event::Refused(refusal)) = &event {
            self.end_with(refusal.clone());
        }
        Ok(event)
    }

    fn take_data(&mut self, message: &Message) -> Result<Option<Event>, WireError> {
        if self.stage != Stage::Publishing {
            return Ok(Some(Event::Dropped(DropReason::NotPublishing)));
        }
        match metadata::read(without_amf3_byte(message)) {
            Ok(None) => Ok(None),
            Ok(Some(metadata)) => {
                self.media.metadata = Some(metadata);
                Ok(Some(Event::Metadata))
            }
            Err(error) => {
                let reason = DropReason::BadMetadata(error.to_string());
                self.media.dropped(reason, &self.reader).map(Some)
            }
        }
    }

    /// Protocol control (5.4) and user control (6.2); types we know nothing of are passed over.
    fn take_control(&mut self, message: Message) -> Result<(), WireError> {
        let control = message.kind;
        let mut payload = message.payload;
        let needs_bytes = match control {
            kind::SET_CHUNK_SIZE | kind::ABORT | kind::WINDOW_ACK_SIZE => 4,
            kind::USER_CONTROL => 2,
            _ => return Ok(()),
        };
        if payload.len() < needs_bytes {
            return Err(self.reader.error(Fault::ControlLength {
                kind: control,
                length_bytes: payload.len(),
                needs_bytes,
            }));
        }
        match control {
            kind::SET_CHUNK_SIZE => self.reader.set_chunk_size(payload.get_u32())?,
            kind::ABORT => self.reader.abort(payload.get_u32()),
            kind::WINDOW_ACK_SIZE => {
                self.ack_window_bytes = u64::from(payload.get_u32()).max(ACK_WINDOW_BYTES_MIN);
            }
            _ => {
                let event = payload.get_u16();
                if event == EVENT_PING_REQUEST && payload.len() >= 4 {
                    self.outbox.ping_response(payload.get_u32());
                }
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for PublishCommand {
    /// Says whether there is a query, never what is in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PublishCommand")
            .field("app", &self.app)
            .field("stream", &self.stream)
            .field("has_query", &!self.query.is_empty())
            .finish()
    }
}

/// AMF3 messages as encoders send them are AMF0 after one zero byte.
fn without_amf3_byte(message: &Message) -> &[u8] {
    match (message.kind, message.payload.split_first()) {
        (kind::DATA_AMF3 | kind::COMMAND_AMF3, Some((0, rest))) => rest,
        _ => &message.payload,
    }
}
