//! What the log says, and what it must not.

use std::io::Write;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::ingest::rtmp::testing::*;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Runs one connection that sends `bytes` and reads to the end; the log of it, all levels.
fn log_of(bytes: &[u8]) -> String {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let recorder = Arc::new(Recorder::default());
        let server = RtmpServer::new(RtmpOptions::default(), recorder, &Registry::new()).unwrap();
        let (mut client, io) = tokio::io::duplex(1024 * 1024);
        let talk = async {
            client.write_all(bytes).await.unwrap();
            client.shutdown().await.unwrap();
            let _ = client.read_to_end(&mut Vec::new()).await;
        };
        tokio::join!(server.handle(io, peer(), CancellationToken::new()), talk);
    });
    let bytes = log.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn line<'a>(log: &'a str, words: &str) -> &'a str {
    let mut lines = log.lines().filter(|line| line.contains(words));
    let found = lines
        .next()
        .unwrap_or_else(|| panic!("no {words:?} in {log}"));
    assert!(found.contains("peer=192.0.2.9:50000"), "{found}");
    found
}

#[test]
fn a_publish_has_its_start_and_its_stop() {
    let log = log_of(&clip(10).take());
    let start = line(&log, "rtmp publish started");
    assert!(start.contains("app=\"LiveApp\" stream=\"cam1\""), "{start}");
    let stop = line(&log, "rtmp publish stopped");
    for field in [
        "reason=\"FCUnpublish\"",
        "duration_ms=",
        "received_bytes=",
        "frames=20",
    ] {
        assert!(stop.contains(field), "{field} not in {stop}");
    }
}

#[test]
fn a_lost_publisher_and_malformed_bytes_are_told_with_their_place() {
    let mut encoder = Encoder::shake_hands();
    encoder.connect(APP).publish("cam1").headers();
    let log = log_of(&encoder.bytes);
    let stop = line(&log, "rtmp publish stopped");
    assert!(stop.contains("connection lost"), "{stop}");
    let place = encoder.bytes.len();
    encoder.bytes.extend_from_slice(&[0xfe]);
    let log = log_of(&encoder.bytes);
    let closed = line(&log, "malformed bytes");
    assert!(
        closed.contains(&format!("byte {place}: chunk type 3")),
        "{closed}"
    );
    assert!(closed.contains("stream=\"cam1\""), "{closed}");
}

#[test]
fn refusals_are_told_and_names_made_harmless() {
    let mut encoder = Encoder::shake_hands();
    encoder.connect(APP).publish("evil\n\u{1b}[2J");
    let log = log_of(&encoder.take());
    let refused = line(&log, "refused: stream id has");
    assert!(refused.contains("app=\"LiveApp\""), "{refused}");
    assert!(!log.contains('\u{1b}'), "{log}");
}

#[test]
fn secrets_stay_out_of_the_log() {
    for (app, stream) in [
        ("LiveApp", "cam1?token=s3cret"),
        ("LiveApp?token=s3cret", "cam1"),
        ("nope?token=s3cret", "cam1"),
        ("LiveApp", "b\u{e9}?token=s3cret"),
    ] {
        let mut encoder = Encoder::shake_hands();
        encoder
            .connect(app)
            .chunk_size(4096)
            .publish(stream)
            .headers();
        encoder
            .video(0, &picture(true, 0, 99))
            .call(0, "play", 9.0, &["x?token=s3cret"]);
        let log = log_of(&encoder.take());
        assert!(log.contains("stream="), "{log}");
        assert!(!log.contains("s3cret"), "{log}");
    }
}
