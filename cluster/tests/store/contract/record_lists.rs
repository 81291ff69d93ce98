//! Clauses on lists of records: which, in which order, how many.

use super::{Fixture, app, fields, place, query};
use serde_json::json;
use weir_cluster::records::Order;
use weir_cluster::{AppName, Fields, Kind, Place, Query};

async fn five_recordings(f: &Fixture) {
    let all = [
        ("e", 3, "x"),
        ("b", 1, "Größe (a.*)"),
        ("d", 2, "Y"),
        ("a", 3, "ä"),
    ];
    for (name, n, label) in all {
        let record = json!({ "fileSize": n, "vodName": label, "even": n % 2 == 0 });
        let at = place(Kind::Vod, name);
        f.store.insert(&at, fields(record)).await.unwrap();
    }
    let odd = json!({ "vodName": 7 });
    let at = place(Kind::Vod, "c");
    f.store.insert(&at, fields(odd)).await.unwrap();
}

/// Ids of the recordings that a query finds, in its order.
async fn ids(f: &Fixture, change: impl FnOnce(&mut Query)) -> String {
    let mut query = query(Kind::Vod);
    change(&mut query);
    let list = f.store.list(&query).await.unwrap();
    let ids = list.iter().map(|v| v["vodId"].as_str().unwrap().to_owned());
    ids.collect()
}

pub(crate) async fn lists_are_sorted_and_paged(f: &Fixture) {
    five_recordings(f).await;
    assert_eq!(ids(f, |_| {}).await, "abcde");
    let by_size = |order| move |q: &mut Query| q.sort = Some(("fileSize", order));
    assert_eq!(ids(f, by_size(Order::Ascending)).await, "cbdae");
    assert_eq!(ids(f, by_size(Order::Descending)).await, "aedbc");
    assert_eq!(ids(f, |q| (q.offset, q.size) = (1, 2)).await, "bc");
    assert_eq!(ids(f, |q| q.size = 0).await, "");
    assert_eq!(ids(f, |q| q.offset = 99).await, "");
    assert_eq!(ids(f, |q| q.offset = usize::MAX).await, "");
    assert_eq!(ids(f, |q| q.size = usize::MAX).await, "abcde");
    for n in 0..300 {
        let at = place(Kind::Token, &format!("{n:03}"));
        f.store.insert(&at, Fields::new()).await.unwrap();
    }
    let mut all = query(Kind::Token);
    all.size = usize::MAX;
    let listed = f.store.list(&all).await.unwrap();
    assert_eq!(listed.len(), weir_cluster::records::LIST_MAX);
    assert_eq!(f.store.count(&all).await.unwrap(), 300);
}

pub(crate) async fn lists_are_filtered(f: &Fixture) {
    five_recordings(f).await;
    let sized = |value| move |q: &mut Query| q.equals.push(("fileSize", value));
    assert_eq!(ids(f, sized(json!(3))).await, "ae");
    assert_eq!(ids(f, sized(json!(3.0))).await, "ae");
    assert_eq!(ids(f, sized(json!("3"))).await, "");
    assert_eq!(ids(f, sized(json!(null))).await, "c");
    assert_eq!(ids(f, sized(json!([1, 2, null]))).await, "bcd");
    assert_eq!(ids(f, sized(json!([]))).await, "");
    let looking = |text: &str| {
        let text = text.to_owned();
        move |q: &mut Query| q.contains = Some((text, &["vodId", "vodName"]))
    };
    assert_eq!(ids(f, looking("GRÖSSE")).await, "", "simple case only");
    assert_eq!(ids(f, looking("größe")).await, "b");
    assert_eq!(ids(f, looking("Ä")).await, "a");
    assert_eq!(ids(f, looking("(a.*)")).await, "b");
    assert_eq!(ids(f, looking("")).await, "abcde");
}

pub(crate) async fn what_matches_is_counted_and_deleted(f: &Fixture) {
    five_recordings(f).await;
    let elsewhere = AppName::parse("live").unwrap();
    let elsewhere = Place::in_app(Kind::Vod, &elsewhere, ["z"]);
    f.store.insert(&elsewhere, Fields::new()).await.unwrap();
    let mut both = query(Kind::Vod);
    both.equals = vec![("fileSize", json!(3)), ("even", json!(false))];
    assert_eq!(f.store.count(&both).await.unwrap(), 2);
    (both.offset, both.size) = (1, 1);
    assert_eq!(f.store.count(&both).await.unwrap(), 2, "size is for lists");
    assert_eq!(f.store.delete_matching(&both).await.unwrap(), 2);
    assert_eq!(f.store.delete_matching(&both).await.unwrap(), 0);
    assert_eq!(ids(f, |_| {}).await, "bcd");
    let all = Query::all(Kind::Vod, Some(app()));
    assert_eq!(f.store.delete_matching(&all).await.unwrap(), 3);
    assert!(f.store.get(&elsewhere).await.unwrap().is_some());
}

pub(crate) async fn broadcasts_are_listed_and_deleted_as_records(f: &Fixture) {
    for (name, status) in [("a", "created"), ("b", "finished"), ("c", "created")] {
        let record = json!({ "status": status, "name": format!("Name {name}") });
        let at = place(Kind::Broadcast, name);
        f.store.insert(&at, fields(record)).await.unwrap();
    }
    let mut created = query(Kind::Broadcast);
    created.equals = vec![("status", json!("created"))];
    assert_eq!(f.store.count(&created).await.unwrap(), 2);
    let mut named = query(Kind::Broadcast);
    named.contains = Some(("NAME B".to_owned(), &["name", "streamId"]));
    let found = f.store.list(&named).await.unwrap();
    assert_eq!((found.len(), &found[0]["streamId"]), (1, &json!("b")));
    assert_eq!(f.store.delete_matching(&created).await.unwrap(), 2);
    let left = f.store.broadcasts(&app(), 0, 9).await.unwrap();
    assert_eq!((left.len(), left[0].stream_id.as_str()), (1, "b"));
}
