//! Many streams in one call; lists and counts.

use super::REST;
use crate::support::{Api, START_MS};
use http::{Method, StatusCode};
use serde_json::{Value, json};

async fn create_list(api: &Api, query: &str, body: Value) -> crate::support::Answer {
    let path = format!("{REST}/broadcasts/create-list{query}");
    api.send(Method::POST, &path, body).await
}

fn messages(answer: &crate::support::Answer) -> Vec<(bool, String, String)> {
    assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text());
    let json = answer.json();
    let each = json.as_array().unwrap().iter().map(|result| {
        let text = |key: &str| result[key].as_str().unwrap_or_default().to_owned();
        (result["success"] == true, text("message"), text("dataId"))
    });
    each.collect()
}

#[tokio::test]
async fn a_list_is_made_whole_or_says_who_is_in_the_way() {
    let api = Api::new();
    let made = create_list(
        &api,
        "",
        json!([{"streamId": "a"}, {"streamId": "b", "name": "B"}, {}]),
    )
    .await;
    let said = messages(&made);
    assert_eq!(said[0], (true, "created".to_owned(), "a".to_owned()));
    assert!(
        said.iter()
            .all(|(good, message, _)| *good && message == "created")
    );
    let refused = create_list(
        &api,
        "",
        json!([{"streamId": "c"}, {"streamId": "a"}, {"streamId": "c"}]),
    )
    .await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert!(
        refused.failure().ends_with("already being used: a, c"),
        "{}",
        refused.text()
    );
    let count = api.get(&format!("{REST}/broadcasts/count")).await.json();
    assert_eq!(count["number"], 3, "nothing of the refused list was made");
}

#[tokio::test]
async fn duplicates_are_skipped_or_overwritten_as_asked() {
    let api = Api::new();
    api.publish("live", true).await;
    create_list(
        &api,
        "",
        json!([{"streamId": "a", "name": "old", "description": "old"}]),
    )
    .await;
    let bodies = json!([{"streamId": "a", "name": "new"}, {"streamId": "x y"}, {"streamId": "live", "name": "L"},
        {"streamId": "b"}, {"streamId": "d", "name": 5}]);
    let said = messages(&create_list(&api, "?onDuplicate=skip", bodies.clone()).await);
    let words: Vec<_> = said
        .iter()
        .map(|(_, words, _)| words.split(':').next().unwrap())
        .collect();
    assert_eq!(words, ["skipped", "failed", "skipped", "created", "failed"]);
    let said = messages(&create_list(&api, "?onDuplicate=overwrite", bodies).await);
    let words: Vec<_> = said
        .iter()
        .map(|(_, words, _)| words.split(':').next().unwrap())
        .collect();
    assert_eq!(
        words,
        ["overridden", "failed", "overridden", "overridden", "failed"]
    );
    let a = api.get(&format!("{REST}/broadcasts/a")).await.json();
    assert_eq!(
        (&a["name"], &a["description"]),
        (&json!("new"), &Value::Null)
    );
    let live = api.get(&format!("{REST}/broadcasts/live")).await.json();
    assert_eq!(
        (&live["name"], &live["status"]),
        (&json!("L"), &json!("broadcasting"))
    );
    assert_eq!(live["width"], 1920, "the owner's figures stay");
    let odd = create_list(&api, "?onDuplicate=maybe", json!([])).await;
    assert_eq!(odd.status(), StatusCode::BAD_REQUEST);
    let many: Vec<_> = (0..251).map(|_| json!({})).collect();
    let many = create_list(&api, "", json!(many)).await;
    assert_eq!(many.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn kinds_are_told_apart_and_what_publishing_made_is_a_live_stream() {
    let api = Api::new();
    api.publish("pushed", false).await;
    let bodies = json!([
        {"streamId": "cam", "type": "ipCamera", "ipAddr": "192.0.2.7:8080"},
        {"streamId": "src", "type": "streamSource", "streamUrl": "rtsp://x/y"},
        {"streamId": "plain"},
    ]);
    create_list(&api, "", bodies).await;
    for (kind, expected) in [
        ("liveStream", json!(["plain", "pushed"])),
        ("ipCamera", json!(["cam"])),
        ("streamSource", json!(["src"])),
        ("playlist", json!([])),
        ("", json!(["cam", "plain", "pushed", "src"])),
    ] {
        let path = format!("{REST}/broadcasts/list/0/50?type_by={kind}");
        let list = api.get(&path).await.json();
        let ids: Vec<_> = list
            .as_array()
            .unwrap()
            .iter()
            .map(|b| b["streamId"].clone())
            .collect();
        assert_eq!(json!(ids), expected, "{kind}");
    }
    let down = api
        .get(&format!("{REST}/broadcasts/list/0/50?order_by=desc"))
        .await
        .json();
    assert_eq!(down[0]["streamId"], "src");
}

#[tokio::test]
async fn a_search_is_a_text_never_a_pattern() {
    let api = Api::new();
    create_list(
        &api,
        "",
        json!([{"streamId": "a.b", "name": "50% (x)"}, {"streamId": "axb"}]),
    )
    .await;
    for (search, number) in [
        ("a.b", 1),
        (".*", 0),
        ("%25%20%28", 1),
        ("A", 2),
        ("%5B", 0),
    ] {
        let path = format!("{REST}/broadcasts/count/{search}");
        assert_eq!(api.get(&path).await.json()["number"], number, "{search}");
    }
}

#[tokio::test]
async fn silent_owners_streams_are_not_counted_as_live() {
    let api = Api::new();
    for id in 0..300 {
        api.publish(&format!("gone{id}"), false).await;
    }
    api.clock.set(START_MS + 20_001);
    let count = format!("{REST}/broadcasts/active-live-stream-count");
    let total = format!("{REST}/broadcasts/total-broadcast-statistics");
    assert_eq!(api.get(&count).await.json()["number"], 0);
    api.clock.set(START_MS + 20_000);
    assert_eq!(api.get(&count).await.json()["number"], 300);
    let total = api.get(&total).await.json();
    let expected = json!({"totalRTMPWatchersCount": 0, "totalHLSWatchersCount": 0, "totalWebRTCWatchersCount": 0,
        "totalDASHWatchersCount": 0, "activeLiveStreamCount": 300});
    assert_eq!(total, expected);
}

#[tokio::test]
async fn figures_of_a_stream_come_from_its_record() {
    let api = Api::new();
    api.publish("cam1", true).await;
    let info = api
        .get(&format!("{REST}/broadcasts/cam1/stream-info"))
        .await
        .json();
    let expected = json!([{"videoHeight": 1080, "videoWidth": 1920, "videoBitrate": 4_000_000, "audioBitrate": 0,
        "videoCodec": null}]);
    assert_eq!(info, expected);
    let figures = api
        .get(&format!("{REST}/broadcasts/cam1/broadcast-statistics"))
        .await
        .json();
    assert_eq!(figures["totalHLSWatchersCount"], 0);
    let none = api
        .get(&format!("{REST}/broadcasts/nobody/broadcast-statistics"))
        .await
        .json();
    assert_eq!(none["totalHLSWatchersCount"], -1);
    let none = api
        .get(&format!("{REST}/broadcasts/nobody/stream-info"))
        .await
        .json();
    assert_eq!(none, json!([]));
    let webrtc = api
        .get(&format!("{REST}/broadcasts/cam1/webrtc-client-stats/0/10"))
        .await
        .json();
    assert_eq!(webrtc, json!([]));
}
