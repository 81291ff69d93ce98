//! Clauses on leases: who is there, who may say so, and what becomes of streams left behind.

use super::{Fixture, START_MS, claim, end, key, made_by_rest, node, record};
use weir_cluster::lease::{RENEWALS_KEPT, SWEEP_AFTER_MS};
use weir_cluster::{BroadcastStatus, LEASE_MS, Lease, StoreError};

/// Lets `nodes` renew each second until the store's clock has moved on by `for_ms`.
async fn renewing(f: &Fixture, nodes: &[&str], for_ms: i64) {
    let mut left_ms = for_ms;
    loop {
        for node in nodes {
            f.store.renew_lease(node).await.unwrap();
        }
        if left_ms == 0 {
            return;
        }
        let step_ms = left_ms.min(1_000);
        f.clock.advance(step_ms);
        left_ms -= step_ms;
    }
}

async fn is_owned(f: &Fixture, by: &str, asked_by: &str, now_ms: i64) {
    match f.store.claim(claim("s", asked_by, now_ms)).await {
        Err(StoreError::Owned { node_id, .. }) => assert_eq!(node_id, by),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn a_lease_is_renewed_by_the_stores_clock(f: &Fixture) {
    let none = f.store.leases().await.unwrap();
    assert_eq!((none.now_ms, none.leases.len()), (START_MS, 0));
    f.store.end_lease("a").await.unwrap();
    assert!(f.store.leases().await.unwrap().leases.is_empty());
    let lease = |since_ms, renewals_ms: &[i64]| Lease {
        node_id: "a".to_owned(),
        since_ms,
        renewed_ms: renewals_ms[0],
        renewals_ms: renewals_ms.to_vec(),
        now_ms: renewals_ms[0],
    };
    let first = f.store.renew_lease("a").await.unwrap();
    assert_eq!(first, lease(START_MS, &[START_MS]));
    f.clock.advance(3_000);
    let second = f.store.renew_lease("a").await.unwrap();
    assert_eq!(second, lease(START_MS, &[START_MS + 3_000, START_MS]));
    f.clock.advance(3_001);
    let late = f.store.renew_lease("a").await.unwrap();
    let times = [START_MS + 6_001, START_MS + 3_000, START_MS];
    assert_eq!(late, lease(START_MS + 6_001, &times));
    f.clock.advance(-10);
    let back = f.store.renew_lease("a").await.unwrap();
    assert_eq!(back, lease(START_MS + 5_991, &[START_MS + 5_991]));
    f.clock.advance(5);
    f.store.renew_lease("b").await.unwrap();
    let all = f.store.leases().await.unwrap();
    assert_eq!((all.now_ms, all.leases.len()), (START_MS + 5_996, 2));
    let a = all.of("a").unwrap();
    assert_eq!((a.renewed_ms, a.now_ms), (START_MS + 5_991, all.now_ms));
    for _ in 0..20 {
        f.clock.advance(1_000);
        f.store.renew_lease("a").await.unwrap();
    }
    let long = f.store.renew_lease("a").await.unwrap();
    assert_eq!(long.renewals_ms.len(), RENEWALS_KEPT);
}

pub(crate) async fn a_lapsed_owners_stream_is_free_to_who_may_judge(f: &Fixture) {
    renewing(f, &["a", "b"], 4_000).await;
    let now_ms = START_MS + 4_000;
    let owned = f.store.claim(claim("s", "a", now_ms)).await.unwrap();
    renewing(f, &["b"], LEASE_MS).await;
    is_owned(f, "a", "b", now_ms + LEASE_MS).await;
    is_owned(f, "a", "no-lease", now_ms + LEASE_MS).await;
    f.clock.advance(1);
    f.store.renew_lease("b").await.unwrap();
    let now_ms = now_ms + LEASE_MS + 1;
    is_owned(f, "a", "no-lease", now_ms).await;
    let taken = f.store.claim(claim("s", "b", now_ms)).await.unwrap();
    assert!(taken.epoch > owned.epoch);
    let report = claim("s", "a", now_ms).broadcast;
    let at = end(1, now_ms);
    let late = f.store.update(&key("s"), owned.epoch, report, at).await;
    assert!(matches!(late, Err(StoreError::Fenced { .. })), "{late:?}");
    // The old owner is back: the stream is not its own any more.
    f.store.renew_lease("a").await.unwrap();
    is_owned(f, "b", "a", now_ms).await;
}

pub(crate) async fn who_was_away_itself_judges_nobody(f: &Fixture) {
    renewing(f, &["a", "b"], 4_000).await;
    let now_ms = START_MS + 4_000;
    f.store.claim(claim("s", "a", now_ms)).await.unwrap();
    // The store is away for a minute: every lease is old.
    f.clock.advance(60_000);
    is_owned(f, "a", "b", now_ms + 60_000).await;
    renewing(f, &["b"], LEASE_MS - 1).await;
    is_owned(f, "a", "b", now_ms + 60_000).await;
    f.store.renew_lease("a").await.unwrap();
    renewing(f, &["b"], LEASE_MS).await;
    is_owned(f, "a", "b", now_ms + 60_000).await;
    renewing(f, &["b"], 1).await;
    let taken = f.store.claim(claim("s", "b", now_ms + 70_000)).await;
    assert_eq!(
        taken.unwrap().node_id,
        "b",
        "three seconds were its to renew in"
    );
}

pub(crate) async fn an_owner_that_gave_its_lease_up_is_gone_at_once(f: &Fixture) {
    renewing(f, &["a", "b"], 4_000).await;
    let now_ms = START_MS + 4_000;
    f.store.claim(claim("s", "a", now_ms)).await.unwrap();
    f.store.end_lease("a").await.unwrap();
    let taken = f.store.claim(claim("s", "b", now_ms)).await.unwrap();
    assert_eq!(taken.node_id, "b");
}

pub(crate) async fn a_node_gone_for_good_is_swept(f: &Fixture) {
    renewing(f, &["gone", "b"], 2_000).await;
    let now_ms = START_MS + 2_000;
    f.store.claim(claim("zombi", "gone", now_ms)).await.unwrap();
    let rest = made_by_rest(claim("rest", "gone", now_ms));
    let owned = f.store.claim(rest).await.unwrap();
    f.store.claim(claim("living", "b", now_ms)).await.unwrap();
    renewing(f, &["b"], LEASE_MS + SWEEP_AFTER_MS).await;
    assert_eq!(f.store.sweep("b").await.unwrap(), 0, "not yet");
    // A sweep is due once in a while only, in the whole cluster.
    renewing(f, &["b", "c"], 20_000).await;
    assert_eq!(f.store.sweep("b").await.unwrap(), 2);
    assert_eq!(f.store.sweep("c").await.unwrap(), 0);
    assert_eq!(f.store.broadcast(&key("zombi")).await.unwrap(), None);
    let left = record(&*f.store, "rest").await;
    let ended = BroadcastStatus::TerminatedUnexpectedly;
    assert_eq!((left.status, left.owner), (ended, None));
    assert_eq!(left.update_time, now_ms, "its last sign of life");
    assert!(record(&*f.store, "living").await.owner.is_some());
    let report = claim("rest", "gone", now_ms).broadcast;
    let at = end(1, now_ms);
    let late = f.store.update(&key("rest"), owned.epoch, report, at).await;
    assert!(matches!(late, Err(StoreError::NotHeld { .. })), "{late:?}");
    // Nobody took it: who went on publishing without the store has it back.
    let back = made_by_rest(claim("rest", "gone", now_ms));
    let back = f.store.adopt(back, owned.epoch, end(30, now_ms)).await;
    assert_eq!(back.unwrap(), owned);
    assert!(record(&*f.store, "rest").await.status.is_live());
}

pub(crate) async fn who_may_not_judge_sweeps_nothing(f: &Fixture) {
    renewing(f, &["a"], 1_000).await;
    f.store.claim(claim("s", "a", START_MS)).await.unwrap();
    // An older version's stream: it has no lease, and is time's affair alone.
    f.store.claim(claim("older", "x", START_MS)).await.unwrap();
    f.store.heartbeat(node("x", START_MS)).await.unwrap();
    f.clock.advance(60_000);
    assert_eq!(f.store.sweep("no-lease").await.unwrap(), 0);
    renewing(f, &["b"], SWEEP_AFTER_MS - 1).await;
    assert_eq!(f.store.sweep("b").await.unwrap(), 0);
    assert!(record(&*f.store, "s").await.owner.is_some());
    renewing(f, &["b"], 20_000).await;
    assert_eq!(f.store.sweep("b").await.unwrap(), 1);
    assert!(record(&*f.store, "older").await.owner.is_some());
}
