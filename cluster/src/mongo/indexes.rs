//! The indexes, made once a process and collection, at its first write or at start.
//!
//! Where Ant Media has a unique index, ours has its name. Where it has one on the same field that is
//! not unique, ours stands beside it under a name of its own (`weir_…`), whoever came first: so
//! neither is refused. Data that breaks uniqueness is said and kept: calls
//! then work as before, only that two inserts at the same moment may both win.

use super::{MongoStore, documents, failed, is_away, layout, majority};
use crate::names::AppName;
use crate::records::Kind;
use crate::store::StoreError;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::IndexOptions;
use mongodb::{Collection, IndexModel};
use std::collections::BTreeSet;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

/// MongoDB's codes for an index that is there with other options.
const CONFLICTS: [i32; 2] = [85, 86];

impl MongoStore {
    /// Sees to the indexes of an application's streams.
    pub(super) async fn prepare(&self, app: &AppName) -> Result<(), StoreError> {
        let broadcasts = self.broadcasts_of(app, majority());
        self.prepare_collection(Kind::Broadcast, &broadcasts)
            .await?;
        let timelines = self.timelines();
        let name = timelines.namespace().to_string();
        if self.prepared_names().contains(&name) {
            return Ok(());
        }
        let by_node = IndexModel::builder()
            .keys(doc! { "ownership.nodeId": 1 })
            .build();
        let forgotten = IndexModel::builder()
            .keys(doc! { documents::FORGET_AT: 1 })
            .options(IndexOptions::builder().expire_after(Duration::ZERO).build())
            .build();
        let due = IndexModel::builder()
            .keys(doc! { documents::RECORD_DUE: 1 })
            .options(IndexOptions::builder().sparse(true).build())
            .build();
        let leases = self.cluster_collection("weirlease", majority());
        let made = leases.create_index(forgotten.clone()).await;
        made.map_err(|error| failed("prepare", &error))?;
        let made = timelines.create_indexes([by_node, forgotten, due]).await;
        made.map_err(|error| failed("prepare", &error))?;
        self.prepared_names().insert(name);
        Ok(())
    }

    /// Sees to it that no two records of `kind` in `collection` have one name, and that they are
    /// found by what they are searched by.
    pub(super) async fn prepare_collection(
        &self,
        kind: Kind,
        collection: &Collection<Document>,
    ) -> Result<(), StoreError> {
        let name = collection.namespace().to_string();
        if self.prepared_names().contains(&name) {
            return Ok(());
        }
        if !kind.key_fields().is_empty() {
            let made = make_unique(collection, kind).await?;
            settle(&name, kind.key_fields(), made)?;
        }
        for field in kind.searched_fields() {
            let keys = doc! { *field: 1 };
            let index = IndexModel::builder().keys(keys).build();
            let made = collection.create_index(index).await.map(drop);
            let there = made.as_ref().is_err_and(is_conflict);
            settle(&name, &[field], if there { Ok(()) } else { made })?;
        }
        self.prepared_names().insert(name);
        Ok(())
    }

    fn prepared_names(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the unique index of a kind's key, unless there is one.
async fn make_unique(
    collection: &Collection<Document>,
    kind: Kind,
) -> Result<Result<(), Error>, StoreError> {
    let fields = kind.key_fields();
    let own = format!("weir_{}", fields.join("_"));
    let theirs = layout::unique_index_of(kind).map(str::to_owned);
    let first = unique(fields, theirs.unwrap_or_else(|| own.clone()));
    let made = collection.create_index(first).await.map(drop);
    if !made.as_ref().is_err_and(is_conflict) {
        return Ok(made);
    }
    if is_unique_already(collection, fields).await? {
        return Ok(Ok(()));
    }
    let again = collection.create_index(unique(fields, own)).await;
    Ok(again.map(drop))
}

/// An index that cannot be is said, and done without; a server that is away is asked again.
fn settle(collection: &str, fields: &[&str], made: Result<(), Error>) -> Result<(), StoreError> {
    match made {
        Err(error) if is_away(&error) => Err(failed("prepare", &error)),
        Err(error) => {
            tracing::warn!(collection, ?fields, %error, "an index cannot be made");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Whether an index of another name, Ant Media's for one, does it already.
async fn is_unique_already(
    collection: &Collection<Document>,
    fields: &[&str],
) -> Result<bool, StoreError> {
    let refused = |error| failed("prepare", &error);
    let mut indexes = collection.list_indexes().await.map_err(refused)?;
    while indexes.advance().await.map_err(refused)? {
        let index = indexes.deserialize_current().map_err(refused)?;
        let is_unique = index.options.is_some_and(|options| {
            options.unique == Some(true) && options.partial_filter_expression.is_none()
        });
        if is_unique && index.keys.keys().eq(fields) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn unique(fields: &[&str], name: String) -> IndexModel {
    let keys: Document = fields.iter().map(|f| ((*f).to_owned(), 1.into())).collect();
    let mut options = IndexOptions::builder().unique(true).build();
    options.name = Some(name);
    IndexModel::builder().keys(keys).options(options).build()
}

fn is_conflict(error: &Error) -> bool {
    matches!(&*error.kind, ErrorKind::Command(command) if CONFLICTS.contains(&command.code))
}
