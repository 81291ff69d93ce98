//! Clauses on records that many want at once, and on what must not be taken at its word.

use super::{Fixture, START_MS, claim, end, fields, key, made_by_rest, place, query};
use serde_json::{Value, json};
use std::sync::Arc;
use weir_cluster::records::{DEPTH_MAX, KEY_BYTES_MAX, RECORD_BYTES_MAX};
use weir_cluster::{Fields, Kind, Place, Records, StoreError};

/// How many of fifty at once say that they did it.
async fn fifty<F, T>(f: &Fixture, call: F) -> usize
where
    F: Fn(Arc<dyn Records>, usize) -> T,
    T: Future<Output = bool> + Send + 'static,
{
    let barrier = Arc::new(tokio::sync::Barrier::new(50));
    let tasks: Vec<_> = (0..50)
        .map(|n| {
            let records: Arc<dyn Records> = f.store.clone();
            let (barrier, call) = (Arc::clone(&barrier), call(records, n));
            tokio::spawn(async move {
                barrier.wait().await;
                call.await
            })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        won += usize::from(task.await.unwrap());
    }
    won
}

pub(crate) async fn of_fifty_inserts_and_deletes_one_wins(f: &Fixture) {
    for kind in [Kind::Broadcast, Kind::Token, Kind::Subscriber, Kind::User] {
        let won = fifty(f, |records, n| async move {
            let record = fields(json!({ "n": n }));
            records.insert(&place(kind, "x"), record).await.unwrap()
        });
        assert_eq!(won.await, 1, "{kind:?}");
        assert_eq!(f.store.count(&query(kind)).await.unwrap(), 1, "{kind:?}");
        let won = fifty(f, |records, _| async move {
            records.delete(&place(kind, "x")).await.unwrap()
        });
        assert_eq!(won.await, 1, "a token is spent once: {kind:?}");
        let won = fifty(f, |records, n| async move {
            records
                .put(&place(kind, "x"), fields(json!({ "n": n })))
                .await
                .unwrap();
            true
        });
        assert_eq!(won.await, 50);
        assert_eq!(f.store.count(&query(kind)).await.unwrap(), 1, "{kind:?}");
    }
}

pub(crate) async fn patches_and_sums_at_once_all_count(f: &Fixture) {
    for kind in [Kind::Broadcast, Kind::User] {
        let at = place(kind, "x");
        f.store.insert(&at, Fields::new()).await.unwrap();
        fifty(f, |records, n| async move {
            let set = Fields::from_iter([(format!("f{n}"), json!(n))]);
            records
                .patch(&place(kind, "x"), set)
                .await
                .unwrap()
                .is_some()
        })
        .await;
        let got = f.store.get(&at).await.unwrap().unwrap();
        for n in 0..50 {
            assert_eq!(got[&format!("f{n}")], json!(n), "{kind:?}");
        }
    }
    let won = fifty(f, |records, _| async move {
        let at = place(Kind::Analytics, "2024-01-01");
        records.add(&at, &[("views", 2)]).await.is_ok()
    });
    assert_eq!(won.await, 50);
    let got = f.store.list(&query(Kind::Analytics)).await.unwrap();
    assert_eq!((got.len(), &got[0]["views"]), (1, &json!(100)));
}

pub(crate) async fn reports_and_patches_at_once_both_count(f: &Fixture) {
    let taken = made_by_rest(claim("s", "a", START_MS));
    let owned = f.store.claim(taken).await.unwrap();
    let reports = async {
        for n in 0..40 {
            let mut live = claim("s", "a", START_MS).broadcast;
            live.bitrate = n;
            let at = end(1, START_MS + n);
            f.store
                .update(&key("s"), owned.epoch, live, at)
                .await
                .unwrap();
        }
    };
    let patches = async {
        for n in 0..40 {
            let set =
                Fields::from_iter([(format!("f{n}"), json!(n)), ("name".to_owned(), json!("N"))]);
            f.store
                .patch(&place(Kind::Broadcast, "s"), set)
                .await
                .unwrap();
        }
    };
    tokio::join!(reports, patches);
    let got = f
        .store
        .get(&place(Kind::Broadcast, "s"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((&got["bitrate"], &got["name"]), (&json!(39), &json!("N")));
    assert_eq!((&got["f0"], &got["f39"]), (&json!(0), &json!(39)));
    assert_eq!(got["owner"]["epoch"], json!(owned.epoch));
}

pub(crate) async fn nothing_said_is_taken_for_an_order(f: &Fixture) {
    let odd = json!({
        "nested": { "$set": { "a": 1 }, "a.b": 2, "$oid": "010101010101010101010101" },
        "list": [{ "$ne": null }, { "$regex": ".*" }], "text": "$name", "pipe": "$$ROOT",
    });
    for kind in super::named() {
        for write in ["insert", "patch", "put"] {
            let at = place(kind, "$where: 1; ü\"'{}");
            let at = match kind {
                Kind::Broadcast => place(kind, "x"),
                _ => at,
            };
            match write {
                "insert" => drop(f.store.insert(&at, fields(odd.clone())).await.unwrap()),
                "patch" => drop(f.store.patch(&at, fields(odd.clone())).await.unwrap()),
                _ => f.store.put(&at, fields(odd.clone())).await.unwrap(),
            }
            let got = f.store.get(&at).await.unwrap().unwrap();
            for (name, value) in odd.as_object().unwrap() {
                assert_eq!(&got[name], value, "{kind:?} {write}");
            }
        }
        let mut all = query(kind);
        all.equals = vec![("text", json!({ "$ne": "" }))];
        assert_eq!(f.store.count(&all).await.unwrap(), 0, "{kind:?}");
        all.equals = vec![("text", json!("$name"))];
        assert_eq!(f.store.delete_matching(&all).await.unwrap(), 1, "{kind:?}");
    }
    let a = place(Kind::User, "a@b");
    f.store
        .insert(&a, fields(json!({ "password": "x" })))
        .await
        .unwrap();
    for pattern in [".*", "^a", "a@b|", "\\", "[", "(", "a@b\0", "a@b\n"] {
        let mut looked_for = query(Kind::User);
        looked_for.contains = Some((pattern.to_owned(), &["email"]));
        let found = f.store.list(&looked_for).await.unwrap();
        assert!(found.is_empty(), "{pattern:?}");
        looked_for.contains = None;
        looked_for.equals = vec![("password", json!({ "$regex": pattern }))];
        assert_eq!(f.store.count(&looked_for).await.unwrap(), 0, "{pattern:?}");
    }
}

pub(crate) async fn what_no_store_can_hold_is_refused_alike(f: &Fixture) {
    let at = place(Kind::Vod, "v");
    f.store
        .insert(&at, fields(json!({ "n": 1 })))
        .await
        .unwrap();
    let mut deep = json!(1);
    for _ in 0..=DEPTH_MAX {
        deep = json!({ "d": deep });
    }
    let refused = [
        json!({ "$set": { "n": 2 } }),
        json!({ "n.m": 2 }),
        json!({ "": 2 }),
        json!({ "a\0b": 2 }),
        json!({ "x": { "a\0b": 2 } }),
        json!({ "deep": deep }),
    ];
    for bad in refused {
        let patched = f.store.patch(&at, fields(bad.clone())).await;
        invalid(patched.map(drop), &bad);
        invalid(f.store.put(&at, fields(bad.clone())).await, &bad);
        let new = place(Kind::Vod, "new");
        invalid(
            f.store.insert(&new, fields(bad.clone())).await.map(drop),
            &bad,
        );
    }
    let large = fields(json!({ "x": "y".repeat(RECORD_BYTES_MAX) }));
    let error = f.store.put(&at, large).await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid { .. }), "{error}");
    let long = "k".repeat(KEY_BYTES_MAX + 1);
    for bad in [
        place(Kind::Vod, ""),
        place(Kind::Vod, &long),
        place(Kind::Vod, "a\0"),
        Place::of_cluster(Kind::Vod, "v"),
        Place::in_app(Kind::User, &super::app(), ["u"]),
        Place::in_app(Kind::Subscriber, &super::app(), ["one"]),
        Place::in_app(Kind::ConnectionEvent, &super::app(), ["one"]),
    ] {
        let shown = json!(format!("{bad:?}"));
        invalid(f.store.get(&bad).await.map(drop), &shown);
        invalid(f.store.insert(&bad, Fields::new()).await.map(drop), &shown);
        invalid(f.store.delete(&bad).await.map(drop), &shown);
        invalid(f.store.add(&bad, &[("n", 1)]).await, &shown);
    }
    let got = f.store.get(&at).await.unwrap().unwrap();
    assert_eq!(
        (&got["n"], got.len()),
        (&json!(1), 2),
        "nothing was changed"
    );
}

fn invalid(result: Result<(), StoreError>, what: &Value) {
    match result {
        Err(StoreError::Invalid { .. }) => {}
        other => panic!("{what}: {other:?}"),
    }
}

pub(crate) async fn wrong_types_cost_themselves(f: &Fixture) {
    let odd = json!({
        "width": "wide", "date": [1], "status": 5, "name": { "a": 1 }, "zombi": "no", "bitrate": 5.0,
        "owner": "me", "startTime": null, "type": true,
    });
    let at = place(Kind::Broadcast, "odd");
    f.store.insert(&at, fields(odd)).await.unwrap();
    f.store
        .insert(&place(Kind::Broadcast, "empty"), Fields::new())
        .await
        .unwrap();
    let read = super::record(&*f.store, "odd").await;
    assert_eq!((read.width, read.date, read.bitrate), (0, 0, 5));
    assert_eq!((read.name, read.owner), (None, None));
    assert_eq!(
        f.store.broadcasts(&super::app(), 0, 9).await.unwrap().len(),
        2
    );
    assert_eq!(
        f.store.list(&query(Kind::Broadcast)).await.unwrap().len(),
        2
    );
    let got = f.store.get(&at).await.unwrap().unwrap();
    assert_eq!(
        (&got["width"], &got["name"]),
        (&json!("wide"), &json!({ "a": 1 })),
        "as written"
    );
    let taken = made_by_rest(claim("odd", "a", START_MS));
    let owned = f.store.claim(taken).await.unwrap();
    let mut live = claim("odd", "a", START_MS).broadcast;
    live.width = 1_920;
    let at_ms = end(1, START_MS + 5_000);
    f.store
        .update(&key("odd"), owned.epoch, live, at_ms)
        .await
        .unwrap();
    let got = f.store.get(&at).await.unwrap().unwrap();
    assert_eq!(
        (&got["width"], &got["status"]),
        (&json!(1_920), &json!("broadcasting")),
        "mended"
    );
    assert_eq!(
        (&got["type"], &got["owner"]["nodeId"]),
        (&json!(true), &json!("a"))
    );
    let read = super::record(&*f.store, "odd").await;
    assert_eq!((read.width, read.owner), (1_920, Some(owned)));
}
