//! Nodes whose clocks are a minute wrong, one each way: they own, judge, prove who they are and
//! take over as if all clocks were right, for what they judge by is the store's clock.
//!
//! The clocks are really wrong: the processes run under `libfaketime`, with their timers left
//! alone (`make test` installs it).

use super::{goes_on, live};
use crate::support::weir::Builder;
use crate::support::{Cluster, Weir, send, wait_for};
use std::path::PathBuf;

/// Where Debian puts the library, whatever the machine's kind.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let file = |folder: std::fs::DirEntry| folder.path().join("faketime/libfaketimeMT.so.1");
    let found = folders.map(file).find(|path| path.exists());
    found.expect("libfaketime is installed: apt-get install faketime")
}

fn clock_wrong_by(offset: &'static str) -> impl Fn(Builder) -> Builder {
    move |node| {
        node.env("LD_PRELOAD", library().to_str().unwrap())
            .env("FAKETIME", offset)
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }
}

/// What a node's clock said when it started, as its first log line tells: `2026-01-31T23:59:59`.
fn started_at(node: &Weir) -> String {
    let lines = node.log();
    let is_time = |line: &&String| line.get(10..11) == Some("T");
    let line = lines.iter().find(is_time).expect("a line with its time");
    line[..19].to_owned()
}

/// Gives the stream a name over REST at a node: carried to the owner, which checks the token.
fn rename(node: &Weir, name: &str) {
    let body = format!(r#"{{"name":"{name}"}}"#);
    let url = node.url("/LiveApp/rest/v2/broadcasts/cam");
    let json = [("Content-Type", "application/json")];
    let answer = send("PUT", &url, &json, &body).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["success"], true, "{}", answer.text());
}

#[test]
fn clocks_a_minute_wrong_change_nothing() {
    let Some(mut cluster) = Cluster::start_with(1, 0, 0) else {
        return;
    };
    let (fast, slow) = (clock_wrong_by("+60s"), clock_wrong_by("-60s"));
    cluster.add_origin_with(&fast);
    cluster.add_edge_with(&slow);
    cluster.add_edge_with(&fast);
    for node in cluster.origins.iter().chain(&cluster.edges) {
        cluster.wait_used(node);
    }
    // Only the first origin can take it.
    let _encoder = live(&cluster, "cam");
    cluster.add_origin_with(&slow);
    cluster.wait_used(&cluster.origins[1]);
    let (ahead, behind) = (
        started_at(&cluster.origins[0]),
        started_at(&cluster.origins[1]),
    );
    assert!(ahead > behind, "clocks are not wrong: {ahead} and {behind}");

    for node in ["lb", "origin-1", "origin-2", "edge-1", "edge-2"] {
        cluster.wait_status(node, "alive");
    }
    goes_on(&cluster, "cam", 2);
    for edge in &cluster.edges {
        rename(edge, "a name");
    }
    assert_eq!(cluster.owner("cam"), 0);

    // Each takes over from the other.
    for owner in [0, 1] {
        cluster.origins[owner].kill();
        wait_for("the other origin has it", || {
            let url = cluster.origins[1 - owner].url("/LiveApp/streams/cam/video.m3u8");
            let answer = crate::support::request("GET", &url).ok()?;
            (answer.status == 200).then_some(())
        });
        goes_on(&cluster, "cam", 2);
        wait_for("its owner is known", || {
            (cluster.owner("cam") == 1 - owner).then_some(())
        });
        for edge in &cluster.edges {
            rename(edge, "another name");
        }
        cluster.origins[owner].restart();
        cluster.wait_used(&cluster.origins[owner]);
        cluster.wait_status(&format!("origin-{}", owner + 1), "alive");
    }
}
