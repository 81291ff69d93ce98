//! What discovery costs the store, counted by the server itself. Figures of time are printed, not
//! asserted.

use super::now_ms;
use super::server::{DEADLINE, Edge, Server, until};
use crate::contract::{claim, end, key};
use tokio::time::{Instant, timeout};
use weir_cluster::{Ownership, Store};

pub(super) const KNOWN: usize = 100;

pub(super) fn name(i: usize) -> String {
    format!("n{i}")
}

pub(super) async fn claim_all(store: &dyn Store, count: usize) -> Vec<Ownership> {
    let mut owned = Vec::new();
    for i in 0..count {
        owned.push(store.claim(claim(&name(i), "a", now_ms())).await.unwrap());
    }
    owned
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn known_streams_cost_nothing_and_an_unknown_one_a_query() {
    let Some(server) = Server::start(true).await else {
        return;
    };
    let store = server.store().await;
    claim_all(&*store, KNOWN + 1).await;
    let edge = Edge::told(&server.store().await).await;
    for i in 0..KNOWN {
        edge.directory
            .locate(&key(&name(i)))
            .await
            .unwrap()
            .unwrap();
    }
    let before = (server.queries().await, server.operations("query").await);
    for i in 0..10_000 {
        let found = edge.directory.locate(&key(&name(i % KNOWN))).await;
        assert!(!found.unwrap().unwrap().stale);
    }
    let after = (server.queries().await, server.operations("query").await);
    println!(
        "10,000 look-ups of {KNOWN} known streams: {} queries of the streams, {} of any kind",
        after.0 - before.0,
        after.1 - before.1
    );
    assert_eq!(after.0, before.0);

    let before = server.queries().await;
    let unknown = key(&name(KNOWN));
    let asked: Vec<_> = (0..1_000)
        .map(|_| {
            let (directory, unknown) = (edge.directory.clone(), unknown.clone());
            tokio::spawn(async move { directory.locate(&unknown).await.unwrap().is_some() })
        })
        .collect();
    for found in asked {
        assert!(found.await.unwrap());
    }
    let after = server.queries().await;
    println!(
        "1,000 first look-ups of one unknown stream: {} queries",
        after - before
    );
    assert_eq!(after - before, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_stream_is_known_soon_after_its_claim() {
    for replicates in [true, false] {
        let Some(server) = Server::start(replicates).await else {
            return;
        };
        let store = server.store().await;
        let edge = if replicates {
            Edge::told(&server.store().await).await
        } else {
            Edge::on(&server.store().await)
        };
        let count = if replicates { 200 } else { 20 };
        let mut took = Vec::new();
        for i in 0..count {
            let id = key(&name(i));
            // Somebody waits for it already: "no such stream" is remembered.
            assert_eq!(edge.directory.locate(&id).await.unwrap(), None);
            let owned = store.claim(claim(&name(i), "a", now_ms())).await.unwrap();
            let start = Instant::now();
            until("it is known", async || {
                edge.directory.locate(&id).await.unwrap().is_some()
            })
            .await;
            took.push(start.elapsed());
            let found = edge.directory.locate(&id).await.unwrap().unwrap();
            assert_eq!(found.epoch, owned.epoch);
        }
        took.sort_unstable();
        println!(
            "a claim is known elsewhere (replica set: {replicates}): p50 {:?}, p99 {:?}, max {:?}",
            took[count / 2],
            took[count * 99 / 100],
            took[count - 1]
        );
    }
}

/// The owner's reports, as many as in a minute, and then the end of every stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_are_no_news() {
    let Some(server) = Server::start(true).await else {
        return;
    };
    let store = server.store().await;
    let watching = server.store().await;
    let mut heard = None;
    until("changes are told", async || {
        heard = watching.changes();
        heard.is_some()
    })
    .await;
    let mut heard = heard.unwrap();
    let owned = claim_all(&*store, KNOWN).await;
    let before = server.operations("update").await;
    const REPORTS: u64 = 12;
    for report in 1..=REPORTS {
        for (i, owned) in owned.iter().enumerate() {
            let mut broadcast = claim(&name(i), "a", 0).broadcast;
            broadcast.origin_adress = Some("a:5082".to_owned());
            broadcast.update_time = now_ms();
            broadcast.duration = i64::try_from(report).unwrap() * 5_000;
            broadcast.received_bytes = broadcast.duration * 500;
            let at = end(report, now_ms());
            let reported = store
                .update(&key(&name(i)), owned.epoch, broadcast, at)
                .await;
            reported.unwrap();
        }
    }
    let writes = server.operations("update").await - before;
    for (i, owned) in owned.iter().enumerate() {
        let (id, end) = (key(&name(i)), end(REPORTS + 1, now_ms()));
        store.release(&id, owned.epoch, end).await.unwrap();
    }
    // Changes come in order: the last end is heard after anything said of a report.
    let (mut live, mut over) = (0, 0);
    let last = key(&name(KNOWN - 1));
    while let Ok(change) = timeout(DEADLINE, heard.recv()).await {
        let change = change.unwrap();
        match change.broadcast {
            Some(_) => live += 1,
            None => over += 1,
        }
        if change.key == last && over > KNOWN {
            break;
        }
    }
    println!(
        "{KNOWN} streams, {REPORTS} reports each ({writes} writes): {live} changes told of live \
         streams, {over} of ended ones"
    );
    assert_eq!(live, KNOWN, "their claims, and nothing of {writes} reports");
    assert!(over <= 2 * KNOWN, "its timeline's word and its record's");
}
