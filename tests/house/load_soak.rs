//! Load in earnest, with figures: `make soak` runs these in release and prints them. They assert
//! what must hold on any machine (nothing broke, no store query a viewer), and no speed.
//!
//! `WEIR_LOAD_VIEWERS` changes the number of playlist viewers, for a machine that has less room.

use crate::support::load::{Load, Outcome};
use crate::support::{Mongod, Weir, get};
use std::time::Duration;

/// Streams that the store is asked about.
const STREAMS: u32 = 100;
/// Length of segments, seconds: Apple's advice, and what makes ten thousand viewers' playlists
/// 3,300 requests a second, which all roles, mongod and the viewers can do on two cores.
const SEGMENT_S: &str = "6";
/// A run's own length, twice.
const PATIENCE: Duration = Duration::from_secs(240);
/// The cluster's database.
const DATABASE: &str = "soak";

fn node(mongod: &Mongod, role: &str) -> crate::support::weir::Builder {
    Weir::builder()
        .role(role)
        .set("db.type", "mongodb")
        .set("db.host", &mongod.address())
        .set("db.name", DATABASE)
        .set("db.options", "replicaSet=rs0")
        .set("http.host", "127.0.0.1")
        .set("hls.time", SEGMENT_S)
        .set("http.max.connections", "30000")
        .env("RUST_LOG", "warn")
}

/// A balancer before one edge and one origin, as the shipped file has it.
fn balancer(dir: &std::path::Path, edge: &str, origin: &str) -> Weir {
    let file = dir.join("lb.conf");
    let text = format!(
        "events {{ worker_connections 30000; }}
         http {{
             upstream edges {{ least_conn; server {edge}; keepalive 256; }}
             server {{
                 listen 127.0.0.1:0;
                 location / {{
                     proxy_http_version 1.1;
                     proxy_set_header Connection \"\";
                     proxy_set_header Host $http_host;
                     proxy_pass http://edges;
                 }}
             }}
         }}
         stream {{
             upstream origins {{ server {origin}; }}
             server {{ listen 127.0.0.1:0; proxy_pass origins; }}
         }}"
    );
    std::fs::write(&file, text).unwrap();
    Weir::builder()
        .role("lb")
        .set("lb.conf", file.to_str().unwrap())
        .set("http.max.connections", "30000")
        .env("RUST_LOG", "warn")
        .start()
}

#[test]
#[ignore = "minutes; make soak"]
fn viewers_of_known_streams_ask_the_store_nothing() {
    let Some(mongod) = Mongod::start() else {
        return;
    };
    let viewers = std::env::var("WEIR_LOAD_VIEWERS");
    let viewers: u32 = viewers.map_or(10_000, |text| text.parse().unwrap());
    let origin = node(&mongod, "origin").start();
    let edge = node(&mongod, "edge").start();
    let lb = balancer(
        mongod.dir(),
        edge.address("edge http"),
        origin.address("origin rtmp"),
    );
    let (rtmp, http) = (lb.rtmp(""), lb.url("/LiveApp"));
    let publish = format!(
        "--rtmp {} --streams {STREAMS} --duration 1h --ramp 10",
        rtmp.trim_end_matches('/')
    );
    let publishers = Load::start(&publish);
    for index in [1, STREAMS] {
        lb.wait_live(&format!("load-{index}"));
    }
    // Every stream becomes known to the edge.
    let watch = format!("--http {http} --streams {STREAMS} --playlist-only");
    let known = Load::start(&format!(
        "{watch} --viewers {STREAMS} --duration 20 --ramp 1"
    ));
    assert_sound(&known.wait(PATIENCE));

    // The count counts: what nobody knows is asked for once, however many want it.
    mongod.profile(DATABASE);
    for _ in 0..10 {
        let unknown = lb.url("/LiveApp/streams/unknown/video.m3u8");
        assert_eq!(get(&unknown).status, 404);
    }
    assert_eq!(
        mongod.finds(DATABASE),
        [(format!("{DATABASE}.broadcast"), 1)]
    );

    let watched = |viewers: u32, rest: &str| {
        let load = format!("{watch} --viewers {viewers} --timeout 30 {rest}");
        let outcome = Load::start(&load).wait(PATIENCE);
        println!("{}", outcome.text);
        assert_sound(&outcome);
        assert_eq!(outcome.number("/viewers/played"), f64::from(viewers));
        outcome.number("/duration_s")
    };
    let nodes = [&lb, &edge, &origin];
    let one = window(&mongod, nodes, || watched(1, "--duration 30"));
    let all = window(&mongod, nodes, || {
        watched(viewers, "--duration 60 --ramp 20")
    });
    println!("Playlists of {STREAMS} streams; operations of mongod and CPU seconds in the window");
    println!("viewers  seconds  queries  getmores  updates  lb cpu  edge cpu  origin cpu");
    for (viewers, w) in [(1, &one), (viewers, &all)] {
        println!(
            "{viewers:>7}  {:>7.1}  {:>7}  {:>8}  {:>7}  {:>6.2}  {:>8.2}  {:>10.2}",
            w.seconds, w.queries, w.getmores, w.updates, w.cpu_s[0], w.cpu_s[1], w.cpu_s[2]
        );
    }
    for (viewers, w) in [(1, &one), (viewers, &all)] {
        println!("read with {viewers} viewers: {:?}", w.finds);
    }
    // Streams that edges know cost the store nothing, however many watch.
    assert_eq!((&one.finds, &all.finds), (&vec![], &vec![]));
    publishers.signal("INT");
    assert_sound(&publishers.wait(PATIENCE));
}

#[test]
#[ignore = "minutes; make soak"]
fn five_hundred_viewers_of_fifty_streams_find_nothing_wrong() {
    let weir = Weir::builder().env("RUST_LOG", "warn").start();
    let before = weir.cpu_seconds();
    let load = Load::on(&weir, "--streams 50 --viewers 500 --duration 60 --ramp 5");
    let outcome = load.wait(PATIENCE);
    let cpu_s = weir.cpu_seconds() - before;
    println!("{}", outcome.text);
    println!(
        "weir: {cpu_s:.1} s of CPU in {:.1} s",
        outcome.number("/duration_s")
    );
    assert_sound(&outcome);
    assert_eq!(outcome.number("/viewers/played"), 500.0);
}

/// What went by between two moments.
struct Window {
    seconds: f64,
    queries: i64,
    getmores: i64,
    updates: i64,
    /// Reads of each collection.
    finds: Vec<(String, i64)>,
    /// lb, edge, origin.
    cpu_s: [f64; 3],
}

/// Counts while `run` runs, which gives its own length in seconds.
fn window(mongod: &Mongod, nodes: [&Weir; 3], run: impl FnOnce() -> f64) -> Window {
    let cpu_s = || nodes.map(Weir::cpu_seconds);
    let count = || ["query", "getmore", "update"].map(|name| mongod.operations(name));
    mongod.profile(DATABASE);
    let (operations, cpu_before) = (count(), cpu_s());
    let seconds = run();
    let [queries, getmores, updates] = count();
    let (cpu_after, finds) = (cpu_s(), mongod.finds(DATABASE));
    Window {
        seconds,
        queries: queries - operations[0],
        getmores: getmores - operations[1],
        updates: updates - operations[2],
        finds,
        cpu_s: std::array::from_fn(|index| cpu_after[index] - cpu_before[index]),
    }
}

fn assert_sound(outcome: &Outcome) {
    assert_eq!(
        outcome.code,
        Some(0),
        "{}\n{}",
        outcome.text,
        outcome.complaint
    );
}
