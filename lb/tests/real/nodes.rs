//! `cluster`: peers that the cluster's directory names, while requests and connections run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prometheus::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;
use weir_cluster::embedded::EmbeddedStore;
use weir_cluster::{
    Broadcast, Claim, ManualClock, NodeRecord, NodeRole, NodesSeen, Store, StoreSource, StreamKey,
    WallClock,
};
use weir_lb::{LbError, LbOptions, StreamOwners};

use crate::tools::{
    Answer, Running, Upstream, answer, bind, closes, connect, get, ok, read_until, start_with,
    within,
};

const NOW_MS: i64 = 1_000_000;

/// What the test says the directory sees.
struct Directory(watch::Sender<Arc<NodesSeen>>);

impl Directory {
    fn new() -> (Self, LbOptions) {
        let (sender, nodes) = watch::channel(Arc::new(NodesSeen {
            stale: true,
            ..NodesSeen::default()
        }));
        let options = LbOptions {
            nodes: Some(nodes),
            ..LbOptions::default()
        };
        (Self(sender), options)
    }

    fn sees(&self, nodes: &[NodeRecord]) {
        self.show(nodes, false);
    }

    fn show(&self, nodes: &[NodeRecord], stale: bool) {
        self.0.send_replace(Arc::new(NodesSeen {
            nodes: nodes.to_vec(),
            now_ms: NOW_MS,
            stale,
        }));
    }
}

fn node(role: NodeRole, at: &Upstream) -> NodeRecord {
    let address = at.addr.to_string();
    NodeRecord {
        id: format!("node-{address}"),
        role,
        last_update_time: NOW_MS,
        http_address: Some(address.clone()),
        rtmp_address: Some(address),
        ..NodeRecord::default()
    }
}

fn edge(at: &Upstream) -> NodeRecord {
    node(NodeRole::Edge, at)
}

/// An edge that says its name and passes its health check while it is well.
async fn edge_server(name: &'static str) -> (Upstream, Arc<AtomicBool>) {
    let ill = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&ill);
    let upstream = Upstream::new(move |got| {
        let checks = got.head.starts_with("GET /live ");
        Answer::Send(match checks && flag.load(Ordering::SeqCst) {
            true => answer("503 No", "", ""),
            false => ok(name),
        })
    })
    .await;
    (upstream, ill)
}

fn start(options: LbOptions, servers: &str) -> Running {
    let text = format!(
        "http {{ upstream u {{ least_conn; cluster role=edge; {servers} }}
           server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://u;
             health_check interval=20ms fails=2 passes=1 uri=/live; }} }} }}"
    );
    start_with(&text, options, Duration::from_secs(5))
}

/// The names that so many requests got.
async fn names(lb: &Running, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    for _ in 0..count {
        let answer = get(lb.http[0], "/").await;
        found.push(answer.rsplit("\r\n").next().unwrap_or_default().to_owned());
    }
    found.sort_unstable();
    found.dedup();
    found
}

async fn until_healthy(lb: &Running, at: &Upstream, healthy: bool) {
    let name = at.addr.to_string();
    lb.until("weir_lb_peer_healthy", &name, f64::from(u8::from(healthy)))
        .await;
}

#[tokio::test]
async fn nodes_join_when_their_check_passes_and_leave_with_their_record() {
    let (directory, options) = Directory::new();
    let lb = start(options, "");
    assert!(get(lb.http[0], "/").await.starts_with("HTTP/1.1 502"));

    let ((one, _), (two, two_is_ill)) = (edge_server("one").await, edge_server("two").await);
    two_is_ill.store(true, Ordering::SeqCst);
    directory.sees(&[edge(&one), edge(&two)]);
    until_healthy(&lb, &one, true).await;
    assert_eq!(names(&lb, 6).await, ["one"]);
    two_is_ill.store(false, Ordering::SeqCst);
    until_healthy(&lb, &two, true).await;
    assert_eq!(names(&lb, 6).await, ["one", "two"]);

    directory.sees(&[edge(&two)]);
    lb.until("weir_lb_peer_healthy", "", 1.0).await;
    assert_eq!(names(&lb, 6).await, ["two"]);
    directory.sees(&[]);
    lb.until("weir_lb_peer_healthy", "", 0.0).await;
    assert!(get(lb.http[0], "/").await.starts_with("HTTP/1.1 502"));
    directory.sees(&[edge(&one)]);
    until_healthy(&lb, &one, true).await;
    assert_eq!(names(&lb, 2).await, ["one"]);
}

#[tokio::test]
async fn only_edges_with_an_address_are_taken_and_servers_stand_beside_them() {
    let (directory, options) = Directory::new();
    let own = Upstream::named("own").await;
    let lb = start(options, &format!("server {};", own.addr));
    let (one, _) = edge_server("one").await;
    let (all, _) = edge_server("all").await;
    let origin = Upstream::named("origin").await;
    let mut mute = edge(&Upstream::named("mute").await);
    mute.http_address = None;
    directory.sees(&[
        edge(&own),
        edge(&one),
        node(NodeRole::All, &all),
        node(NodeRole::Origin, &origin),
        node(NodeRole::Lb, &origin),
        mute,
    ]);
    until_healthy(&lb, &one, true).await;
    until_healthy(&lb, &all, true).await;
    // `own` is there once, as the file has it.
    assert_eq!(lb.metric("weir_lb_peer_healthy", "u"), 3.0);
    assert_eq!(names(&lb, 12).await, ["all", "one", "own"]);
    assert_eq!(origin.hits(), 0);
}

#[tokio::test]
async fn old_records_and_a_store_that_is_away_take_nobody_out() {
    let (directory, options) = Directory::new();
    let lb = start(options, "");
    let ((one, one_is_ill), (two, _)) = (edge_server("one").await, edge_server("two").await);
    directory.sees(&[edge(&one), edge(&two)]);
    until_healthy(&lb, &one, true).await;
    until_healthy(&lb, &two, true).await;

    // Away: whatever the stale view holds.
    directory.show(&[], true);
    assert_eq!(names(&lb, 6).await, ["one", "two"]);
    // Back: nobody could write a heartbeat for a minute.
    let dead = |at: &Upstream| NodeRecord {
        last_update_time: NOW_MS - 60_000,
        ..edge(at)
    };
    directory.sees(&[dead(&one), dead(&two)]);
    assert_eq!(names(&lb, 6).await, ["one", "two"]);

    // Its check fails too: now it is dead, and its figures go with it.
    one_is_ill.store(true, Ordering::SeqCst);
    lb.until("weir_lb_peer_healthy", "", 1.0).await;
    assert_eq!(names(&lb, 6).await, ["two"]);
    one_is_ill.store(false, Ordering::SeqCst);
    directory.sees(&[dead(&one), dead(&two)]);
    assert_eq!(names(&lb, 6).await, ["two"]);
    directory.sees(&[edge(&one), dead(&two)]);
    until_healthy(&lb, &one, true).await;
    assert_eq!(names(&lb, 6).await, ["one", "two"]);
}

#[tokio::test]
async fn a_balancer_that_knows_nobody_begins_with_a_stale_view() {
    let (directory, options) = Directory::new();
    let lb = start(options, "");
    let ((one, one_is_ill), (two, _)) = (edge_server("one").await, edge_server("two").await);
    one_is_ill.store(true, Ordering::SeqCst);
    // As the last process saw them; who is not there any more gets nothing.
    directory.show(&[edge(&one), edge(&two)], true);
    until_healthy(&lb, &two, true).await;
    assert_eq!(names(&lb, 6).await, ["two"]);
    // From then on a stale view changes nothing.
    directory.show(&[], true);
    assert_eq!(names(&lb, 6).await, ["two"]);
    directory.sees(&[edge(&two)]);
    lb.until("weir_lb_peer_healthy", "", 1.0).await;
    assert_eq!(names(&lb, 6).await, ["two"]);
}

#[tokio::test]
async fn connections_outlive_the_node_in_the_directory() {
    let (directory, options) = Directory::new();
    let text = "stream { upstream u { least_conn; cluster role=origin; }
         server { listen 127.0.0.1:0; proxy_pass u;
           health_check interval=20ms fails=2 passes=1; } }";
    let lb = start_with(text, options, Duration::from_secs(5));
    assert!(closes(&mut connect(lb.tcp[0]).await).await);

    let (one, two) = (Upstream::named("one").await, Upstream::named("two").await);
    let origin = |at: &Upstream| node(NodeRole::Origin, at);
    directory.sees(&[origin(&one)]);
    until_healthy(&lb, &one, true).await;
    let mut held = connect(lb.tcp[0]).await;
    let request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    held.write_all(request).await.unwrap();
    read_until(&mut held, "one").await;

    // Draining: the next connection goes elsewhere, this one is kept.
    let drained = NodeRecord {
        draining: true,
        ..origin(&one)
    };
    directory.sees(&[drained, origin(&two)]);
    until_healthy(&lb, &two, true).await;
    for _ in 0..3 {
        let mut other = connect(lb.tcp[0]).await;
        other.write_all(request).await.unwrap();
        read_until(&mut other, "two").await;
    }
    // Gone from the directory: this one is still kept, and counted.
    let three = Upstream::named("three").await;
    directory.sees(&[origin(&two), origin(&three)]);
    until_healthy(&lb, &three, true).await;
    held.write_all(request).await.unwrap();
    read_until(&mut held, "one").await;
    let name = one.addr.to_string();
    assert_eq!(lb.metric("weir_lb_peer_active", &name), 1.0);
    held.shutdown().await.unwrap();
    let _ = held.read_to_end(&mut Vec::new()).await;
    lb.until("weir_lb_peer_active", &name, 0.0).await;
}

#[tokio::test]
async fn nodes_need_a_store() {
    let text = "http { upstream u { cluster role=edge; } server { listen 127.0.0.1:0; } }";
    let refused = bind(text, LbOptions::default(), &Registry::new()).err();
    let refused = refused.expect("no store");
    assert!(matches!(refused, LbError::NoStore { .. }), "{refused}");
    assert!(refused.to_string().ends_with("in t.conf:2"), "{refused}");
}

/// A group takes its own nodes, and who reports least gets the next.
#[tokio::test]
async fn what_nodes_report_decides_and_their_group() {
    let (directory, options) = Directory::new();
    let text = "http { upstream u { least_load; cluster role=origin group=eu; }
         server { listen 127.0.0.1:0; location / { proxy_pass http://u;
           health_check interval=20ms uri=/live; } } }";
    let lb = start_with(text, options, Duration::from_secs(5));
    let ((one, _), (two, _)) = (edge_server("one").await, edge_server("two").await);
    let (far, _) = edge_server("far").await;
    let origin = |at: &Upstream, group: &str, cpu: &str, streams: u32| NodeRecord {
        node_group: Some(group.to_owned()),
        cpu: cpu.to_owned(),
        streams,
        ..node(NodeRole::Origin, at)
    };
    directory.sees(&[
        origin(&one, "eu", "70", 0),
        origin(&two, "eu", "10", 20),
        origin(&far, "us", "0", 0),
    ]);
    until_healthy(&lb, &one, true).await;
    until_healthy(&lb, &two, true).await;
    assert_eq!(names(&lb, 4).await, ["two"]);
    directory.sees(&[
        origin(&one, "eu", "10", 0),
        origin(&two, "eu", "10", 20),
        origin(&far, "us", "0", 0),
    ]);
    // From here until the balancer has looked, either.
    within(async { while names(&lb, 1).await != ["one"] {} }).await;
    assert_eq!(names(&lb, 4).await, ["one"]);
    // Away: the last report stays.
    directory.show(&[], true);
    assert_eq!(names(&lb, 4).await, ["one"]);
    assert_eq!(far.hits(), 0);
}

/// WHIP and REST of a stream go to the node that has it.
#[tokio::test]
async fn a_path_that_names_a_stream_goes_to_its_owner() {
    let (directory, mut options) = Directory::new();
    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn WallClock> = Arc::new(ManualClock::at(NOW_MS));
    let file = folder.path().join("store");
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(&file, Arc::clone(&clock)).unwrap());
    let streams = weir_cluster::Directory::spawn(
        Arc::new(StoreSource::new(Arc::clone(&store))),
        clock,
        weir_cluster::directory::Options::default(),
        &Registry::new(),
        tokio_util::sync::CancellationToken::new(),
    )
    .unwrap();
    options.owners = StreamOwners::default();
    options.owners.ask(Some(streams));
    let text = "http { upstream u { cluster role=origin prefer=owner; }
         server { listen 127.0.0.1:0; location / { proxy_pass http://u;
           health_check interval=20ms uri=/live; } } }";
    let lb = start_with(text, options, Duration::from_secs(5));
    let ((one, _), (two, two_is_ill)) = (edge_server("one").await, edge_server("two").await);
    let origins = [&one, &two].map(|at| node(NodeRole::Origin, at));
    directory.sees(&origins);
    until_healthy(&lb, &one, true).await;
    until_healthy(&lb, &two, true).await;
    let key = StreamKey::parse("LiveApp", "cam").unwrap();
    store.renew_lease("node-two").await.unwrap();
    let claim = Claim {
        key: key.clone(),
        node_id: "node-two".to_owned(),
        origin_adress: two.addr.to_string(),
        now_ms: NOW_MS,
        segment_duration_ms: 2000,
        broadcast: Broadcast::new(&key.id, NOW_MS),
    };
    store.claim(claim).await.unwrap();

    for path in ["/LiveApp/whip/cam", "/LiveApp/rest/v2/broadcasts/cam"] {
        for _ in 0..6 {
            let answer = get(lb.http[0], path).await;
            assert!(answer.ends_with("two"), "{path}: {answer}");
        }
    }
    // Others in turn, and the owner's when it is out.
    assert_eq!(names(&lb, 6).await, ["one", "two"]);
    two_is_ill.store(true, Ordering::SeqCst);
    until_healthy(&lb, &two, false).await;
    let answer = get(lb.http[0], "/LiveApp/whip/cam").await;
    assert!(answer.ends_with("one"), "{answer}");
}
