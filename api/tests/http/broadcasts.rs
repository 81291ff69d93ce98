//! Streams: keys, states, windows, sorting.

use crate::support::{Api, START_MS};
use http::{Method, StatusCode};
use std::collections::BTreeSet;

/// Every key of a `Broadcast` that Ant Media's servers send.
const ANT_MEDIA_KEYS: &str = "absoluteStartTimeMs altitude anyoneWatching autoStartStopEnabled bitrate category \
    currentPlayIndex dashViewerCount dashViewerLimit date description dropFrameCountInEncoding \
    dropPacketCountInIngestion duration encoderQueueSize encoderSettingsList endPointList expireDurationMS height \
    hlsParameters hlsViewerCount hlsViewerLimit ipAddr is360 jitterMs latitude listenerHookURL longitude \
    mainTrackStreamId maxIdleTime metaData mp4Enabled name originAdress packetLostRatio packetsLost password \
    pendingPacketSize plannedEndDate plannedStartDate playListItemList playListStatus playlistLoopEnabled publicStream \
    publish publishType quality receivedBytes remoteIp role rtmpURL rtmpViewerCount rttMs seekTimeInMs speed startTime \
    status streamId streamUrl subFolder subtracksLimit type updateTime userAgent username virtual webMEnabled \
    webRTCViewerCount webRTCViewerLimit width zombi";

#[tokio::test]
async fn a_stream_has_exactly_ant_medias_keys_nulls_included() {
    let api = Api::new();
    api.publish("cam1", false).await;
    let json = api.get("/LiveApp/rest/v2/broadcasts/cam1").await.json();
    let given: BTreeSet<_> = json
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(given, ANT_MEDIA_KEYS.split_whitespace().collect());
    assert!(json["description"].is_null() && json["remoteIp"].is_null());
}

#[tokio::test]
async fn a_live_stream_is_told_with_its_figures() {
    let api = Api::new();
    api.publish("cam1", false).await;
    let json = api.get("/LiveApp/rest/v2/broadcasts/cam1").await.json();
    for (key, value) in [
        ("streamId", serde_json::json!("cam1")),
        ("status", "broadcasting".into()),
        ("type", "liveStream".into()),
        ("publishType", "RTMP".into()),
        ("zombi", true.into()),
        ("width", 1920.into()),
        ("height", 1080.into()),
        ("bitrate", 4_000_000.into()),
        ("speed", 1.002.into()),
        ("startTime", START_MS.into()),
        ("originAdress", "10.0.0.9".into()),
        ("rtmpURL", "rtmp://live.example/LiveApp/cam1".into()),
        ("userAgent", "N/A".into()),
        ("hlsViewerLimit", (-1).into()),
        ("publicStream", true.into()),
    ] {
        assert_eq!(json[key], value, "{key}");
    }
}

#[tokio::test]
async fn a_silent_owner_ends_a_stream_after_twenty_seconds() {
    let api = Api::new();
    api.publish("cam1", false).await;
    let count = "/LiveApp/rest/v2/broadcasts/active-live-stream-count";
    api.clock.set(START_MS + 20_000);
    let status = api.get("/LiveApp/rest/v2/broadcasts/cam1").await.json();
    assert_eq!(status["status"], "broadcasting");
    assert_eq!(
        api.get(count).await.json(),
        serde_json::json!({"number": 1})
    );
    api.clock.set(START_MS + 20_001);
    let status = api.get("/LiveApp/rest/v2/broadcasts/cam1").await.json();
    assert_eq!(status["status"], "terminated_unexpectedly");
    assert_eq!(
        api.get(count).await.json(),
        serde_json::json!({"number": 0})
    );
    let list = api
        .get("/LiveApp/rest/v2/broadcasts/list/0/10")
        .await
        .json();
    assert_eq!(list[0]["status"], "terminated_unexpectedly");
}

#[tokio::test]
async fn unknown_streams_and_ids_that_cannot_be_are_404() {
    let api = Api::new();
    for id in ["cam1", "a__b", ".hidden", "%C3%BC", "a%2F..%2Fb"] {
        let answer = api.get(&format!("/LiveApp/rest/v2/broadcasts/{id}")).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{id}");
        assert_eq!(answer.text(), "", "{id}: Ant Media's has no body either");
    }
    let answer = api.get("/LiveApp/rest/v2/broadcasts/%FF").await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    answer.failure();
}

#[tokio::test]
async fn an_unknown_application_is_404_and_names_those_that_are_here() {
    let api = Api::new();
    for path in [
        "broadcasts/list/0/10",
        "broadcasts/cam1",
        "broadcasts/count",
        "broadcasts/active-live-stream-count",
        "cluster/nodes",
        "version",
    ] {
        let answer = api.get(&format!("/Other/rest/v2/{path}")).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        assert!(answer.failure().contains("LiveApp, live"), "{path}");
    }
}

/// The ids in a list's answer.
async fn ids(api: &Api, path: &str) -> Vec<String> {
    let answer = api
        .get(&format!("/LiveApp/rest/v2/broadcasts/{path}"))
        .await;
    assert_eq!(answer.status(), StatusCode::OK, "{path}: {}", answer.text());
    let json = answer.json();
    let ids = json.as_array().unwrap().iter();
    ids.map(|b| b["streamId"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn lists_are_windows() {
    let api = Api::new();
    assert_eq!(ids(&api, "list/0/10").await, [""; 0]);
    for id in ["b", "c", "a"] {
        api.publish(id, false).await;
    }
    assert_eq!(ids(&api, "list/0/10").await, ["a", "b", "c"]);
    assert_eq!(ids(&api, "list/1/1").await, ["b"]);
    assert_eq!(ids(&api, "list/3/10").await, [""; 0]);
    assert_eq!(ids(&api, "list/0/0").await, [""; 0]);
    assert_eq!(ids(&api, "list/18446744073709551615/250").await, [""; 0]);
    let other = api.get("/live/rest/v2/broadcasts/list/0/10").await;
    assert_eq!(
        other.json(),
        serde_json::json!([]),
        "applications are apart"
    );
}

#[tokio::test]
async fn a_size_beyond_the_limit_is_the_limit() {
    let api = Api::new();
    for number in 0..260 {
        api.publish(&format!("s{number:03}"), false).await;
    }
    assert_eq!(
        ids(&api, "list/0/1000000").await.len(),
        weir_api::LIST_SIZE_MAX
    );
    assert_eq!(ids(&api, "list/250/250").await.len(), 10);
    assert_eq!(ids(&api, "list/250/250?sort_by=name").await.len(), 10);
    let count = api.get("/LiveApp/rest/v2/broadcasts/count").await.json();
    assert_eq!(count, serde_json::json!({"number": 260}));
}

#[tokio::test]
async fn windows_that_cannot_be_are_400_in_clear_words() {
    let api = Api::new();
    for (path, words) in [
        ("list/-1/10", "offset is \"-1\""),
        ("list/x/10", "offset is \"x\""),
        ("list/0/-5", "size is \"-5\""),
        ("list/0/1e3", "size is \"1e3\""),
        ("list/99999999999999999999/1", "offset is"),
        ("list/0/10?sort_by=a&sort_by=b", "duplicate field"),
    ] {
        let answer = api
            .get(&format!("/LiveApp/rest/v2/broadcasts/{path}"))
            .await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{path}");
        assert!(
            answer.failure().contains(words),
            "{path}: {}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn lists_are_sorted_and_searched_as_asked() {
    let api = Api::new();
    for id in ["alpha", "beta", "Gamma"] {
        let body = serde_json::json!({"streamId": id, "name": id});
        api.send(Method::POST, "/LiveApp/rest/v2/broadcasts/create", body)
            .await;
    }
    let ended = api.publish("alpha", true).await;
    api.publish("beta", false).await;
    api.publish("Gamma", false).await;
    api.unpublish("alpha", &ended).await;
    assert_eq!(
        ids(&api, "list/0/9?sort_by=name").await,
        ["Gamma", "alpha", "beta"]
    );
    assert_eq!(
        ids(&api, "list/0/9?sort_by=name&order_by=desc").await,
        ["beta", "alpha", "Gamma"]
    );
    let live_first = ids(&api, "list/0/9?sort_by=status&order_by=asc").await;
    assert_eq!(
        live_first.last().unwrap(),
        "alpha",
        "finished comes after broadcasting"
    );
    assert_eq!(ids(&api, "list/1/1?sort_by=name").await, ["alpha"]);
    assert_eq!(ids(&api, "list/0/9?search=gAM").await, ["Gamma"]);
    assert_eq!(ids(&api, "list/0/9?search=zzz").await, [""; 0]);
    assert_eq!(ids(&api, "list/0/9?type_by=liveStream").await.len(), 3);
    assert_eq!(ids(&api, "list/0/9?type_by=ipCamera").await, [""; 0]);
    let count = api.get("/LiveApp/rest/v2/broadcasts/count/a").await.json();
    assert_eq!(count, serde_json::json!({"number": 3}));
}
