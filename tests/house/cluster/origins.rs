//! An origin dies: its encoder finds another, and the stream plays on.

use super::{live, viewers};
use crate::support::viewer::wait_more;
use crate::support::{Browser, Cluster, MediaList, Viewer, wait_for};

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "states how long viewers waited, asserts nothing of it"
)]
fn a_killed_origins_stream_plays_on_from_another() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let _encoder = live(&cluster, "cam");
    let owner = cluster.owner("cam");
    let url = cluster.playlist("cam");
    let before = wait_for("three segments", || {
        MediaList::fetch(&url).filter(|list| list.entries.len() >= 3)
    });
    let last = before.entries.last().unwrap().clone();
    let crowd = viewers(&cluster, "cam", 10);

    cluster.origins[owner].kill();
    let killed = std::time::Instant::now();
    let after = wait_for("a segment of the next epoch", || {
        let list = MediaList::fetch(&url)?;
        let newest = list.entries.last()?;
        (epoch(&newest.url) > epoch(&last.url)).then_some(list)
    });
    println!(
        "origin killed: {:.1} s until the next segment was listed",
        killed.elapsed().as_secs_f64()
    );
    let first = after
        .entries
        .iter()
        .find(|entry| epoch(&entry.url) > epoch(&last.url))
        .unwrap();
    assert!(first.sequence > last.sequence, "{first:?} after {last:?}");
    wait_more(&crowd, 2);
    no_playlist_failed(crowd);
    let stale = |edge: &crate::support::Weir| {
        edge.metric(
            "weir_edge_requests_total",
            &["kind=\"playlist\"", "outcome=\"stale\""],
        )
    };
    assert!(cluster.edges.iter().map(stale).sum::<f64>() > 0.0);
    assert_eq!(cluster.owner("cam"), 1 - owner);

    // Its record says so when it has been silent for 20 s.
    let name = format!("origin-{}", owner + 1);
    cluster.wait_status(&name, "dead");
    println!(
        "origin killed: {:.1} s until its record read dead",
        killed.elapsed().as_secs_f64()
    );
    // It comes back, and is used.
    cluster.origins[owner].restart();
    cluster.wait_status(&name, "alive");
}

/// What is listed was there; a segment may die with its origin before an edge has it.
fn no_playlist_failed(crowd: Vec<Viewer>) {
    for viewer in crowd {
        let (failed, others): (Vec<_>, Vec<_>) = (viewer.stop().faults.into_iter())
            .partition(|fault| fault.contains(".m3u8") || fault.contains("follows"));
        assert_eq!(failed, Vec::<String>::new());
        if !others.is_empty() {
            println!("died with the origin: {others:?}");
        }
    }
}

/// The playlist stands still for longer than its target duration, and hls.js is content.
#[test]
fn a_person_watches_on_when_an_origin_dies() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let _encoder = live(&cluster, "cam");
    let owner = cluster.owner("cam");
    let page = cluster.url("/LiveApp/play.html?id=cam");
    let mut browser = Browser::open(&page, 180, None);
    let time = |sample: &serde_json::Value| sample["currentTime"].as_f64().unwrap_or(0.0);
    let start = browser.wait("playing", |s| time(s) > 0.0 && s["width"] == 160);
    browser.wait("three more seconds", |s| time(s) > time(&start) + 3.0);
    cluster.origins[owner].kill();
    wait_for("another owner", || {
        let list = MediaList::fetch(&cluster.playlist("cam"))?;
        list.entries.iter().any(|it| it.discontinuity).then_some(())
    });
    let before = browser.samples().last().cloned().unwrap();
    browser.wait("playing on", |s| {
        time(s) > time(&before) + 8.0 && s["paused"] == false
    });
    let samples = browser.close();
    let wrong = |s: &&serde_json::Value| s.get("pageError").or(s.get("outside")).is_some();
    assert_eq!(samples.iter().find(wrong), None);
    assert_eq!(samples.last().unwrap()["fatalErrors"], 0);
}

fn epoch(url: &str) -> u64 {
    url.rsplit('/').nth(1).unwrap().parse().unwrap()
}
