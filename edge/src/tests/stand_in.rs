//! An origin that is gone: which of its playlists stand in, how they are marked, and when they may
//! not.

use super::faults::dead_address;
use super::house::{House, PLAYLIST, SEGMENT};
use std::sync::atomic::Ordering;

const AUDIO: &str = "/live/streams/s/audio.m3u8";
const MULTIVARIANT: &str = "/live/streams/s.m3u8";
const ENDED: &str = "#EXTM3U\n7/v1.m4s\n#EXT-X-ENDLIST\n";

/// A media playlist as an origin writes it.
fn list(epoch: u64) -> String {
    format!("#EXTM3U\n#EXTINF:2.000,\n{epoch}/v1.m4s\n#EXTINF:2.000,\n{epoch}/v2.m4s\n")
}

/// An edge whose playlists are stale as soon as they come, and may stand in for a minute.
async fn house() -> House {
    House::build(|o| {
        o.playlist_ttl_ms = Some(0);
        o.cache.stale_if_error_ms = 60_000;
        o.cache.stale_retry_ms = 0;
    })
    .await
}

#[tokio::test]
async fn the_last_playlist_stands_in_marked_and_not_to_be_kept() {
    let house = house().await;
    assert_eq!(house.get(PLAYLIST).await.text(), "#EXTM3U\n1");
    house.origin.playlist("#EXTM3U\n2");
    let live = house.get(PLAYLIST).await;
    assert_eq!(live.text(), "#EXTM3U\n2", "lifetime nought");
    assert_eq!(live.header("cache-control"), "no-cache");
    house.signpost.to(&dead_address().await);
    let stale = house.get(PLAYLIST).await;
    assert_eq!((stale.status, stale.text().as_str()), (200, "#EXTM3U\n2"));
    let status = stale.header("cache-status");
    assert!(status.starts_with("weir; hit; ttl=-"), "{status}");
    assert!(status.ends_with("; detail=stale-if-error"), "{status}");
    assert_eq!(stale.header("cache-control"), "no-store");
    assert!(!stale.header("age").is_empty());
    let same = [("If-None-Match", stale.header("etag"))];
    let same = house.ask("GET", PLAYLIST, &same).await;
    assert_eq!(
        (same.status, same.header("cache-control")),
        (304, "no-store")
    );
    let never_had = house.get(AUDIO).await;
    assert_eq!(never_had.status, 502, "nothing to stand in");
}

#[tokio::test]
async fn an_origin_that_was_restarted_is_no_end_of_the_stream() {
    let house = house().await;
    house.origin.playlist(&list(7));
    assert_eq!(house.get(PLAYLIST).await.status, 200);
    house.origin.set(PLAYLIST, 404, &[], b"");
    for _ in 0..2 {
        assert_eq!(house.get(PLAYLIST).await.text(), list(7));
    }
    house.signpost.knows_nothing();
    assert_eq!(house.get(PLAYLIST).await.text(), list(7));
    assert_eq!(
        house.get("/live/streams/s/7/v9.m4s").await.status,
        404,
        "no playlist, no waiting"
    );
}

#[tokio::test]
async fn a_stream_that_begins_anew_is_not_shown_as_it_was() {
    let house = house().await;
    house.origin.playlist(&list(7));
    assert_eq!(house.get(PLAYLIST).await.status, 200);
    house.origin.set(PLAYLIST, 404, &[], b"");
    house.signpost.later.store(1, Ordering::SeqCst);
    assert_eq!(
        house.get(PLAYLIST).await.status,
        404,
        "its end was not seen"
    );
}

#[tokio::test]
async fn a_stream_that_has_ended_is_over() {
    let house = house().await;
    house.origin.playlist(ENDED);
    assert_eq!(house.get(PLAYLIST).await.text(), ENDED);
    house.origin.set(PLAYLIST, 404, &[], b"");
    assert_eq!(house.get(PLAYLIST).await.status, 404);
}

#[tokio::test]
async fn the_multivariant_playlist_stands_in_where_a_media_playlist_can() {
    for watched in [true, false] {
        let house = house().await;
        house.origin.playlist(&list(7));
        house.origin.playlist_at(MULTIVARIANT, "#EXTM3U\nall");
        assert_eq!(house.get(MULTIVARIANT).await.text(), "#EXTM3U\nall");
        if watched {
            assert_eq!(house.get(PLAYLIST).await.status, 200);
        }
        house.signpost.to(&dead_address().await);
        let status = if watched { 200 } else { 502 };
        assert_eq!(house.get(MULTIVARIANT).await.status, status);
    }
}

#[tokio::test]
async fn nothing_of_an_older_epoch_than_was_served_stands_in() {
    for newer in [AUDIO, "/live/streams/s/8/v3.m4s"] {
        let house = house().await;
        house.origin.playlist(&list(7));
        house.origin.playlist_at(AUDIO, &list(7));
        for path in [PLAYLIST, AUDIO] {
            assert_eq!(house.get(path).await.text(), list(7));
        }
        // An older segment changes nothing.
        assert_eq!(house.get(SEGMENT).await.status, 200);
        house.origin.playlist_at(AUDIO, &list(8));
        house.origin.segment("/live/streams/s/8/v3.m4s", b"new");
        assert_eq!(house.get(newer).await.status, 200);
        house.signpost.to(&dead_address().await);
        assert_eq!(house.get(PLAYLIST).await.status, 502, "after {newer}");
        let audio = house.get(AUDIO).await;
        if newer == AUDIO {
            assert_eq!(audio.text(), list(8));
        } else {
            assert_eq!(audio.status, 502);
        }
    }
}
