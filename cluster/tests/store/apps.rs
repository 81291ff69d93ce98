//! Applications at run time: two nodes on one store see each other's changes; what the store has
//! outranks files; a store that is away changes nothing.

use crate::contract::{START_MS, fields, place};
use crate::embedded;
use crate::mongo;
use mongodb::bson::{Document, doc};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use weir_cluster::{
    AppEvent, AppName, AppState, Apps, AppsError, Kind, ManualClock, Place, Records, StoreError,
};
use weir_conf::app::AppSettings;

/// Long enough for the slowest machine; a change is due within two seconds.
const DEADLINE: Duration = Duration::from_secs(30);

fn app(name: &str) -> AppName {
    AppName::parse(name).unwrap()
}

fn settings(pairs: &[(&str, &str)]) -> AppSettings {
    let mut settings = AppSettings::default();
    for (key, text) in pairs {
        settings.set_text(key, text).unwrap();
    }
    settings
}

/// A node's view; ends with the value.
struct Node {
    apps: Apps,
    shutdown: CancellationToken,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

async fn node(records: &Arc<dyn Records>, seeds: &[(&str, &str)]) -> Node {
    let seeds = seeds.iter();
    let seeds = seeds.map(|(name, time)| (app(name), settings(&[("hlsTime", time)])));
    let shutdown = CancellationToken::new();
    let clock = Arc::new(ManualClock::at(START_MS));
    let apps = Apps::open_at(
        Arc::clone(records),
        seeds.collect(),
        settings(&[("dashSegDuration", "7")]),
        clock,
        shutdown.clone(),
    );
    let apps = apps.await;
    Node { apps, shutdown }
}

fn names(node: &Node) -> Vec<String> {
    let all = node.apps.list();
    all.iter().map(|app| app.name.to_string()).collect()
}

fn hls_time(node: &Node, name: &str) -> Option<u64> {
    let state = node.apps.get(&app(name));
    state.map(|state| state.settings.hls_time_ms())
}

async fn next(events: &mut Receiver<AppEvent>) -> AppEvent {
    let event = timeout(DEADLINE, events.recv()).await;
    event.expect("an event in time").unwrap()
}

fn created(event: AppEvent) -> Arc<AppState> {
    match event {
        AppEvent::Created(state) => state,
        other => panic!("{other:?}"),
    }
}

/// Both nodes on `records`, and all that may happen to an application.
async fn two_nodes_agree(records: &Arc<dyn Records>) {
    let a = node(records, &[("LiveApp", "4"), ("live", "2")]).await;
    let b = node(records, &[("LiveApp", "6")]).await;
    assert_eq!(names(&a), ["LiveApp", "live"]);
    assert_eq!(
        names(&b),
        ["LiveApp", "live"],
        "also what the other's files say"
    );
    assert_eq!(
        hls_time(&b, "LiveApp"),
        Some(4_000),
        "the store outranks files"
    );
    let mut seen = b.apps.subscribe();
    let mut own = a.apps.subscribe();

    let made = a.apps.create(&app("shop")).await.unwrap();
    assert_eq!(
        (made.settings.hls_time_ms(), made.update_time_ms),
        (2_000, START_MS)
    );
    assert_eq!(created(next(&mut own).await), made);
    assert_eq!(created(next(&mut seen).await), made);
    let again = b.apps.create(&app("shop")).await.unwrap_err();
    assert!(matches!(again, AppsError::Exists(_)), "{again}");

    let changed = settings(&[("hlsTime", "1"), ("jwtSecretKey", "s3cret")]);
    b.apps.set(&app("shop"), changed.clone()).await.unwrap();
    let AppEvent::SettingsChanged(state) = next(&mut own).await else {
        panic!("settings changed")
    };
    assert_eq!(
        (state.name.as_str(), state.settings.hls_time_ms()),
        ("shop", 1_000)
    );
    assert_eq!(state.settings.jwt_secret_key(), "s3cret");
    let AppEvent::SettingsChanged(_) = next(&mut seen).await else {
        panic!("settings changed, told once")
    };
    b.apps.set(&app("shop"), changed).await.unwrap();

    a.apps.delete(&app("shop")).await.unwrap();
    let AppEvent::Deleted(state) = next(&mut seen).await else {
        panic!("deleted, and nothing for setting what was set")
    };
    assert_eq!(state.name.as_str(), "shop");
    assert_eq!(names(&b), ["LiveApp", "live"]);
    for refused in [
        b.apps.delete(&app("shop")).await,
        b.apps.set(&app("shop"), AppSettings::default()).await,
    ] {
        let error = refused.unwrap_err();
        assert!(matches!(error, AppsError::Unknown(_)), "{error}");
    }
    let c = node(records, &[("shop", "9")]).await;
    assert_eq!(names(&c), ["LiveApp", "live"], "files do not bring it back");
    c.apps.create(&app("shop")).await.unwrap();
    let anew = created(next(&mut seen).await);
    assert_eq!(anew.settings.hls_time_ms(), 9_000);
    assert_eq!(anew.settings.jwt_secret_key(), "", "nothing of what it was");
}

#[tokio::test]
async fn two_nodes_on_an_embedded_store_agree() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(START_MS);
    let store = embedded::open(&folder.path().join("weir.redb"), &clock);
    let records: Arc<dyn Records> = Arc::new(store);
    two_nodes_agree(&records).await;
}

#[tokio::test]
async fn on_mongodb_nodes_agree_and_outlive_it() {
    let Some(mongod) = mongo::start().await else {
        return;
    };
    let clock = ManualClock::at(START_MS);
    let records: Arc<dyn Records> = Arc::new(mongod.store(&clock).await);
    two_nodes_agree(&records).await;
    let collection = mongod.client("replicaSet=rs0").await.database("clusterdb");
    let collection = collection.collection::<Document>("AppSettings");
    written_by_ant_media(&records, &collection).await;

    let a = node(&records, &[]).await;
    let mut events = a.apps.subscribe();
    collection.drop().await.unwrap();
    let before = names(&a);
    let back = timeout(DEADLINE, async {
        while collection.count_documents(doc! {}).await.unwrap() < 4 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    back.await
        .expect("an emptied database gets back what nodes know");
    assert_eq!(names(&a), before);

    mongod.signal("-STOP");
    let error = a.apps.set(&app("live"), AppSettings::default()).await;
    let error = error.unwrap_err();
    let away = matches!(error, AppsError::Store(StoreError::Unavailable { .. }));
    assert!(away, "{error}");
    assert_eq!(names(&a), before, "what was last known stays");
    let late = node(&records, &[("LiveApp", "5")]).await;
    assert_eq!(
        hls_time(&late, "LiveApp"),
        Some(5_000),
        "it starts all the same"
    );
    let mut seen = late.apps.subscribe();
    mongod.signal("-CONT");
    loop {
        // First what the store says of LiveApp, then the others, in any order.
        if let AppEvent::Created(state) = next(&mut seen).await
            && state.name.as_str() == "theirs"
        {
            break;
        }
    }
    let set = collection.update_one(
        doc! { "appName": "theirs" },
        doc! { "$set": { "hlsTime": "7", "toBeDeleted": false } },
    );
    set.await.unwrap();
    loop {
        if let AppEvent::SettingsChanged(state) = next(&mut events).await
            && state.name.as_str() == "theirs"
        {
            assert_eq!(state.settings.hls_time_ms(), 7_000);
            break;
        }
    }
}

/// A record as Ant Media writes it is an application; what it has and we do not know stays.
async fn written_by_ant_media(
    records: &Arc<dyn Records>,
    collection: &mongodb::Collection<Document>,
) {
    let theirs = doc! {
        "_t": "AppSettings", "appName": "theirs", "hlsTime": "3", "hlsListSize": 9_i32,
        "updateTime": 7.0, "webRTCViewerLimit": "many", "newThing": { "a.b": 1_i32 },
        "appStatus": "installed", "encoderSettingsString": "",
    };
    collection.insert_one(theirs).await.unwrap();
    collection
        .insert_one(doc! { "appName": "no name/at all" })
        .await
        .unwrap();
    collection.insert_one(doc! { "appName": 7 }).await.unwrap();
    let a = node(records, &[]).await;
    let state = a.apps.get(&app("theirs")).unwrap();
    assert_eq!(
        (state.settings.hls_time_ms(), state.settings.hls_list_size()),
        (3_000, 9)
    );
    assert_eq!(
        state.settings.webrtc_viewer_limit(),
        -1,
        "a wrong value is as none"
    );
    assert_eq!(state.update_time_ms, 7);
    let sent = state.to_json();
    assert_eq!(
        (&sent["newThing"]["a.b"], &sent["appName"]),
        (&json!(1), &json!("theirs"))
    );
    let mut new = state.settings.clone();
    new.set_text("hlsTime", "5").unwrap();
    a.apps.set(&app("theirs"), new).await.unwrap();
    // As from somebody who does not know of the new thing.
    let sent = settings(&[("hlsTime", "5")]);
    a.apps.set(&app("theirs"), sent).await.unwrap();
    let state = a.apps.get(&app("theirs")).unwrap();
    assert!(!state.settings.is_set("hlsListSize"), "set no more");
    let stored = collection.find_one(doc! { "appName": "theirs" }).await;
    let stored = stored.unwrap().unwrap();
    assert_eq!(
        (
            stored.get_str("_t").unwrap(),
            stored.get_str("hlsTime").unwrap()
        ),
        ("AppSettings", "5")
    );
    assert_eq!(
        stored.get_document("newThing").unwrap(),
        &doc! { "a.b": 1_i64 }
    );
    assert_eq!(stored.get_i64("updateTime").unwrap(), START_MS);
}

#[tokio::test]
async fn a_record_that_says_nothing_right_is_an_application_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(START_MS);
    let store = embedded::open(&folder.path().join("weir.redb"), &clock);
    let records: Arc<dyn Records> = Arc::new(store);
    let odd = fields(json!({ "hlsTime": { "$gt": 0 }, "updateTime": "now", "toBeDeleted": "no" }));
    records
        .put(&place(Kind::AppSettings, "odd"), odd)
        .await
        .unwrap();
    records
        .put(&place(Kind::AppSettings, "not a name"), fields(json!({})))
        .await
        .unwrap();
    let gone = fields(json!({ "appStatus": "deleted" }));
    records
        .put(&place(Kind::AppSettings, "gone"), gone)
        .await
        .unwrap();
    let a = node(&records, &[("gone", "2")]).await;
    assert_eq!(names(&a), ["odd"]);
    assert_eq!(
        a.apps.get(&app("odd")).unwrap().to_json()["hlsTime"],
        Value::from("2")
    );
}

#[tokio::test]
async fn what_the_node_says_holds_where_the_application_says_nothing_and_is_in_no_record() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START_MS));
    let path = folder.path().join("store");
    let store = weir_cluster::embedded::EmbeddedStore::open(&path, clock).unwrap();
    let records: Arc<dyn Records> = Arc::new(store);
    let node = node(&records, &[("LiveApp", "3")]).await;
    let now = node.apps.get(&app("LiveApp")).unwrap();
    assert_eq!(
        (
            now.settings.to_json()["dashSegDuration"].clone(),
            now.settings.hls_time_ms()
        ),
        (json!("7"), 3_000)
    );
    let place = Place::of_cluster(Kind::AppSettings, "LiveApp");
    let kept = records.get(&place).await.unwrap().unwrap();
    assert!(
        kept.contains_key("hlsTime") && !kept.contains_key("dashSegDuration"),
        "{kept:?}"
    );
    let sent = settings(&[("dashSegDuration", "4")]);
    node.apps.set(&app("LiveApp"), sent).await.unwrap();
    let now = node.apps.get(&app("LiveApp")).unwrap();
    assert_eq!(
        now.settings.to_json()["dashSegDuration"],
        json!("4"),
        "the application's own outranks"
    );
    node.shutdown.cancel();
}
