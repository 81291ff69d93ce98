//! Indexes in MongoDB from a node's start on: all of them, also where the store comes later than
//! the node, and the same after every start.

use crate::contract::START_MS;
use crate::mongo::{self, Mongod};
use mongodb::bson::{Document, doc};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};
use weir_cluster::{AppName, Apps, ManualClock, MongoStore, Records};
use weir_conf::app::AppSettings;

const DEADLINE: Duration = Duration::from_secs(60);

/// What a node of `LiveApp` must find.
const EXPECTED: [(&str, &str, &[&str]); 11] = [
    (
        "liveapp",
        "broadcast",
        &["status_1", "streamId_unique_index"],
    ),
    ("liveappVoD", "vod", &["streamId_1", "weir_vodId"]),
    ("liveapp_token", "token", &["streamId_1", "weir_tokenId"]),
    (
        "liveapp_subscriber",
        "subscriber",
        &["weir_streamId_subscriberId"],
    ),
    (
        "liveapp",
        "ConnectionEvent",
        &["streamId_1", "subscriberId_1"],
    ),
    ("liveapp", "weiranalytics", &["weir_day_streamId"]),
    ("clusterdb", "AppSettings", &["appName_unique_index"]),
    ("serverdb", "user", &["weir_email"]),
    ("clusterdb", "clusternode", &["lastUpdateTime_1"]),
    ("clusterdb", "weirlease", &["forgetAt_1"]),
    (
        "clusterdb",
        "weirtimeline",
        &["forgetAt_1", "ownership.nodeId_1", "recordDue_1"],
    ),
];

/// A node as the process starts one: applications, and the keeper of indexes.
async fn start_node(mongod: &Mongod) -> (Apps, DropGuard) {
    let store: Arc<MongoStore> = Arc::new(mongod.store(&ManualClock::at(START_MS)).await);
    let stop = CancellationToken::new();
    let seeds = vec![(AppName::parse("LiveApp").unwrap(), AppSettings::default())];
    let apps = Apps::open(
        Arc::<MongoStore>::clone(&store) as Arc<dyn Records>,
        seeds,
        stop.clone(),
    );
    let apps = apps.await;
    store.keep_indexes(&apps, stop.clone());
    (apps, stop.drop_guard())
}

/// Every index there is, with its options.
async fn all_indexes(mongod: &Mongod) -> BTreeMap<String, Vec<Document>> {
    let client = mongod.client("replicaSet=rs0").await;
    let mut all = BTreeMap::new();
    for database in client.list_database_names().await.unwrap() {
        if ["admin", "config", "local"].contains(&database.as_str()) {
            continue;
        }
        let database = client.database(&database);
        for name in database.list_collection_names().await.unwrap() {
            let listed = database
                .run_command(doc! { "listIndexes": &name })
                .await
                .unwrap();
            let listed = listed
                .get_document("cursor")
                .unwrap()
                .get_array("firstBatch");
            let listed = listed
                .unwrap()
                .iter()
                .map(|i| i.as_document().unwrap().clone());
            all.insert(format!("{}.{name}", database.name()), listed.collect());
        }
    }
    all
}

fn names(all: &BTreeMap<String, Vec<Document>>, collection: &str) -> Vec<String> {
    let found = all.get(collection).into_iter().flatten();
    let names = found.map(|index| index.get_str("name").unwrap().to_owned());
    let mut names: Vec<String> = names.filter(|name| name != "_id_").collect();
    names.sort();
    names
}

fn missing(all: &BTreeMap<String, Vec<Document>>) -> Vec<String> {
    let lacks = |(database, collection, expected): &(&str, &str, &[&str])| {
        let name = format!("{database}.{collection}");
        (names(all, &name) != *expected).then_some(name)
    };
    EXPECTED.iter().filter_map(lacks).collect()
}

async fn until(mongod: &Mongod, what: &str, so: impl Fn(&BTreeMap<String, Vec<Document>>) -> bool) {
    let start = Instant::now();
    loop {
        let all = all_indexes(mongod).await;
        if so(&all) {
            return;
        }
        assert!(
            start.elapsed() < DEADLINE,
            "{what}: {:?} of {all:?}",
            missing(&all)
        );
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn they_stand_after_a_start_come_with_new_applications_and_are_made_once() {
    let Some(mongod) = mongo::start().await else {
        return;
    };
    let (apps, _first) = start_node(&mongod).await;
    until(&mongod, "all stand", |all| missing(all).is_empty()).await;
    apps.create(&AppName::parse("Shop").unwrap()).await.unwrap();
    until(&mongod, "a new application's stand", |all| {
        names(all, "shop.broadcast") == ["status_1", "streamId_unique_index"]
            && names(all, "shopVoD.vod") == ["streamId_1", "weir_vodId"]
            && names(all, "shop.weiranalytics") == ["weir_day_streamId"]
    })
    .await;

    let before = all_indexes(&mongod).await;
    // What the next start of a node does, waited for.
    let again = mongod.store(&ManualClock::at(START_MS)).await;
    let both: Vec<AppName> = apps.list().iter().map(|app| app.name.clone()).collect();
    assert_eq!(both.len(), 2);
    again.make_indexes(&both).await.unwrap();
    assert_eq!(
        all_indexes(&mongod).await,
        before,
        "starting again changes nothing"
    );
}

#[tokio::test]
async fn a_store_that_is_away_stops_no_start_and_gets_them_when_it_comes() {
    let Some(mongod) = mongo::start().await else {
        return;
    };
    mongod.signal("-STOP");
    let (apps, _node) = start_node(&mongod).await;
    assert_eq!(apps.list().len(), 1, "the node is up");
    mongod.signal("-CONT");
    until(&mongod, "all stand", |all| missing(all).is_empty()).await;
}
