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
fn wrong_options_are_a_store_that_cannot_be_used_and_said_so() {
    let Some(mongod) = Mongod::start() else {
        return;
    };
    let out = crate::support::weir::command()
        .arg("origin")
        .envs([
            ("WEIR_DB_TYPE", "mongodb"),
            ("WEIR_DB_HOST", &mongod.address()),
            ("WEIR_DB_OPTIONS", "replicaSet=another"),
            ("WEIR_DB_PASSWORD", "hush-hush"),
            ("WEIR_HTTP_PORT", "0"),
            ("WEIR_RTMP_PORT", "0"),
            ("WEIR_DATA_DIR", mongod.dir().to_str().unwrap()),
        ])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("weir: the store cannot be used"),
        "{stderr}"
    );
    assert!(!stderr.contains("hush-hush"), "{stderr}");
}
