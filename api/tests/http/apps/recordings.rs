//! Recordings: records, and the files behind them.

use super::REST;
use crate::support::{Api, START_MS};
use async_trait::async_trait;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use weir_api::{Media, Rooms};
use weir_cluster::embedded::EmbeddedStore;
use weir_cluster::{AppName, Kind, ManualClock, Place};

/// Files in a folder.
#[derive(Debug)]
struct Folder(PathBuf);

#[async_trait]
impl Media for Folder {
    async fn remove(&self, _: &AppName, path: &str) -> Result<(), String> {
        std::fs::remove_file(self.0.join(path)).map_err(|error| error.to_string())
    }
}

async fn record(api: &Api, vod: Value) {
    let app = AppName::parse("LiveApp").unwrap();
    let place = Place::in_app(Kind::Vod, &app, [vod["vodId"].as_str().unwrap()]);
    let fields = vod.as_object().unwrap().clone();
    assert!(api.store.insert(&place, fields).await.unwrap());
}

async fn three(api: &Api) {
    for (id, name, stream, at) in [
        ("v1", "Beta.mp4", "cam1", 3),
        ("v2", "alpha.mp4", "cam1", 1),
        ("v3", "gamma.mp4", "cam2", 2),
    ] {
        let path = format!("{id}.mp4");
        let vod = json!({"vodId": id, "vodName": name, "streamId": stream, "creationDate": START_MS + at,
            "filePath": path, "type": "streamVod", "theirs": 1});
        record(api, vod).await;
    }
}

async fn ids(api: &Api, path: &str) -> Vec<String> {
    let list = api.get(&format!("{REST}/vods/{path}")).await.json();
    let list = list.as_array().unwrap().iter();
    list.map(|vod| vod["vodId"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn recordings_are_listed_sorted_searched_and_counted() {
    let api = Api::new();
    three(&api).await;
    assert_eq!(ids(&api, "list/0/9").await, ["v1", "v2", "v3"]);
    assert_eq!(ids(&api, "list/1/1").await, ["v2"]);
    assert_eq!(ids(&api, "list/0/9?sort_by=date").await, ["v2", "v3", "v1"]);
    assert_eq!(
        ids(&api, "list/0/9?sort_by=date&order_by=desc").await,
        ["v1", "v3", "v2"]
    );
    assert_eq!(ids(&api, "list/0/9?streamId=cam1").await, ["v1", "v2"]);
    assert_eq!(ids(&api, "list/0/9?search=ALPHA").await, ["v2"]);
    let count = |path: &'static str| {
        let api = &api;
        async move { api.get(&format!("{REST}/vods/{path}")).await.json()["number"].clone() }
    };
    assert_eq!(count("count").await, 3);
    assert_eq!(count("count/cam1").await, 2);
    let one = api.get(&format!("{REST}/vods/v1")).await.json();
    assert_eq!(
        (&one["type"], &one["previewFilePath"], &one["theirs"]),
        (&json!("streamVod"), &Value::Null, &json!(1))
    );
    let none = api.get(&format!("{REST}/vods/none")).await;
    assert_eq!((none.status(), none.text()), (StatusCode::NOT_FOUND, ""));
}

#[tokio::test]
async fn a_deleted_recordings_file_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS));
    let store = EmbeddedStore::open(&folder.path().join("store.redb"), clock.clone()).unwrap();
    let rooms = Rooms {
        media: Arc::new(Folder(folder.path().to_owned())),
        ..Rooms::none()
    };
    let api = Api::wired(Arc::new(store), clock, "node-1", rooms);
    three(&api).await;
    let file = folder.path().join("v1.mp4");
    std::fs::write(&file, b"media").unwrap();
    let deleted = api
        .ask(Method::DELETE, &format!("{REST}/vods/v1"), &[])
        .await
        .success();
    assert_eq!(
        (&deleted["dataId"], &deleted["message"]),
        (&json!("v1"), &Value::Null)
    );
    assert!(!file.exists());
    let again = api
        .ask(Method::DELETE, &format!("{REST}/vods/v1"), &[])
        .await;
    assert_eq!(again.failure(), "no recording \"v1\"");
    // A file that is not there is said, and the record goes all the same.
    let rest = api
        .ask(Method::DELETE, &format!("{REST}/vods/?ids=v2,v3"), &[])
        .await
        .success();
    let words = rest["message"].as_str().unwrap();
    assert!(
        words.contains("the file of v2 was not removed") && words.contains("v3"),
        "{words}"
    );
    assert_eq!(
        api.get(&format!("{REST}/vods/count")).await.json()["number"],
        0
    );
    let none = api
        .ask(Method::DELETE, &format!("{REST}/vods/?ids=v2"), &[])
        .await;
    assert_eq!(none.failure(), "not there, the others were deleted: v2");
}
