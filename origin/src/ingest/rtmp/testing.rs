//! What the tests share: an admission that writes down what it is sent, and an encoder made of
//! bytes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};
use tokio::sync::mpsc;
use weir_cluster::StreamKey;
use weir_media::{Frame, TrackKind, TrackParams};

use super::amf0::{Value, decode_all};
use super::chunk::{ChunkLimits, ChunkReader, ChunkWriter};
use super::handshake::PACKET_BYTES;
use super::message::kind;
use crate::ingest::{Admission, Farewell, PublishEvent, PublishRefusal, PublishRequest, Publisher};

/// Apps the test admission knows.
pub(super) const APP: &str = "LiveApp";

/// What one publish sent.
#[derive(Default, Debug)]
pub(super) struct Published {
    pub(super) request: Option<PublishRequest>,
    pub(super) params: Vec<TrackParams>,
    pub(super) frames: Vec<Frame>,
    pub(super) unpublished: bool,
    /// The session let go of the stream.
    pub(super) over: bool,
}

impl Published {
    pub(super) fn of(&self, track: TrackKind) -> Vec<&Frame> {
        let frames = self.frames.iter();
        frames.filter(|frame| frame.track == track).collect()
    }
}

/// Checks names, refuses unknown apps and live ids, keeps everything.
#[derive(Default, Clone)]
pub(super) struct Recorder {
    pub(super) publishes: Arc<Mutex<Vec<Published>>>,
    /// Receivers to hold instead of reading: a stream that takes nothing.
    pub(super) stuck: Option<Arc<Mutex<Vec<mpsc::Receiver<PublishEvent>>>>>,
}

#[async_trait]
impl Admission for Recorder {
    async fn open(&self, request: PublishRequest) -> Result<Publisher, PublishRefusal> {
        StreamKey::parse(&request.app, &request.stream)?;
        if request.app != APP {
            return Err(PublishRefusal::UnknownApp(request.app));
        }
        let mut publishes = self.publishes.lock().unwrap();
        let same = |published: &Published| {
            let earlier = published.request.as_ref();
            !published.over && earlier.is_some_and(|earlier| earlier.stream == request.stream)
        };
        if publishes.iter().any(same) {
            return Err(PublishRefusal::StreamIdInUse);
        }
        let index = publishes.len();
        publishes.push(Published {
            request: Some(request),
            ..Published::default()
        });
        let (events, mut receiver) = mpsc::channel(16);
        if let Some(stuck) = &self.stuck {
            stuck.lock().unwrap().push(receiver);
            return Ok(Publisher {
                events,
                farewell: Farewell::default(),
            });
        }
        let list = Arc::clone(&self.publishes);
        tokio::spawn(async move {
            while let Some(event) = receiver.recv().await {
                let mut publishes = list.lock().unwrap();
                let published = &mut publishes[index];
                match event {
                    PublishEvent::Params(params) => published.params.push(params),
                    PublishEvent::Frame(frame) => published.frames.push(frame),
                    PublishEvent::Unpublish => published.unpublished = true,
                }
            }
            list.lock().unwrap()[index].over = true;
        });
        Ok(Publisher {
            events,
            farewell: Farewell::default(),
        })
    }
}

pub(super) fn peer() -> SocketAddr {
    "192.0.2.9:50000".parse().unwrap()
}

/// Writes what an encoder writes.
#[derive(Default)]
pub(super) struct Encoder {
    pub(super) bytes: BytesMut,
    pub(super) writer: ChunkWriter,
}

impl Encoder {
    /// C0, C1, C2 of the simple handshake.
    pub(super) fn shake_hands() -> Self {
        let mut encoder = Self::default();
        encoder.bytes.put_u8(3);
        encoder.bytes.put_bytes(0, 2 * PACKET_BYTES);
        encoder
    }

    pub(super) fn command(&mut self, stream: u32, values: &[Value]) -> &mut Self {
        let mut payload = BytesMut::new();
        for value in values {
            value.encode(&mut payload);
        }
        self.message(3, kind::COMMAND_AMF0, stream, 0, &payload)
    }

    /// A command with a null command object and text arguments.
    pub(super) fn call(&mut self, stream: u32, name: &str, id: f64, args: &[&str]) -> &mut Self {
        let mut values = vec![Value::string(name), Value::Number(id), Value::Null];
        values.extend(args.iter().copied().map(Value::string));
        self.command(stream, &values)
    }

    pub(super) fn message(
        &mut self,
        chunk_stream: u8,
        kind: u8,
        stream: u32,
        timestamp_ms: u32,
        payload: &[u8],
    ) -> &mut Self {
        let bytes = &mut self.bytes;
        self.writer
            .write(bytes, chunk_stream, kind, stream, timestamp_ms, payload);
        self
    }

    pub(super) fn chunk_size(&mut self, size: u32) -> &mut Self {
        self.message(2, kind::SET_CHUNK_SIZE, 0, 0, &size.to_be_bytes());
        self.writer.set_chunk_size(size as usize);
        self
    }

    pub(super) fn connect(&mut self, app: &str) -> &mut Self {
        let object = Value::object([
            ("app", Value::string(app)),
            ("flashVer", Value::string("FMLE/3.0 (test)")),
            ("tcUrl", Value::string(format!("rtmp://127.0.0.1/{app}"))),
        ]);
        self.command(0, &[Value::string("connect"), Value::Number(1.0), object])
    }

    pub(super) fn publish(&mut self, name: &str) -> &mut Self {
        self.call(0, "releaseStream", 2.0, &[name])
            .call(0, "FCPublish", 3.0, &[name])
            .call(0, "createStream", 4.0, &[])
            .call(1, "publish", 0.0, &[name, "live"])
    }

    pub(super) fn video(&mut self, timestamp_ms: u32, tag: &[u8]) -> &mut Self {
        self.message(6, kind::VIDEO, 1, timestamp_ms, tag)
    }

    pub(super) fn audio(&mut self, timestamp_ms: u32, tag: &[u8]) -> &mut Self {
        self.message(4, kind::AUDIO, 1, timestamp_ms, tag)
    }

    /// Both sequence headers.
    pub(super) fn headers(&mut self) -> &mut Self {
        self.video(0, &avc_header()).audio(0, &AAC_HEADER)
    }

    pub(super) fn take(&mut self) -> Bytes {
        self.bytes.split().freeze()
    }
}

/// AAC-LC, 44.1 kHz, stereo.
pub(super) const AAC_HEADER: [u8; 4] = [0xaf, 0, 0x12, 0x10];

/// Sequence header of a constrained baseline stream.
pub(super) fn avc_header() -> Vec<u8> {
    let mut tag = vec![0x17, 0, 0, 0, 0];
    tag.extend([1, 0x42, 0xc0, 0x0d, 0xff, 0xe1, 0, 0x16]);
    tag.extend([
        0x67, 0x42, 0xc0, 0x0d, 0xda, 0x05, 0x07, 0xe8, 0x40, 0x00, 0x00, 0x03, 0x00, 0x40, 0x00,
        0x00, 0x0c, 0x03, 0xc5, 0x0a, 0xa8, 0x00,
    ]);
    tag.extend([1, 0, 4, 0x68, 0xce, 0x3c, 0x80]);
    tag
}

/// A coded picture of one NAL unit.
pub(super) fn picture(keyframe: bool, composition_ms: i32, bytes: usize) -> Vec<u8> {
    let [_, a, b, c] = composition_ms.to_be_bytes();
    let mut tag = vec![if keyframe { 0x17 } else { 0x27 }, 1, a, b, c];
    tag.extend(u32::try_from(bytes).unwrap().to_be_bytes());
    tag.push(if keyframe { 0x65 } else { 0x41 });
    tag.resize(5 + 4 + bytes, 0x5a);
    tag
}

/// An AAC frame of `bytes` bytes.
pub(super) fn sound(bytes: usize) -> Vec<u8> {
    let mut tag = vec![0xaf, 1];
    tag.resize(2 + bytes, 0x21);
    tag
}

/// A publish of `frames` pictures and sounds at 40 ms each, a key frame every 10.
pub(super) fn clip(frames: u32) -> Encoder {
    let mut encoder = Encoder::shake_hands();
    encoder
        .connect(APP)
        .chunk_size(4096)
        .publish("cam1")
        .headers();
    for n in 0..frames {
        let size = 200 + 617 * (n as usize % 20);
        encoder
            .video(n * 40, &picture(n % 10 == 0, 40, size))
            .audio(n * 40 + 7, &sound(100 + n as usize % 50));
    }
    encoder.call(0, "FCUnpublish", 6.0, &["cam1"]);
    let id = Value::Number(1.0);
    let end = [
        Value::string("deleteStream"),
        Value::Number(7.0),
        Value::Null,
        id,
    ];
    encoder.command(0, &end);
    encoder
}

/// A command a server sent: its name and, if it has an information object, code and description.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) name: String,
    pub(super) code: String,
    pub(super) description: String,
    pub(super) values: Vec<Value>,
}

/// The commands in what a server sent after `S0 S1 S2`.
pub(super) fn answers(output: &[u8]) -> Vec<Answer> {
    let mut input = BytesMut::from(output.get(1 + 2 * PACKET_BYTES..).unwrap_or_default());
    let mut reader = ChunkReader::new(ChunkLimits::default(), 0);
    let mut answers = Vec::new();
    while let Some(message) = reader.read(&mut input).unwrap() {
        if message.kind == kind::SET_CHUNK_SIZE {
            let size = u32::from_be_bytes(message.payload[..4].try_into().unwrap());
            reader.set_chunk_size(size).unwrap();
        }
        if message.kind == kind::COMMAND_AMF0 {
            let values = decode_all(&message.payload).unwrap();
            let text = |key| {
                let found = values.last().and_then(|info| info.get(key));
                found.and_then(Value::as_str).unwrap_or_default().to_owned()
            };
            answers.push(Answer {
                name: values[0].as_str().unwrap().to_owned(),
                code: text("code"),
                description: text("description"),
                values: values.clone(),
            });
        }
    }
    answers
}
