//! What every store must do, whatever it keeps its records in.
//!
//! Each function is one clause and runs on an empty store. [`contract_tests!`] makes a test of
//! every clause for one implementation.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;
use weir_cluster::ownership::CRASH_SEQUENCE_MARGIN;
use weir_cluster::{
    AppName, Broadcast, BroadcastStatus, Claim, EpochEnd, ManualClock, NodeRecord, NodeRole,
    Ownership, Store, StoreError, StreamKey,
};

pub(crate) const START_MS: i64 = 1_700_000_000_000;

/// An empty store, the clock it judges by, and whatever must live as long as it.
pub(crate) struct Fixture {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: ManualClock,
    pub(crate) _keep: Box<dyn Any + Send>,
}

macro_rules! contract_tests {
    ($fixture:path: $($clause:ident),+ $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $clause() {
            if let Some(fixture) = $fixture().await {
                crate::contract::$clause(&fixture).await;
            }
        })+
    };
    ($fixture:path) => {
        crate::contract::contract_tests!($fixture:
            unknown_streams_and_nodes_are_none,
            a_claim_makes_a_record_and_an_epoch,
            a_living_owner_keeps_its_stream,
            a_dead_owners_stream_is_taken_beyond_its_numbers,
            the_same_node_takes_its_stream_again,
            a_released_stream_runs_on_where_it_ended,
            a_zombi_ends_with_its_stream,
            reports_change_figures_only,
            an_old_epoch_is_fenced,
            a_released_epoch_holds_nothing,
            a_starting_node_frees_what_it_left_behind,
            nodes_are_listed_and_forgotten,
            streams_are_listed_by_application_in_order,
            of_fifty_nodes_one_wins,
            of_two_nodes_with_fifty_tasks_one_wins,
            epochs_and_numbers_never_repeat,
            changes_are_told,
        );
    };
}
pub(crate) use contract_tests;

pub(crate) fn key(id: &str) -> StreamKey {
    StreamKey::parse("LiveApp", id).unwrap()
}

pub(crate) fn claim(id: &str, node: &str, now_ms: i64) -> Claim {
    Claim {
        key: key(id),
        node_id: node.to_owned(),
        origin_adress: format!("{node}:5082"),
        now_ms,
        segment_duration_ms: 2_000,
        broadcast: Broadcast {
            status: BroadcastStatus::Broadcasting,
            zombi: true,
            ..Broadcast::default()
        },
    }
}

pub(crate) fn made_by_rest(mut claim: Claim) -> Claim {
    claim.broadcast.zombi = false;
    claim
}

pub(crate) const fn end(next_sequence_number: u64, wall_clock_ms: i64) -> EpochEnd {
    EpochEnd {
        next_sequence_number,
        media_time_ms: wall_clock_ms - START_MS,
        wall_clock_ms,
    }
}

pub(crate) fn node(id: &str, last_update_time: i64) -> NodeRecord {
    NodeRecord {
        id: id.to_owned(),
        ip: "127.0.0.1".to_owned(),
        role: NodeRole::Origin,
        last_update_time,
        memory: "512/2048".to_owned(),
        cpu: "7".to_owned(),
        db_query_average_time_ms: 1,
        version: "0.1.0".to_owned(),
    }
}

async fn record(store: &dyn Store, id: &str) -> Broadcast {
    store.broadcast(&key(id)).await.unwrap().unwrap()
}

pub(crate) async fn unknown_streams_and_nodes_are_none(f: &Fixture) {
    assert_eq!(f.store.broadcast(&key("s")).await.unwrap(), None);
    assert!(f.store.nodes(0, 10).await.unwrap().is_empty());
    assert!(!f.store.delete_node("x").await.unwrap());
    assert!(matches!(
        f.store.release(&key("s"), 5, end(0, START_MS)).await,
        Err(StoreError::NotHeld { epoch: 5 })
    ));
    assert_eq!(f.store.release_all_of("x", START_MS).await.unwrap(), 0);
}

pub(crate) async fn a_claim_makes_a_record_and_an_epoch(f: &Fixture) {
    let ownership = f.store.claim(claim("s", "a", START_MS)).await.unwrap();
    let expected = Ownership {
        node_id: "a".to_owned(),
        epoch: START_MS.unsigned_abs(),
        first_sequence_number: 0,
        media_time_ms: 0,
        wall_clock_ms: START_MS,
    };
    assert_eq!(ownership, expected);
    let record = record(&*f.store, "s").await;
    assert_eq!(record.stream_id, "s");
    assert_eq!(record.status, BroadcastStatus::Broadcasting);
    assert_eq!(record.origin_adress.as_deref(), Some("a:5082"));
    assert_eq!(record.owner, Some(expected));
    assert_eq!(record.start_time, START_MS);
    assert_eq!(record.update_time, START_MS);
    assert!(record.zombi);
}

pub(crate) async fn a_living_owner_keeps_its_stream(f: &Fixture) {
    let owned = f.store.claim(claim("s", "a", START_MS)).await.unwrap();
    f.clock.advance(60_000);
    let now_ms = START_MS + 60_000;
    f.store.heartbeat(node("a", now_ms - 20_000)).await.unwrap();
    match f.store.claim(claim("s", "b", now_ms)).await {
        Err(StoreError::Owned { node_id, epoch }) => {
            assert_eq!((node_id.as_str(), epoch), ("a", owned.epoch));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(record(&*f.store, "s").await.owner, Some(owned));
}

pub(crate) async fn a_dead_owners_stream_is_taken_beyond_its_numbers(f: &Fixture) {
    let old = f.store.claim(claim("s", "a", START_MS)).await.unwrap();
    let at = end(10, START_MS + 20_000);
    let live = claim("s", "a", START_MS).broadcast;
    f.store
        .update(&key("s"), old.epoch, live.clone(), at)
        .await
        .unwrap();
    f.store
        .heartbeat(node("a", START_MS + 20_000))
        .await
        .unwrap();
    f.clock.advance(40_001);
    let now_ms = START_MS + 40_001;
    let new = f.store.claim(claim("s", "b", now_ms)).await.unwrap();
    assert!(new.epoch > old.epoch);
    assert_eq!(new.first_sequence_number, 10 + 11 + CRASH_SEQUENCE_MARGIN);
    assert_eq!(new.media_time_ms, 40_001);
    assert!(matches!(
        f.store.update(&key("s"), old.epoch, live, at).await,
        Err(StoreError::Fenced { .. })
    ));
    assert_eq!(record(&*f.store, "s").await.owner, Some(new));
}

pub(crate) async fn the_same_node_takes_its_stream_again(f: &Fixture) {
    let first = f.store.claim(claim("s", "a", START_MS)).await.unwrap();
    let at = end(4, START_MS + 8_000);
    let live = claim("s", "a", START_MS).broadcast;
    f.store
        .update(&key("s"), first.epoch, live, at)
        .await
        .unwrap();
    let again = f
        .store
        .claim(claim("s", "a", START_MS + 12_000))
        .await
        .unwrap();
    assert!(again.epoch > first.epoch);
    assert_eq!(again.first_sequence_number, 4);
    assert_eq!(again.media_time_ms, 8_000);
    let soon = f
        .store
        .claim(claim("s", "a", START_MS + 12_000))
        .await
        .unwrap();
    assert_eq!(soon.epoch, again.epoch + 1, "two in one millisecond differ");
}

pub(crate) async fn a_released_stream_runs_on_where_it_ended(f: &Fixture) {
    let first = made_by_rest(claim("s", "a", START_MS));
    let first = f.store.claim(first).await.unwrap();
    let at = end(30, START_MS + 60_000);
    f.store.release(&key("s"), first.epoch, at).await.unwrap();
    let ended = record(&*f.store, "s").await;
    assert_eq!(ended.status, BroadcastStatus::Finished);
    assert_eq!(ended.owner, None);
    f.store
        .release(&key("s"), first.epoch, end(99, START_MS))
        .await
        .unwrap();
    let next = f
        .store
        .claim(claim("s", "b", START_MS + 300_000))
        .await
        .unwrap();
    assert!(next.epoch > first.epoch);
    assert_eq!(next.first_sequence_number, 30);
    assert_eq!(next.media_time_ms, 60_000);
    let live = record(&*f.store, "s").await;
    assert_eq!(live.status, BroadcastStatus::Broadcasting);
    assert!(!live.zombi, "made by REST, and stays so");
    assert_eq!(live.start_time, START_MS + 300_000);
}

pub(crate) async fn a_zombi_ends_with_its_stream(f: &Fixture) {
    let first = f.store.claim(claim("s", "a", START_MS)).await.unwrap();
    let at = end(3, START_MS + 6_000);
    f.store.release(&key("s"), first.epoch, at).await.unwrap();
    assert_eq!(f.store.broadcast(&key("s")).await.unwrap(), None);
    let next = f
        .store
        .claim(claim("s", "a", START_MS + 7_000))
        .await
        .unwrap();
    assert_eq!(next.first_sequence_number, 3, "its timeline outlives it");
}

pub(crate) async fn reports_change_figures_only(f: &Fixture) {
    let mut first = made_by_rest(claim("s", "a", START_MS));
    first.broadcast.name = Some("Mine".to_owned());
    first.broadcast.date = 5;
    let owned = f.store.claim(first).await.unwrap();
    let report = Broadcast {
        status: BroadcastStatus::Broadcasting,
        bitrate: 4_000_000,
        zombi: true,
        stream_id: "another".to_owned(),
        date: 9,
        ..Broadcast::default()
    };
    let at = end(2, START_MS + 5_000);
    f.store
        .update(&key("s"), owned.epoch, report, at)
        .await
        .unwrap();
    let record = record(&*f.store, "s").await;
    assert_eq!(record.bitrate, 4_000_000);
    assert_eq!(record.update_time, START_MS + 5_000);
    assert_eq!(record.name.as_deref(), Some("Mine"));
    assert_eq!((record.stream_id.as_str(), record.date), ("s", 5));
    assert!(!record.zombi);
    assert_eq!(record.owner, Some(owned));
}

pub(crate) async fn an_old_epoch_is_fenced(f: &Fixture) {
    let old = f
        .store
        .claim(claim("s", "a", START_MS))
        .await
        .unwrap()
        .epoch;
    let new = f
        .store
        .claim(claim("s", "a", START_MS + 1))
        .await
        .unwrap()
        .epoch;
    let at = end(50, START_MS + 2);
    let fenced = |result| match result {
        Err(StoreError::Fenced { epoch, newest }) => assert_eq!((epoch, newest), (old, new)),
        other => panic!("{other:?}"),
    };
    fenced(
        f.store
            .update(&key("s"), old, Broadcast::default(), at)
            .await,
    );
    fenced(f.store.release(&key("s"), old, at).await);
    assert!(record(&*f.store, "s").await.status.is_live());
    assert!(matches!(
        f.store
            .update(&key("s"), new + 1, Broadcast::default(), at)
            .await,
        Err(StoreError::Fenced { .. })
    ));
}

pub(crate) async fn a_released_epoch_holds_nothing(f: &Fixture) {
    let owned = f.store.claim(claim("s", "a", START_MS)).await.unwrap();
    let at = end(1, START_MS + 1);
    f.store.release(&key("s"), owned.epoch, at).await.unwrap();
    assert!(matches!(
        f.store
            .update(&key("s"), owned.epoch, Broadcast::default(), at)
            .await,
        Err(StoreError::NotHeld { .. })
    ));
    assert_eq!(f.store.broadcast(&key("s")).await.unwrap(), None);
}

pub(crate) async fn a_starting_node_frees_what_it_left_behind(f: &Fixture) {
    f.store.claim(claim("zombi", "a", START_MS)).await.unwrap();
    f.store
        .claim(made_by_rest(claim("rest", "a", START_MS)))
        .await
        .unwrap();
    f.store.claim(claim("other", "b", START_MS)).await.unwrap();
    let ended = f.store.claim(claim("ended", "a", START_MS)).await.unwrap();
    f.store
        .release(&key("ended"), ended.epoch, end(9, START_MS))
        .await
        .unwrap();
    f.clock.advance(5_000);
    let now_ms = START_MS + 5_000;
    assert_eq!(f.store.release_all_of("a", now_ms).await.unwrap(), 2);
    assert_eq!(f.store.broadcast(&key("zombi")).await.unwrap(), None);
    let rest = record(&*f.store, "rest").await;
    assert_eq!((rest.status, rest.owner), (BroadcastStatus::Finished, None));
    assert!(record(&*f.store, "other").await.owner.is_some());
    assert_eq!(f.store.release_all_of("a", now_ms).await.unwrap(), 0);
    let next = f.store.claim(claim("zombi", "b", now_ms)).await.unwrap();
    assert_eq!(
        next.first_sequence_number,
        3 + CRASH_SEQUENCE_MARGIN,
        "where it stopped is not known"
    );
    let next = f.store.claim(claim("ended", "b", now_ms)).await.unwrap();
    assert_eq!(next.first_sequence_number, 9);
}

pub(crate) async fn nodes_are_listed_and_forgotten(f: &Fixture) {
    for id in ["c", "a", "b"] {
        f.store.heartbeat(node(id, START_MS)).await.unwrap();
    }
    f.store
        .heartbeat(node("a", START_MS + 5_000))
        .await
        .unwrap();
    let nodes = f.store.nodes(0, 10).await.unwrap();
    assert_eq!(
        nodes,
        [
            node("a", START_MS + 5_000),
            node("b", START_MS),
            node("c", START_MS)
        ]
    );
    let second = f.store.nodes(1, 1).await.unwrap();
    assert_eq!(second, [node("b", START_MS)]);
    assert!(f.store.nodes(3, 1).await.unwrap().is_empty());
    assert!(f.store.delete_node("b").await.unwrap());
    assert!(!f.store.delete_node("b").await.unwrap());
    f.store.heartbeat(node("b", START_MS)).await.unwrap();
    assert_eq!(
        f.store.nodes(0, 10).await.unwrap().len(),
        3,
        "a live one registers again"
    );
}

pub(crate) async fn streams_are_listed_by_application_in_order(f: &Fixture) {
    for id in ["s3", "s1", "s2", "s10"] {
        f.store.claim(claim(id, "a", START_MS)).await.unwrap();
    }
    let other = Claim {
        key: StreamKey::parse("live", "s0").unwrap(),
        ..claim("x", "a", START_MS)
    };
    f.store.claim(other).await.unwrap();
    let app = AppName::parse("LiveApp").unwrap();
    let ids = async |offset, size| {
        let list = f.store.broadcasts(&app, offset, size).await.unwrap();
        list.into_iter().map(|b| b.stream_id).collect::<Vec<_>>()
    };
    assert_eq!(ids(0, 10).await, ["s1", "s10", "s2", "s3"]);
    assert_eq!(ids(1, 2).await, ["s10", "s2"]);
    assert!(ids(4, 2).await.is_empty());
    assert!(ids(0, 0).await.is_empty());
}

async fn race(f: &Fixture, node_of: impl Fn(usize) -> String) -> Vec<Ownership> {
    let barrier = Arc::new(tokio::sync::Barrier::new(50));
    let tasks: Vec<_> = (0..50)
        .map(|task| {
            let (store, barrier) = (Arc::clone(&f.store), Arc::clone(&barrier));
            let claim = claim("s", &node_of(task), START_MS);
            tokio::spawn(async move {
                barrier.wait().await;
                store.claim(claim).await
            })
        })
        .collect();
    let mut won = Vec::new();
    let mut owners = BTreeSet::new();
    for task in tasks {
        match task.await.unwrap() {
            Ok(ownership) => won.push(ownership),
            Err(StoreError::Owned { node_id, .. }) => drop(owners.insert(node_id)),
            Err(other) => panic!("{other}"),
        }
    }
    assert!(!won.is_empty());
    assert!(
        owners.iter().all(|owner| *owner == won[0].node_id),
        "{owners:?}"
    );
    won
}

pub(crate) async fn of_fifty_nodes_one_wins(f: &Fixture) {
    let won = race(f, |task| format!("n{task}")).await;
    assert_eq!(won.len(), 1, "{won:?}");
    assert_eq!(record(&*f.store, "s").await.owner.as_ref(), won.first());
}

pub(crate) async fn of_two_nodes_with_fifty_tasks_one_wins(f: &Fixture) {
    let won = race(f, |task| format!("n{}", task % 2)).await;
    assert_eq!(won.len(), 25, "all of the winner's, none of the other's");
    let nodes: BTreeSet<&str> = won.iter().map(|o| o.node_id.as_str()).collect();
    assert_eq!(nodes.len(), 1, "{nodes:?}");
    let epochs: BTreeSet<u64> = won.iter().map(|o| o.epoch).collect();
    assert_eq!(epochs.len(), 25, "no epoch was given twice");
    let newest = record(&*f.store, "s").await.owner.unwrap().epoch;
    assert_eq!(epochs.last(), Some(&newest));
}

pub(crate) async fn epochs_and_numbers_never_repeat(f: &Fixture) {
    let mut now_ms = START_MS;
    let (mut last_epoch, mut next_number) = (0, 0);
    for round in 0..30 {
        // A clock that stutters and goes back now and then.
        now_ms += [1, 3_000, 0, -2_000, 500][round % 5];
        f.clock.set(now_ms);
        let owned = f.store.claim(claim("s", "a", now_ms)).await.unwrap();
        assert!(owned.epoch > last_epoch, "round {round}");
        assert!(owned.first_sequence_number >= next_number, "round {round}");
        last_epoch = owned.epoch;
        next_number = owned.first_sequence_number + 5;
        let at = end(next_number, now_ms);
        match round % 3 {
            0 => f.store.release(&key("s"), owned.epoch, at).await.unwrap(),
            1 => {
                let live = claim("s", "a", now_ms).broadcast;
                f.store
                    .update(&key("s"), owned.epoch, live, at)
                    .await
                    .unwrap();
            }
            _ => {
                f.store.release_all_of("a", now_ms).await.unwrap();
                // Cut five more since the claim, without a word: the margin covers them.
            }
        }
    }
}

pub(crate) async fn changes_are_told(f: &Fixture) {
    let Some(mut changes) = f.store.changes() else {
        return;
    };
    let owned = f.store.claim(claim("s", "a", START_MS)).await.unwrap();
    let made = changes.recv().await.unwrap();
    assert_eq!(made.key, key("s"));
    assert_eq!(made.broadcast.unwrap().owner, Some(owned.clone()));
    f.store
        .release(&key("s"), owned.epoch, end(1, START_MS))
        .await
        .unwrap();
    let gone = changes.recv().await.unwrap();
    assert_eq!((gone.key, gone.broadcast), (key("s"), None));
}
