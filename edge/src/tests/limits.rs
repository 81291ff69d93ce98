//! Slow, idle, stalled and too many viewers; the drain.

use super::house::{Answer, DEADLINE, House, SEGMENT, read_until, until};
use crate::Drained;
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// A viewer on a pipe, so that time can be paused. What happens on it is `converse`'s.
fn pipe(house: &House, buffer_bytes: usize) -> DuplexStream {
    let (viewer, edge_side) = duplex(buffer_bytes);
    let peer = SocketAddr::from(([127, 0, 0, 1], 9));
    let edge = Arc::clone(&house.edge);
    tokio::spawn(edge.converse(edge_side, peer, CancellationToken::new()));
    viewer
}

async fn rest(viewer: &mut DuplexStream) -> String {
    let mut rest = Vec::new();
    // Of paused time, which passes as soon as nothing else can happen.
    let hour = Duration::from_secs(3_600);
    let closed = timeout(hour, viewer.read_to_end(&mut rest)).await;
    closed.expect("the edge never closes").unwrap();
    String::from_utf8_lossy(&rest).into_owned()
}

#[tokio::test(start_paused = true)]
async fn a_head_that_drips_is_408_after_the_limit_however_steadily_it_drips() {
    let house = House::build(|o| o.head_ms_max = 5_000).await;
    let mut viewer = pipe(&house, 1 << 16);
    let started = Instant::now();
    let mut dripped = 0;
    while viewer.write_all(b"G").await.is_ok() && dripped < 100 {
        sleep(Duration::from_millis(900)).await;
        dripped += 1;
        if started.elapsed() > Duration::from_millis(5_500) {
            break;
        }
    }
    let answer = Answer::parse(rest(&mut viewer).await.as_bytes());
    assert_eq!((answer.status, answer.header("connection")), (408, "close"));
}

#[tokio::test(start_paused = true)]
async fn silence_is_closed_without_a_word() {
    let house = House::build(|o| {
        o.head_ms_max = 5_000;
        o.idle_ms_max = 60_000;
    })
    .await;
    let started = Instant::now();
    let mut never_asked = pipe(&house, 1 << 16);
    assert_eq!(rest(&mut never_asked).await, "");
    assert_eq!(started.elapsed().as_secs(), 5);
    let mut asked_once = pipe(&house, 1 << 16);
    let request = b"GET /x HTTP/1.1\r\nHost: e\r\n\r\n";
    asked_once.write_all(request).await.unwrap();
    let started = Instant::now();
    let answer = rest(&mut asked_once).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(started.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_viewer_that_takes_nothing_is_let_go() {
    let house = House::build(|o| o.send_ms_max = 7_000).await;
    // The fallback's echo of a large body, into a pipe that holds little.
    let mut viewer = pipe(&house, 4 << 10);
    let body = vec![b'x'; 100 << 10];
    let head = format!(
        "POST /x HTTP/1.1\r\nHost: e\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    viewer.write_all(head.as_bytes()).await.unwrap();
    viewer.write_all(&body).await.unwrap();
    until("the edge gives up", || {
        house.edge.metrics.connections.get() == 0
    })
    .await;
    assert!(rest(&mut viewer).await.len() < body.len());
}

#[tokio::test]
async fn one_connection_too_many_is_told_503() {
    let house = House::build(|o| o.connections_max = 2).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = house.connect().await;
        stream
            .write_all(b"GET /x HTTP/1.1\r\nHost: e\r\n\r\n")
            .await
            .unwrap();
        read_until(&mut stream, "GET /x").await;
        held.push(stream);
    }
    let refused = house.get(SEGMENT).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
    assert_eq!(house.edge.metrics.connections_refused.get(), 1);
    held.pop();
    until("there is room again", || {
        house.edge.room.available_permits() == 1
    })
    .await;
    assert_eq!(house.get(SEGMENT).await.status, 200);
}

#[tokio::test]
async fn a_drain_closes_the_idle_and_finishes_the_busy() {
    let house = House::build(|_| ()).await;
    let mut idle = house.connect().await;
    idle.write_all(b"GET /x HTTP/1.1\r\nHost: e\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut idle, "GET /x").await;
    let path = "/live/streams/s/7/v30.m4s";
    let pieces = house.origin.steer(path, Some(12));
    let mut busy = house.connect().await;
    let request = format!("GET {path} HTTP/1.1\r\nHost: e\r\n\r\n");
    busy.write_all(request.as_bytes()).await.unwrap();
    pieces.send(Bytes::from_static(b"first-")).await.unwrap();
    read_until(&mut busy, "first-").await;
    house.shutdown.cancel();
    let mut nothing = Vec::new();
    timeout(DEADLINE, idle.read_to_end(&mut nothing))
        .await
        .unwrap()
        .unwrap();
    assert!(nothing.is_empty());
    pieces.send(Bytes::from_static(b"second")).await.unwrap();
    read_until(&mut busy, "second").await;
    let drained = timeout(DEADLINE, house.served).await.unwrap().unwrap();
    assert_eq!(drained, Drained { cut: 0 });
    assert!(tokio::net::TcpStream::connect(house.address).await.is_err());
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut() {
    let house = House::build(|o| o.drain_ms_max = 50).await;
    let path = "/live/streams/s/7/v31.m4s";
    let _pieces = house.origin.steer(path, Some(12));
    let mut stuck = house.connect().await;
    let request = format!("GET {path} HTTP/1.1\r\nHost: e\r\n\r\n");
    stuck.write_all(request.as_bytes()).await.unwrap();
    until("it is under way", || house.origin.asked(path) == 1).await;
    house.shutdown.cancel();
    let drained = timeout(DEADLINE, house.served).await.unwrap().unwrap();
    assert_eq!(drained, Drained { cut: 1 });
    let mut rest = Vec::new();
    let _ = timeout(DEADLINE, stuck.read_to_end(&mut rest))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_connection_has_an_end_of_requests() {
    let house = House::build(|o| o.requests_per_connection_max = 3).await;
    let request = "GET /x HTTP/1.1\r\nHost: e\r\n\r\n".repeat(10);
    let raw = house.raw(request.as_bytes()).await;
    let answers = String::from_utf8_lossy(&raw)
        .matches("HTTP/1.1 200")
        .count();
    assert!((3..=4).contains(&answers), "{answers}");
}
