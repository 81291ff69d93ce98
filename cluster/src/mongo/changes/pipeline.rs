//! Which changes of the database are told: the pipeline that the server filters by.
//!
//! What is not asked for is not sent: an owner's report every 5 s changes figures only, and 10,000
//! streams of them would be 2,000 events a second, to say nothing. So an update
//! counts by the fields it changed. That needs the delta, which the server makes from what really
//! became different: a report that repeats `status` and `originAdress` is not in it with them.
//!
//! | where | told |
//! |---|---|
//! | `broadcast` | new, replaced, deleted; changes of state, owner, place |
//! | `weirtimeline` | each epoch that begins or ends: names the stream in full, which a deletion does not |
//! | `AppSettings`, `user`, `weirsecret` | everything |
//! | `subscriber` | deleted, replaced; changes of what it may do, none of its counters |
//! | `vod`, `token`, events, analytics, `weirlogin` | nothing: they are read when asked for |
//!
//! Only plain conditions on names are used: the server applies those while it reads its log,
//! before it looks up a document.

use super::super::CLUSTER_DATABASE;
use super::super::layout::ORIGIN;
use super::log;
use crate::records::Kind;
use mongodb::bson::{Bson, Document, doc};

pub(super) const BROADCASTS: &str = "broadcast";
pub(super) const TIMELINES: &str = "weirtimeline";
pub(super) const SUBSCRIBERS: &str = "subscriber";
/// What the database of an application's subscribers is called, after the application's own.
pub(super) const SUBSCRIBERS_SUFFIX: &str = "_subscriber";
const USERS_DATABASE: &str = "serverdb";

/// Fields of a stream whose change is told. An owner that is new is told as `owner`, one that takes
/// the next epoch as what became different of it.
const STREAM_FIELDS: [&str; 5] = ["status", "originAdress", ORIGIN, "owner", "owner.epoch"];

/// Fields of a stream that are told, beside its name.
pub(super) const STREAM_TOLD: [&str; 6] = [
    "status",
    "updateTime",
    "originAdress",
    ORIGIN,
    "owner",
    "zombi",
];

/// Fields of a subscriber whose change is told.
const SUBSCRIBER_FIELDS: [&str; 6] = [
    "b32Secret",
    "type",
    "concurrentConnectionsLimit",
    "blockedType",
    "blockedUntilUnitTimeStampMs",
    "totpExpiryPeriodSeconds",
];

/// Kinds that belong to no application: database, collection, kind.
pub(super) const OF_THE_CLUSTER: [(&str, &str, Kind); 3] = [
    (CLUSTER_DATABASE, "AppSettings", Kind::AppSettings),
    (CLUSTER_DATABASE, "weirsecret", Kind::Secret),
    (USERS_DATABASE, "user", Kind::User),
];

/// The stages of the change stream.
pub(super) fn stages() -> Vec<Document> {
    let mut told: Vec<Document> = vec![
        doc! { "ns.coll": BROADCASTS, "operationType": { "$in": ["insert", "replace", "delete"] } },
        doc! {
            "ns.coll": BROADCASTS,
            "operationType": "update",
            "$or": changed(&STREAM_FIELDS, &["owner"]),
        },
        doc! {
            "ns.db": CLUSTER_DATABASE,
            "ns.coll": TIMELINES,
            "operationType": { "$in": ["insert", "replace"] },
        },
        doc! { "ns.coll": SUBSCRIBERS, "operationType": { "$in": ["replace", "delete"] } },
        doc! {
            "ns.coll": SUBSCRIBERS,
            "operationType": "update",
            "$or": changed(&SUBSCRIBER_FIELDS, &SUBSCRIBER_FIELDS),
        },
        doc! { "operationType": "dropDatabase" },
    ];
    let mut dropped: Vec<&str> = vec![BROADCASTS, SUBSCRIBERS, log::NAME];
    for (database, collection, _) in OF_THE_CLUSTER {
        told.push(doc! { "ns.db": database, "ns.coll": collection });
        dropped.push(collection);
    }
    told.push(
        doc! { "ns.coll": { "$in": dropped }, "operationType": { "$in": ["drop", "rename"] } },
    );
    vec![doc! { "$match": { "$or": told } }]
}

/// "One of these fields was set, or one of those removed."
fn changed(set: &[&str], removed: &[&str]) -> Vec<Bson> {
    let set = set.iter().map(|field| {
        let path = format!("updateDescription.updatedFields.{field}");
        Bson::from(doc! { path: { "$exists": true } })
    });
    let removed = doc! { "updateDescription.removedFields": { "$in": removed } };
    set.chain([removed.into()]).collect()
}
