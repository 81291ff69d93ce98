//! Nodes of the cluster.

use crate::support::{Api, START_MS, heartbeat};
use http::StatusCode;
use serde_json::json;

#[tokio::test]
async fn a_node_is_told_in_ant_medias_shape_at_every_address() {
    let api = Api::new();
    api.store
        .heartbeat(heartbeat("edge-1", START_MS))
        .await
        .unwrap();
    let expected = json!([{
        "id": "edge-1", "ip": "10.0.0.7", "lastUpdateTime": START_MS, "memory": "812/16000", "cpu": "7",
        "dbQueryAveargeTimeMs": 3, "status": "alive", "note": null, "role": "edge", "version": "0.1.0",
        "nodeGroup": null, "activeStreams": 0, "ingressMbps": 0.0, "egressMbps": 0.0, "draining": false,
        "viewers": {"hls": 0, "dash": 0, "webrtc": 0, "rtmp": 0},
    }]);
    for path in [
        "/rest/v2/cluster/nodes/0/10",
        "/rest/v2/cluster/nodes",
        "/LiveApp/rest/v2/cluster/nodes",
        "/LiveApp/rest/v2/cluster/nodes/0/10",
    ] {
        assert_eq!(api.get(path).await.json(), expected, "{path}");
    }
}

#[tokio::test]
async fn a_node_is_dead_after_twenty_silent_seconds() {
    let api = Api::new();
    api.store
        .heartbeat(heartbeat("edge-1", START_MS))
        .await
        .unwrap();
    for (silent_ms, status) in [(20_000, "alive"), (20_001, "dead"), (-5_000, "alive")] {
        api.clock.set(START_MS + silent_ms);
        let nodes = api.get("/rest/v2/cluster/nodes/0/10").await.json();
        assert_eq!(nodes[0]["status"], status, "after {silent_ms} ms");
    }
}

#[tokio::test]
async fn nodes_are_counted_and_windowed() {
    let api = Api::new();
    let count = "/rest/v2/cluster/node-count";
    assert_eq!(api.get(count).await.json(), json!({"number": 0}));
    for id in ["n1", "n2", "n3"] {
        api.store.heartbeat(heartbeat(id, START_MS)).await.unwrap();
    }
    assert_eq!(api.get(count).await.json(), json!({"number": 3}));
    let window = api.get("/rest/v2/cluster/nodes/1/1").await.json();
    assert_eq!(window.as_array().unwrap().len(), 1);
    assert_eq!(window[0]["id"], "n2");
    let answer = api.get("/rest/v2/cluster/nodes/-1/1").await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    answer.failure();
}
