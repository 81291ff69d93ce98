//! Who watches: what the streams' owners report, whichever node is asked.

use super::REST;
use crate::support::{Api, START_MS, heartbeat};
use serde_json::json;
use weir_cluster::{
    Broadcast, BroadcastStatus, EpochEnd, NodeRecord, Ownership, StreamKey, Viewers,
};

/// The owner of `id` reports so many viewers.
async fn report(api: &Api, id: &str, owner: &Ownership, viewers: u32) {
    let key = StreamKey::parse("LiveApp", id).unwrap();
    let report = Broadcast {
        status: BroadcastStatus::Broadcasting,
        hls_viewer_count: viewers,
        ..Broadcast::new(&key.id, START_MS)
    };
    let at = EpochEnd::beginning(START_MS);
    api.store
        .update(&key, owner.epoch, report, at)
        .await
        .unwrap();
}

#[tokio::test]
async fn viewers_are_what_the_owners_report_and_an_applications_are_their_sum() {
    let api = Api::new();
    let statistics = async |path: &str| {
        let path = format!("{REST}/broadcasts/{path}-statistics");
        api.get(&path).await.json()
    };
    let of = |hls: i64| {
        json!({"totalRTMPWatchersCount": 0, "totalHLSWatchersCount": hls,
            "totalWebRTCWatchersCount": 0, "totalDASHWatchersCount": 0})
    };
    for (id, viewers) in [("a", 1_200), ("b", 34)] {
        let owner = api.publish(id, true).await;
        report(&api, id, &owner, viewers).await;
    }
    assert_eq!(statistics("a/broadcast").await, of(1_200));
    let mut all = of(1_234);
    all["activeLiveStreamCount"] = 2.into();
    assert_eq!(statistics("total-broadcast").await, all);
    let a = api.get(&format!("{REST}/broadcasts/a")).await.json();
    assert_eq!(
        (&a["hlsViewerCount"], &a["anyoneWatching"]),
        (&json!(1_200), &json!(true))
    );
    let live = api.get("/rest/v2/applications/live-streams/LiveApp").await;
    let live = live.json();
    assert!(
        live.as_array()
            .unwrap()
            .contains(&json!({"name": "b", "watcherCount": 34})),
        "{live}"
    );
    let history = api
        .get("/rest/v2/applications/LiveApp/metrics-history")
        .await;
    assert_eq!(history.json(), json!({"viewers": [1_234], "streams": [2]}));
    let unknown = statistics("none/broadcast").await;
    assert_eq!(unknown["totalHLSWatchersCount"], -1);
}

#[tokio::test]
async fn nobody_watches_what_has_ended() {
    let api = Api::new();
    let hls = async |id: &str| {
        let one = api.get(&format!("{REST}/broadcasts/{id}")).await.json();
        let path = format!("{REST}/broadcasts/{id}/broadcast-statistics");
        let told = api.get(&path).await.json()["totalHLSWatchersCount"].clone();
        assert_eq!(one["hlsViewerCount"], told, "{id}");
        (told, one["anyoneWatching"].clone())
    };
    let nobody = (json!(0), json!(false));
    let clean = api.publish("clean", true).await;
    report(&api, "clean", &clean, 5).await;
    assert_eq!(hls("clean").await, (json!(5), json!(true)));
    api.unpublish("clean", &clean).await;
    assert_eq!(hls("clean").await, nobody);
    let lost = api.publish("lost", true).await;
    report(&api, "lost", &lost, 5).await;
    api.clock.advance(20_001);
    assert_eq!(hls("lost").await, nobody);
}

#[tokio::test]
async fn a_nodes_own_viewers_are_those_of_its_heartbeat() {
    let api = Api::new();
    let node = NodeRecord {
        viewers: Viewers {
            hls: 21,
            ..Viewers::default()
        },
        ..heartbeat("node-1", START_MS)
    };
    api.store
        .heartbeat(heartbeat("another", START_MS))
        .await
        .unwrap();
    api.store.heartbeat(node).await.unwrap();
    let resources = api.get("/rest/v2/system-resources").await.json();
    assert_eq!(
        (
            &resources["localHLSViewers"],
            &resources["localWebRTCViewers"]
        ),
        (&json!(21), &json!(0))
    );
    let clients = api.get("/rest/v2/live-clients-size").await.json();
    assert_eq!(
        clients,
        json!({"totalConnectionSize": 21, "totalLiveStreamSize": 0})
    );
}
