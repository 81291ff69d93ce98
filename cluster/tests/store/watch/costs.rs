//! What the server pays for each kind of call, and for each node that watches: processor time, for
//! docs/capacity.md. Measurements of minutes, part of `make soak`; alone:
//! `cargo test -p weir-cluster --test store what_ -- --ignored --nocapture --test-threads=1`

use super::now_ms;
use super::numbers::{KNOWN, claim_all, name};
use super::server::{Edge, Server};
use crate::contract::{claim, end, key};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use weir_cluster::{MongoStore, Ownership, Store, StreamKey};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: for docs/capacity.md"]
async fn what_calls_cost_the_server() {
    const TIMES: usize = 1_000;
    let Some(server) = Server::start(true).await else {
        return;
    };
    let store = server.store().await;
    let owned = claim_all(&*store, TIMES).await;
    let keys: Vec<StreamKey> = (0..TIMES).map(|i| key(&name(i))).collect();
    let mut taken = (server.cpu_ms(), Instant::now());
    let mut told = |what: &str, count: f64| {
        let (cpu_ms, wall) = (server.cpu_ms() - taken.0, taken.1.elapsed());
        println!(
            "{what}: {:.3} ms of mongod's CPU, {:.3} ms until answered",
            cpu_ms / count,
            wall.as_secs_f64() * 1e3 / count
        );
        taken = (server.cpu_ms(), Instant::now());
    };
    let times = f64::from(u32::try_from(TIMES).unwrap());
    sleep(Duration::from_secs(5)).await;
    told("nothing, a second", 5.0);
    for i in 0..TIMES {
        report(&store, &owned, i as u64).await;
    }
    told("a stream's report", times);
    for key in &keys {
        store.broadcast(key).await.unwrap().unwrap();
    }
    told("a look-up of an unknown stream", times);
    for _ in 0..100 {
        store.whereabouts(&keys[..100]).await.unwrap();
    }
    told("100 known streams in one query", 100.0);
    for _ in 0..100 {
        assert_eq!(store.whereabouts(&keys).await.unwrap().len(), TIMES);
    }
    told("1,000 known streams in one query", 100.0);
    for i in 0..TIMES {
        store
            .heartbeat(crate::contract::node("a", now_ms() + i as i64))
            .await
            .unwrap();
    }
    told("a heartbeat", times);
    for _ in 0..TIMES {
        store.renew_lease("a").await.unwrap();
    }
    told("a lease's renewal", times);
    for i in TIMES..TIMES + 300 {
        store.claim(claim(&name(i), "a", now_ms())).await.unwrap();
    }
    told("a claim", 300.0);
}

/// What seeing the cluster's nodes costs: all of them, and those that wrote lately.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: for docs/capacity.md"]
async fn what_seeing_nodes_costs_the_server() {
    const LOOKS: u32 = 200;
    let Some(server) = Server::start(true).await else {
        return;
    };
    let store = server.store().await;
    store.make_indexes(&[]).await.unwrap();
    let mut known = 0;
    for nodes in [100, 1_000] {
        for i in known..nodes {
            let node = crate::contract::node(&format!("n{i:04}"), now_ms());
            store.heartbeat(node).await.unwrap();
        }
        known = nodes;
        let all = store.nodes(0, 1_000).await.unwrap();
        assert_eq!(all.len(), nodes);
        // As many as write within the second and a half that a look asks for.
        let mut wrote: Vec<i64> = all.iter().map(|node| node.last_update_time).collect();
        wrote.sort_unstable();
        let since_ms = wrote[nodes - nodes * 3 / 10];
        let before = (server.cpu_ms(), Instant::now());
        for _ in 0..LOOKS {
            store.nodes(0, 1_000).await.unwrap();
        }
        let all_ms = server.cpu_ms() - before.0;
        let mut some = 0;
        let before = server.cpu_ms();
        for _ in 0..LOOKS {
            let since = store.nodes_since(since_ms, 10_000).await.unwrap().unwrap();
            assert_eq!(since.total, nodes as u64);
            some = since.nodes.len();
        }
        let some_ms = server.cpu_ms() - before;
        println!(
            "{nodes} nodes: all of them {:.2} ms of mongod's CPU, {some} that wrote {:.2} ms",
            all_ms / f64::from(LOOKS),
            some_ms / f64::from(LOOKS)
        );
    }
}

/// Documents that a balancer's view of a hundred nodes reads, while each writes in each 5 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement of half a minute: for docs/capacity.md"]
async fn what_a_view_of_living_nodes_reads() {
    const NODES: u32 = 100;
    const SECONDS: u32 = 30;
    let Some(server) = Server::start(true).await else {
        return;
    };
    let store = server.store().await;
    store.make_indexes(&[]).await.unwrap();
    let beat = async |i: u32| {
        let node = crate::contract::node(&format!("n{i:04}"), now_ms());
        store.heartbeat(node).await.unwrap();
    };
    for i in 0..NODES {
        beat(i).await;
    }
    let stop = tokio_util::sync::CancellationToken::new();
    let _stopped = stop.clone().drop_guard();
    let shared: Arc<dyn Store> = server.store().await;
    let (clock, second) = (Arc::new(weir_cluster::SystemClock), Duration::from_secs(1));
    let _view = weir_cluster::NodeDirectory::spawn(shared, clock, second, stop);
    let before = super::nodes::returned(&server).await;
    let gap = Duration::from_secs(5) / NODES;
    let start = Instant::now();
    let mut i = 0;
    while start.elapsed() < second * SECONDS {
        beat(i % NODES).await;
        i += 1;
        sleep((start + gap * i).saturating_duration_since(Instant::now())).await;
    }
    let read = super::nodes::returned(&server).await - before;
    println!("{NODES} nodes, {i} heartbeats in {SECONDS} s: {read} documents read");
}

/// What each watching node costs the server: processor time, messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement of a minute: for docs/capacity.md"]
async fn what_watching_costs_the_server() {
    let Some(server) = Server::start(true).await else {
        return;
    };
    let store = server.store().await;
    let owned = claim_all(&*store, KNOWN).await;
    for watchers in [0, 10, 50] {
        let mut edges = Vec::new();
        for _ in 0..watchers {
            edges.push(Edge::told(&server.store().await).await);
        }
        for rate in [0_u64, 100, 300] {
            sleep(Duration::from_secs(1)).await;
            let before = (server.cpu_ms(), server.operations("getmore").await);
            let start = Instant::now();
            let mut writes = 0_u64;
            while start.elapsed() < Duration::from_secs(5) {
                let due = u64::try_from(start.elapsed().as_millis()).unwrap() * rate / 1_000;
                while writes < due {
                    report(&store, &owned, writes).await;
                    writes += 1;
                }
                sleep(Duration::from_millis(5)).await;
            }
            let seconds = start.elapsed().as_secs_f64();
            let cpu = server.cpu_ms() - before.0;
            let getmores = server.operations("getmore").await - before.1;
            #[allow(clippy::cast_precision_loss, reason = "small figures")]
            let per_second = |count: f64| count / seconds;
            println!(
                "{watchers} watchers, {:.0} reports/s: mongod {:.1} ms CPU/s, {:.1} getMore/s",
                per_second(writes as f64),
                per_second(cpu),
                per_second(getmores as f64)
            );
        }
    }
}

/// What telling a change costs for each node that is told: claims, with few nodes and with many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement of a minute: for docs/capacity.md"]
async fn what_telling_costs_the_server() {
    const CLAIMS: u32 = 100;
    let Some(server) = Server::start(true).await else {
        return;
    };
    let store = server.store().await;
    claim_all(&*store, 1).await;
    let mut edges = Vec::new();
    let mut costs = Vec::new();
    for told in [1, 50] {
        while edges.len() < told {
            edges.push(Edge::told(&server.store().await).await);
        }
        sleep(Duration::from_secs(2)).await;
        let (before, start) = (server.cpu_ms(), Instant::now());
        for i in 0..CLAIMS {
            let id = format!("t{told}-{i}");
            store.claim(claim(&id, "a", now_ms())).await.unwrap();
            let due = start + Duration::from_millis(100) * (i + 1);
            sleep(due.saturating_duration_since(Instant::now())).await;
        }
        let seconds = start.elapsed().as_secs_f64();
        let cost = (server.cpu_ms() - before) / seconds;
        println!("{told} nodes told of 10 claims a second for {seconds:.1} s: {cost:.1} ms CPU/s");
        costs.push(cost);
    }
    println!(
        "for each node more: {:.3} ms CPU/s",
        (costs[1] - costs[0]) / 49.0
    );
}

async fn report(store: &Arc<MongoStore>, owned: &[Ownership], number: u64) {
    let i = usize::try_from(number).unwrap() % owned.len();
    let mut broadcast = claim(&name(i), "a", 0).broadcast;
    broadcast.update_time = now_ms();
    broadcast.received_bytes = i64::try_from(number).unwrap();
    let at = end(number, now_ms());
    let reported = store
        .update(&key(&name(i)), owned[i].epoch, broadcast, at)
        .await;
    reported.unwrap();
}
