//! The load balancer as a node of its own: what it tells of itself, and its restart while the store
//! is away.

use super::{goes_on, live, pattern};
use crate::support::{Cluster, StubbornEncoder, get, request, wait_for};

#[test]
fn a_balancer_tells_of_itself_and_restarted_without_the_store_knows_its_nodes() {
    let Some(mut cluster) = Cluster::start_with(1, 1, 1) else {
        return;
    };
    let _encoder = live(&cluster, "cam");
    let text = get(&cluster.lb.admin_url("/metrics")).text();
    for name in ["weir_lb_peer_healthy", "weir_lb_admin_connections_total"] {
        assert!(text.contains(name), "{name} is not in: {text}");
    }
    assert!(!text.contains("weir_edge_"), "an edge's: {text}");
    assert_eq!(get(&cluster.lb.admin_url("/rest/v2/liveness")).status, 200);

    let file = cluster.lb.dir().join("data/nodes-seen.json");
    wait_for("the nodes are kept", || {
        let text = std::fs::read_to_string(&file).ok()?;
        ["edge-1", "origin-1"]
            .iter()
            .all(|id| text.contains(id))
            .then_some(())
    });
    cluster.mongods[0].kill();
    cluster.lb.kill();
    cluster.lb.restart();
    cluster.lb.wait_log(&["(stale view)"]);
    goes_on(&cluster, "cam", 1);
    let _new = StubbornEncoder::publish(&cluster.rtmp("new"), &pattern());
    let url = cluster.origins[0].url("/LiveApp/streams/new/video.m3u8");
    wait_for("a new stream at the origin", || {
        request("GET", &url).ok().filter(|a| a.status == 200)
    });
}
