//! Records in the embedded store's file: there after a restart, in an older file, up to a limit.

use crate::contract::{START_MS, app, claim, fields, key, place, query};
use crate::embedded::open;
use redb::{Database, ReadableDatabase, TableDefinition};
use serde_json::json;
use std::path::Path;
use weir_cluster::embedded::records_max;
use weir_cluster::{Kind, ManualClock, Records, Store, StoreError};

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");

fn change(path: &Path, edit: impl FnOnce(&redb::WriteTransaction)) {
    let database = Database::open(path).unwrap();
    let transaction = database.begin_write().unwrap();
    edit(&transaction);
    transaction.commit().unwrap();
}

#[tokio::test]
async fn records_of_every_kind_are_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.redb");
    let clock = ManualClock::at(START_MS);
    let store = open(&path, &clock);
    let odd = fields(json!({ "n": [1, { "ü": "\u{0}x" }], "big": u64::MAX, "float": 0.1 }));
    for kind in crate::contract::named() {
        store.insert(&place(kind, "a/\"b"), odd.clone()).await.err();
        store.put(&place(kind, "x"), odd.clone()).await.unwrap();
    }
    for n in 0..3 {
        let event = fields(json!({ "n": n }));
        store
            .append(Kind::ConnectionEvent, &app(), event)
            .await
            .unwrap();
    }
    let mut before = Vec::new();
    for kind in Kind::ALL {
        before.push(store.list(&query(kind)).await.unwrap());
    }
    drop(store);
    let store = open(&path, &clock);
    for (kind, before) in Kind::ALL.into_iter().zip(before) {
        assert!(!before.is_empty(), "{kind:?}");
        assert_eq!(store.list(&query(kind)).await.unwrap(), before, "{kind:?}");
    }
    let event = fields(json!({ "n": 3 }));
    store
        .append(Kind::ConnectionEvent, &app(), event)
        .await
        .unwrap();
    let events = store.list(&query(Kind::ConnectionEvent)).await.unwrap();
    let numbers: Vec<_> = events.iter().map(|event| &event["n"]).collect();
    assert_eq!(json!(numbers), json!([0, 1, 2, 3]));
}

#[tokio::test]
async fn a_file_of_the_first_layout_is_upgraded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.redb");
    let clock = ManualClock::at(START_MS);
    let store = open(&path, &clock);
    store.claim(claim("s", "a", START_MS)).await.unwrap();
    drop(store);
    change(&path, |transaction| {
        transaction.delete_table(RECORDS).unwrap();
        let mut meta = transaction.open_table(META).unwrap();
        meta.insert("schema", &b"1"[..]).unwrap();
    });
    let store = open(&path, &clock);
    assert!(store.broadcast(&key("s")).await.unwrap().is_some());
    assert!(
        store
            .insert(&place(Kind::User, "u"), fields(json!({})))
            .await
            .unwrap()
    );
    drop(store);
    let database = Database::open(&path).unwrap();
    let reading = database.begin_read().unwrap();
    let meta = reading.open_table(META).unwrap();
    assert_eq!(meta.get("schema").unwrap().unwrap().value(), b"2");
    drop((meta, reading, database));
    let store = open(&path, &clock);
    assert!(store.get(&place(Kind::User, "u")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_record_that_cannot_be_read_costs_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.redb");
    let clock = ManualClock::at(START_MS);
    let store = open(&path, &clock);
    store
        .insert(&place(Kind::User, "good"), fields(json!({})))
        .await
        .unwrap();
    drop(store);
    change(&path, |transaction| {
        let mut records = transaction.open_table(RECORDS).unwrap();
        for bad in [r#"["user","","bad"]"#, r#"["ufo","","x"]"#, "no key", "[]"] {
            records.insert(bad, &b"{\"a\":"[..]).unwrap();
        }
        let other = r#"["token","no name!","t"]"#;
        records.insert(other, &b"{}"[..]).unwrap();
    });
    let store = open(&path, &clock);
    assert_eq!(store.count(&query(Kind::User)).await.unwrap(), 1);
    let bad = place(Kind::User, "bad");
    assert_eq!(store.get(&bad).await.unwrap(), None);
    assert!(
        store.insert(&bad, fields(json!({ "n": 1 }))).await.unwrap(),
        "mended"
    );
    drop(store);
    let store = open(&path, &clock);
    assert_eq!(store.get(&bad).await.unwrap().unwrap()["n"], 1);
}

#[tokio::test]
async fn there_are_so_many_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(START_MS);
    let store = open(&folder.path().join("weir.redb"), &clock);
    let max = records_max(Kind::Secret);
    for n in 0..max {
        let at = place(Kind::Secret, &n.to_string());
        assert!(store.insert(&at, fields(json!({}))).await.unwrap());
    }
    let one_more = place(Kind::Secret, "more");
    for refused in [
        store.insert(&one_more, fields(json!({}))).await.map(drop),
        store.put(&one_more, fields(json!({}))).await,
        store.add(&one_more, &[("n", 1)]).await,
    ] {
        let error = refused.unwrap_err();
        let limit =
            matches!(error, StoreError::Limit { what: "secrets", max: found } if found == max);
        assert!(limit, "{error}");
    }
    store
        .put(&place(Kind::Secret, "0"), fields(json!({ "n": 1 })))
        .await
        .unwrap();
    assert!(store.delete(&place(Kind::Secret, "0")).await.unwrap());
    assert!(store.insert(&one_more, fields(json!({}))).await.unwrap());
}

#[tokio::test]
async fn the_oldest_events_give_way() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(START_MS);
    let store = open(&folder.path().join("weir.redb"), &clock);
    let max = records_max(Kind::ConnectionEvent);
    let over = 300;
    let (app, name) = (app(), Kind::ConnectionEvent);
    for n in 0..max + over {
        let event = fields(json!({ "n": n }));
        store.append(name, &app, event).await.unwrap();
    }
    assert_eq!(store.count(&query(name)).await.unwrap(), max as u64);
    let mut first = query(name);
    first.size = 1;
    let first = store.list(&first).await.unwrap();
    assert_eq!(first[0]["n"], json!(over), "the first ones went");
}
