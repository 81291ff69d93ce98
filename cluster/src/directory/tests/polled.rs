//! A source that is asked for many streams at once; refreshing; changes that were lost.

use super::super::*;
use super::bench::{Bench, NOW_MS, Source, bench, bench_with, key, live, settle, telling_bench};
use crate::follow::SILENCE_MAX;
use crate::types::BroadcastStatus;
use tokio::sync::{Notify, broadcast};

const STREAMS: usize = 300;

/// A second as it goes by: timers that start each other do so on time.
async fn a_second(bench: &Bench) {
    settle().await;
    for _ in 0..10 {
        bench.wait_ms(100).await;
    }
}

fn name(i: usize) -> String {
    format!("s{i}")
}

#[tokio::test(start_paused = true)]
async fn known_streams_cost_one_query_a_period_and_none_when_nobody_wants_them() {
    let bench = bench_with(Source::asked_together(), Options::default());
    for i in 0..STREAMS {
        bench.source.put(&name(i), Some(live("a:1", 5, NOW_MS)));
        assert!(bench.locate(&name(i)).await.is_some());
    }
    assert_eq!(bench.source.queries(), STREAMS as u64);
    for second in 1..=60_u64 {
        let moved = live("b:2", 5 + second, NOW_MS);
        bench.source.put("s7", Some(moved));
        a_second(&bench).await;
        for i in 0..STREAMS {
            assert!(!bench.locate(&name(i)).await.unwrap().stale);
        }
        assert_eq!(bench.locate("s7").await.unwrap().epoch, 5 + second);
    }
    assert_eq!(bench.source.queries(), STREAMS as u64, "none by itself");
    let (queries, streams) = bench.source.queries_together();
    assert!((59..=61).contains(&queries), "{queries}");
    assert_eq!(streams, STREAMS);
    for _ in 0..40 {
        a_second(&bench).await;
    }
    let (before, _) = bench.source.queries_together();
    for _ in 0..10 {
        a_second(&bench).await;
    }
    assert_eq!(
        bench.source.queries_together().0,
        before,
        "nobody wants them"
    );
}

#[tokio::test(start_paused = true)]
async fn a_period_of_nothing_is_not_asking_without_a_pause() {
    let options = Options {
        ttl: Duration::ZERO,
        ..Options::default()
    };
    let bench = bench_with(Source::asked_together(), options);
    bench.source.put("s", Some(live("a:1", 5, NOW_MS)));
    assert!(bench.locate("s").await.is_some());
    for _ in 0..10 {
        a_second(&bench).await;
        assert!(bench.locate("s").await.is_some());
    }
    let (queries, _) = bench.source.queries_together();
    assert!((90..=101).contains(&queries), "ten a second: {queries}");
}

#[tokio::test(start_paused = true)]
async fn a_polled_stream_that_goes_has_ended_and_one_that_comes_is_found_in_a_second() {
    let bench = bench_with(Source::asked_together(), Options::default());
    bench.source.put("s", Some(live("a:1", 5, NOW_MS)));
    bench.locate("s").await.unwrap();
    assert_eq!(bench.locate("new").await, None);
    bench.source.put("s", None);
    bench.source.put("new", Some(live("a:1", 6, NOW_MS)));
    a_second(&bench).await;
    bench.wait_ms(100).await;
    let ended = bench.locate("s").await.unwrap();
    assert_eq!(ended.status, BroadcastStatus::Finished);
    assert_eq!(bench.locate("new").await.unwrap().epoch, 6);
}

#[tokio::test(start_paused = true)]
async fn a_polled_source_that_is_away_is_tried_once_a_second_and_answers_are_marked() {
    let bench = bench_with(Source::asked_together(), Options::default());
    for i in 0..STREAMS {
        bench.source.put(&name(i), Some(live("a:1", 5, NOW_MS)));
        bench.locate(&name(i)).await.unwrap();
    }
    bench.wait_ms(1_100).await;
    bench.source.away.store(true, Ordering::SeqCst);
    let before = (bench.source.queries(), bench.source.queries_together().0);
    for _ in 0..20 {
        bench.wait_ms(1_000).await;
        for i in 0..STREAMS {
            bench.locate(&name(i)).await.unwrap();
        }
    }
    assert!(bench.locate("s1").await.unwrap().stale);
    assert_eq!(bench.source.queries(), before.0);
    assert!(bench.source.queries_together().0 - before.1 <= 21);
    bench.source.away.store(false, Ordering::SeqCst);
    bench.wait_ms(1_000).await;
    settle().await;
    assert!(!bench.locate("s1").await.unwrap().stale);
}

#[tokio::test(start_paused = true)]
async fn away_is_found_out_by_one_query_at_a_time() {
    let bench = bench();
    for i in 0..STREAMS {
        bench.source.put(&name(i), Some(live("a:1", 5, NOW_MS)));
        bench.locate(&name(i)).await.unwrap();
    }
    bench.source.away.store(true, Ordering::SeqCst);
    bench.wait_ms(1_100).await;
    bench.locate("s0").await.unwrap();
    settle().await;
    let before = bench.source.queries();
    for _ in 0..10 {
        bench.wait_ms(1_000).await;
        for i in 0..STREAMS {
            assert!(bench.locate(&name(i)).await.unwrap().stale);
        }
        settle().await;
    }
    let queries = bench.source.queries() - before;
    assert!((5..=20).contains(&queries), "{queries}");
}

#[tokio::test(start_paused = true)]
async fn refreshing_asks_once_a_second_for_all_who_failed() {
    let source = Source {
        gate: Some(Notify::new()),
        ..Source::telling()
    };
    let bench = bench_with(source, Options::default());
    settle().await;
    bench.source.put("s", Some(live("a:1", 5, NOW_MS)));
    settle().await;
    bench.locate("s").await.unwrap();
    // It moved, and the change was not told.
    let moved = live("b:2", 6, NOW_MS);
    bench.source.records.lock().unwrap().insert(key("s"), moved);
    let tasks: Vec<_> = (0..500)
        .map(|_| {
            let directory = bench.directory.clone();
            tokio::spawn(async move { directory.refresh(&key("s")).await.unwrap().unwrap() })
        })
        .collect();
    settle().await;
    bench.source.gate.as_ref().unwrap().notify_one();
    for task in tasks {
        assert_eq!(&*task.await.unwrap().origin_adress, "b:2");
    }
    for _ in 0..100 {
        bench.directory.refresh(&key("s")).await.unwrap();
    }
    assert_eq!(bench.source.queries(), 1);
    assert_eq!(&*bench.locate("s").await.unwrap().origin_adress, "b:2");
    bench.wait_ms(1_001).await;
    bench.source.gate.as_ref().unwrap().notify_one();
    bench.directory.refresh(&key("s")).await.unwrap();
    assert_eq!(bench.source.queries(), 2);
}

#[tokio::test(start_paused = true)]
async fn with_the_cache_off_ended_streams_and_a_source_away_are_remembered_all_the_same() {
    let options = Options {
        cache_enabled: false,
        ..Options::default()
    };
    let bench = bench_with(Source::default(), options);
    bench.source.put("s", Some(live("a:1", 5, NOW_MS)));
    bench.locate("s").await.unwrap();
    bench.source.away.store(true, Ordering::SeqCst);
    assert!(bench.locate("s").await.unwrap().stale);
    bench.source.away.store(false, Ordering::SeqCst);
    bench.wait_ms(1_001).await;
    bench.source.put("s", None);
    let ended = bench.locate("s").await.unwrap();
    assert_eq!(ended.status, BroadcastStatus::Finished);
    bench.wait_ms(61_000).await;
    assert_eq!(bench.locate("s").await, None);
}

#[tokio::test(start_paused = true)]
async fn what_was_lost_is_asked_for_in_one_query() {
    let source = Source {
        together: Some(Mutex::default()),
        ..Source::telling()
    };
    let bench = bench_with(source, Options::default());
    settle().await;
    for i in 0..10 {
        bench.source.put(&name(i), Some(live("a:1", 5, NOW_MS)));
        settle().await;
        bench.locate(&name(i)).await.unwrap();
    }
    // The source loses its place; a stream moves before it tells again.
    *bench.source.changes.lock().unwrap() = None;
    bench.source.put("s3", Some(live("b:2", 6, NOW_MS)));
    *bench.source.changes.lock().unwrap() = Some(broadcast::channel(16).0);
    bench.wait_ms(200).await;
    bench.wait_ms(200).await;
    settle().await;
    assert_eq!(&*bench.locate("s3").await.unwrap().origin_adress, "b:2");
    assert_eq!(bench.source.queries(), 0);
    assert_eq!(bench.source.queries_together().1, 10);
    let before = bench.source.queries_together().0;
    bench.wait_ms(120_000).await;
    bench.locate("s3").await.unwrap();
    assert_eq!(bench.source.queries_together().0, before, "told again");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_falls_silent_is_asked_until_it_speaks() {
    let source = Source {
        together: Some(Mutex::default()),
        ..Source::telling()
    };
    let bench = bench_with(source, Options::default());
    settle().await;
    bench.source.put("s", Some(live("a:1", 5, NOW_MS)));
    settle().await;
    *bench.source.silence.lock().unwrap() = SILENCE_MAX + Duration::from_secs(1);
    let moved = live("b:2", 6, NOW_MS);
    bench.source.records.lock().unwrap().insert(key("s"), moved);
    bench.wait_ms(1_100).await;
    settle().await;
    assert_eq!(&*bench.locate("s").await.unwrap().origin_adress, "b:2");
    // And with the database away as well, the answer is marked.
    bench.source.away.store(true, Ordering::SeqCst);
    for _ in 0..5 {
        bench.wait_ms(1_000).await;
    }
    assert!(bench.locate("s").await.unwrap().stale);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_told_of_undoes_no_such_stream() {
    let bench = telling_bench().await;
    assert_eq!(bench.locate("s").await, None);
    bench.source.put("s", Some(live("a:1", 5, NOW_MS)));
    settle().await;
    assert_eq!(bench.locate("s").await.unwrap().epoch, 5);
    assert_eq!(bench.source.queries(), 1);
}
