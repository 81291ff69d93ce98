//! Streams are stopped, started, deleted; and what this version only answers.

use super::REST;
use crate::support::Api;
use http::{Method, StatusCode};
use serde_json::json;
use weir_cluster::Kind;

async fn created(api: &Api, ids: &[&str]) {
    let bodies: Vec<_> = ids.iter().map(|id| json!({"streamId": id})).collect();
    let path = format!("{REST}/broadcasts/create-list");
    api.send(Method::POST, &path, json!(bodies)).await;
}

async fn command(api: &Api, method: Method, path: &str) -> crate::support::Answer {
    api.ask(method, &format!("{REST}/{path}"), &[]).await
}

#[tokio::test]
async fn a_deleted_stream_is_gone_and_a_second_time_nobody() {
    let api = Api::new();
    created(&api, &["a", "b"]).await;
    command(&api, Method::DELETE, "broadcasts/a")
        .await
        .success();
    assert_eq!(
        command(&api, Method::DELETE, "broadcasts/a")
            .await
            .failure(),
        "no stream \"a\""
    );
    assert!(api.stored(Kind::Broadcast, "a").await.is_none());
    assert!(api.stored(Kind::Broadcast, "b").await.is_some());
}

#[tokio::test]
async fn many_are_deleted_by_query_or_by_body() {
    let api = Api::new();
    created(&api, &["a", "b", "c", "d", "e", "f"]).await;
    command(&api, Method::DELETE, "broadcasts/?ids=a,%20b,")
        .await
        .success();
    command(&api, Method::DELETE, "broadcasts?ids=c")
        .await
        .success();
    let listed = api
        .send(Method::DELETE, &format!("{REST}/broadcasts/"), json!(["d"]))
        .await;
    listed.success();
    let partly = command(&api, Method::DELETE, "broadcasts/?ids=e,nobody,a__b")
        .await
        .failure();
    assert_eq!(partly, "not there, the others were deleted: a__b, nobody");
    let left = api.get(&format!("{REST}/broadcasts/list/0/9")).await.json();
    assert_eq!(
        (left.as_array().unwrap().len(), &left[0]["streamId"]),
        (1, &json!("f"))
    );
    for path in ["broadcasts/", "broadcasts/?ids=", "broadcasts/?ids=,,"] {
        let answer = command(&api, Method::DELETE, path).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{path}");
    }
    let long: Vec<_> = (0..251).map(|n| n.to_string()).collect();
    let long = command(
        &api,
        Method::DELETE,
        &format!("broadcasts/?ids={}", long.join(",")),
    )
    .await;
    assert_eq!(long.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn subtracks_come_and_go() {
    let api = Api::new();
    created(&api, &["room", "t1", "t2", "t3"]).await;
    let path = format!("{REST}/broadcasts/room");
    api.send(Method::PUT, &path, json!({"subtracksLimit": 2}))
        .await
        .success();
    api.publish("t2", true).await;
    for track in ["t1", "t2", "t1"] {
        command(
            &api,
            Method::POST,
            &format!("broadcasts/room/subtrack?id={track}"),
        )
        .await
        .success();
    }
    let third = command(&api, Method::POST, "broadcasts/room/subtrack?id=t3")
        .await
        .failure();
    assert_eq!(third, "the main track takes 2 subtracks, and has them");
    let all = api
        .get(&format!("{REST}/broadcasts/room/subtracks/0/9"))
        .await
        .json();
    assert_eq!(
        (&all[0]["streamId"], &all[1]["mainTrackStreamId"]),
        (&json!("t1"), &json!("room"))
    );
    let live = api
        .get(&format!("{REST}/broadcasts/room/active-subtracks/0/9"))
        .await
        .json();
    assert_eq!(
        (live.as_array().unwrap().len(), &live[0]["streamId"]),
        (1, &json!("t2"))
    );
    let count = api
        .get(&format!("{REST}/broadcasts/room/active-subtracks-count"))
        .await
        .json();
    assert_eq!(count["number"], 1);
    let roles = api
        .get(&format!(
            "{REST}/broadcasts/room/subtracks/0/9?role=teacher"
        ))
        .await
        .json();
    assert_eq!(roles, json!([]));
    command(&api, Method::DELETE, "broadcasts/room/subtrack?id=t1")
        .await
        .success();
    command(&api, Method::DELETE, "broadcasts/room/subtrack?id=t1")
        .await
        .failure();
    command(&api, Method::POST, "broadcasts/nobody/subtrack?id=t1")
        .await
        .failure();
    command(&api, Method::POST, "broadcasts/room/subtrack")
        .await
        .failure();
}

#[tokio::test]
async fn subtracks_are_deleted_with_their_main_track_unless_asked_otherwise() {
    let api = Api::new();
    created(&api, &["room", "t1", "t3"]).await;
    command(&api, Method::POST, "broadcasts/room/subtrack?id=t3")
        .await
        .success();
    command(
        &api,
        Method::DELETE,
        "broadcasts/room?deleteSubtracks=false",
    )
    .await
    .success();
    assert!(api.stored(Kind::Broadcast, "t3").await.is_some());
    created(&api, &["room"]).await;
    command(&api, Method::DELETE, "broadcasts/room")
        .await
        .success();
    assert!(api.stored(Kind::Broadcast, "t3").await.is_none());
    assert!(
        api.stored(Kind::Broadcast, "t1").await.is_some(),
        "never in it"
    );
}

#[tokio::test]
async fn nothing_is_stopped_or_started_that_cannot_be() {
    let api = Api::new();
    created(&api, &["a"]).await;
    let src = json!({"streamId": "src", "type": "streamSource", "streamUrl": "rtsp://x/y"});
    api.send(Method::POST, &format!("{REST}/broadcasts/create"), src)
        .await;
    for (path, words) in [
        ("broadcasts/a/stop", "the stream is not live"),
        ("broadcasts/nobody/stop", "no stream \"nobody\""),
        (
            "broadcasts/a/start",
            "a liveStream starts when somebody publishes it; it cannot be started from here",
        ),
        (
            "broadcasts/src/start",
            "streams of type streamSource are not started in this version",
        ),
        ("broadcasts/nobody/start", "no stream \"nobody\""),
    ] {
        let answer = command(&api, Method::POST, path).await;
        assert_eq!(
            (answer.status(), answer.failure().as_str()),
            (StatusCode::OK, words),
            "{path}"
        );
    }
}

#[tokio::test]
async fn what_this_version_does_not_do_is_answered_and_says_so() {
    let api = Api::new();
    for (method, path) in [
        (Method::POST, "broadcasts/a/endpoint"),
        (Method::DELETE, "broadcasts/a/endpoint?endpointServiceId=x"),
        (Method::POST, "broadcasts/a/rtmp-endpoint"),
        (Method::PUT, "broadcasts/a/recording/true"),
        (Method::PUT, "broadcasts/a/seek-time/5"),
        (Method::POST, "broadcasts/playlists/a/next"),
        (Method::GET, "broadcasts/duration?url=x"),
        (Method::POST, "broadcasts/a/ip-camera/move"),
        (Method::POST, "broadcasts/a/data"),
        (Method::POST, "broadcasts/a/id3"),
        (Method::POST, "broadcasts/a/hls-to-mp4"),
        (Method::POST, "vods/create?name=x"),
        (Method::DELETE, "vods/directory?directory=x"),
        (Method::POST, "push-notification/topics/t"),
    ] {
        let answer = command(&api, method, path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert!(
            answer
                .failure()
                .ends_with("is not available in this version"),
            "{}",
            answer.text()
        );
    }
    for path in [
        "broadcasts/onvif-devices",
        "broadcasts/a/ip-camera/device-profiles",
    ] {
        assert_eq!(
            command(&api, Method::GET, path).await.json(),
            json!([]),
            "{path}"
        );
    }
    let history = command(&api, Method::GET, "broadcasts/a/metrics-history")
        .await
        .json();
    assert_eq!(history["bitrate"], json!([]));
    let elsewhere = api
        .ask(Method::POST, "/Other/rest/v2/broadcasts/a/endpoint", &[])
        .await;
    assert_eq!(elsewhere.status(), StatusCode::NOT_FOUND);
}
