//! One event of the change stream, as the server sends it, read into what it says of our records.
//!
//! Pure, and sure of nothing: events of databases that other programs use arrive here as well.

use super::pipeline::{BROADCASTS, OF_THE_CLUSTER, SUBSCRIBERS, SUBSCRIBERS_SUFFIX, TIMELINES};
use crate::names::StreamKey;
use crate::ownership::Tenure;
use crate::records::Kind;
use mongodb::bson::{Bson, Document};

/// What an event says.
#[derive(Debug, PartialEq)]
pub(super) enum Event {
    /// An epoch began or ended.
    Epoch {
        key: StreamKey,
        /// It ended.
        over: bool,
    },
    /// A record is now this, or `None`: gone.
    Record {
        kind: Kind,
        /// The application's database; `None` for kinds that belong to none.
        database: Option<String>,
        /// The `_id`, as text.
        id: String,
        document: Option<Document>,
    },
    /// Records went that nobody names.
    Dropped,
    /// Nothing of ours.
    Other,
}

/// Reads an event.
pub(super) fn read(mut event: Document) -> Event {
    let operation = event.get_str("operationType").unwrap_or_default();
    if matches!(operation, "drop" | "rename" | "dropDatabase") {
        return Event::Dropped;
    }
    let deleted = operation == "delete";
    let Ok(namespace) = event.get_document("ns") else {
        return Event::Other;
    };
    let (Ok(database), Ok(collection)) = (namespace.get_str("db"), namespace.get_str("coll"))
    else {
        return Event::Other;
    };
    let (database, collection) = (database.to_owned(), collection.to_owned());
    let id = event.get_document("documentKey").ok();
    let Some(id) = id.and_then(|key| key.get("_id")).map(Bson::to_string) else {
        return Event::Other;
    };
    let document = match event.remove("fullDocument") {
        Some(Bson::Document(document)) => Some(document),
        // Changed, and gone by the time the server looked it up: the deletion comes next.
        _ if !deleted => return Event::Other,
        _ => None,
    };
    let of_the_cluster = OF_THE_CLUSTER
        .iter()
        .find(|(db, name, _)| (*db, *name) == (database.as_str(), collection.as_str()));
    if let Some((.., kind)) = of_the_cluster {
        return Event::Record {
            kind: *kind,
            database: None,
            id,
            document,
        };
    }
    let (kind, database) = match collection.as_str() {
        TIMELINES => return document.and_then(|d| epoch(&d)).unwrap_or(Event::Other),
        BROADCASTS => (Kind::Broadcast, Some(database.as_str())),
        SUBSCRIBERS => (Kind::Subscriber, database.strip_suffix(SUBSCRIBERS_SUFFIX)),
        _ => return Event::Other,
    };
    match database {
        Some(database) => Event::Record {
            kind,
            database: Some(database.to_owned()),
            id,
            document,
        },
        None => Event::Other,
    }
}

/// Values of a record's key fields; `None` when one is missing.
pub(super) fn key_of(kind: Kind, document: &Document) -> Option<Vec<String>> {
    let fields = kind.key_fields().iter();
    fields
        .map(|field| document.get_str(field).ok().map(str::to_owned))
        .collect()
}

fn epoch(timeline: &Document) -> Option<Event> {
    let (app, id) = timeline.get_str("_id").ok()?.split_once('/')?;
    let key = StreamKey::parse(app, id).ok()?;
    let held = super::super::documents::tenure(Tenure::Held);
    Some(Event::Epoch {
        key,
        over: timeline.get_str("tenure").ok()? != held,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mongodb::bson::doc;

    fn event(operation: &str, database: &str, collection: &str, full: Bson) -> Event {
        read(doc! {
            "_id": { "_data": "82" },
            "operationType": operation,
            "ns": { "db": database, "coll": collection },
            "documentKey": { "_id": 7 },
            "fullDocument": full,
        })
    }

    #[test]
    fn records_come_with_their_kind_and_database() {
        let stream = doc! { "streamId": "s" };
        for operation in ["insert", "replace", "update"] {
            let read = event(operation, "liveapp", "broadcast", stream.clone().into());
            let Event::Record {
                kind,
                database,
                document,
                ..
            } = read
            else {
                panic!("{read:?}")
            };
            assert_eq!(
                (kind, database.as_deref()),
                (Kind::Broadcast, Some("liveapp"))
            );
            let key = key_of(kind, &document.unwrap());
            assert_eq!(key.unwrap(), ["s"]);
        }
        let gone = event("delete", "live_subscriber", "subscriber", Bson::Null);
        let expected = Event::Record {
            kind: Kind::Subscriber,
            database: Some("live".to_owned()),
            id: "7".to_owned(),
            document: None,
        };
        assert_eq!(gone, expected);
        let user = event("insert", "serverdb", "user", doc! { "email": "e" }.into());
        assert!(matches!(
            user,
            Event::Record {
                kind: Kind::User,
                database: None,
                ..
            }
        ));
    }

    #[test]
    fn epochs_name_their_stream() {
        let timeline = |tenure: &str| doc! { "_id": "LiveApp/s", "tenure": tenure };
        for (tenure, over) in [("held", false), ("released", true), ("lost", true)] {
            let read = event(
                "replace",
                "clusterdb",
                "weirtimeline",
                timeline(tenure).into(),
            );
            let key = StreamKey::parse("LiveApp", "s").unwrap();
            assert_eq!(read, Event::Epoch { key, over });
        }
    }

    #[test]
    fn what_is_not_ours_or_not_whole_is_passed_over() {
        let none = Bson::Null;
        for (operation, database, collection, full) in [
            ("insert", "shop", "orders", doc! { "a": 1 }.into()),
            ("insert", "shop", "user", doc! { "a": 1 }.into()),
            ("update", "liveapp", "broadcast", none.clone()),
            ("insert", "other", "subscriber", doc! {}.into()),
            (
                "insert",
                "clusterdb",
                "weirtimeline",
                doc! { "_id": "no/../t" }.into(),
            ),
            (
                "insert",
                "clusterdb",
                "weirtimeline",
                doc! { "_id": 3 }.into(),
            ),
            ("delete", "clusterdb", "weirtimeline", none),
        ] {
            let read = event(operation, database, collection, full);
            assert_eq!(read, Event::Other, "{operation} {database}.{collection}");
        }
        assert_eq!(read(doc! {}), Event::Other);
        assert_eq!(
            read(doc! { "operationType": "insert", "ns": 3 }),
            Event::Other
        );
        let dropped = doc! { "operationType": "dropDatabase", "ns": { "db": "x" } };
        assert_eq!(read(dropped), Event::Dropped);
        assert_eq!(key_of(Kind::Broadcast, &doc! { "streamId": 3 }), None);
    }
}
