//! An encoder that sends exactly what it is told: FLV tags over RTMP with any timestamps, which a
//! well-behaved encoder would never send. RTMP 1.0 sections 5.2 (handshake) to 7.2 (commands).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const CHUNK_BYTES: u32 = 0x00ff_ffff;
const HANDSHAKE_BYTES: usize = 1536;

/// One FLV tag.
#[derive(Clone, Debug)]
pub struct Tag {
    /// 8 audio, 9 video, 18 script data.
    pub kind: u8,
    /// Milliseconds.
    pub time_ms: u32,
    /// The tag's body.
    pub body: Vec<u8>,
}

/// A connection that publishes. Dropping it cuts it off.
pub struct Pusher {
    socket: TcpStream,
}

impl Pusher {
    /// Connects to `address` (`host:port`) and publishes `stream` of `app`.
    pub fn publish(address: &str, app: &str, stream: &str) -> Self {
        let mut socket = TcpStream::connect(address).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let mut hello = vec![3u8];
        hello.extend([0u8; HANDSHAKE_BYTES]);
        socket.write_all(&hello).unwrap();
        let mut answer = vec![0u8; 1 + 2 * HANDSHAKE_BYTES];
        socket.read_exact(&mut answer).unwrap();
        socket.write_all(&answer[1..=HANDSHAKE_BYTES]).unwrap();
        let mut pusher = Self { socket };
        pusher.send(2, 1, 0, 0, &CHUNK_BYTES.to_be_bytes());
        let url = format!("rtmp://{address}/{app}");
        let object = [property("app", app), property("tcUrl", &url), vec![0, 0, 9]].concat();
        pusher.send(
            3,
            20,
            0,
            0,
            &[text("connect"), number(1.0), vec![3], object].concat(),
        );
        pusher.send(
            3,
            20,
            0,
            0,
            &[text("createStream"), number(2.0), vec![5]].concat(),
        );
        let publish = [
            text("publish"),
            number(3.0),
            vec![5],
            text(stream),
            text("live"),
        ];
        pusher.send(3, 20, 0, 1, &publish.concat());
        pusher.wait_for_publish_start();
        pusher
    }

    /// Sends one tag.
    pub fn push(&mut self, tag: &Tag) {
        let chunk_stream = if tag.kind == 9 { 6 } else { 4 };
        self.send(chunk_stream, tag.kind, tag.time_ms, 1, &tag.body);
    }

    /// Says goodbye: the stream is over.
    pub fn unpublish(mut self) {
        self.send(
            3,
            20,
            0,
            1,
            &[text("deleteStream"), number(4.0), vec![5], number(1.0)].concat(),
        );
        let _ = self.socket.shutdown(std::net::Shutdown::Write);
        let _ = self.socket.read_to_end(&mut Vec::new());
    }

    /// One message as one chunk with a full header.
    fn send(&mut self, chunk_stream: u8, kind: u8, time_ms: u32, message_stream: u32, body: &[u8]) {
        let short = time_ms.min(0x00ff_ffff);
        let length = u32::try_from(body.len()).unwrap();
        let mut out = vec![chunk_stream];
        out.extend(&short.to_be_bytes()[1..]);
        out.extend(&length.to_be_bytes()[1..]);
        out.push(kind);
        out.extend(message_stream.to_le_bytes());
        if short == 0x00ff_ffff {
            out.extend(time_ms.to_be_bytes());
        }
        out.extend(body);
        self.socket.write_all(&out).unwrap();
    }

    fn wait_for_publish_start(&mut self) {
        let mut seen = Vec::new();
        let mut piece = [0u8; 4096];
        while !contains(&seen, b"NetStream.Publish.Start") {
            let got = self.socket.read(&mut piece).expect("an answer to publish");
            assert!(got > 0, "closed: {}", String::from_utf8_lossy(&seen));
            seen.extend(&piece[..got]);
        }
    }
}

/// The tags of an FLV file.
pub fn tags(flv: &[u8]) -> Vec<Tag> {
    let mut all = Vec::new();
    let mut rest = &flv[13..];
    while rest.len() >= 11 {
        let length = usize::from(rest[1]) << 16 | usize::from(rest[2]) << 8 | usize::from(rest[3]);
        let time_ms = u32::from_be_bytes([rest[7], rest[4], rest[5], rest[6]]);
        let body = rest[11..11 + length].to_vec();
        all.push(Tag {
            kind: rest[0],
            time_ms,
            body,
        });
        rest = &rest[11 + length + 4..];
    }
    all
}

fn contains(bytes: &[u8], words: &[u8]) -> bool {
    bytes.windows(words.len()).any(|w| w == words)
}

fn number(value: f64) -> Vec<u8> {
    [vec![0], value.to_be_bytes().to_vec()].concat()
}

fn text(value: &str) -> Vec<u8> {
    [vec![2], name(value)].concat()
}

fn property(key: &str, value: &str) -> Vec<u8> {
    [name(key), text(value)].concat()
}

fn name(value: &str) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap();
    [length.to_be_bytes().to_vec(), value.as_bytes().to_vec()].concat()
}
