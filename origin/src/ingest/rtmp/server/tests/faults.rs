//! Peers that are slow, broken or hostile. Time is paused: it jumps to the next timer when nobody
//! has work, so no test waits for it.

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;
use crate::ingest::rtmp::message::kind;
use crate::ingest::rtmp::testing::*;

/// A server that was handed one connection.
struct Rig {
    client: DuplexStream,
    registry: Registry,
    recorder: Recorder,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Rig {
    fn new(options: RtmpOptions) -> Self {
        Self::with(options, Recorder::default(), 1024 * 1024)
    }

    fn with(options: RtmpOptions, recorder: Recorder, pipe_bytes: usize) -> Self {
        let registry = Registry::new();
        let admission = Arc::new(recorder.clone());
        let server = RtmpServer::new(options, admission, &registry).unwrap();
        let (client, io) = tokio::io::duplex(pipe_bytes);
        let stop = CancellationToken::new();
        let token = stop.clone();
        let task = tokio::spawn(async move { server.handle(io, peer(), token).await });
        Self {
            client,
            registry,
            recorder,
            stop,
            task,
        }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.client.write_all(bytes).await.unwrap();
    }

    /// Reads until the server closes; what it said.
    async fn rest(&mut self) -> Vec<Answer> {
        let mut output = Vec::new();
        let _ = self.client.read_to_end(&mut output).await;
        answers(&output)
    }

    /// Waits for the server to be done, and checks how it counted that.
    async fn ended(self, outcome: &str) {
        drop(self.client);
        self.task.await.unwrap();
        let name = "weir_origin_rtmp_connections_total";
        let label = format!("outcome=\"{outcome}\"");
        let ends = prometheus::TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap();
        assert_eq!(metric(&self.registry, name, &label), 1, "{ends}");
        assert_eq!(
            metric(&self.registry, "weir_origin_rtmp_connections_open", ""),
            0
        );
        assert_eq!(metric(&self.registry, "weir_origin_rtmp_publishing", ""), 0);
    }
}

fn publishing() -> Encoder {
    let mut encoder = Encoder::shake_hands();
    encoder
        .connect(APP)
        .chunk_size(4096)
        .publish("cam1")
        .headers();
    encoder
}

async fn sleep_s(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_handshake_dribbled_byte_by_byte_is_cut_off() {
    let mut rig = Rig::new(RtmpOptions::default());
    let begun = tokio::time::Instant::now();
    rig.send(&[3]).await;
    while rig.client.write_all(&[0]).await.is_ok() {
        sleep_s(1).await;
        assert!(begun.elapsed() < Duration::from_secs(12), "still open");
    }
    rig.ended("handshake_timeout").await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_publishes_is_told_and_closed() {
    let mut rig = Rig::new(RtmpOptions::default());
    rig.send(&Encoder::shake_hands().connect(APP).take()).await;
    // Pings do not buy time.
    for _ in 0..7 {
        sleep_s(4).await;
        let ping = [
            2,
            0,
            0,
            0,
            0,
            0,
            6,
            kind::USER_CONTROL,
            0,
            0,
            0,
            0,
            0,
            6,
            0,
            0,
            0,
            0,
        ];
        rig.send(&ping).await;
    }
    let said = rig.rest().await;
    assert_eq!(said.last().unwrap().code, "NetConnection.Connect.Closed");
    rig.ended("publish_timeout").await;
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_falls_silent_is_lost() {
    let mut rig = Rig::new(RtmpOptions::default());
    rig.send(&publishing().take()).await;
    rig.rest().await;
    let published = rig.recorder.publishes.lock().unwrap().pop().unwrap();
    assert!(!published.unpublished, "a drop is not an unpublish");
    rig.ended("idle_timeout").await;
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_dribbles_one_message_for_ever_is_lost() {
    let mut rig = Rig::new(RtmpOptions::default());
    let mut encoder = publishing();
    encoder.video(0, &picture(true, 0, 3000));
    let bytes = encoder.take();
    let (whole, tail) = bytes.split_at(bytes.len() - 2000);
    rig.send(whole).await;
    for byte in tail {
        sleep_s(5).await;
        if rig.client.write_all(&[*byte]).await.is_err() {
            break;
        }
    }
    rig.ended("stall_timeout").await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_but_steady_publisher_stays() {
    let mut rig = Rig::new(RtmpOptions::default());
    rig.send(&publishing().take()).await;
    for n in 0..40 {
        sleep_s(8).await;
        rig.send(&Encoder::default().audio(n, &sound(9)).take())
            .await;
    }
    let id = crate::ingest::rtmp::amf0::Value::Number(1.0);
    let mut end = Encoder::default();
    let name = crate::ingest::rtmp::amf0::Value::string("deleteStream");
    let null = crate::ingest::rtmp::amf0::Value::Null;
    end.command(0, &[name, id.clone(), null, id]);
    rig.send(&end.take()).await;
    sleep_s(1).await;
    let published = rig.recorder.publishes.lock().unwrap().pop().unwrap();
    assert_eq!(published.frames.len(), 40);
    assert!(published.unpublished);
    rig.ended("unpublished").await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_closed() {
    let mut rig = Rig::with(RtmpOptions::default(), Recorder::default(), 2048);
    let bytes = publishing().take();
    let _ = rig.client.write_all(&bytes).await;
    (&mut rig.task).await.unwrap();
    let name = "weir_origin_rtmp_connections_total";
    assert_eq!(metric(&rig.registry, name, "write_timeout"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_lets_go_ends_the_connection_with_words() {
    let stuck: Arc<std::sync::Mutex<Vec<_>>> = Arc::default();
    let recorder = Recorder {
        stuck: Some(Arc::clone(&stuck)),
        ..Recorder::default()
    };
    let mut rig = Rig::with(RtmpOptions::default(), recorder, 1024 * 1024);
    rig.send(&publishing().take()).await;
    sleep_s(1).await;
    stuck.lock().unwrap().clear();
    let said = rig.rest().await;
    assert_eq!(said.last().unwrap().code, "NetStream.Failed");
    rig.ended("owner_closed").await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_reaches_encoders_even_while_their_stream_is_stuck() {
    for stuck in [None, Some(Arc::default())] {
        let recorder = Recorder {
            stuck,
            ..Recorder::default()
        };
        let mut rig = Rig::with(RtmpOptions::default(), recorder, 1024 * 1024);
        let mut encoder = publishing();
        for n in 0..100 {
            encoder.audio(n, &sound(9));
        }
        rig.send(&encoder.take()).await;
        sleep_s(1).await;
        rig.stop.cancel();
        let said = rig.rest().await;
        assert_eq!(said.last().unwrap().code, "NetConnection.Connect.Closed");
        rig.ended("shutdown").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_stream_holds_the_encoder_back_and_loses_nothing() {
    let stuck: Arc<std::sync::Mutex<Vec<_>>> = Arc::default();
    let recorder = Recorder {
        stuck: Some(Arc::clone(&stuck)),
        ..Recorder::default()
    };
    let mut rig = Rig::with(RtmpOptions::default(), recorder, 64 * 1024);
    let mut encoder = publishing();
    for n in 0..1000 {
        encoder.video(n, &picture(false, 0, 1000));
    }
    let bytes = encoder.take();
    let blocked =
        tokio::time::timeout(Duration::from_secs(3), rig.client.write_all(&bytes[..])).await;
    assert!(
        blocked.is_err(),
        "the pipe is full: the server reads no further"
    );
    let mut owner = stuck.lock().unwrap().pop().unwrap();
    let mut events = 0;
    while let Ok(Some(_)) = tokio::time::timeout(Duration::from_secs(1), owner.recv()).await {
        events += 1;
    }
    assert!((16..200).contains(&events), "{events}");
    drop(owner);
    rig.ended("owner_closed").await;
}

#[tokio::test(start_paused = true)]
async fn what_breaks_the_protocol_is_closed_and_told() {
    let mut streams = Encoder::shake_hands();
    for id in 0..10_000_u16 {
        let [low, high] = id.to_le_bytes();
        streams
            .bytes
            .extend_from_slice(&[1, low, high, 0, 0, 0, 0, 0, 1, 8, 0, 0, 0, 0, 0]);
    }
    let mut nested = Encoder::shake_hands();
    let bomb = b"\x03\0\x01a".repeat(1000);
    nested
        .chunk_size(65_536)
        .message(3, kind::COMMAND_AMF0, 0, 0, &bomb);
    let mut long = publishing();
    long.bytes
        .extend_from_slice(&[6, 0, 0, 0, 0xff, 0xff, 0xff, 9, 1, 0, 0, 0]);
    let mut zero = publishing();
    zero.message(2, kind::SET_CHUNK_SIZE, 0, 0, &[0; 4]);
    let mut rtmpe = Encoder::default();
    rtmpe.bytes.extend_from_slice(&[6; 100]);
    for (mut encoder, words) in [
        (
            streams,
            "chunk stream 128 would be one more than the 64 allowed",
        ),
        (nested, "nested deeper than 16"),
        (long, "announces 16777215 bytes; at most 8388608"),
        (zero, "chunk size 0 is not allowed"),
        (rtmpe, ""),
    ] {
        let mut rig = Rig::new(RtmpOptions::default());
        rig.send(&encoder.take()).await;
        let said = rig.rest().await;
        let last = said.last().map_or("", |answer| answer.description.as_str());
        assert!(last.contains(words), "{last}");
        rig.ended("malformed").await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_balancers_header_names_the_peer() {
    let options = || RtmpOptions {
        proxy_protocol: true,
        ..RtmpOptions::default()
    };
    let mut rig = Rig::new(options());
    let mut bytes = BytesMut::from("PROXY TCP6 2001:db8::7 2001:db8::1 4711 1935\r\n");
    bytes.extend_from_slice(&clip(3).take());
    rig.send(&bytes).await;
    sleep_s(1).await;
    let published = rig.recorder.publishes.lock().unwrap().pop().unwrap();
    let request = published.request.unwrap();
    assert_eq!(request.peer.to_string(), "[2001:db8::7]:4711");
    assert_eq!(published.frames.len(), 6);
    rig.ended("unpublished").await;

    let mut rig = Rig::new(options());
    rig.send(&clip(3).take()).await;
    rig.rest().await;
    assert!(rig.recorder.publishes.lock().unwrap().is_empty());
    rig.ended("proxy_header").await;
}

#[tokio::test]
async fn connections_are_limited() {
    let mut running = Running::start(RtmpOptions {
        connections_max: 2,
        ..RtmpOptions::default()
    })
    .await;
    let mut open = Vec::new();
    for _ in 0..2 {
        open.push(TcpStream::connect(running.address).await.unwrap());
    }
    let gauge = "weir_origin_rtmp_connections_open";
    until("two are in", || running.metric(gauge, "") == 2).await;
    let mut third = TcpStream::connect(running.address).await.unwrap();
    assert_eq!(third.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert_eq!(
        running.metric("weir_origin_rtmp_connections_total", "full"),
        1
    );
    open.clear();
    until("they are out", || running.metric(gauge, "") == 0).await;
    running.stop().await;

    running = Running::start(RtmpOptions {
        connections_per_peer_max: Some(1),
        ..RtmpOptions::default()
    })
    .await;
    let _first = TcpStream::connect(running.address).await.unwrap();
    until("one is in", || running.metric(gauge, "") == 1).await;
    let mut second = TcpStream::connect(running.address).await.unwrap();
    assert_eq!(second.read(&mut [0; 1]).await.unwrap_or(0), 0);
    until("counted", || {
        running.metric("weir_origin_rtmp_connections_total", "peer_full") == 1
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn garbage_and_cut_off_bytes_leave_the_server_standing() {
    let running = Running::start(RtmpOptions::default()).await;
    let whole = clip(5).take();
    for cut in [0, 1, 100, 1537, 3073, 3100, 3300, whole.len() - 3] {
        let mut client = TcpStream::connect(running.address).await.unwrap();
        client.write_all(&whole[..cut]).await.unwrap();
    }
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 9000], &[3; 9000]] {
        let mut client = TcpStream::connect(running.address).await.unwrap();
        client.write_all(garbage).await.unwrap();
    }
    until("all are gone", || {
        running.metric("weir_origin_rtmp_connections_total", "") == 11
    })
    .await;
    let mut client = TcpStream::connect(running.address).await.unwrap();
    client.write_all(&clip(5).take()).await.unwrap();
    until("a good one is served", || {
        running.with(|publishes| publishes.last().is_some_and(|p| p.unpublished))
    })
    .await;
    drop(client);
    running.stop().await;
}
