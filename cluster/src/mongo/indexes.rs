//! The indexes, made once a process and collection, at its first write or at start.
//!
//! A collection of Ant Media's may have an index on the same field that is not unique; ours then
//! stands beside it under a name of its own. Data that breaks uniqueness is said and kept: calls
//! then work as before, only that two inserts at the same moment may both win.

use super::{MongoStore, documents, failed, is_away, majority};
use crate::names::AppName;
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
        self.prepare_unique(&broadcasts, &["streamId"]).await?;
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

    /// Sees to it that no two documents of `collection` have the same values of `fields`.
    pub(super) async fn prepare_unique(
        &self,
        collection: &Collection<Document>,
        fields: &[&str],
    ) -> Result<(), StoreError> {
        let name = collection.namespace().to_string();
        if self.prepared_names().contains(&name) {
            return Ok(());
        }
        let mut made = collection.create_index(unique(fields, None)).await;
        if made.as_ref().is_err_and(is_conflict) {
            if is_unique_already(collection, fields).await? {
                self.prepared_names().insert(name);
                return Ok(());
            }
            let own = format!("weir_{}", fields.join("_"));
            made = collection.create_index(unique(fields, Some(own))).await;
        }
        if let Err(error) = made {
            if is_away(&error) {
                return Err(failed("prepare", &error));
            }
            tracing::warn!(collection = name, ?fields, %error, "no unique index");
        }
        self.prepared_names().insert(name);
        Ok(())
    }

    fn prepared_names(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
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

fn unique(fields: &[&str], name: Option<String>) -> IndexModel {
    let keys: Document = fields.iter().map(|f| ((*f).to_owned(), 1.into())).collect();
    let mut options = IndexOptions::builder().unique(true).build();
    options.name = name;
    IndexModel::builder().keys(keys).options(options).build()
}

fn is_conflict(error: &Error) -> bool {
    matches!(&*error.kind, ErrorKind::Command(command) if CONFLICTS.contains(&command.code))
}
