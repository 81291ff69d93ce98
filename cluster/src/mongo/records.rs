//! Records by kind and key, in Ant Media's databases and collections.
//!
//! | kind | database | collection |
//! |---|---|---|
//! | broadcast, connection event, analytics | the application's | `broadcast`, `ConnectionEvent`, `weiranalytics` |
//! | recording | the application's + `VoD` | `vod` |
//! | token | the application's + `_token` | `token` |
//! | subscriber | the application's + `_subscriber` | `subscriber` |
//! | application settings, secret, failed logins | `clusterdb` | `AppSettings`, `weirsecret`, `weirlogin` |
//! | user | `serverdb` | `user` |
//!
//! `_id`s are MongoDB's, or whoever's wrote the document: nothing here reads or sets one. A patch
//! names the fields it sets. Each call is one command, so that no two calls can undo each other.
//! Durable calls are acknowledged by a majority, `add` and `append` by the primary alone.

mod convert;
mod filter;

use super::{MongoStore, documents, failed, is_duplicate, layout, majority, with, within};
use crate::follow::ChangesHealth;
use crate::names::AppName;
use crate::records::{Fields, Kind, LIST_MAX, Order, Place, Query, RecordChange, Records, check};
use crate::store::StoreError;
use async_trait::async_trait;
pub(super) use convert::{fields_of, to_document};
use mongodb::Collection;
use mongodb::bson::{Document, RawDocument, RawDocumentBuf, doc};
use mongodb::options::{ReturnDocument, WriteConcern};
use tokio::sync::broadcast;

const SERVER_DATABASE: &str = "serverdb";
/// How often a call that two made at once, both for a new record, is tried.
const RACES_MAX: u32 = 5;

#[async_trait]
impl Records for MongoStore {
    async fn get(&self, place: &Place) -> Result<Option<Fields>, StoreError> {
        check::place(place)?;
        within("record_get", async {
            let records = self.records_at(place, majority());
            let records = records.clone_with_type::<RawDocumentBuf>();
            let found = records.find_one(filter::named(place)).await;
            let found = found.map_err(|error| failed("record_get", &error))?;
            if let (Some(app), true) = (&place.app, found.is_some()) {
                self.watch.learn(app);
            }
            found.map(|raw| read(place.kind, &raw)).transpose()
        })
        .await
    }

    async fn insert(&self, place: &Place, fields: Fields) -> Result<bool, StoreError> {
        let fields = writable(place, fields)?;
        within("record_insert", self.insert_new(place, &fields)).await
    }

    async fn put(&self, place: &Place, fields: Fields) -> Result<(), StoreError> {
        let fields = writable(place, fields)?;
        within("record_put", self.replace(place, &fields)).await
    }

    async fn patch(&self, place: &Place, set: Fields) -> Result<Option<Fields>, StoreError> {
        let set = writable(place, set)?;
        if set.is_empty() {
            return self.get(place).await;
        }
        within("record_patch", async {
            let records = self.records_at(place, majority());
            let records = records.clone_with_type::<RawDocumentBuf>();
            let change = doc! { "$set": stored(place.kind, &set) };
            let patched = records.find_one_and_update(filter::named(place), change);
            let patched = patched.return_document(ReturnDocument::After).await;
            let patched = patched.map_err(|error| failed("record_patch", &error))?;
            patched.map(|raw| read(place.kind, &raw)).transpose()
        })
        .await
    }

    async fn delete(&self, place: &Place) -> Result<bool, StoreError> {
        check::place(place)?;
        within("record_delete", async {
            let records = self.records_at(place, majority());
            let deleted = records.delete_one(filter::named(place)).await;
            let deleted = deleted.map_err(|error| failed("record_delete", &error))?;
            Ok(deleted.deleted_count > 0)
        })
        .await
    }

    async fn list(&self, query: &Query) -> Result<Vec<Fields>, StoreError> {
        check::query(query)?;
        let size = i64::try_from(query.size.min(LIST_MAX)).unwrap_or(0);
        let offset = i32::try_from(query.offset);
        let (1.., Ok(offset)) = (size, offset) else {
            // No collection has that many.
            return Ok(Vec::new());
        };
        within("record_list", async {
            let records = self.records_of(query.kind, query.app.as_ref(), majority());
            let find = records.find(filter::of(query)).sort(sort(query));
            let find = find.skip(u64::from(offset.unsigned_abs())).limit(size);
            let refused = |error| failed("record_list", &error);
            let mut cursor = find.await.map_err(refused)?;
            let mut found = Vec::new();
            while cursor.advance().await.map_err(refused)? {
                found.push(read(query.kind, cursor.current())?);
            }
            Ok(found)
        })
        .await
    }

    async fn count(&self, query: &Query) -> Result<u64, StoreError> {
        check::query(query)?;
        within("record_count", async {
            let records = self.records_of(query.kind, query.app.as_ref(), majority());
            let count = records.count_documents(filter::of(query)).await;
            count.map_err(|error| failed("record_count", &error))
        })
        .await
    }

    async fn delete_matching(&self, query: &Query) -> Result<u64, StoreError> {
        check::query(query)?;
        within("record_delete_matching", async {
            let records = self.records_of(query.kind, query.app.as_ref(), majority());
            let deleted = records.delete_many(filter::of(query)).await;
            let deleted = deleted.map_err(|error| failed("record_delete_matching", &error))?;
            Ok(deleted.deleted_count)
        })
        .await
    }

    async fn add(&self, place: &Place, by: &[(&'static str, i64)]) -> Result<(), StoreError> {
        check::place(place)?;
        within("record_add", self.add_up(place, by)).await
    }

    async fn append(&self, kind: Kind, app: &AppName, fields: Fields) -> Result<(), StoreError> {
        check::appended(kind)?;
        let fields = check::writable(kind, fields)?;
        within("record_append", async {
            self.prepare_kind(kind, Some(app)).await?;
            let records = self.records_of(kind, Some(app), WriteConcern::nodes(1));
            let mut document = to_document(&fields);
            layout::mark(kind, &mut document);
            let written = records.insert_one(document).await;
            let written = written.map_err(|error| failed("record_append", &error));
            written.map(drop)
        })
        .await
    }

    fn record_changes(&self) -> Option<broadcast::Receiver<RecordChange>> {
        self.watch.records()
    }

    fn record_changes_health(&self) -> ChangesHealth {
        self.watch.health()
    }
}

impl MongoStore {
    fn records_at(&self, place: &Place, concern: WriteConcern) -> Collection<Document> {
        self.records_of(place.kind, place.app.as_ref(), concern)
    }

    pub(super) fn records_of(
        &self,
        kind: Kind,
        app: Option<&AppName>,
        concern: WriteConcern,
    ) -> Collection<Document> {
        let of_app = |suffix: &str| {
            let app = app.map_or("", AppName::as_str);
            format!("{}{suffix}", self.options.database_of(app))
        };
        let (database, collection) = match kind {
            Kind::Broadcast => (of_app(""), "broadcast"),
            Kind::Vod => (of_app("VoD"), "vod"),
            Kind::Token => (of_app("_token"), "token"),
            Kind::Subscriber => (of_app("_subscriber"), "subscriber"),
            Kind::ConnectionEvent => (of_app(""), "ConnectionEvent"),
            Kind::Analytics => (of_app(""), "weiranalytics"),
            Kind::AppSettings => (super::CLUSTER_DATABASE.to_owned(), "AppSettings"),
            Kind::User => (SERVER_DATABASE.to_owned(), "user"),
            Kind::Secret => (super::CLUSTER_DATABASE.to_owned(), "weirsecret"),
            Kind::Login => (super::CLUSTER_DATABASE.to_owned(), "weirlogin"),
        };
        let database = self.client.database(&database);
        database.collection_with_options(collection, with(concern))
    }

    async fn insert_new(&self, place: &Place, fields: &Fields) -> Result<bool, StoreError> {
        self.prepare_kind(place.kind, place.app.as_ref()).await?;
        let records = self.records_at(place, majority());
        let mut document = stored(place.kind, fields);
        layout::mark(place.kind, &mut document);
        let alone = document.is_empty();
        let new = match alone {
            true => doc! { "$setOnInsert": filter::named(place) },
            false => doc! { "$setOnInsert": document },
        };
        let mut named = filter::named(place);
        if alone {
            // A field may not be in both; the key alone makes the record.
            named = doc! { "$and": [named] };
        }
        match records.update_one(named, new).upsert(true).await {
            Err(error) if is_duplicate(&error) => Ok(false),
            Err(error) => Err(failed("record_insert", &error)),
            Ok(done) => Ok(done.upserted_id.is_some()),
        }
    }

    /// Makes `fields` the whole record; of a broadcast, all but what its owner's calls write.
    async fn replace(&self, place: &Place, fields: &Fields) -> Result<(), StoreError> {
        self.prepare_kind(place.kind, place.app.as_ref()).await?;
        let records = self.records_at(place, majority());
        let mut whole = filter::named(place);
        whole.extend(stored(place.kind, fields));
        layout::mark(place.kind, &mut whole);
        for _ in 0..RACES_MAX {
            let named = filter::named(place);
            let written = if place.kind == Kind::Broadcast {
                let checkpoint = format!("${}", documents::CHECKPOINT);
                let stays = doc! {
                    "_id": "$_id", "owner": "$owner", documents::CHECKPOINT: checkpoint,
                };
                let merged = doc! { "$mergeObjects": [{ "$literal": whole.clone() }, stays] };
                let written = records.update_one(named, vec![doc! { "$replaceWith": merged }]);
                written.upsert(true).await
            } else {
                records.replace_one(named, whole.clone()).upsert(true).await
            };
            match written {
                Err(error) if is_duplicate(&error) => {}
                other => {
                    return other
                        .map(drop)
                        .map_err(|error| failed("record_put", &error));
                }
            }
        }
        Err(contended("record_put"))
    }

    async fn add_up(&self, place: &Place, by: &[(&'static str, i64)]) -> Result<(), StoreError> {
        self.prepare_kind(place.kind, place.app.as_ref()).await?;
        let records = self.records_at(place, WriteConcern::nodes(1));
        let sums = by.iter().map(|(name, by)| {
            let field = format!("${name}");
            let was = doc! { "$cond": [{ "$isNumber": &field }, &field, 0_i64] };
            ((*name).to_owned(), doc! { "$add": [was, *by] })
        });
        let mut set = Document::new();
        set.extend(sums.map(|(name, sum)| (name, sum.into())));
        for _ in 0..RACES_MAX {
            let change = vec![doc! { "$set": set.clone() }];
            let added = records
                .update_one(filter::named(place), change)
                .upsert(true);
            match added.await {
                Err(error) if is_duplicate(&error) => {}
                other => {
                    return other
                        .map(drop)
                        .map_err(|error| failed("record_add", &error));
                }
            }
        }
        Err(contended("record_add"))
    }
}

fn writable(place: &Place, fields: Fields) -> Result<Fields, StoreError> {
    check::place(place)?;
    check::writable(place.kind, fields)
}

/// The record in a document's bytes. Read through serde, an object that looks like extended JSON
/// would turn into what it looks like.
fn read(kind: Kind, raw: &RawDocument) -> Result<Fields, StoreError> {
    let document = Document::try_from(raw).map_err(|error| StoreError::Damaged {
        key: kind.name().to_owned(),
        reason: error.to_string(),
    })?;
    Ok(shown(kind, document))
}

/// What callers see of a document.
pub(super) fn shown(kind: Kind, mut document: Document) -> Fields {
    layout::unwrap(kind, &mut document);
    fields_of(document)
}

/// `fields` as a document has them.
fn stored(kind: Kind, fields: &Fields) -> Document {
    let mut document = to_document(fields);
    if kind == Kind::Broadcast {
        layout::part_address(&mut document);
    }
    document
}

fn sort(query: &Query) -> Document {
    let mut sort = Document::new();
    if let Some((name, order)) = query.sort {
        let direction = match order {
            Order::Ascending => 1,
            Order::Descending => -1,
        };
        sort.insert(name, direction);
    }
    for name in query.kind.key_fields() {
        if !sort.contains_key(*name) {
            sort.insert(*name, 1);
        }
    }
    // The order of their coming, for those without a name.
    sort.insert("_id", 1);
    sort
}

fn contended(operation: &'static str) -> StoreError {
    StoreError::Unavailable {
        operation,
        reason: "too many want this record at once".to_owned(),
    }
}
