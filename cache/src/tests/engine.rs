//! Collapsing, streaming while filling, errors to everybody, bounds.

use super::origin::{DEADLINE, Origin, Pair, ask, raw_origin, read, small_cache, until};
use crate::Ask;
use crate::{FetchError, Outcome};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::Barrier;
use tokio::time::timeout;

#[tokio::test]
async fn a_hit_shares_the_stored_bytes() {
    let origin = Origin::start().await;
    origin.set("/a", 200, "max-age=60", b"hello");
    let pair = Pair::new(small_cache(|_| ()), &origin.address);
    assert!(pair.cache.hit("/a").is_none());
    let first = pair.get(ask("/a")).await.unwrap();
    assert_eq!(first.outcome, Outcome::Miss);
    assert_eq!(read(&first).await.unwrap(), b"hello");
    until("the object is stored", || pair.cache.hit("/a").is_some()).await;
    let one = pair.cache.hit("/a").unwrap();
    let two = pair.cache.hit("/a").unwrap();
    let (one, two) = (one.object.whole().unwrap(), two.object.whole().unwrap());
    assert_eq!(one.as_ptr(), two.as_ptr());
    assert_eq!(origin.asked("/a"), 1);
}

#[tokio::test]
async fn two_hundred_cold_readers_make_one_fetch_and_stream_before_it_ends() {
    const READERS: usize = 200;
    let origin = Origin::start().await;
    let pieces = origin.steer("/seg", Some(10));
    let pair = Pair::new(small_cache(|_| ()), &origin.address);
    let all_saw_first = Arc::new(Barrier::new(READERS + 1));
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let (pair, barrier) = (pair.clone(), Arc::clone(&all_saw_first));
            tokio::spawn(async move {
                let answer = pair.get(ask("/seg")).await.unwrap();
                let mut reader = answer.reader(0, None);
                let first = reader.next().await.unwrap().unwrap();
                assert!(answer.object.whole().is_none(), "seen while it fills");
                barrier.wait().await;
                let second = reader.next().await.unwrap().unwrap();
                assert_eq!(reader.next().await.unwrap(), None);
                (first, second, answer.outcome)
            })
        })
        .collect();
    pieces.send(Bytes::from_static(b"01234")).await.unwrap();
    // The second half is sent only after every reader has the first.
    timeout(DEADLINE, all_saw_first.wait()).await.unwrap();
    pieces.send(Bytes::from_static(b"56789")).await.unwrap();
    drop(pieces);
    let mut misses = 0;
    for reader in readers {
        let (first, second, outcome) = timeout(DEADLINE, reader).await.unwrap().unwrap();
        assert_eq!((&first[..], &second[..]), (&b"01234"[..], &b"56789"[..]));
        misses += usize::from(outcome == Outcome::Miss);
    }
    assert_eq!((misses, origin.asked("/seg")), (1, 1));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_to_all_and_the_next_request_asks_again() {
    const CUT_LENGTH: &[u8] =
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\ncache-control: max-age=60\r\n\r\n12345";
    const CUT_CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncache-control: max-age=60\r\n\r\n5\r\n12345\r\n";
    const GOOD: &[u8] =
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\ncache-control: max-age=60\r\n\r\n1234567890";
    let origin = raw_origin(vec![CUT_LENGTH, CUT_CHUNKED, GOOD]).await;
    let pair = Pair::new(small_cache(|_| ()), &origin);
    for _ in 0..2 {
        let asks: Vec<_> = (0..20)
            .map(|_| {
                let pair = pair.clone();
                async move {
                    let answer = pair.get(ask("/x")).await?;
                    read(&answer).await
                }
            })
            .collect();
        for result in futures::future::join_all(asks).await {
            assert!(
                matches!(result, Err(FetchError::BodyBroken { .. })),
                "{result:?}"
            );
        }
        assert!(pair.cache.hit("/x").is_none(), "nothing cut is stored");
    }
    let answer = pair.get(ask("/x")).await.unwrap();
    assert_eq!(read(&answer).await.unwrap(), b"1234567890");
}

#[tokio::test]
async fn a_fetch_outlives_its_starter_while_others_wait() {
    let origin = Origin::start().await;
    let pieces = origin.steer("/seg", None);
    let pair = Pair::new(small_cache(|_| ()), &origin.address);
    let starter = tokio::spawn({
        let pair = pair.clone();
        async move { pair.get(ask("/seg")).await }
    });
    until("the origin is asked", || origin.asked("/seg") == 1).await;
    let other = tokio::spawn({
        let pair = pair.clone();
        async move { read(&pair.get(ask("/seg")).await.unwrap()).await }
    });
    pieces.send(Bytes::from_static(b"one ")).await.unwrap();
    let started = starter.await.unwrap().unwrap();
    drop(started);
    pieces.send(Bytes::from_static(b"two")).await.unwrap();
    drop(pieces);
    assert_eq!(
        timeout(DEADLINE, other).await.unwrap().unwrap().unwrap(),
        b"one two"
    );
    assert_eq!(origin.asked("/seg"), 1);
}

#[tokio::test]
async fn nobody_watching_a_fetch_of_unknown_length_ends_it() {
    let origin = Origin::start().await;
    let pieces = origin.steer("/seg", None);
    let pair = Pair::new(small_cache(|_| ()), &origin.address);
    pieces.send(Bytes::from_static(b"x")).await.unwrap();
    drop(pair.get(ask("/seg")).await.unwrap());
    // The origin sees its connection closed: the channel's reader goes away.
    let closed = timeout(DEADLINE, async {
        while pieces.send(Bytes::from_static(b"x")).await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    assert!(closed.await.is_ok(), "the fetch was not given up");
    until("nothing is in flight", || {
        pair.cache.metrics.fetches_in_flight.get() == 0
    })
    .await;
}

#[tokio::test]
async fn a_small_announced_object_is_finished_for_the_next_viewer() {
    let origin = Origin::start().await;
    let pieces = origin.steer("/seg", Some(4));
    let pair = Pair::new(small_cache(|_| ()), &origin.address);
    pieces.send(Bytes::from_static(b"ab")).await.unwrap();
    drop(pair.get(ask("/seg")).await.unwrap());
    pieces.send(Bytes::from_static(b"cd")).await.unwrap();
    until("it is stored", || pair.cache.hit("/seg").is_some()).await;
}

#[tokio::test]
async fn too_large_is_an_error_announced_or_not() {
    let origin = Origin::start().await;
    let pair = Pair::new(small_cache(|o| o.object_bytes_max = 8), &origin.address);
    origin.set("/announced", 200, "max-age=60", b"123456789");
    let refused = pair.get(ask("/announced")).await.unwrap_err();
    assert_eq!(refused, FetchError::TooLarge { limit_bytes: 8 });
    let pieces = origin.steer("/chunked", None);
    pieces.send(Bytes::from_static(b"12345")).await.unwrap();
    let answer = pair.get(ask("/chunked")).await.unwrap();
    pieces.send(Bytes::from_static(b"6789")).await.unwrap();
    let cut = read(&answer).await.unwrap_err();
    assert_eq!(cut, FetchError::TooLarge { limit_bytes: 8 });
}

#[tokio::test]
async fn the_store_stays_within_its_bytes_and_keeps_the_newest() {
    let origin = Origin::start().await;
    let pair = Pair::new(
        small_cache(|o| o.store_bytes_max = 64 << 10),
        &origin.address,
    );
    for n in 0..40 {
        let path = format!("/s{n}");
        origin.set(&path, 200, "max-age=60", &[7; 7 << 10]);
        read(&pair.get(ask(&path)).await.unwrap()).await.unwrap();
        until("it is stored", || pair.cache.hit(&path).is_some()).await;
        assert!(pair.cache.store.weight_bytes() <= 64 << 10);
    }
    assert!(pair.cache.hit("/s0").is_none(), "the oldest had to go");
    let metrics = &pair.cache.metrics;
    assert_eq!(metrics.objects.get(), 8);
    assert_eq!(metrics.stored_bytes.get(), 64 << 10);
    assert_eq!(metrics.evictions.get(), 32);
    assert!(pair.cache.purge("/s39") && !pair.cache.purge("/s39"));
    assert_eq!(metrics.objects.get(), 7);
}

#[tokio::test]
async fn not_found_is_remembered_as_negative() {
    let origin = Origin::start().await;
    let pair = Pair::new(small_cache(|o| o.negative_ttl_ms = 60_000), &origin.address);
    let first = pair.get(ask("/none")).await.unwrap();
    assert_eq!(
        (first.outcome, first.object.head().status.as_u16()),
        (Outcome::Miss, 404)
    );
    until("it is stored", || pair.cache.hit("/none").is_some()).await;
    assert_eq!(pair.cache.hit("/none").unwrap().outcome, Outcome::Negative);
    assert_eq!(origin.asked("/none"), 1);
    // Who asked wants it remembered for less.
    for asked in [1, 2] {
        let impatient = Ask {
            negative_ttl_override_ms: Some(0),
            ..ask("/not-yet")
        };
        assert_eq!(pair.get(impatient).await.unwrap().outcome, Outcome::Miss);
        assert_eq!(origin.asked("/not-yet"), asked);
    }
}

#[tokio::test]
async fn a_private_answer_is_not_shared_and_a_server_error_is() {
    let origin = Origin::start().await;
    let pair = Pair::new(small_cache(|_| ()), &origin.address);
    origin.set("/private", 200, "private", b"mine");
    origin.set("/broken", 500, "", b"oops");
    for (path, least) in [("/private", 10), ("/broken", 1)] {
        let asks = (0..10).map(|_| pair.get(ask(path)));
        for answer in futures::future::join_all(asks).await {
            read(&answer.unwrap()).await.unwrap();
        }
        assert!(origin.asked(path) >= least && pair.cache.hit(path).is_none());
    }
}

#[tokio::test]
async fn switched_off_every_request_goes_to_the_origin() {
    let origin = Origin::start().await;
    origin.set("/a", 200, "max-age=60", b"hello");
    let pair = Pair::new(small_cache(|o| o.enabled = false), &origin.address);
    for asked in 1..4 {
        let answer = pair.get(ask("/a")).await.unwrap();
        assert_eq!(answer.outcome, Outcome::Bypass);
        assert_eq!(read(&answer).await.unwrap(), b"hello");
        assert_eq!(origin.asked("/a"), asked);
    }
    assert!(pair.cache.hit("/a").is_none());
}

#[tokio::test]
async fn over_the_limits_the_answer_is_busy_at_once() {
    let origin = Origin::start().await;
    let _held = origin.steer("/held", None);
    let pair = Pair::new(small_cache(|o| o.fetches_max = 1), &origin.address);
    let holder = tokio::spawn({
        let pair = pair.clone();
        async move { pair.get(ask("/held")).await }
    });
    until("the origin is asked", || origin.asked("/held") == 1).await;
    let refused = pair.get(ask("/other")).await.unwrap_err();
    assert!(matches!(
        refused,
        FetchError::Busy {
            what: "fetches",
            ..
        }
    ));
    let no_waiters = Pair::new(small_cache(|o| o.waiters_max = 0), &origin.address);
    let refused = no_waiters.get(ask("/other")).await.unwrap_err();
    assert!(matches!(
        refused,
        FetchError::Busy {
            what: "waiting requests",
            ..
        }
    ));
    holder.abort();
}

#[tokio::test]
async fn a_range_waits_for_its_bytes_only() {
    let origin = Origin::start().await;
    let pieces = origin.steer("/seg", Some(10));
    let pair = Pair::new(small_cache(|_| ()), &origin.address);
    pieces.send(Bytes::from_static(b"012345")).await.unwrap();
    let answer = pair.get(ask("/seg")).await.unwrap();
    let mut reader = answer.reader(2, Some(5));
    let mut got = Vec::new();
    while let Some(piece) = timeout(DEADLINE, reader.next()).await.unwrap().unwrap() {
        got.extend_from_slice(&piece);
    }
    assert_eq!(got, b"234", "without the last four bytes having come");
    pieces.send(Bytes::from_static(b"6789")).await.unwrap();
    assert_eq!(
        &answer.object.wait_whole().await.unwrap()[..],
        b"0123456789"
    );
}

#[tokio::test]
async fn answers_that_say_no_leave_the_store_when_their_time_is_over() {
    let origin = Origin::start().await;
    origin.set("/kept", 200, "max-age=3600", b"segment");
    let pair = Pair::new(small_cache(|o| o.negative_ttl_ms = 20), &origin.address);
    pair.get(ask("/kept")).await.unwrap();
    for n in 0..50 {
        let path = format!("/made-up/{n}");
        origin.set(&path, 404, "max-age=1", b"");
        pair.get(ask(&path)).await.unwrap();
    }
    until("only what is good for something is kept", || {
        // Forgetting what is not there clears up, as the next insert would.
        pair.cache.purge("/none");
        pair.cache.metrics.objects.get() == 1 && pair.cache.metrics.stored_bytes.get() < 2048
    })
    .await;
    assert!(pair.cache.hit("/kept").is_some());
}
