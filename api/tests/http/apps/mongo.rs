//! The main calls once more, on MongoDB: a real `mongod` of our own.
//!
//! `mongod` is looked for in the variable `WEIR_MONGOD`, then in `PATH`. Where there is none, the test says so and
//! passes, unless `WEIR_REQUIRE_MONGOD` is set.

use super::REST;
use crate::support::{Api, START_MS};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use weir_api::Rooms;
use weir_cluster::{Kind, ManualClock, MongoOptions, MongoStore};

/// A server on a port and a folder of its own; ends with the value.
struct Mongod {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Mongod {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Mongod {
    fn start() -> Option<Self> {
        let named = std::env::var_os("WEIR_MONGOD").map(PathBuf::from);
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let mut in_path = std::env::split_paths(&paths).map(|folder| folder.join("mongod"));
        let Some(program) = named.or_else(|| in_path.find(|file| file.is_file())) else {
            let required = std::env::var_os("WEIR_REQUIRE_MONGOD").is_some();
            assert!(!required, "no mongod on PATH or in WEIR_MONGOD");
            #[expect(clippy::print_stderr, reason = "says why the test shows nothing")]
            {
                eprintln!("not run: no mongod on PATH or in WEIR_MONGOD");
            }
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let process = Command::new(program)
            .args(["--bind_ip", "127.0.0.1", "--quiet"])
            .args(["--wiredTigerCacheSizeGB", "0.25"])
            .args(["--port", &port.to_string(), "--dbpath"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Some(Self {
            process,
            port,
            _folder: folder,
        })
    }

    async fn api(&self) -> Api {
        let clock = Arc::new(ManualClock::at(START_MS));
        let options = || MongoOptions {
            hosts_or_uri: format!("127.0.0.1:{}", self.port),
            name: None,
            user: None,
            password: None,
            options: None,
            pool_max: None,
            poll_only: false,
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            match MongoStore::connect(options()).await {
                Ok(store) => {
                    let api = Api::wired(Arc::new(store), clock.clone(), "node-1", Rooms::none());
                    let count = api.get(&format!("{REST}/broadcasts/count")).await;
                    if count.status() == StatusCode::OK {
                        return api;
                    }
                    in_time(deadline, count.text());
                }
                Err(error) => in_time(deadline, &error.to_string()),
            }
            sleep(Duration::from_millis(200)).await;
        }
    }
}

fn in_time(deadline: Instant, last: &str) {
    assert!(Instant::now() < deadline, "mongod does not answer: {last}");
}

async fn post(api: &Api, path: &str, body: Value) -> crate::support::Answer {
    api.send(Method::POST, &format!("{REST}/{path}"), body)
        .await
}

async fn delete(api: &Api, path: &str) -> Value {
    let path = format!("{REST}/{path}");
    api.ask(Method::DELETE, &path, &[]).await.success()
}

async fn ids(api: &Api, path: &str) -> Vec<String> {
    let list = api.get(&format!("{REST}/broadcasts/{path}")).await.json();
    let list = list.as_array().unwrap().iter();
    list.map(|b| b["streamId"].as_str().unwrap().to_owned())
        .collect()
}

async fn streams(api: &Api) {
    let first = json!({"streamId": "b", "name": "Alpha", "theirs": {"x": [1, 2.5]}});
    let made = post(api, "broadcasts/create", first.clone()).await.json();
    assert_eq!(made, api.get(&format!("{REST}/broadcasts/b")).await.json());
    let taken = post(api, "broadcasts/create", first).await;
    assert!(
        taken
            .failure()
            .starts_with("Stream id is already being used")
    );
    post(
        api,
        "broadcasts/create",
        json!({"streamId": "a", "name": "beta (x)"}),
    )
    .await;
    let camera = json!({"streamId": "c", "type": "ipCamera", "ipAddr": "192.0.2.7"});
    post(api, "broadcasts/create", camera).await;
    api.publish("pushed", true).await;
    // The store's clock is the server's.
    let record = api.stored(Kind::Broadcast, "pushed").await.unwrap();
    let published_ms = record["updateTime"].as_i64().unwrap();
    api.clock.set(published_ms);
    assert_eq!(ids(api, "list/0/9").await, ["a", "b", "c", "pushed"]);
    assert_eq!(
        ids(api, "list/0/9?sort_by=name&order_by=desc&search=A").await,
        ["a", "b"]
    );
    assert_eq!(ids(api, "list/1/1").await, ["b"]);
    assert_eq!(
        ids(api, "list/0/9?type_by=liveStream").await,
        ["a", "b", "pushed"]
    );
    assert_eq!(ids(api, "list/0/9?search=(X").await, ["a"]);
    let live = format!("{REST}/broadcasts/active-live-stream-count");
    assert_eq!(api.get(&live).await.json()["number"], 1);
    api.clock.set(published_ms + 20_001);
    assert_eq!(api.get(&live).await.json()["number"], 0);
    api.clock.set(published_ms);

    let path = format!("{REST}/broadcasts/pushed");
    let body = json!({"name": "Door", "status": "finished", "width": 1, "description": null});
    for _ in 0..2 {
        api.send(Method::PUT, &path, body.clone()).await.success();
    }
    let read = api.get(&path).await.json();
    assert_eq!(
        (&read["name"], &read["status"], &read["width"]),
        (&json!("Door"), &json!("broadcasting"), &json!(1920))
    );
    api.clock.set(START_MS);
    delete(api, "broadcasts/?ids=a,c").await;
    assert_eq!(ids(api, "list/0/9").await, ["b", "pushed"]);
}

async fn viewers(api: &Api) {
    let soon_s = START_MS / 1000 + 60;
    let path = format!("{REST}/broadcasts/b/token?expireDate={soon_s}&type=play");
    let token = api.get(&path).await.json();
    post(api, "broadcasts/validate-token", token.clone())
        .await
        .success();
    post(api, "broadcasts/validate-token", token)
        .await
        .failure();
    api.get(&path).await;
    assert_eq!(
        delete(api, "broadcasts/b/tokens").await["message"],
        "1 tokens deleted"
    );

    let anna = json!({"subscriberId": "anna", "b32Secret": "GEZDGNBVGY3TQOJQ"});
    post(api, "broadcasts/b/subscribers", anna).await.success();
    let limit = json!({"subscriberId": "anna", "concurrentConnectionsLimit": 3});
    post(api, "broadcasts/b/subscribers", limit).await.success();
    let block = format!("{REST}/broadcasts/b/subscribers/anna/block/5/play");
    api.ask(Method::PUT, &block, &[]).await.success();
    let list = format!("{REST}/broadcasts/b/subscribers/list/0/9");
    let all = api.get(&list).await.json();
    assert_eq!(
        (
            &all[0]["concurrentConnectionsLimit"],
            &all[0]["blockedUntilUnitTimeStampMs"],
            &all[0]["b32Secret"]
        ),
        (
            &json!(3),
            &json!(START_MS + 5_000),
            &json!("GEZDGNBVGY3TQOJQ")
        )
    );
    delete(api, "broadcasts/b/subscribers/anna").await;
    assert_eq!(api.get(&list).await.json(), json!([]));
    post(api, "broadcasts/pushed/subtrack?id=b", json!({}))
        .await
        .success();
    assert_eq!(ids(api, "pushed/subtracks/0/9").await, ["b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_main_calls_hold_on_mongodb() {
    let Some(mongod) = Mongod::start() else {
        return;
    };
    let api = mongod.api().await;
    streams(&api).await;
    viewers(&api).await;
    delete(&api, "broadcasts/pushed").await;
    assert_eq!(
        ids(&api, "list/0/9").await,
        [""; 0],
        "the subtrack went with it"
    );
}
