//! The indexes, made once a process and collection: at start for the applications there are, for a
//! new one when it comes ([`MongoStore::keep_indexes`]), and before a collection's first write
//! where neither was in time.
//!
//! Making one that is there changes nothing. A store that is away is asked again each
//! [`AGAIN`], as long as it takes; nobody waits for it.
//!
//! Where Ant Media has a unique index, ours has its name. Where it has one on the same field that is
//! not unique, ours stands beside it under a name of its own (`weir_…`), whoever came first: so
//! neither is refused. Data that breaks uniqueness is said and kept: calls
//! then work as before, only that two inserts at the same moment may both win.

use super::{MongoStore, documents, failed, is_away, layout, majority, within};
use crate::apps::{AppEvent, Apps};
use crate::names::AppName;
use crate::records::Kind;
use crate::store::StoreError;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::IndexOptions;
use mongodb::{Collection, IndexModel};
use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How soon a store that could not be asked is asked again.
const AGAIN: Duration = Duration::from_secs(2);

/// MongoDB's codes for an index that is there with other options.
const CONFLICTS: [i32; 2] = [85, 86];

impl MongoStore {
    /// Sees to the indexes of the cluster and of `apps` from now on until `shutdown`, in a task of
    /// its own on the current runtime.
    pub fn keep_indexes(self: &Arc<Self>, apps: &Apps, shutdown: CancellationToken) {
        let (store, apps) = (Arc::clone(self), apps.clone());
        tokio::spawn(async move {
            let kept = Box::pin(store.keep(apps));
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = kept => {}
            }
        });
    }

    async fn keep(&self, apps: Apps) {
        let mut events = apps.subscribe();
        loop {
            // All of them each time: what this process has made is not asked for again.
            let names: Vec<AppName> = apps.list().iter().map(|app| app.name.clone()).collect();
            let mut said = false;
            while let Err(error) = self.make_indexes(&names).await {
                if !std::mem::replace(&mut said, true) {
                    tracing::warn!(%error, "indexes are made when the store is there");
                }
                sleep(AGAIN).await;
            }
            tracing::debug!(apps = names.len(), "the store's indexes stand");
            loop {
                match events.recv().await {
                    Ok(AppEvent::Created(_)) | Err(RecvError::Lagged(_)) => break,
                    Ok(_) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        }
    }

    /// Makes the indexes of the cluster's collections and of these applications', unless they are
    /// there.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the server is away.
    pub async fn make_indexes(&self, apps: &[AppName]) -> Result<(), StoreError> {
        within("prepare", self.prepare_cluster()).await?;
        for kind in Kind::ALL {
            if kind.is_of_cluster() {
                within("prepare", self.prepare_kind(kind, None)).await?;
                continue;
            }
            for app in apps {
                within("prepare", self.prepare_kind(kind, Some(app))).await?;
            }
        }
        Ok(())
    }

    /// Sees to the indexes of an application's streams.
    pub(super) async fn prepare(&self, app: &AppName) -> Result<(), StoreError> {
        let broadcasts = self.broadcasts_of(app, majority());
        self.prepare_collection(Kind::Broadcast, &broadcasts)
            .await?;
        self.prepare_cluster().await
    }

    pub(super) async fn prepare_kind(
        &self,
        kind: Kind,
        app: Option<&AppName>,
    ) -> Result<(), StoreError> {
        match (kind, app) {
            (Kind::Broadcast, Some(app)) => self.prepare(app).await,
            _ => {
                let records = self.records_of(kind, app, majority());
                self.prepare_collection(kind, &records).await
            }
        }
    }

    /// Sees to the indexes of timelines, leases and nodes.
    async fn prepare_cluster(&self) -> Result<(), StoreError> {
        let timelines = self.timelines();
        let name = timelines.namespace().to_string();
        if self.is_prepared(&name) {
            return Ok(());
        }
        let _one_at_a_time = self.preparing.lock().await;
        if self.is_prepared(&name) {
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
        let wrote = IndexModel::builder()
            .keys(doc! { documents::NODE_WROTE: 1 })
            .build();
        let made = self.cluster_nodes(majority()).create_index(wrote).await;
        made.map_err(|error| failed("prepare", &error))?;
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
        if self.is_prepared(&name) {
            return Ok(());
        }
        let _one_at_a_time = self.preparing.lock().await;
        if self.is_prepared(&name) {
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

    fn is_prepared(&self, name: &str) -> bool {
        self.prepared_names().contains(name)
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
