//! Streams are made and changed.

use super::REST;
use crate::support::{Api, START_MS};
use axum::body::Body;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use weir_cluster::Kind;

async fn create(api: &Api, body: Value) -> crate::support::Answer {
    api.send(Method::POST, &format!("{REST}/broadcasts/create"), body)
        .await
}

async fn put(api: &Api, id: &str, body: Value) -> crate::support::Answer {
    api.send(Method::PUT, &format!("{REST}/broadcasts/{id}"), body)
        .await
}

#[tokio::test]
async fn a_stream_without_an_id_is_given_one_nobody_can_guess() {
    let api = Api::new();
    let path = format!("{REST}/broadcasts/create");
    let first = api.ask(Method::POST, &path, &[]).await;
    let second = create(&api, json!({})).await;
    let blank = create(&api, json!({"streamId": "  "})).await;
    let mut ids = Vec::new();
    for answer in [first, second, blank] {
        assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text());
        let json = answer.json();
        let id = json["streamId"].as_str().unwrap().to_owned();
        assert!(
            id.len() > 16 && id.chars().all(|c| c.is_ascii_alphanumeric()),
            "{id}"
        );
        assert!(id[16..].parse::<u64>().is_ok(), "{id} ends in a time");
        assert_eq!(json["rtmpURL"], format!("rtmp://live.example/LiveApp/{id}"));
        for (key, value) in [
            ("status", json!("created")),
            ("type", json!("liveStream")),
            ("zombi", json!(false)),
            ("date", json!(START_MS)),
            ("publish", json!(true)),
            ("originAdress", Value::Null),
        ] {
            assert_eq!(json[key], value, "{key}");
        }
        ids.push(id);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn what_is_created_is_there_with_what_the_client_said() {
    let api = Api::new();
    let body = json!({
        "streamId": " cam.1_A-b ", "name": "Ünï", "hlsViewerLimit": 7, "plannedStartDate": 1_800_000_000,
        "endPointList": [{"endpointUrl": "rtmp://x/y", "type": "generic"}], "theirs": {"new": true},
        "hlsParameters": {"hlsTime": "2"}, "status": "broadcasting", "hlsViewerCount": 5,
    });
    let made = create(&api, body).await.json();
    let read = api
        .get(&format!("{REST}/broadcasts/cam.1_A-b"))
        .await
        .json();
    assert_eq!(made, read);
    for (key, value) in [
        ("name", json!("Ünï")),
        ("hlsViewerLimit", json!(7)),
        ("theirs", json!({"new": true})),
        ("status", json!("created")),
        ("hlsViewerCount", json!(0)),
    ] {
        assert_eq!(read[key], value, "{key}");
    }
    assert_eq!(read["endPointList"][0]["endpointUrl"], "rtmp://x/y");
}

#[tokio::test]
async fn ids_that_are_taken_or_cannot_be_are_400() {
    let api = Api::new();
    create(&api, json!({"streamId": "cam1"})).await;
    api.publish("live1", false).await;
    for (id, words) in [
        ("cam1", "Stream id is already being used"),
        ("live1", "Stream id is already being used"),
        ("a b", "Stream id is not valid"),
        ("a__b", "Stream id is not valid"),
        ("../x", "Stream id is not valid"),
        ("$where", "Stream id is not valid"),
    ] {
        let answer = create(&api, json!({"streamId": id})).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{id}");
        assert!(
            answer.failure().starts_with(words),
            "{id}: {}",
            answer.text()
        );
    }
    let long = create(&api, json!({"streamId": "x".repeat(129)})).await;
    assert_eq!(long.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn bodies_that_cannot_be_are_400_and_name_the_field() {
    let api = Api::new();
    let path = format!("{REST}/broadcasts/create");
    for (body, words) in [
        ("{", "the body is no JSON: EOF"),
        (
            "[]",
            "the body: a list of 0 was given; it must be an object",
        ),
        ("7", "the body: a number was given"),
        (r#"{"streamId": 7}"#, "streamId:"),
        (r#"{"name": 7}"#, "name: 7 was given; it must be a text"),
        (r#"{"subFolder": "../.."}"#, "subFolder:"),
        (
            r#"{"type": "streamSource", "streamUrl": "gopher://x"}"#,
            "streamUrl:",
        ),
    ] {
        let headers = [("content-type", "application/json")];
        let answer = api
            .ask_with(Method::POST, &path, &headers, Body::from(body))
            .await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{body}");
        assert!(
            answer.failure().starts_with(words),
            "{body}: {}",
            answer.text()
        );
    }
    assert_eq!(
        api.get(&format!("{REST}/broadcasts/count")).await.json()["number"],
        0
    );
}

#[tokio::test]
async fn a_body_has_a_mebibyte_and_no_more() {
    let api = Api::new();
    let body = |bytes: usize| {
        let frame = r#"{"streamId":"big","a":["#;
        let pad = "1,".repeat((bytes - frame.len() - 3) / 2);
        let mut body = format!("{frame}{pad}1]}}");
        body.push_str(&" ".repeat(bytes - body.len()));
        Body::from(body)
    };
    let path = format!("{REST}/broadcasts/create");
    let max = weir_api::BODY_BYTES_MAX;
    let over = api.ask_with(Method::POST, &path, &[], body(max + 1)).await;
    assert_eq!(over.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(over.failure(), "the body is longer than 1048576 bytes");
    let just = api.ask_with(Method::POST, &path, &[], body(max)).await;
    assert_eq!(just.status(), StatusCode::OK, "{}", just.text());
}

#[tokio::test]
async fn auto_start_says_that_nothing_is_pulled() {
    let api = Api::new();
    let path = format!("{REST}/broadcasts/create?autoStart=true");
    for body in [
        json!({"streamId": "a", "type": "streamSource", "streamUrl": "rtsp://x/y"}),
        json!({"streamId": "a"}),
    ] {
        let answer = api.send(Method::POST, &path, body).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(answer.failure().starts_with("nothing was created"));
    }
    let made = api.get(&format!("{REST}/broadcasts/a")).await;
    assert_eq!(made.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_update_sets_what_it_says_and_nothing_else() {
    let api = Api::new();
    create(
        &api,
        json!({"streamId": "cam1", "name": "old", "description": "stays", "theirs": 1}),
    )
    .await;
    let body = json!({
        "name": "new", "description": null, "status": "finished", "type": "playlist", "streamId": "other",
        "date": 1, "mp4Enabled": 1, "zombi": true, "hlsViewerLimit": 3,
    });
    put(&api, "cam1", body.clone()).await.success();
    let read = api.get(&format!("{REST}/broadcasts/cam1")).await.json();
    for (key, value) in [
        ("name", json!("new")),
        ("description", json!("stays")),
        ("theirs", json!(1)),
        ("status", json!("created")),
        ("type", json!("liveStream")),
        ("streamId", json!("cam1")),
        ("date", json!(START_MS)),
        ("mp4Enabled", json!(0)),
        ("zombi", json!(false)),
        ("hlsViewerLimit", json!(3)),
    ] {
        assert_eq!(read[key], value, "{key}");
    }
    // The same again is no failure, unlike Ant Media on MongoDB.
    put(&api, "cam1", body).await.success();
    put(&api, "cam1", json!({})).await.success();
    // What was read may be sent back whole.
    put(&api, "cam1", read.clone()).await.success();
    assert_eq!(
        api.get(&format!("{REST}/broadcasts/cam1")).await.json(),
        read
    );
}

#[tokio::test]
async fn a_live_streams_figures_stay_its_owners() {
    let api = Api::new();
    let owner = api.publish("cam1", true).await;
    let before = api.stored(Kind::Broadcast, "cam1").await.unwrap();
    let body = json!({"name": "Camera", "bitrate": 1, "width": 1, "status": "finished", "originAdress": "1.2.3.4",
        "owner": {"nodeId": "thief", "epoch": 1}, "updateTime": 1, "weirCheckpoint": {}});
    put(&api, "cam1", body).await.success();
    let mut after = api.stored(Kind::Broadcast, "cam1").await.unwrap();
    assert_eq!(after.remove("name"), Some(json!("Camera")));
    let mut before = before;
    before.remove("name");
    assert_eq!(after, before);
    api.unpublish("cam1", &owner).await;
    let ended = api.get(&format!("{REST}/broadcasts/cam1")).await.json();
    assert_eq!(
        (&ended["name"], &ended["status"]),
        (&json!("Camera"), &json!("finished"))
    );
}

#[tokio::test]
async fn an_update_of_nobody_fails_and_one_that_cannot_be_is_400() {
    let api = Api::new();
    assert_eq!(
        put(&api, "cam1", json!({"name": "x"})).await.failure(),
        "no stream \"cam1\""
    );
    assert_eq!(
        put(&api, "a__b", json!({"name": "x"})).await.failure(),
        "no stream \"a__b\""
    );
    create(
        &api,
        json!({"streamId": "src", "type": "streamSource", "streamUrl": "rtsp://x/y"}),
    )
    .await;
    for (body, words) in [
        (json!({"streamUrl": "ftp://x"}), "streamUrl:"),
        (json!({"subFolder": "a/.."}), "subFolder:"),
        (json!({"maxIdleTime": -1}), "maxIdleTime: -1 was given"),
    ] {
        let answer = put(&api, "src", body).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        assert!(answer.failure().starts_with(words), "{}", answer.text());
    }
    put(&api, "src", json!({"streamUrl": "srt://x:1"}))
        .await
        .success();
}
