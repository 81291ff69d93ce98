//! Records in MongoDB as others see and write them: Ant Media's databases, indexes, types.

use crate::contract::{START_MS, app, fields, place, query};
use crate::mongo;
use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{Client, IndexModel};
use serde_json::json;
use weir_cluster::{AppName, Fields, Kind, ManualClock, Records, Store};

/// Where Ant Media has each kind.
const LAYOUT: [(Kind, &str, &str); 10] = [
    (Kind::Broadcast, "liveapp", "broadcast"),
    (Kind::Vod, "liveappVoD", "vod"),
    (Kind::Token, "liveapp_token", "token"),
    (Kind::Subscriber, "liveapp_subscriber", "subscriber"),
    (Kind::ConnectionEvent, "liveapp", "ConnectionEvent"),
    (Kind::Analytics, "liveapp", "weiranalytics"),
    (Kind::AppSettings, "clusterdb", "AppSettings"),
    (Kind::User, "serverdb", "user"),
    (Kind::Secret, "clusterdb", "weirsecret"),
    (Kind::Login, "clusterdb", "weirlogin"),
];

async fn indexes(client: &Client, database: &str, collection: &str) -> Vec<String> {
    let collection = client.database(database).collection::<Document>(collection);
    collection.list_index_names().await.unwrap()
}

#[tokio::test]
async fn every_kind_is_where_ant_media_looks_for_it() {
    let Some(mongod) = mongo::start().await else {
        return;
    };
    let store = mongod.store(&ManualClock::at(START_MS)).await;
    let client = mongod.client("replicaSet=rs0").await;
    for _ in 0..2 {
        // Twice, as two nodes do, or one that starts again.
        store.make_indexes(&[app()]).await.unwrap();
    }
    for (kind, database, name) in LAYOUT {
        let collection = client.database(database).collection::<Document>(name);
        if kind == Kind::ConnectionEvent {
            store.append(kind, &app(), Fields::new()).await.unwrap();
            assert_eq!(collection.count_documents(doc! {}).await.unwrap(), 1);
            continue;
        }
        let at = place(kind, "x");
        assert!(store.insert(&at, fields(json!({ "n": 1 }))).await.unwrap());
        let stored = collection.find_one(doc! {}).await.unwrap().unwrap();
        let id = stored.get("_id").cloned().unwrap();
        assert!(stored.get_object_id("_id").is_ok(), "{kind:?}");
        store.put(&at, fields(json!({ "n": 2 }))).await.unwrap();
        store.patch(&at, fields(json!({ "m": 3 }))).await.unwrap();
        let stored = collection.find_one(doc! {}).await.unwrap().unwrap();
        assert_eq!(stored.get("_id"), Some(&id), "{kind:?}: its _id stays");
        assert_eq!(stored.get_i64("n").unwrap(), 2);
        assert_eq!(stored.get_i64("m").unwrap(), 3);
        let class = stored.get_str("_t").ok();
        let ours = matches!(kind, Kind::Analytics | Kind::Secret | Kind::Login);
        assert_eq!(class.is_none(), ours, "{kind:?}: {class:?}");
        assert!(!store.get(&at).await.unwrap().unwrap().contains_key("_t"));
        let expected = match kind {
            Kind::Broadcast => "streamId_unique_index".to_owned(),
            Kind::AppSettings => "appName_unique_index".to_owned(),
            _ => format!("weir_{}", kind.key_fields().join("_")),
        };
        let names = indexes(&client, database, name).await;
        assert!(names.contains(&expected), "{kind:?}: {names:?}");
    }
    let other = AppName::parse("WebRTCAppEE").unwrap();
    let at = weir_cluster::Place::in_app(Kind::Vod, &other, ["v"]);
    store.insert(&at, Fields::new()).await.unwrap();
    let theirs = client
        .database("webrtcappeeVoD")
        .collection::<Document>("vod");
    assert_eq!(theirs.count_documents(doc! {}).await.unwrap(), 1);
}

#[tokio::test]
async fn indexes_of_others_are_left_alone_and_doubles_kept() {
    let Some(mongod) = mongo::start().await else {
        return;
    };
    let client = mongod.client("replicaSet=rs0").await;
    let plain = |keys, name: Option<&str>, unique| {
        let mut options = IndexOptions::builder().unique(unique).build();
        options.name = name.map(str::to_owned);
        IndexModel::builder().keys(keys).options(options).build()
    };
    let cluster = client.database("clusterdb");
    let settings = cluster.collection::<Document>("AppSettings");
    let theirs = plain(doc! { "appName": 1 }, Some("appName_unique_index"), true);
    settings.create_index(theirs).await.unwrap();
    let vod = client.database("liveappVoD").collection::<Document>("vod");
    vod.create_index(plain(doc! { "vodId": 1 }, None, false))
        .await
        .unwrap();
    let token = client
        .database("liveapp_token")
        .collection::<Document>("token");
    for n in 0..2 {
        token
            .insert_one(doc! { "tokenId": "double", "n": n })
            .await
            .unwrap();
    }
    let store = mongod.store(&ManualClock::at(START_MS)).await;
    store.make_indexes(&[app()]).await.unwrap();
    let names = indexes(&client, "clusterdb", "AppSettings").await;
    assert_eq!(names, ["_id_", "appName_unique_index"], "theirs does");
    let mut names = indexes(&client, "liveappVoD", "vod").await;
    names.sort();
    assert_eq!(
        names,
        ["_id_", "streamId_1", "vodId_1", "weir_vodId"],
        "ours beside theirs"
    );
    let at = place(Kind::Vod, "v");
    assert!(store.insert(&at, Fields::new()).await.unwrap());
    assert!(!store.insert(&at, Fields::new()).await.unwrap());
    assert_eq!(store.list(&query(Kind::Token)).await.unwrap().len(), 2);
    let double = place(Kind::Token, "double");
    assert!(!store.insert(&double, Fields::new()).await.unwrap());
    assert!(store.delete(&double).await.unwrap());
    assert!(
        store
            .insert(&place(Kind::Token, "new"), Fields::new())
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn what_ant_media_and_shells_write_is_read_and_kept() {
    let Some(mongod) = mongo::start().await else {
        return;
    };
    let store = mongod.store(&ManualClock::at(START_MS)).await;
    let client = mongod.client("replicaSet=rs0").await;
    let broadcasts = client
        .database("liveapp")
        .collection::<Document>("broadcast");
    let theirs = doc! {
        "_t": "Broadcast", "streamId": "s", "status": "error", "type": "liveStream", "date": 7.0,
        "publishType": "WebRTC", "width": 1_280_i64, "bitrate": 5_i32, "zombi": false, "speed": 1.0,
        "endPointList": [{ "endpointUrl": "rtmp://x/y", "type": "generic" }], "metaData": "{\"a\":1}",
        "hlsViewerCount": 3_i32, "plannedStartDate": mongodb::bson::DateTime::from_millis(9),
    };
    broadcasts.insert_one(theirs).await.unwrap();
    broadcasts
        .insert_one(doc! { "name": "no id", "streamId": 5_i32 })
        .await
        .unwrap();
    broadcasts
        .insert_one(doc! { "anything": null })
        .await
        .unwrap();
    assert_eq!(store.list(&query(Kind::Broadcast)).await.unwrap().len(), 3);
    assert_eq!(store.broadcasts(&app(), 0, 9).await.unwrap().len(), 3);
    let at = place(Kind::Broadcast, "s");
    let got = store.get(&at).await.unwrap().unwrap();
    let read: weir_cluster::Broadcast = weir_cluster::records::kinds::read(&got);
    assert_eq!((read.date, read.width, read.bitrate), (7, 1_280, 5));
    assert_eq!(
        (&got["plannedStartDate"], &got["speed"]),
        (&json!(9), &json!(1.0))
    );
    store
        .patch(&at, fields(json!({ "name": "N" })))
        .await
        .unwrap();
    store.add(&at, &[("hlsViewerCount", 2)]).await.unwrap();
    let stored = broadcasts
        .find_one(doc! { "streamId": "s" })
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stored.get_str("_t").unwrap(), "Broadcast");
    assert!((stored.get_f64("date").unwrap() - 7.0).abs() < f64::EPSILON);
    assert_eq!(stored.get_i32("bitrate").unwrap(), 5, "types stay");
    assert!(stored.get_datetime("plannedStartDate").is_ok());
    assert_eq!(stored.get_str("publishType").unwrap(), "WebRTC");
    assert_eq!(
        stored.get("hlsViewerCount").and_then(|n| n.as_i64()),
        Some(5)
    );
    assert_eq!(stored.get_str("name").unwrap(), "N");
}
