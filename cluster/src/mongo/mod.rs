//! The cluster's store in MongoDB, in Ant Media's layout.
//!
//! | database | collection | document |
//! |---|---|---|
//! | one an application (`liveapp`) | `broadcast` | a stream, by `streamId` (unique) |
//! | `clusterdb` | `clusternode` | a node, by `_id` |
//! | `clusterdb` | `weirlease` | a node's lease ([`crate::lease`]), by `_id` = node id |
//! | `clusterdb` | `weirduty` | whose turn a task of the whole cluster is, by `_id` |
//! | `clusterdb` | `weirchange` | what changed lately, in order; capped (`mongo/changes/log.rs`) |
//! | `clusterdb` | `weirtimeline` | a stream's newest epoch ([`crate::ownership::Timeline`]), by `_id` = `app/id` |
//!
//! All other records: see the table in `mongo/records.rs`. Field names are Ant Media's; documents
//! that it wrote are read, and fields that are not known here stay. A field of the wrong type reads as its default.
//!
//! **Atomicity.** An epoch is taken by one conditional write on `weirtimeline`; who loses the race
//! reads again. Whether another owner is there is read just before, with the server's time, and the
//! write holds only if the server's clock is not far past that: a claimant, or a server, that stood
//! still in between judges again. The broadcast follows; it is written under the condition that no
//! newer epoch has written it. A process that dies between the two leaves a record that the owner's
//! next report, the next claim, or a sweep (`mongo/sweep.rs`) puts right.
//!
//! **Time** is the server's (`$$NOW`): who is there, heartbeats, `updateTime`. See
//! `mongo/leases.rs`.
//!
//! **Changes** are told where there is a replica set, by one change stream for the whole cluster and
//! a log that every node reads, and polled for elsewhere (`mongo/changes.rs`).
//!
//! **Who must confirm what.**
//!
//! | call | writes | confirmed by |
//! |---|---|---|
//! | `claim`, `adopt` | timeline (conditional), broadcast | a majority, each |
//! | `release`, `release_all_of`, `sweep` | timeline (conditional), broadcast | a majority, each |
//! | the same | note that the record was told, whose turn a sweep is | the primary: a repetition does no harm |
//! | `update` | broadcast with its checkpoint, one write | the primary: the next is 5 s away, a claim allows for the loss |
//! | `renew_lease`, `end_lease` | lease, one write | the primary: see `mongo/leases.rs` |
//! | the relay of changes | an entry of the log | a majority; its turn: the primary |
//! | `heartbeat` | node, one write | the primary: the next is 5 s away |
//! | `delete_node`, indexes | node, index | a majority |
//!
//! All reads are the primary's newest: what is decided on them is then a conditional write to a
//! majority. Writes and reads that lost their connection, or found no primary, are tried once more
//! by the driver (retryable writes), which needs a replica set; a repeated call of ours does no harm.
//!
//! **Cost.** A live stream is one write each 5 s; a node one each second (its lease) and one each 5 s.
//! An ended timeline and a forgotten lease are deleted by MongoDB itself (TTL indexes).
//!
//! **Failures.** Every call ends within [`CALL_TIMEOUT`]; what it wanted may then be done or not. At
//! most 32 connections to a server, the heartbeat's apart ([`MongoOptions::pool_max`]). No error text
//! and no debug text holds an address, a user or a password.

mod changes;
mod claims;
mod documents;
mod indexes;
mod layout;
mod leases;
mod nodes;
mod options;
mod records;
mod sweep;
mod whereabouts;

pub use options::{MongoOptions, MongoOptionsError};

use crate::clock::WallClock;
use crate::follow::ChangesHealth;
use crate::lease::{Lease, Leases};
use crate::names::{AppName, StreamKey};
use crate::store::{Claim, EpochEnd, NodesSince, Store, StoreError, StreamChange};
use crate::types::{Broadcast, NodeRecord, Ownership};
use async_trait::async_trait;
use changes::Watch;
use leases::StoreTime;
use mongodb::bson::{Document, doc};
use mongodb::error::{ErrorKind, WriteFailure};
use mongodb::options::{CollectionOptions, WriteConcern};
use mongodb::{Client, Collection, Cursor};
use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::time::timeout;

/// How long a call may take.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(8);
/// How long a write waits for a majority.
const MAJORITY_TIMEOUT: Duration = Duration::from_secs(5);
/// The most records one call lists.
const LIST_MAX: usize = 1_000;
const CLUSTER_DATABASE: &str = "clusterdb";
/// MongoDB's code for a second document with a unique key.
const DUPLICATE_KEY: i32 = 11_000;

/// The store in MongoDB. Made without asking the server, so that a node starts when it is away.
pub struct MongoStore {
    client: Client,
    options: MongoOptions,
    time: StoreTime,
    /// Collections whose indexes were seen to.
    prepared: Mutex<BTreeSet<String>>,
    /// Held while indexes are made: those who need the same ones wait for that, and ask for none.
    preparing: tokio::sync::Mutex<()>,
    watch: Watch,
}

impl fmt::Debug for MongoStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client's own text shows where it connects to.
        f.debug_struct("MongoStore").finish_non_exhaustive()
    }
}

impl MongoStore {
    /// A store on the server that `options` name, which is asked at the first call only. Must be
    /// called on a tokio runtime that lives as long as the store.
    ///
    /// # Errors
    /// [`MongoOptionsError`] for options that cannot be right.
    pub async fn connect(options: MongoOptions) -> Result<Self, MongoOptionsError> {
        Self::with_time(options, StoreTime::Server).await
    }

    /// As [`MongoStore::connect`], with a clock in place of the server's, which tests cannot set.
    ///
    /// # Errors
    /// [`MongoOptionsError`] for options that cannot be right.
    pub async fn connect_with_clock(
        options: MongoOptions,
        clock: Arc<dyn WallClock>,
    ) -> Result<Self, MongoOptionsError> {
        Self::with_time(options, StoreTime::Given(clock)).await
    }

    async fn with_time(options: MongoOptions, time: StoreTime) -> Result<Self, MongoOptionsError> {
        let client = Client::with_options(options.to_client_options().await?);
        let client = client.map_err(|_| MongoOptionsError::Malformed)?;
        let named = options.clone();
        let database_of = move |app: &AppName| named.database_of(app.as_str());
        Ok(Self {
            watch: Watch::new(client.clone(), options.poll_only, database_of),
            client,
            options,
            time,
            prepared: Mutex::default(),
            preparing: tokio::sync::Mutex::default(),
        })
    }

    fn broadcasts_of(&self, app: &AppName, concern: WriteConcern) -> Collection<Document> {
        let database = self
            .client
            .database(&self.options.database_of(app.as_str()));
        database.collection_with_options("broadcast", with(concern))
    }

    fn timelines(&self) -> Collection<Document> {
        self.cluster_collection("weirtimeline", majority())
    }

    fn cluster_nodes(&self, concern: WriteConcern) -> Collection<Document> {
        self.cluster_collection("clusternode", concern)
    }

    fn cluster_collection(&self, name: &str, concern: WriteConcern) -> Collection<Document> {
        let database = self.client.database(CLUSTER_DATABASE);
        database.collection_with_options(name, with(concern))
    }

    async fn list(&self, mut cursor: Cursor<Document>) -> Result<Vec<Document>, StoreError> {
        let mut found = Vec::new();
        while cursor
            .advance()
            .await
            .map_err(|error| failed("list", &error))?
        {
            let document = cursor.deserialize_current();
            found.push(document.map_err(|error| failed("list", &error))?);
        }
        Ok(found)
    }

    async fn find_broadcasts(
        &self,
        app: &AppName,
        offset: usize,
        size: usize,
    ) -> Result<Vec<Broadcast>, StoreError> {
        if size == 0 {
            return Ok(Vec::new());
        }
        let find = self.broadcasts_of(app, majority());
        let find = find.find(doc! {}).sort(doc! { "streamId": 1 });
        let find = find.skip(offset as u64).limit(limit_of(size));
        let cursor = find.await.map_err(|error| failed("broadcasts", &error))?;
        let documents = self.list(cursor).await?.into_iter();
        Ok(documents.map(documents::broadcast).collect())
    }
}

#[async_trait]
impl Store for MongoStore {
    async fn broadcast(&self, key: &StreamKey) -> Result<Option<Broadcast>, StoreError> {
        within("broadcast", async {
            let document = self.broadcast_document(key).await?;
            if document.is_some() {
                self.watch.learn(&key.app);
            }
            Ok(document.map(documents::broadcast))
        })
        .await
    }

    async fn broadcasts(
        &self,
        app: &AppName,
        offset: usize,
        size: usize,
    ) -> Result<Vec<Broadcast>, StoreError> {
        within("broadcasts", self.find_broadcasts(app, offset, size)).await
    }

    async fn claim(&self, claim: Claim) -> Result<Ownership, StoreError> {
        within("claim", self.take(&claim)).await
    }

    async fn adopt(
        &self,
        claim: Claim,
        epoch: u64,
        checkpoint: EpochEnd,
    ) -> Result<Ownership, StoreError> {
        within("adopt", self.take_over(&claim, epoch, checkpoint)).await
    }

    async fn update(
        &self,
        key: &StreamKey,
        epoch: u64,
        broadcast: Broadcast,
        checkpoint: EpochEnd,
    ) -> Result<(), StoreError> {
        within("update", self.report(key, epoch, &broadcast, checkpoint)).await
    }

    async fn release(&self, key: &StreamKey, epoch: u64, end: EpochEnd) -> Result<(), StoreError> {
        within("release", self.end(key, epoch, end)).await
    }

    async fn release_all_of(&self, node_id: &str, now_ms: i64) -> Result<usize, StoreError> {
        // As long as there are streams: each step has the driver's own limits.
        self.free_all_of(node_id, now_ms).await
    }

    async fn sweep(&self, node_id: &str) -> Result<usize, StoreError> {
        // Bounded in number; each step has the driver's own limits.
        self.sweep_as(node_id).await
    }

    async fn renew_lease(&self, node_id: &str) -> Result<Lease, StoreError> {
        within("renew_lease", self.renew(node_id)).await
    }

    async fn end_lease(&self, node_id: &str) -> Result<(), StoreError> {
        within("end_lease", self.give_up(node_id)).await
    }

    async fn leases(&self) -> Result<Leases, StoreError> {
        within("leases", self.read_leases(doc! {})).await
    }

    async fn heartbeat(&self, node: NodeRecord) -> Result<(), StoreError> {
        within("heartbeat", async {
            let nodes = self.cluster_nodes(WriteConcern::nodes(1));
            let mut fields = documents::literals(documents::node(&node));
            fields.insert(layout::CLASS, layout::NODE_CLASS);
            fields.insert(documents::NODE_WROTE, self.time.expression_ms());
            let set = vec![doc! { "$set": fields }];
            let written = nodes.update_one(doc! { "_id": &node.id }, set).upsert(true);
            let written = written.await.map(drop);
            written.map_err(|error| failed("heartbeat", &error))
        })
        .await
    }

    async fn nodes(&self, offset: usize, size: usize) -> Result<Vec<NodeRecord>, StoreError> {
        within("nodes", self.find_nodes(offset, size)).await
    }

    async fn nodes_since(
        &self,
        since_ms: i64,
        size: usize,
    ) -> Result<Option<NodesSince>, StoreError> {
        let found = within("nodes_since", self.find_nodes_since(since_ms, size)).await?;
        Ok(Some(found))
    }

    async fn delete_node(&self, id: &str) -> Result<bool, StoreError> {
        within("delete_node", async {
            let nodes = self.cluster_nodes(majority());
            let deleted = nodes.delete_one(doc! { "_id": id }).await;
            let deleted = deleted.map_err(|error| failed("delete_node", &error))?;
            Ok(deleted.deleted_count > 0)
        })
        .await
    }

    async fn whereabouts(
        &self,
        keys: &[StreamKey],
    ) -> Result<Vec<(StreamKey, Option<Broadcast>)>, StoreError> {
        within("whereabouts", self.find_whereabouts(keys)).await
    }

    fn changes(&self) -> Option<broadcast::Receiver<StreamChange>> {
        self.watch.streams()
    }

    fn changes_health(&self) -> ChangesHealth {
        self.watch.health()
    }
}

async fn within<T>(
    operation: &'static str,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    // The driver's futures are large; on the heap they do not swell every caller's.
    let answer = timeout(CALL_TIMEOUT, Box::pin(call)).await;
    answer.unwrap_or_else(|_| {
        Err(StoreError::Unavailable {
            operation,
            reason: "the database took too long".to_owned(),
        })
    })
}

fn with(concern: WriteConcern) -> CollectionOptions {
    CollectionOptions::builder().write_concern(concern).build()
}

fn majority() -> WriteConcern {
    let mut concern = WriteConcern::majority();
    concern.w_timeout = Some(MAJORITY_TIMEOUT);
    concern
}

fn limit_of(size: usize) -> i64 {
    i64::try_from(size.min(LIST_MAX)).unwrap_or(i64::MAX)
}

/// What the driver says, without what may hold an address or a name.
fn failed(operation: &'static str, error: &mongodb::error::Error) -> StoreError {
    let reason = match &*error.kind {
        ErrorKind::ServerSelection { .. } => "no server can be reached".to_owned(),
        ErrorKind::Authentication { .. } => "the database refused user or password".to_owned(),
        ErrorKind::Io(io) => format!("connection: {}", io.kind()),
        ErrorKind::Command(command) => format!("{} ({})", command.code_name, command.code),
        ErrorKind::Write(WriteFailure::WriteError(write)) => format!("write error {}", write.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(concern)) => {
            format!("not confirmed by a majority ({})", concern.code)
        }
        _ => "the database driver failed".to_owned(),
    };
    tracing::debug!(operation, reason, "a call to MongoDB failed");
    StoreError::Unavailable { operation, reason }
}

fn is_away(error: &mongodb::error::Error) -> bool {
    matches!(
        &*error.kind,
        ErrorKind::ServerSelection { .. }
            | ErrorKind::Io(_)
            | ErrorKind::ConnectionPoolCleared { .. }
    )
}

fn is_duplicate(error: &mongodb::error::Error) -> bool {
    match &*error.kind {
        ErrorKind::Write(WriteFailure::WriteError(write)) => write.code == DUPLICATE_KEY,
        ErrorKind::Command(command) => command.code == DUPLICATE_KEY,
        _ => false,
    }
}
