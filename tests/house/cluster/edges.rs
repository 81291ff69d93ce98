//! Viewers through the load balancer while edges and origins come and go.

use super::{live, viewers};
use crate::support::viewer::{all_content, wait_more};
use crate::support::{Cluster, Weir, wait_for};

/// Playlists that an edge has given to viewers.
fn served(edge: &Weir) -> f64 {
    edge.metric("weir_edge_requests_total", &["kind=\"playlist\""])
}

/// Waits until an edge has served so many playlists more than `before`.
fn wait_serves(edge: &Weir, before: f64) {
    wait_for("an edge serves viewers", || {
        (served(edge) >= before + 5.0).then_some(())
    });
}

#[test]
fn every_edge_serves_and_nodes_that_start_later_are_used() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let _one = live(&cluster, "one");
    let before: Vec<f64> = cluster.edges.iter().map(served).collect();
    let crowd = viewers(&cluster, "one", 10);
    for (edge, before) in cluster.edges.iter().zip(before) {
        wait_serves(edge, before);
    }

    let third = cluster.add_edge();
    cluster.wait_used(&cluster.edges[third]);
    wait_serves(&cluster.edges[third], 0.0);

    // least_conn: the next encoders fill the origins that have none, the new one with them.
    let third = cluster.add_origin();
    cluster.wait_used(&cluster.origins[third]);
    let _others = [live(&cluster, "two"), live(&cluster, "three")];
    let mut owners = ["one", "two", "three"].map(|id| cluster.owner(id));
    owners.sort_unstable();
    assert_eq!(owners, [0, 1, 2]);
    all_content(crowd);
}

#[test]
fn a_killed_edge_costs_no_viewer_a_request_and_comes_back() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let _encoder = live(&cluster, "cam");
    let crowd = viewers(&cluster, "cam", 20);
    cluster.edges[0].kill();
    wait_more(&crowd, 1);
    cluster.edges[0].restart();
    wait_serves(&cluster.edges[0], 0.0);
    all_content(crowd);
}
