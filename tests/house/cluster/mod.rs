//! A whole cluster with its roles apart: `weir lb`, origins and edges, and a real `mongod`. What
//! users see while nodes come, go and die. One file a kind of trouble.
//!
//! Each test starts its own cluster (seven processes); there are few of them, and short.

mod balancer;
mod clocks;
mod edges;
mod origins;
mod playable;
mod store_away;
mod watched;

use crate::support::encoder::Pattern;
use crate::support::viewer::wait_more;
use crate::support::{Cluster, MediaList, StubbornEncoder, Viewer, wait_for};

/// Small enough that several streams and their viewers leave a two-core machine room.
fn pattern() -> Pattern {
    Pattern {
        size: Some("160x90"),
        kbps: 100,
        ..Pattern::default()
    }
}

/// Publishes a stream through the load balancer and waits until it is there for every edge.
fn live(cluster: &Cluster, id: &str) -> StubbornEncoder {
    let encoder = StubbornEncoder::publish(&cluster.rtmp(id), &pattern());
    cluster.lb.wait_live(id);
    for edge in &cluster.edges {
        edge.wait_live(id);
    }
    encoder
}

/// Waits until a stream's list, asked for at the load balancer, has gone on for so many segments.
fn goes_on(cluster: &Cluster, id: &str, segments: u64) {
    let url = cluster.playlist(id);
    let last = || Some(MediaList::fetch(&url)?.entries.last()?.sequence);
    let before = wait_for("a list", last);
    wait_for(&format!("{id} goes on"), || {
        last().filter(|now| *now >= before + segments)
    });
}

/// Viewers of a stream through the load balancer.
fn viewers(cluster: &Cluster, id: &str, count: usize) -> Vec<Viewer> {
    let crowd = Viewer::crowd(&cluster.playlist(id), count);
    wait_more(&crowd, 1);
    crowd
}
