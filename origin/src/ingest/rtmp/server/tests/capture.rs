//! What real ffmpeg sends, kept and damaged in many ways.

use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::io::ReadBuf;

use super::*;
use crate::ingest::rtmp::session::{Event, Session, SessionOptions};

/// A socket whose incoming bytes are kept.
struct Tee {
    socket: TcpStream,
    kept: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Tee {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.socket).poll_read(context, buffer);
        let new = &buffer.filled()[before..];
        self.kept.lock().unwrap().extend_from_slice(new);
        polled
    }
}

impl AsyncWrite for Tee {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

/// Everything ffmpeg sends for a two-second publish.
async fn capture() -> Vec<u8> {
    let recorder = Arc::new(Recorder::default());
    let server = RtmpServer::new(RtmpOptions::default(), recorder, &Registry::new()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rtmp://{}/LiveApp/cam1", listener.local_addr().unwrap());
    let mut encoder = tokio::process::Command::new("ffmpeg")
        .args(["-loglevel", "error", "-nostdin"])
        .args([
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=160x120:rate=25:duration=2",
        ])
        .args(["-f", "lavfi", "-i", "sine=duration=2"])
        .args([
            "-c:v", "libx264", "-bf", "2", "-g", "25", "-c:a", "aac", "-f", "flv", &url,
        ])
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (socket, peer) = listener.accept().await.unwrap();
    let kept = Arc::new(Mutex::new(Vec::new()));
    let tee = Tee {
        socket,
        kept: Arc::clone(&kept),
    };
    server.handle(tee, peer, CancellationToken::new()).await;
    assert!(encoder.wait().await.unwrap().success());
    std::mem::take(&mut *kept.lock().unwrap())
}

/// Feeds `bytes` cut in parts; the events, and the most that was held at once.
fn replay(bytes: &[u8], part_bytes: usize) -> (Vec<String>, usize) {
    let mut session = Session::new(SessionOptions::default(), Box::new([1; 1536]));
    let (mut input, mut events, mut held_max) = (BytesMut::new(), Vec::new(), 0);
    for part in bytes.chunks(part_bytes) {
        input.put_slice(part);
        loop {
            match session.poll(&mut input) {
                Ok(Some(event)) => {
                    if matches!(event, Event::PublishRequested(_)) {
                        session.accept_publish();
                    }
                    events.push(format!("{event:?}"));
                }
                Ok(None) => break,
                Err(error) => {
                    events.push(error.to_string());
                    return (events, held_max);
                }
            }
        }
        held_max = held_max.max(session.buffered_bytes());
    }
    (events, held_max)
}

#[test]
fn damaged_captures_are_survived_and_whole_ones_do_not_depend_on_cuts() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let bytes = runtime.block_on(capture());
    let (whole, _) = replay(&bytes, bytes.len());
    assert!(whole.len() > 100, "{}", whole.len());
    assert!(whole.last().unwrap().contains("Unpublished"));

    let mut runner = TestRunner::new(ProptestConfig::with_cases(40));
    let cuts = runner.run(&(1..9000_usize), |part_bytes| {
        prop_assert_eq!(&replay(&bytes, part_bytes).0, &whole);
        Ok(())
    });
    cuts.unwrap();

    let place = any::<prop::sample::Index>();
    let damage = proptest::collection::vec((place, any::<u8>(), 0..3_u8), 1..20);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(150));
    let damaged = runner.run(&(damage, 1..9000_usize), |(damage, part_bytes)| {
        let mut bytes = bytes.clone();
        for (place, value, what) in damage {
            // The handshake is long and nobody reads most of it: damage what comes after.
            let place = 3073 + place.index(bytes.len() - 3073);
            match what {
                0 => bytes[place] = value,
                1 => bytes.truncate(place.max(3074)),
                _ => bytes.insert(place, value),
            }
        }
        let (_, held_max) = replay(&bytes, part_bytes);
        prop_assert!(held_max <= bytes.len());
        Ok(())
    });
    damaged.unwrap();
}
