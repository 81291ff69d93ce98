//! The directory against a source that counts, stalls and fails: hits, sharing, age, staleness.

mod bench;
mod epochs;
mod polled;

use super::*;
use crate::types::{Broadcast, BroadcastStatus};
use bench::{NOW_MS, Source, bench, bench_with, key, live, settle, telling_bench};
use tokio::sync::Notify;

#[tokio::test(start_paused = true)]
async fn a_known_stream_is_asked_once_while_fresh() {
    let bench = bench();
    bench.source.put("s", Some(live("a:1", 5, NOW_MS)));
    for _ in 0..100 {
        let found = bench.locate("s").await.unwrap();
        assert_eq!(
            (&*found.origin_adress, found.epoch, found.stale),
            ("a:1", 5, false)
        );
    }
    assert_eq!(bench.source.queries(), 1);
    assert_eq!((bench.count("miss"), bench.count("hit")), (1, 99));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_who_ask_at_once_cost_one_query() {
    for known in [true, false] {
        let source = Source {
            gate: Some(Notify::new()),
            ..Source::default()
        };
        let bench = bench_with(source, Options::default());
        if known {
            bench.source.put("s", Some(live("a:1", 5, NOW_MS)));
        }
        let tasks: Vec<_> = (0..1_000)
            .map(|_| {
                let directory = bench.directory.clone();
                tokio::spawn(async move { directory.locate(&key("s")).await.unwrap().is_some() })
            })
            .collect();
        settle().await;
        bench.source.gate.as_ref().unwrap().notify_one();
        for task in tasks {
            assert_eq!(task.await.unwrap(), known);
        }
        assert_eq!(bench.source.queries(), 1);
        assert_eq!((bench.count("miss"), bench.count("coalesced")), (1, 999));
    }
}

#[tokio::test(start_paused = true)]
async fn with_the_cache_off_each_asks_but_those_at_once_share() {
    let options = Options {
        cache_enabled: false,
        ..Options::default()
    };
    let bench = bench_with(Source::default(), options);
    bench.source.put("s", Some(live("a:1", 5, NOW_MS)));
    for _ in 0..3 {
        assert!(bench.locate("s").await.is_some());
        assert!(bench.locate("none").await.is_none());
    }
    assert_eq!(bench.source.queries(), 6);
    assert_eq!(bench.count("miss"), 6);
}

#[tokio::test(start_paused = true)]
async fn no_such_stream_is_kept_a_second() {
    let bench = bench();
    for _ in 0..50 {
        assert_eq!(bench.locate("s").await, None);
    }
    assert_eq!(
        (bench.source.queries(), bench.count("negative_hit")),
        (1, 49)
    );
    bench.source.put("s", Some(live("a:1", 5, NOW_MS)));
    assert_eq!(bench.locate("s").await, None);
    bench.wait_ms(1_000).await;
    assert!(bench.locate("s").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn invented_names_are_bounded_and_push_out_no_known_stream() {
    let options = Options {
        negative_max: 100,
        known_max: 100,
        ..Options::default()
    };
    let bench = bench_with(Source::default(), options);
    bench.source.put("s", Some(live("a:1", 5, NOW_MS)));
    bench.locate("s").await.unwrap();
    for i in 0..5_000 {
        assert_eq!(bench.locate(&format!("x{i}")).await, None);
    }
    bench.directory.0.asked.run_pending_tasks().await;
    assert!(bench.directory.0.asked.entry_count() <= 100);
    let before = bench.source.queries();
    bench.locate("s").await.unwrap();
    assert_eq!(bench.source.queries(), before);
}

#[tokio::test(start_paused = true)]
async fn an_ageing_answer_is_served_while_it_is_asked_again() {
    let bench = bench();
    bench.source.put("s", Some(live("a:1", 5, NOW_MS)));
    bench.locate("s").await.unwrap();
    bench.source.put("s", Some(live("b:2", 6, NOW_MS)));
    bench.wait_ms(1_500).await;
    assert_eq!(&*bench.locate("s").await.unwrap().origin_adress, "a:1");
    settle().await;
    assert_eq!(&*bench.locate("s").await.unwrap().origin_adress, "b:2");
    assert_eq!(bench.source.queries(), 2);
    bench.source.put("s", Some(live("c:3", 7, NOW_MS)));
    bench.wait_ms(61_000).await;
    assert_eq!(
        &*bench.locate("s").await.unwrap().origin_adress,
        "c:3",
        "too old to be used unasked"
    );
}

#[tokio::test(start_paused = true)]
async fn with_the_source_away_the_last_known_is_served_and_marked() {
    let bench = bench();
    bench.source.put("s", Some(live("a:1", 5, NOW_MS)));
    bench.locate("s").await.unwrap();
    bench.source.away.store(true, Ordering::SeqCst);
    bench.wait_ms(120_000).await;
    let found = bench.locate("s").await.unwrap();
    assert!(found.stale);
    assert_eq!(
        found.status,
        BroadcastStatus::Broadcasting,
        "judged as of then"
    );
    assert_eq!(bench.count("stale"), 1);
    let error = bench.directory.locate(&key("new")).await.unwrap_err();
    assert!(
        matches!(error, DirectoryError::Unavailable { .. }),
        "{error}"
    );
    let queries = bench.source.queries();
    for _ in 0..20 {
        bench.directory.locate(&key("new")).await.unwrap_err();
        settle().await;
    }
    assert_eq!(bench.source.queries(), queries, "left alone for a second");
    bench.source.away.store(false, Ordering::SeqCst);
    bench.wait_ms(1_000).await;
    assert_eq!(bench.locate("new").await, None);
    bench.locate("s").await.unwrap();
    settle().await;
    assert!(!bench.locate("s").await.unwrap().stale);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_is_given_up_and_a_known_stream_never_waits_for_it() {
    let source = Source {
        gate: Some(Notify::new()),
        ..Source::default()
    };
    let bench = bench_with(source, Options::default());
    bench.source.put("s", Some(live("a:1", 5, NOW_MS)));
    bench.source.gate.as_ref().unwrap().notify_one();
    bench.locate("s").await.unwrap();
    bench.wait_ms(10_000).await;
    let before = Instant::now();
    bench.locate("s").await.unwrap();
    assert_eq!(
        before.elapsed(),
        Duration::ZERO,
        "tokio's clock stood still"
    );
    let error = bench.directory.locate(&key("new")).await.unwrap_err();
    assert!(error.to_string().contains("too long"), "{error}");
    assert_eq!(before.elapsed(), Duration::from_secs(2));
    bench.wait_ms(120_000).await;
    let before = Instant::now();
    assert!(bench.locate("s").await.unwrap().stale);
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn told_changes_are_seen_at_once_and_cost_no_query() {
    let bench = telling_bench().await;
    assert_eq!(bench.locate("s").await, None);
    bench.source.put("s", Some(live("a:1", 5, NOW_MS)));
    settle().await;
    assert_eq!(
        &*bench.locate("s").await.unwrap().origin_adress,
        "a:1",
        "no second's wait"
    );
    for round in 1..200 {
        bench.wait_ms(5_000).await;
        let origin = format!("b:{round}");
        let now_ms = NOW_MS + 5_000 * round;
        bench
            .source
            .put("s", Some(live(&origin, round.unsigned_abs() + 5, now_ms)));
        settle().await;
        let found = bench.locate("s").await.unwrap();
        assert_eq!(*found.origin_adress, *origin);
        assert_eq!(found.status, BroadcastStatus::Broadcasting);
    }
    assert_eq!(bench.source.queries(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_nothing_was_heard_of_is_as_it_was_until_it_is_asked_about() {
    let bench = telling_bench().await;
    bench.source.put("s", Some(live("a:1", 5, NOW_MS)));
    settle().await;
    // An hour of reports that say nothing but figures: none is told.
    bench.wait_ms(3_600_000).await;
    let found = bench.locate("s").await.unwrap();
    assert_eq!(found.status, BroadcastStatus::Broadcasting);
    assert!(!found.stale);
    assert_eq!(bench.source.queries(), 0);
    // Its owner is gone: who cannot fetch from it asks, and the time stamp tells.
    let found = bench.directory.refresh(&key("s")).await.unwrap().unwrap();
    assert_eq!(found.status, BroadcastStatus::TerminatedUnexpectedly);
    assert_eq!(&*found.origin_adress, "a:1");
}

#[tokio::test(start_paused = true)]
async fn an_ended_stream_is_still_located_for_a_minute() {
    for telling in [true, false] {
        let bench = if telling {
            telling_bench().await
        } else {
            bench()
        };
        bench.source.put("s", Some(live("a:1", 5, NOW_MS)));
        settle().await;
        bench.locate("s").await.unwrap();
        bench.source.put("s", None);
        bench.wait_ms(2_000).await;
        bench.locate("s").await.unwrap();
        settle().await;
        let found = bench.locate("s").await.unwrap();
        assert_eq!(
            found.status,
            BroadcastStatus::Finished,
            "telling: {telling}"
        );
        assert_eq!(&*found.origin_adress, "a:1");
        bench.wait_ms(62_000).await;
        assert_eq!(bench.locate("s").await, None, "telling: {telling}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_without_an_owner_is_nowhere_after_a_minute() {
    let bench = bench();
    let record = |status, update_time| Broadcast {
        status,
        update_time,
        owner: None,
        ..live("a:1", 1, 0)
    };
    let finished = BroadcastStatus::Finished;
    bench
        .source
        .put("just", Some(record(finished, NOW_MS - 59_000)));
    bench
        .source
        .put("long", Some(record(finished, NOW_MS - 61_000)));
    bench.source.put("created", Some(Broadcast::default()));
    bench.source.put(
        "foreign",
        Some(record(BroadcastStatus::Broadcasting, NOW_MS)),
    );
    assert!(bench.locate("just").await.is_some());
    assert_eq!(bench.locate("long").await, None);
    assert_eq!(bench.locate("created").await, None);
    assert_eq!(
        bench.locate("foreign").await.unwrap().epoch,
        0,
        "a source that names no owner"
    );
}

#[tokio::test(start_paused = true)]
async fn missed_changes_make_everything_asked_again() {
    let bench = telling_bench().await;
    for i in 0..40 {
        // No chance to listen in between: 16 fit.
        let id = format!("s{i}");
        bench.source.put(&id, Some(live("a:1", 5, NOW_MS)));
    }
    settle().await;
    assert!(bench.locate("s0").await.is_some(), "missed, so asked");
    assert_eq!(bench.source.queries(), 1);
    bench.wait_ms(1_500).await;
    bench.locate("s39").await.unwrap();
    settle().await;
    assert_eq!(bench.source.queries(), 1, "told after the gap");
}

#[tokio::test(start_paused = true)]
async fn a_change_during_the_query_is_not_lost() {
    let source = Source {
        gate: Some(Notify::new()),
        ..Source::telling()
    };
    let bench = bench_with(source, Options::default());
    settle().await;
    let directory = bench.directory.clone();
    let asking = tokio::spawn(async move { directory.locate(&key("s")).await });
    settle().await;
    bench.source.put("s", Some(live("a:1", 5, NOW_MS)));
    bench.source.put("s", Some(live("b:2", 6, NOW_MS)));
    settle().await;
    // What was read is older than what was told, as from a replica that lags.
    bench
        .source
        .records
        .lock()
        .unwrap()
        .insert(key("s"), live("a:1", 5, NOW_MS));
    bench.source.gate.as_ref().unwrap().notify_one();
    asking.await.unwrap().unwrap().unwrap();
    bench
        .source
        .records
        .lock()
        .unwrap()
        .insert(key("s"), live("b:2", 6, NOW_MS));
    bench.source.gate.as_ref().unwrap().notify_one();
    bench.wait_ms(1_100).await;
    bench.locate("s").await.unwrap();
    settle().await;
    assert_eq!(bench.locate("s").await.unwrap().epoch, 6);
}
