//! Clauses on nodes, lists, many claimants at once, and changes.

use super::{Fixture, START_MS, busy, claim, end, key, made_by_rest, node, record};
use std::collections::BTreeSet;
use std::sync::Arc;
use weir_cluster::ownership::CRASH_SEQUENCE_MARGIN;
use weir_cluster::{AppName, BroadcastStatus, Claim, Ownership, StoreError, StreamKey};

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
    f.clock.advance(5_000);
    // A node's own clock has no say.
    f.store.heartbeat(node("a", 9)).await.unwrap();
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
    let whole = node("b", START_MS + 5_000);
    let whole = busy(whole);
    f.store.heartbeat(whole.clone()).await.unwrap();
    assert_eq!(f.store.nodes(1, 1).await.unwrap(), [whole]);
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
