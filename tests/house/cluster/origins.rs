//! An origin dies: its encoder finds another, and the stream plays on.

use super::live;
use crate::support::Cluster;
use crate::support::{MediaList, wait_for};

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

fn epoch(url: &str) -> u64 {
    url.rsplit('/').nth(1).unwrap().parse().unwrap()
}
