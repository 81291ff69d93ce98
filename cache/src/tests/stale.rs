//! Stale answers: for an origin that fails, that breaks off, that says nothing.

use super::origin::{Origin, Pair, ask, raw_origin, read, small_cache, until};
use crate::{Ask, EmptyBody, FetchError, FetchResponse, Outcome};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::time::Duration;
use tokio::sync::oneshot;

#[tokio::test]
async fn a_stale_playlist_stands_in_for_a_failed_origin_for_a_while() {
    let whole = |path: &str| Ask {
        whole: true,
        ttl_override_ms: Some(0),
        ..ask(path)
    };
    let origin = Origin::start().await;
    origin.set("/p", 200, "max-age=1", b"#EXTM3U");
    let pair = Pair::new(
        small_cache(|o| {
            o.stale_if_error_ms = 60_000;
            o.stale_retry_ms = 60_000;
        }),
        &origin.address,
    );
    pair.get(whole("/p")).await.unwrap();
    until("it is stored", || pair.cache.metrics.objects.get() == 1).await;
    assert!(pair.cache.hit("/p").is_none(), "its lifetime is nought");
    assert_eq!(pair.get(whole("/p")).await.unwrap().outcome, Outcome::Miss);
    origin.set("/p", 503, "", b"");
    for _ in 0..3 {
        let answer = pair.get(whole("/p")).await.unwrap();
        assert_eq!(answer.outcome, Outcome::Stale);
        assert_eq!(read(&answer).await.unwrap(), b"#EXTM3U");
    }
    assert_eq!(
        origin.asked("/p"),
        3,
        "a failed origin is left alone for a while"
    );
}

#[tokio::test]
async fn stale_answers_cover_bodies_that_break_off_and_end_with_their_window() {
    const GOOD: &[u8] =
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncache-control: max-age=0, stale-if-error=60\r\n\r\nok";
    const CUT: &[u8] =
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\ncache-control: max-age=0\r\n\r\nok";
    let whole = |path: &str| Ask {
        whole: true,
        ..ask(path)
    };
    for (window_ms, stale) in [(60_000, true), (0, false)] {
        let origin = raw_origin(vec![GOOD, CUT]).await;
        let pair = Pair::new(small_cache(|o| o.stale_if_error_ms = window_ms), &origin);
        pair.get(whole("/p")).await.unwrap();
        until("the first fetch ends", || {
            pair.cache.metrics.fetches_in_flight.get() == 0
        })
        .await;
        let second = pair.get(whole("/p")).await;
        assert_eq!(second.is_ok_and(|a| a.outcome == Outcome::Stale), stale);
    }
}

/// A list good for a second.
fn list() -> FetchResponse {
    list_for("max-age=1")
}

fn list_for(lifetime: &'static str) -> FetchResponse {
    let lifetime = HeaderValue::from_static(lifetime);
    FetchResponse {
        status: StatusCode::OK,
        headers: HeaderMap::from_iter([(header::CACHE_CONTROL, lifetime)]),
        content_length: Some(0),
        body: Box::new(EmptyBody),
    }
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_vanished_without_a_word_holds_nobody_up() {
    let cache = small_cache(|o| o.stale_if_error_ms = 10_000);
    let whole = || Ask {
        whole: true,
        ..ask("/p")
    };
    cache.get(whole(), || async { Ok(list()) }).await.unwrap();
    until("it is stored", || cache.hit("/p").is_some()).await;
    tokio::time::advance(Duration::from_secs(2)).await;
    let (word, comes) = oneshot::channel();
    let mut comes = Some(comes);
    for _ in 0..4 {
        let answer = cache.get(whole(), || {
            let comes = comes.take();
            async move {
                match comes {
                    Some(comes) => comes.await.map_err(|_| FetchError::Abandoned),
                    None => panic!("asked while the first question is open"),
                }
            }
        });
        let answer = answer.await.unwrap();
        assert_eq!(answer.outcome, Outcome::Stale);
        assert!(answer.stale_ms >= 1_000 && answer.age_ms == answer.stale_ms + 1_000);
    }
    // Its word comes after all, and counts; its lifetime began when it was asked for.
    assert!(word.send(list_for("max-age=60")).is_ok());
    until("the new one is stored", || cache.hit("/p").is_some()).await;
    assert_eq!(cache.hit("/p").unwrap().stale_ms, 0);
}

#[tokio::test(start_paused = true)]
async fn one_request_may_have_a_longer_window_than_others() {
    let cache = small_cache(|o| o.stale_if_error_ms = 1_000);
    let ask = |path| Ask {
        stale_if_error_override_ms: Some(60_000).filter(|_| path == "/long"),
        ..ask(path)
    };
    for path in ["/long", "/short"] {
        cache.get(ask(path), || async { Ok(list()) }).await.unwrap();
        until("it is stored", || cache.hit(path).is_some()).await;
    }
    tokio::time::advance(Duration::from_secs(30)).await;
    let dead = || async { Err(FetchError::Abandoned) };
    let long = cache.get(ask("/long"), dead).await.unwrap();
    assert_eq!(long.outcome, Outcome::Stale);
    assert!(cache.get(ask("/short"), dead).await.is_err());
}
