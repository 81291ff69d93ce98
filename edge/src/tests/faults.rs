//! The directory away, records gone, origins dead or dying.

use super::house::{Answer, House, PLAYLIST, SEGMENT, read_until, until};
use super::origin::Origin;
use bytes::Bytes;
use std::sync::atomic::Ordering;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

pub(super) async fn dead_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_directory_that_cannot_answer_is_503_for_the_unknown_only() {
    let house = House::build(|_| ()).await;
    assert_eq!(house.get(PLAYLIST).await.status, 200);
    house.signpost.is_away();
    let known = house.get(SEGMENT).await;
    assert_eq!(known.status, 200, "the last origin is known");
    let unknown = house.get("/live/streams/other.m3u8").await;
    assert_eq!((unknown.status, unknown.header("retry-after")), (503, "1"));
    assert_eq!(unknown.header("cache-control"), "no-store");
}

#[tokio::test]
async fn an_ended_stream_is_served_from_where_it_was_while_it_lingers() {
    let house = House::build(|_| ()).await;
    house.origin.playlist("#EXTM3U\n7/v1.m4s\n");
    assert_eq!(house.get(PLAYLIST).await.status, 200);
    house.signpost.knows_nothing();
    house.outdate(PLAYLIST);
    house.clock.advance(30_000);
    assert_eq!(house.get(PLAYLIST).await.status, 200);
    assert_eq!(house.get(SEGMENT).await.status, 200);
    house.outdate(PLAYLIST);
    house.clock.advance(61_000);
    assert_eq!(house.get(PLAYLIST).await.status, 404);
}

#[tokio::test]
async fn an_edge_that_never_saw_the_stream_says_404() {
    let house = House::build(|_| ()).await;
    house.signpost.knows_nothing();
    assert_eq!(house.get(PLAYLIST).await.status, 404);
    assert_eq!(house.origin.asked(PLAYLIST), 0);
}

#[tokio::test]
async fn a_stream_that_moved_from_a_dead_origin_is_found_at_once() {
    let house = House::build(|_| ()).await;
    let heir = Origin::start().await;
    house.signpost.to(&dead_address().await);
    house.signpost.then_to(&heir.address);
    assert_eq!(house.get(SEGMENT).await.status, 200);
    assert_eq!(heir.asked(SEGMENT), 1);
    assert_eq!(house.signpost.asked.load(Ordering::SeqCst), 2);
    house.signpost.to(&dead_address().await);
    let dead = house.get("/live/streams/s/7/v2.m4s").await;
    assert_eq!(
        (dead.status, dead.header("cache-control")),
        (502, "no-store")
    );
    let asked = house.signpost.asked.load(Ordering::SeqCst);
    assert_eq!(asked, 4, "asked once more, not without end");
}

#[tokio::test]
async fn an_origin_error_is_passed_on_without_its_body() {
    let house = House::build(|_| ()).await;
    house.origin.set(SEGMENT, 500, &[], b"secret");
    let answer = house.get(SEGMENT).await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (500, "Internal Server Error")
    );
    house
        .origin
        .set(SEGMENT, 302, &[("location", "/elsewhere")], b"");
    assert_eq!(house.get(SEGMENT).await.status, 502);
}

#[tokio::test]
async fn a_body_that_breaks_off_ends_the_connection_of_every_viewer() {
    for (n, len) in [(20, Some(12)), (21, None)] {
        let house = House::build(|_| ()).await;
        let path = format!("/live/streams/s/7/v{n}.m4s");
        let pieces = house.origin.steer(&path, len);
        let mut viewers = Vec::new();
        for _ in 0..10 {
            let mut stream = house.connect().await;
            let request = format!("GET {path} HTTP/1.1\r\nHost: e\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            viewers.push(stream);
        }
        pieces.send(Bytes::from_static(b"first-")).await.unwrap();
        let mut heads = Vec::new();
        for viewer in &mut viewers {
            heads.push(read_until(viewer, "first-").await);
        }
        pieces.send(Bytes::new()).await.unwrap();
        for (mut viewer, head) in viewers.into_iter().zip(heads) {
            let mut rest = Vec::new();
            // Closed, though the viewer asked to keep the connection.
            let closed =
                tokio::time::timeout(super::house::DEADLINE, viewer.read_to_end(&mut rest));
            closed.await.expect("the connection stays open").unwrap();
            let answer = Answer::parse(&[head.as_bytes(), &rest].concat());
            assert!(!answer.is_whole(), "{answer:?}");
        }
        until("all are counted", || {
            house.edge.metrics.answers_broken.get() == 10
        })
        .await;
        house.origin.segment(&path, b"whole");
        assert_eq!(house.get(&path).await.text(), "whole");
        assert_eq!(house.origin.asked(&path), 2);
    }
}
