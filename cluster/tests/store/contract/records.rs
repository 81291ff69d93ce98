//! Clauses on records: each call, and what of a record stays whoever writes it.

use super::{Fixture, START_MS, claim, end, key, made_by_rest};
use serde_json::{Value, json};
use weir_cluster::{AppName, Broadcast, BroadcastStatus, Fields, Kind, Place, Query, StoreError};

pub(crate) fn app() -> AppName {
    AppName::parse("LiveApp").unwrap()
}

pub(crate) fn fields(value: Value) -> Fields {
    match value {
        Value::Object(fields) => fields,
        other => panic!("{other}"),
    }
}

pub(crate) fn place(kind: Kind, name: &str) -> Place {
    match kind {
        Kind::AppSettings | Kind::User | Kind::Secret | Kind::Login => {
            Place::of_cluster(kind, name)
        }
        Kind::Subscriber | Kind::Analytics => Place::in_app(kind, &app(), [name, "s"]),
        _ => Place::in_app(kind, &app(), [name]),
    }
}

pub(crate) fn query(kind: Kind) -> Query {
    Query::all(kind, (!kind.is_of_cluster()).then(app))
}

/// Kinds whose records have names.
pub(crate) fn named() -> impl Iterator<Item = Kind> {
    let all = Kind::ALL.into_iter();
    all.filter(|kind| !kind.key_fields().is_empty())
}

pub(crate) async fn every_kind_is_kept_read_and_deleted(f: &Fixture) {
    for kind in named() {
        let at = place(kind, "a");
        assert_eq!(f.store.get(&at).await.unwrap(), None, "{kind:?}");
        let first = fields(json!({ "theirs": { "a": [1, 2.5, null, true] }, "n": 1 }));
        assert!(
            f.store.insert(&at, first.clone()).await.unwrap(),
            "{kind:?}"
        );
        assert!(
            !f.store
                .insert(&at, fields(json!({ "n": 9 })))
                .await
                .unwrap()
        );
        let got = f.store.get(&at).await.unwrap().unwrap();
        assert_eq!((&got["theirs"], &got["n"]), (&first["theirs"], &json!(1)));
        for (name, value) in kind.key_fields().iter().zip(&at.key) {
            assert_eq!(got[*name], json!(value), "{kind:?}");
        }
        assert!(!got.contains_key("_id"), "{kind:?}");
        assert_eq!(f.store.list(&query(kind)).await.unwrap(), [got], "{kind:?}");
        assert!(f.store.delete(&at).await.unwrap(), "{kind:?}");
        assert!(!f.store.delete(&at).await.unwrap(), "{kind:?}");
        assert_eq!(f.store.get(&at).await.unwrap(), None, "{kind:?}");
        assert_eq!(f.store.count(&query(kind)).await.unwrap(), 0, "{kind:?}");
    }
}

pub(crate) async fn a_patch_sets_what_it_names_and_a_put_replaces(f: &Fixture) {
    for kind in named() {
        let at = place(kind, "a");
        let none = f.store.patch(&at, fields(json!({ "n": 1 }))).await;
        assert_eq!(none.unwrap(), None, "{kind:?}");
        let first = json!({ "n": 1, "kept": { "x": [1] }, "gone": "g" });
        f.store.insert(&at, fields(first)).await.unwrap();
        let set = json!({ "n": 2, "gone": null, "new": "ü😀\n\"", "_id": 5, "streamId": "other" });
        let mut set = fields(set);
        for name in kind.key_fields() {
            set.insert((*name).to_owned(), json!("other"));
        }
        let now = f.store.patch(&at, set).await.unwrap().unwrap();
        assert_eq!(now["n"], 2, "{kind:?}");
        assert_eq!(now["kept"], json!({ "x": [1] }), "{kind:?}");
        assert_eq!(
            (&now["gone"], &now["new"]),
            (&Value::Null, &json!("ü😀\n\""))
        );
        assert_eq!(f.store.get(&at).await.unwrap().unwrap(), now, "{kind:?}");
        assert_eq!(now[kind.key_fields()[0]], json!("a"), "{kind:?}");
        for n in [3, 4] {
            f.store.put(&at, fields(json!({ "n": n }))).await.unwrap();
            let now = f.store.get(&at).await.unwrap().unwrap();
            assert_eq!(now["n"], n, "{kind:?}");
            assert!(!now.contains_key("kept"), "{kind:?}");
        }
        f.store.delete(&at).await.unwrap();
        f.store.put(&at, fields(json!({ "n": 5 }))).await.unwrap();
        assert_eq!(f.store.get(&at).await.unwrap().unwrap()["n"], 5, "{kind:?}");
    }
}

pub(crate) async fn a_broadcasts_record_is_the_streams(f: &Fixture) {
    let at = place(Kind::Broadcast, "s");
    let made = json!({
        "name": "Mine", "status": "created", "date": 7, "zombi": false, "listenerHookURL": "http://h",
        "publishType": "WebRTC", "endPointList": [{ "type": "generic" }], "hlsViewerLimit": -1,
        "owner": { "nodeId": "me", "epoch": 5 }, "packetLostRatio": 1.5,
    });
    assert!(f.store.insert(&at, fields(made)).await.unwrap());
    let record = super::record(&*f.store, "s").await;
    assert_eq!((record.name.as_deref(), record.date), (Some("Mine"), 7));
    assert_eq!(record.owner, None, "the store's own");
    let owned = f
        .store
        .claim(made_by_rest(claim("s", "a", START_MS)))
        .await
        .unwrap();
    let set = json!({ "name": "New", "hlsViewerLimit": 3, "owner": null, "more": [1] });
    let now = f.store.patch(&at, fields(set)).await.unwrap().unwrap();
    assert_eq!(now["status"], "broadcasting");
    assert_eq!(now["owner"]["epoch"], owned.epoch);
    let stream = key("s");
    let report = Broadcast {
        status: BroadcastStatus::Broadcasting,
        bitrate: 4_000,
        ..Broadcast::default()
    };
    let done = f
        .store
        .update(&stream, owned.epoch, report, end(1, START_MS + 5_000));
    done.await.unwrap();
    kept(f, "broadcasting").await;
    let done = f
        .store
        .release(&stream, owned.epoch, end(2, START_MS + 9_000));
    done.await.unwrap();
    let now = kept(f, "finished").await;
    assert_eq!(
        (&now["bitrate"], now.get("owner").unwrap_or(&Value::Null)),
        (&json!(4_000), &Value::Null)
    );
    assert_eq!(now["publishType"], "WebRTC", "nothing said otherwise");
    assert!(f.store.delete(&at).await.unwrap());
    assert_eq!(f.store.broadcast(&key("s")).await.unwrap(), None);
    let next = f
        .store
        .claim(claim("s", "b", START_MS + 60_000))
        .await
        .unwrap();
    assert_eq!(
        next.first_sequence_number, 2,
        "the timeline outlives the record"
    );
}

async fn kept(f: &Fixture, status: &str) -> Fields {
    let now = f
        .store
        .get(&place(Kind::Broadcast, "s"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (&now["status"], &now["name"]),
        (&json!(status), &json!("New"))
    );
    assert_eq!(
        (&now["hlsViewerLimit"], &now["more"]),
        (&json!(3), &json!([1]))
    );
    assert_eq!(now["endPointList"], json!([{ "type": "generic" }]));
    assert_eq!(
        (&now["listenerHookURL"], &now["packetLostRatio"]),
        (&json!("http://h"), &json!(1.5))
    );
    assert!(!now.contains_key("weirCheckpoint"));
    now
}

pub(crate) async fn a_live_broadcast_keeps_its_owner_whatever_rest_does(f: &Fixture) {
    let at = place(Kind::Broadcast, "s");
    let owned = f
        .store
        .claim(made_by_rest(claim("s", "a", START_MS)))
        .await
        .unwrap();
    assert!(!f.store.insert(&at, Fields::new()).await.unwrap());
    f.store
        .put(&at, fields(json!({ "name": "Put" })))
        .await
        .unwrap();
    let record = super::record(&*f.store, "s").await;
    assert_eq!(
        (record.owner.as_ref(), record.name.as_deref()),
        (Some(&owned), Some("Put"))
    );
    assert!(f.store.delete(&at).await.unwrap());
    let live = claim("s", "a", START_MS).broadcast;
    let at_ms = end(1, START_MS + 5_000);
    f.store
        .update(&key("s"), owned.epoch, live, at_ms)
        .await
        .unwrap();
    let record = super::record(&*f.store, "s").await;
    assert_eq!(record.owner, Some(owned), "it is live: it comes back");
}

pub(crate) async fn counters_add_up_and_events_pile_up(f: &Fixture) {
    let at = place(Kind::Analytics, "2024-01-01");
    f.store
        .add(&at, &[("views", 2), ("bytes", 1 << 40)])
        .await
        .unwrap();
    f.store
        .add(&at, &[("views", 3), ("errors", -1)])
        .await
        .unwrap();
    let got = f.store.get(&at).await.unwrap().unwrap();
    assert_eq!((&got["views"], &got["errors"]), (&json!(5), &json!(-1)));
    assert_eq!(
        (&got["bytes"], &got["day"]),
        (&json!(1_u64 << 40), &json!("2024-01-01"))
    );
    let odd = json!({ "views": "many", "bytes": 1.5 });
    f.store.put(&at, fields(odd)).await.unwrap();
    f.store
        .add(&at, &[("views", 1), ("bytes", 1)])
        .await
        .unwrap();
    let got = f.store.get(&at).await.unwrap().unwrap();
    assert_eq!((&got["views"], &got["bytes"]), (&json!(1), &json!(2.5)));
    for n in 0..12 {
        let event = fields(json!({ "timestamp": n, "streamId": "s", "subscriberId": "u" }));
        f.store
            .append(Kind::ConnectionEvent, &app(), event)
            .await
            .unwrap();
    }
    let listed = f.store.list(&query(Kind::ConnectionEvent)).await.unwrap();
    let times: Vec<_> = listed
        .iter()
        .map(|event| event["timestamp"].as_i64().unwrap())
        .collect();
    assert_eq!(
        times,
        (0..12).collect::<Vec<_>>(),
        "in the order of their coming"
    );
    let wrong = f
        .store
        .append(Kind::Vod, &app(), Fields::new())
        .await
        .unwrap_err();
    assert!(matches!(wrong, StoreError::Invalid { .. }), "{wrong}");
    let mut half = query(Kind::ConnectionEvent);
    half.equals = vec![("timestamp", json!([0, 1, 2, 3, 4, 5]))];
    assert_eq!(f.store.delete_matching(&half).await.unwrap(), 6);
    assert_eq!(
        f.store.count(&query(Kind::ConnectionEvent)).await.unwrap(),
        6
    );
}

pub(crate) async fn record_changes_are_told(f: &Fixture) {
    let (Some(mut records), Some(mut streams)) = (f.store.record_changes(), f.store.changes())
    else {
        return;
    };
    let user = place(Kind::User, "u");
    let stream = place(Kind::Broadcast, "s");
    f.store
        .insert(&user, fields(json!({ "n": 1 })))
        .await
        .unwrap();
    let event = fields(json!({ "n": 1 }));
    f.store
        .append(Kind::ConnectionEvent, &app(), event)
        .await
        .unwrap();
    f.store
        .add(&place(Kind::Analytics, "d"), &[("n", 1)])
        .await
        .unwrap();
    f.store
        .insert(&stream, fields(json!({ "name": "N" })))
        .await
        .unwrap();
    f.store.delete(&user).await.unwrap();
    f.store.delete(&stream).await.unwrap();
    let mut told = Vec::new();
    while told.len() < 4 {
        let change = tokio::time::timeout(std::time::Duration::from_secs(30), records.recv());
        let change = change.await.expect("told in time").unwrap();
        told.push((
            change.place,
            change
                .fields
                .map(|fields| fields.get("n").cloned().unwrap_or_default()),
        ));
    }
    assert_eq!(told[0], (user.clone(), Some(json!(1))));
    assert_eq!((&told[1].0, told[1].1.is_some()), (&stream, true));
    assert_eq!(told[2..], [(user, None), (stream, None)]);
    let made = streams.recv().await.unwrap();
    assert_eq!(
        (made.key, made.broadcast.unwrap().name.as_deref()),
        (key("s"), Some("N"))
    );
    assert!(streams.recv().await.unwrap().broadcast.is_none());
}
