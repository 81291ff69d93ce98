//! Nodes that share MongoDB: an origin here, edges there, and what each `db.*` setting changes.

use crate::support::encoder::Pattern;
use crate::support::{Encoder, Mongod, Weir, request, wait_for};

fn node(mongod: &Mongod, role: &str, name: &str) -> Weir {
    Weir::builder()
        .role(role)
        .set("db.type", "mongodb")
        .set("db.host", &mongod.address())
        .set("db.name", name)
        .set("db.options", "replicaSet=rs0")
        .set("http.host", "127.0.0.1")
        .start()
}

#[test]
fn an_edge_finds_the_streams_of_an_origin_in_the_same_database_only() {
    let Some(mongod) = Mongod::start() else {
        return;
    };
    let origin = node(&mongod, "origin", "studio");
    let edge = node(&mongod, "edge", "studio");
    let stranger = node(&mongod, "edge", "elsewhere");
    let _encoder = Encoder::publish(&origin.rtmp("cam1"), &Pattern::default());
    edge.wait_live("cam1");
    let playlist = "/LiveApp/streams/cam1/video.m3u8";
    assert_eq!(request("GET", &stranger.url(playlist)).unwrap().status, 404);

    let nodes = wait_for("three nodes", || {
        let json = request("GET", &edge.url("/LiveApp/rest/v2/cluster/nodes/0/10"))
            .ok()?
            .json();
        json.as_array().filter(|all| all.len() == 3).cloned()
    });
    let roles: std::collections::BTreeSet<_> =
        nodes.iter().filter_map(|n| n["role"].as_str()).collect();
    assert_eq!(roles.into_iter().collect::<Vec<_>>(), ["edge", "origin"]);
}

#[test]
fn a_node_starts_without_its_store_and_says_so() {
    let Some(mongod) = Mongod::start() else {
        return;
    };
    let origin = Weir::builder()
        .role("origin")
        .set("db.type", "mongodb")
        .set("db.host", &mongod.address())
        .set("db.options", "replicaSet=another")
        .set("db.password", "hush-hush")
        .set("http.host", "127.0.0.1")
        .start();
    origin.wait_log(&["the store does not answer"]);
    // A publisher is let in all the same, and its stream played from where it is.
    let _encoder = Encoder::publish(&origin.rtmp("cam1"), &Pattern::default());
    let playlist = format!(
        "http://{}/LiveApp/streams/cam1/video.m3u8",
        origin.address("origin http")
    );
    wait_for("the stream plays", || {
        request("GET", &playlist).ok().filter(|a| a.status == 200)
    });
    assert!(!origin.log().iter().any(|line| line.contains("hush-hush")));
}
