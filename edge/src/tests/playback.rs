//! What a player does, and what it is told.

use super::house::{Answer, DEADLINE, House, PLAYLIST, SEGMENT, read_until, until};
use bytes::Bytes;
use std::sync::atomic::Ordering;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use weir_cluster::audience::Told;

#[tokio::test]
async fn a_playlist_says_what_caches_and_pages_need() {
    let house = House::build(|_| ()).await;
    let miss = house.get(PLAYLIST).await;
    assert_eq!((miss.status, miss.text().as_str()), (200, "#EXTM3U\n1"));
    assert_eq!(miss.header("content-type"), "application/vnd.apple.mpegurl");
    assert_eq!(miss.header("cache-control"), "no-cache");
    assert_eq!(miss.header("access-control-allow-origin"), "*");
    assert_eq!(miss.header("content-length"), "9");
    assert_eq!(miss.header("cache-status"), "weir; fwd=miss");
    assert_eq!(miss.header("server"), "weir");
    assert!(!miss.header("date").is_empty());
    let hit = house.get(&format!("{PLAYLIST}?token=abc")).await;
    assert_eq!(hit.header("cache-status"), "weir; hit");
    assert_eq!(hit.header("etag"), miss.header("etag"));
    let tag = [("If-None-Match", hit.header("etag"))];
    let same = house.ask("GET", PLAYLIST, &tag).await;
    assert_eq!((same.status, same.body.len()), (304, 0));
    house.origin.playlist("#EXTM3U\n2");
    house.outdate(PLAYLIST);
    let changed = house.ask("GET", PLAYLIST, &tag).await;
    assert_eq!(
        (changed.status, changed.text().as_str()),
        (200, "#EXTM3U\n2")
    );
    assert_eq!(house.origin.asked(PLAYLIST), 2);
}

#[tokio::test]
async fn a_segment_is_immutable_and_hits_ask_nobody() {
    let house = House::build(|_| ()).await;
    let miss = house.get(SEGMENT).await;
    assert_eq!((miss.status, miss.text().as_str()), (200, "0123456789"));
    assert_eq!(miss.header("cache-control"), "max-age=3600, immutable");
    assert_eq!(miss.header("content-type"), "video/iso.segment");
    assert_eq!(miss.header("accept-ranges"), "bytes");
    assert_eq!(miss.header("etag"), "\"7-v1.m4s\"");
    let located = house.signpost.asked.load(Ordering::SeqCst);
    for _ in 0..5 {
        let hit = house
            .get(&format!("{SEGMENT}?subscriberId=1&token=x"))
            .await;
        assert_eq!(hit.header("cache-status"), "weir; hit");
        assert_eq!(hit.text(), "0123456789");
    }
    assert_eq!(house.origin.asked(SEGMENT), 1);
    assert_eq!(house.signpost.asked.load(Ordering::SeqCst), located);
}

#[tokio::test]
async fn head_is_get_without_the_body_and_pulls_too() {
    let house = House::build(|_| ()).await;
    for path in [SEGMENT, PLAYLIST] {
        let head = house.ask("HEAD", path, &[("Range", "bytes=0-1")]).await;
        let get = house.get(path).await;
        assert_eq!((head.status, head.body.len()), (200, 0));
        for name in ["content-length", "content-type", "etag", "cache-control"] {
            assert_eq!(head.header(name), get.header(name), "{name}");
        }
        assert_eq!(house.origin.asked(path), 1);
    }
    assert_eq!(
        house
            .ask("HEAD", "/live/streams/unknown.m3u8", &[])
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn other_methods_are_refused_and_preflights_answered() {
    let house = House::build(|_| ()).await;
    let refused = house.ask("DELETE", SEGMENT, &[]).await;
    assert_eq!(
        (refused.status, refused.header("allow")),
        (405, "GET, HEAD, OPTIONS")
    );
    let preflight = house
        .ask("OPTIONS", PLAYLIST, &[("Origin", "http://x")])
        .await;
    assert_eq!((preflight.status, preflight.body.len()), (204, 0));
    assert_eq!(preflight.header("access-control-allow-origin"), "*");
    let methods = preflight.header("access-control-allow-methods");
    assert_eq!(methods, "GET, POST, HEAD, OPTIONS, PUT, DELETE");
    assert_eq!(house.origin.asked(SEGMENT), 0);
}

#[tokio::test]
async fn what_was_never_there_is_a_cheap_404() {
    let house = House::build(|_| ()).await;
    for path in [
        "/live/streams/x.mpd",
        "/live/streams/s/1/v01.m4s",
        "/live/streams/..m3u8",
        "/live/streams/a__b.m3u8",
        "/li%20ve/streams/s.m3u8",
    ] {
        let answer = house.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("cache-control"), "max-age=1");
    }
    assert_eq!(house.signpost.asked.load(Ordering::SeqCst), 0);
    assert_eq!(house.get("/live/streams/unknown.m3u8").await.status, 404);
    assert_eq!(house.origin.asked("/live/streams/unknown.m3u8"), 0);
    for _ in 0..3 {
        assert_eq!(house.get("/live/streams/s/7/v999.m4s").await.status, 404);
    }
    assert_eq!(
        house.origin.asked("/live/streams/s/7/v999.m4s"),
        1,
        "believed for a second"
    );
}

#[tokio::test]
async fn two_hundred_cold_viewers_share_one_fetch_and_see_it_stream() {
    const VIEWERS: usize = 200;
    for (path, len) in [
        ("/live/streams/s/7/v2.m4s", Some(12)),
        ("/live/streams/s/7/v3.m4s", None),
    ] {
        let house = House::build(|_| ()).await;
        let pieces = house.origin.steer(path, len);
        let mut viewers = Vec::new();
        for _ in 0..VIEWERS {
            let mut stream = house.connect().await;
            let request = format!("GET {path} HTTP/1.1\r\nHost: e\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            viewers.push(stream);
        }
        pieces.send(Bytes::from_static(b"first-")).await.unwrap();
        let mut heads = Vec::new();
        for viewer in &mut viewers {
            heads.push(read_until(viewer, "first-").await);
        }
        // Every viewer has the first half; only now is there a second.
        pieces.send(Bytes::from_static(b"second")).await.unwrap();
        drop(pieces);
        for (mut viewer, head) in viewers.into_iter().zip(heads) {
            let mut rest = Vec::new();
            timeout(DEADLINE, viewer.read_to_end(&mut rest))
                .await
                .unwrap()
                .unwrap();
            let answer = Answer::parse(&[head.as_bytes(), &rest].concat());
            assert!(
                answer.is_whole() && answer.text().contains("second"),
                "{answer:?}"
            );
        }
        assert_eq!(house.origin.asked(path), 1);
    }
}

#[tokio::test]
async fn http_1_0_gets_a_length_and_a_close() {
    let house = House::build(|_| ()).await;
    let pieces = house.origin.steer(SEGMENT, None);
    pieces.send(Bytes::from_static(b"abc")).await.unwrap();
    drop(pieces);
    let request = format!("GET {SEGMENT} HTTP/1.0\r\n\r\n");
    let answer = Answer::parse(&house.raw(request.as_bytes()).await);
    assert_eq!((answer.status, answer.header("content-length")), (200, "3"));
    assert_eq!(answer.header("connection"), "close");
}

#[tokio::test]
async fn a_connection_is_reused_and_pipelined_requests_are_answered_in_order() {
    let house = House::build(|_| ()).await;
    let one = format!("GET {SEGMENT} HTTP/1.1\r\nHost: e\r\n\r\n");
    let other = "GET /rest/v2/x HTTP/1.1\r\nHost: e\r\n\r\n";
    let last = format!("GET {PLAYLIST} HTTP/1.1\r\nHost: e\r\nConnection: close\r\n\r\n");
    let all = [one.as_str(), other, &one, &last].concat();
    let raw = house.raw(all.as_bytes()).await;
    let text = String::from_utf8_lossy(&raw);
    assert_eq!(text.matches("HTTP/1.1 200").count(), 4, "{text}");
    let order: Vec<_> = ["0123456789", "GET /rest/v2/x", "#EXTM3U"]
        .iter()
        .map(|part| text.find(part).unwrap())
        .collect();
    assert!(order.is_sorted());
    until("the connection is gone", || {
        house.edge.metrics.connections.get() == 0
    })
    .await;
}

#[tokio::test]
async fn with_the_cache_off_every_request_reaches_the_origin() {
    let house = House::build(|o| o.cache.enabled = false).await;
    for asked in 1..4 {
        let answer = house.get(SEGMENT).await;
        assert_eq!(answer.text(), "0123456789");
        assert_eq!(answer.header("cache-status"), "weir; fwd=bypass");
        assert_eq!(house.origin.asked(SEGMENT), asked);
    }
}

#[tokio::test]
async fn a_playlists_owner_is_told_how_many_watch_here() {
    let house = House::build(|_| ()).await;
    let told = || -> Told { house.origin.told(PLAYLIST).unwrap().parse().unwrap() };
    house.get(PLAYLIST).await;
    assert_eq!(
        told().viewers,
        0,
        "the first one is counted when it is answered"
    );
    for _ in 0..2 {
        for viewer in ["192.0.2.2", "192.0.2.3"] {
            let from = [("X-Forwarded-For", viewer)];
            assert_eq!(house.ask("GET", PLAYLIST, &from).await.status, 200);
        }
    }
    house.outdate(PLAYLIST);
    let edge = told().edge;
    house.get(PLAYLIST).await;
    assert_eq!((told().viewers, told().edge), (3, edge));
    house.get(SEGMENT).await;
    assert_eq!(house.origin.told(SEGMENT), None);
}
