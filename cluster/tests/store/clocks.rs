//! Time as the server tells it: nodes whose own clocks are a minute off, and what the store costs.

use crate::contract::{claim, end, key, node};
use crate::servers::ReplicaSet;
use mongodb::bson::{Bson, Document, doc};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use weir_cluster::ownership::CRASH_SEQUENCE_MARGIN;
use weir_cluster::{
    Broadcast, MongoStore, Ownership, RENEW_PERIOD, Store, StoreClock, StoreError, SystemClock,
    WallClock,
};

/// The machine's clock, some ms off.
#[derive(Debug)]
struct Skewed(i64);

impl WallClock for Skewed {
    fn now_ms(&self) -> i64 {
        SystemClock.now_ms() + self.0
    }
}

/// A node that renews its lease until it is killed.
struct Node {
    id: &'static str,
    store: Arc<MongoStore>,
    clock: StoreClock,
    renewals: JoinHandle<()>,
}

impl Node {
    async fn start(set: &ReplicaSet, id: &'static str, skew_ms: i64) -> Self {
        let store = Arc::new(MongoStore::connect(set.options()).await.unwrap());
        let clock = StoreClock::new(Arc::new(Skewed(skew_ms)));
        clock.renew(&*store, id).await.unwrap();
        let renewals = tokio::spawn({
            let (store, clock) = (Arc::clone(&store), clock.clone());
            async move {
                loop {
                    let _ = clock.renew(&*store, id).await;
                    sleep(RENEW_PERIOD).await;
                }
            }
        });
        Self {
            id,
            store,
            clock,
            renewals,
        }
    }

    async fn claim(&self) -> Result<Ownership, StoreError> {
        let claim = claim("s", self.id, self.clock.now_ms());
        self.store.claim(claim).await
    }

    async fn claimed(&self) -> Ownership {
        let claimed = timeout(Duration::from_secs(60), async {
            loop {
                match self.claim().await {
                    Ok(owned) => return owned,
                    Err(StoreError::Owned { .. }) => sleep(Duration::from_millis(50)).await,
                    Err(error) => panic!("{error}"),
                }
            }
        });
        claimed.await.expect("free in the end")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_whose_clock_is_a_minute_off_changes_nothing() {
    let Some(set) = ReplicaSet::start(1).await else {
        return;
    };
    for skew_ms in [-60_000, 60_000] {
        let owner = Node::start(&set, "owner", skew_ms).await;
        let rival = Node::start(&set, "rival", -skew_ms).await;
        let learned = (owner.clock.now_ms() - SystemClock.now_ms()).abs();
        assert!(learned < 5_000, "the store's time, not its own: {learned}");
        let owned = owner.claimed().await;
        owner
            .store
            .heartbeat(node("owner", owner.clock.now_ms()))
            .await
            .unwrap();
        // Long enough for the rival to judge: it sees the owner there.
        sleep(Duration::from_secs(5)).await;
        let refused = rival.claim().await;
        assert!(
            matches!(refused, Err(StoreError::Owned { .. })),
            "{refused:?}"
        );
        let report = claim("s", "owner", 0).broadcast;
        let written = owned.first_sequence_number + 40;
        let at = end(written, owner.clock.now_ms());
        owner
            .store
            .update(&key("s"), owned.epoch, report, at)
            .await
            .unwrap();
        is_dated_by_the_server(&rival).await;

        // Killed: the lease lapses by the server's clock, and numbers go on as if clocks agreed.
        owner.renewals.abort();
        let killed = tokio::time::Instant::now();
        let taken = rival.claimed().await;
        println!(
            "skew {skew_ms} ms: free {:?} after the kill",
            killed.elapsed()
        );
        assert!(taken.epoch > owned.epoch);
        let skipped = taken.first_sequence_number - written - CRASH_SEQUENCE_MARGIN;
        assert!(
            (1..20).contains(&skipped),
            "{skipped} segments of 2 s since"
        );
        let gone = rival.store.leases().await.unwrap();
        let owners = gone.of("owner").unwrap();
        assert!(owners.lapsed_at(gone.now_ms), "{owners:?}");
        rival.renewals.abort();
        let done = end(taken.first_sequence_number, rival.clock.now_ms());
        rival
            .store
            .release(&key("s"), taken.epoch, done)
            .await
            .unwrap();
    }
}

async fn is_dated_by_the_server(reader: &Node) {
    let now_ms = SystemClock.now_ms();
    let record = reader.store.broadcast(&key("s")).await.unwrap().unwrap();
    assert!((record.update_time - now_ms).abs() < 20_000, "{record:?}");
    assert!(record.status_at(reader.clock.now_ms()).is_live());
    let nodes = reader.store.nodes(0, 9).await.unwrap();
    assert!((nodes[0].last_update_time - now_ms).abs() < 20_000);
    assert!(nodes[0].alive_at(reader.clock.now_ms()));
}

/// A clock that is three seconds on whenever it is asked.
#[derive(Debug)]
struct Leaping(std::sync::atomic::AtomicI64);

impl WallClock for Leaping {
    fn now_ms(&self) -> i64 {
        self.0.fetch_add(3_000, std::sync::atomic::Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_judgement_that_comes_late_takes_nothing() {
    let Some(set) = ReplicaSet::start(1).await else {
        return;
    };
    let start_ms = SystemClock.now_ms();
    let clock = weir_cluster::ManualClock::at(start_ms);
    let store = MongoStore::connect_with_clock(set.options(), Arc::new(clock.clone()));
    let store = store.await.unwrap();
    store.renew_lease("owner").await.unwrap();
    store.claim(claim("s", "owner", start_ms)).await.unwrap();
    for _ in 0..5 {
        clock.advance(1_000);
        store.renew_lease("rival").await.unwrap();
    }
    // Whoever stands still between its judgement and its write, the owner may be back by then.
    let leaping = Arc::new(Leaping((start_ms + 5_000).into()));
    let slow = MongoStore::connect_with_clock(set.options(), leaping);
    let slow = slow.await.unwrap();
    let late = slow.claim(claim("s", "rival", start_ms)).await;
    assert!(late.is_err(), "{late:?}");
    store.claim(claim("s", "rival", start_ms)).await.unwrap();
}

#[derive(Clone, Copy, Debug)]
struct Counts {
    inserts: i64,
    updates: i64,
    deletes: i64,
    queries: i64,
    commands: i64,
}

async fn counts(set: &ReplicaSet) -> Counts {
    let status = set.admin(0, doc! { "serverStatus": 1 }).await.unwrap();
    let counters = status.get_document("opcounters").unwrap();
    let count = |name| counters.get(name).and_then(Bson::as_i64).unwrap();
    Counts {
        inserts: count("insert"),
        updates: count("update"),
        deletes: count("delete"),
        queries: count("query"),
        commands: count("command"),
    }
}

/// A minute of a node with 20 live streams, as the heartbeat and the owners write it.
#[tokio::test]
async fn a_minute_of_a_node_and_its_streams_costs_what_is_stated() {
    const STREAMS: i64 = 20;
    let Some(set) = ReplicaSet::start(1).await else {
        return;
    };
    let store = MongoStore::connect(set.options()).await.unwrap();
    let mut streams = Vec::new();
    for number in 0..STREAMS {
        let owned = store.claim(claim(&format!("s{number}"), "a", SystemClock.now_ms()));
        streams.push((key(&format!("s{number}")), owned.await.unwrap().epoch));
    }
    store.renew_lease("a").await.unwrap();
    store.heartbeat(node("a", 0)).await.unwrap();
    let before = counts(&set).await;
    for second in 0..60 {
        store.renew_lease("a").await.unwrap();
        if second % 5 == 0 {
            store.heartbeat(node("a", 0)).await.unwrap();
            for (key, epoch) in &streams {
                let at = end(second, SystemClock.now_ms());
                let live = claim("s", "a", 0).broadcast;
                store.update(key, *epoch, live, at).await.unwrap();
            }
        }
        if second % 20 == 0 {
            store.sweep("a").await.unwrap();
        }
    }
    let after = counts(&set).await;
    let updates = after.updates - before.updates;
    let queries = after.queries - before.queries;
    let commands = after.commands - before.commands;
    println!(
        "a minute of one node with {STREAMS} streams: {updates} updates, {queries} queries, \
         {commands} commands (renewals are among them)"
    );
    // A report a stream each 5 s, a record each 5 s; a sweep's turn each 20 s; the server's own.
    let stated = 12 * STREAMS + 12 + 3;
    assert!(
        (stated - 3..=stated + 80).contains(&updates),
        "{before:?} {after:?}"
    );
    assert!((60..120).contains(&commands), "{before:?} {after:?}");
    assert!(queries < 20, "{before:?} {after:?}");
    assert_eq!(after.deletes - before.deletes, 0);
    assert!(after.inserts - before.inserts < 10, "{before:?} {after:?}");
}

#[tokio::test]
async fn a_record_that_was_not_told_of_its_end_is_told_by_the_sweep() {
    let Some(set) = ReplicaSet::start(1).await else {
        return;
    };
    let clock = weir_cluster::ManualClock::at(SystemClock.now_ms());
    let store = MongoStore::connect_with_clock(set.options(), Arc::new(clock.clone()));
    let store = store.await.unwrap();
    let owned = store.claim(claim("s", "a", clock.now_ms())).await.unwrap();
    let mut ended = claim("t", "a", clock.now_ms());
    ended.broadcast.zombi = false;
    let other = store.claim(ended).await.unwrap();
    let done = end(1, clock.now_ms());
    store.release(&key("t"), other.epoch, done).await.unwrap();
    // Its process died after it gave up the epoch, and before it told the record.
    let client = set.client().await;
    let timelines = client
        .database("clusterdb")
        .collection::<Document>("weirtimeline");
    let due = mongodb::bson::DateTime::from_millis(clock.now_ms());
    let dying = doc! { "$set": { "tenure": "released", "recordDue": due } };
    timelines
        .update_one(doc! { "_id": "LiveApp/s" }, dying)
        .await
        .unwrap();
    for _ in 0..24 {
        clock.advance(1_000);
        store.renew_lease("b").await.unwrap();
    }
    assert_eq!(store.sweep("b").await.unwrap(), 0, "nothing was held");
    let left: Option<Broadcast> = store.broadcast(&key("s")).await.unwrap();
    assert_eq!(left, None, "of epoch {}", owned.epoch);
    let untold = doc! { "recordDue": { "$exists": true } };
    assert_eq!(timelines.count_documents(untold).await.unwrap(), 0);
}
