//! The embedded store: the whole cluster's memory in one file, for one process.
//!
//! **How it works.** The records live in memory, so that a read never touches a disk and never
//! waits for a writer; a redb file holds them for the next start. One thread owns the file. It
//! takes calls from a bounded queue, many at a time, and makes what must be durable so with one
//! `fsync` for all of them before it answers any (group commit). Reports and heartbeats change the
//! memory at once and reach the file with the next durable call, or after [`FLUSH_PERIOD`].
//!
//! **What a crash loses.** Nothing that was acknowledged by `claim`, `adopt`, `release`,
//! `release_all_of`, `sweep`, `delete_node`, or by the calls of [`crate::Records`] that are durable.
//! Of `update`, `heartbeat`, `add` and `append`, at most the last [`FLUSH_PERIOD`]: the next claim
//! starts far enough on (see [`crate::ownership`]). Leases are in memory only.
//!
//! **When the disk fails or is full.** Reads, reports and heartbeats go on in memory; calls that
//! must be durable fail with [`StoreError::DiskFull`] or [`StoreError::Unavailable`] and change
//! nothing. The file is opened anew at most each [`REOPEN_PERIOD`]; once that works, everything
//! the memory has is written. [`EmbeddedStore::degraded`] tells.
//!
//! **Limits.** [`STREAMS_MAX`] streams, [`NODES_MAX`] nodes, of other records [`records_max`] of each
//! kind (beyond it, the oldest connection events give way), [`QUEUE_MAX`] calls waiting (more wait
//! for room). One process a file: a second is refused with [`OpenError::InUse`].

mod error;
mod file;
mod leases;
mod ops;
mod record_ops;
mod records;
mod table;
mod view;
mod writer;

pub use error::OpenError;
pub use table::records_max;

use crate::clock::WallClock;
use crate::lease::{Lease, Leases};
use crate::names::{AppName, StreamKey};
use crate::store::{Claim, EpochEnd, Store, StoreError, StreamChange};
use crate::types::{Broadcast, NodeRecord, Ownership};
use async_trait::async_trait;
use file::DataFile;
use ops::{Op, Outcome};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, oneshot};
use view::Shared;
use writer::{Job, Writer};

/// Streams remembered, with a record or with a timeline only.
pub const STREAMS_MAX: usize = 100_000;
/// Nodes remembered.
pub const NODES_MAX: usize = 10_000;
/// Calls waiting for the writing thread.
pub const QUEUE_MAX: usize = 1_024;
/// Calls made durable together.
pub const BATCH_MAX: usize = 256;
/// Changes a reader of [`Store::changes`] may lag behind.
pub const CHANGES_MAX: usize = 1_024;
/// How long reports and heartbeats may be in memory only.
pub const FLUSH_PERIOD: Duration = Duration::from_secs(5);
/// How often a file that failed is tried again.
pub const REOPEN_PERIOD: Duration = Duration::from_secs(1);
/// How often old timelines are looked for.
pub const PRUNE_PERIOD: Duration = Duration::from_secs(3_600);

/// The embedded store. Dropping it writes what is still in memory only and closes the file, which
/// blocks for one `fsync`.
#[derive(Debug)]
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    clock: Arc<dyn WallClock>,
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
}

impl EmbeddedStore {
    /// Opens the store in the file at `path`, making the file when there is none, and reads it
    /// whole. Blocks on the disk: call it at start, not from a task that serves.
    ///
    /// # Errors
    /// [`OpenError`] says what stands in the way and what to do about it.
    pub fn open(path: &Path, clock: Arc<dyn WallClock>) -> Result<Self, OpenError> {
        let (file, view) = DataFile::open(path)?;
        let shared = Arc::new(Shared::new(view));
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let writer = Writer::new(file, Arc::clone(&shared), Arc::clone(&clock));
        let thread = writer.spawn(receiver).map_err(|source| OpenError::Io {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            shared,
            clock,
            jobs: Some(sender),
            thread: Some(thread),
            path: path.to_owned(),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why nothing can be made durable at present; `None` when all is well.
    pub fn degraded(&self) -> Option<String> {
        self.shared.degraded()
    }

    /// Puts everything on stable storage that is in memory only.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`] or [`StoreError::Unavailable`].
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.call(Op::Flush).await.map(drop)
    }

    async fn call(&self, op: Op) -> Result<Outcome, StoreError> {
        let operation = op.name();
        let gone = || StoreError::Unavailable {
            operation,
            reason: "the store is closed".to_owned(),
        };
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        let (reply, answer) = oneshot::channel();
        jobs.send(Job { op, reply }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(path = %self.path.display(), "the store's thread panicked");
        }
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn broadcast(&self, key: &StreamKey) -> Result<Option<Broadcast>, StoreError> {
        self.shared.read().broadcast(key)
    }

    async fn broadcasts(
        &self,
        app: &AppName,
        offset: usize,
        size: usize,
    ) -> Result<Vec<Broadcast>, StoreError> {
        Ok(self.shared.read().broadcasts(app, offset, size))
    }

    async fn claim(&self, claim: Claim) -> Result<Ownership, StoreError> {
        match self.call(Op::Claim(Box::new(claim))).await? {
            Outcome::Owned(ownership) => Ok(ownership),
            other => Err(other.unexpected("claim")),
        }
    }

    async fn adopt(
        &self,
        claim: Claim,
        epoch: u64,
        checkpoint: EpochEnd,
    ) -> Result<Ownership, StoreError> {
        let claim = Box::new(claim);
        let op = Op::Adopt {
            claim,
            epoch,
            checkpoint,
        };
        match self.call(op).await? {
            Outcome::Owned(ownership) => Ok(ownership),
            other => Err(other.unexpected("adopt")),
        }
    }

    async fn update(
        &self,
        key: &StreamKey,
        epoch: u64,
        broadcast: Broadcast,
        checkpoint: EpochEnd,
    ) -> Result<(), StoreError> {
        let op = Op::Update {
            key: key.clone(),
            epoch,
            broadcast: Box::new(broadcast),
            checkpoint,
        };
        self.call(op).await.map(drop)
    }

    async fn release(&self, key: &StreamKey, epoch: u64, end: EpochEnd) -> Result<(), StoreError> {
        let key = key.clone();
        self.call(Op::Release { key, epoch, end }).await.map(drop)
    }

    async fn release_all_of(&self, node_id: &str, now_ms: i64) -> Result<usize, StoreError> {
        let node_id = node_id.to_owned();
        match self.call(Op::ReleaseAllOf { node_id, now_ms }).await? {
            Outcome::Count(count) => Ok(count),
            other => Err(other.unexpected("release_all_of")),
        }
    }

    async fn sweep(&self, node_id: &str) -> Result<usize, StoreError> {
        let node_id = node_id.to_owned();
        match self.call(Op::Sweep { node_id }).await? {
            Outcome::Count(count) => Ok(count),
            other => Err(other.unexpected("sweep")),
        }
    }

    async fn renew_lease(&self, node_id: &str) -> Result<Lease, StoreError> {
        let view = self.shared.read();
        view.leases().renew(node_id, self.clock.now_ms())
    }

    async fn end_lease(&self, node_id: &str) -> Result<(), StoreError> {
        self.shared.read().leases().end(node_id);
        Ok(())
    }

    async fn leases(&self) -> Result<Leases, StoreError> {
        Ok(self.shared.read().leases().all(self.clock.now_ms()))
    }

    async fn heartbeat(&self, node: NodeRecord) -> Result<(), StoreError> {
        self.call(Op::Heartbeat(Box::new(node))).await.map(drop)
    }

    async fn nodes(&self, offset: usize, size: usize) -> Result<Vec<NodeRecord>, StoreError> {
        Ok(self.shared.read().nodes(offset, size))
    }

    async fn delete_node(&self, id: &str) -> Result<bool, StoreError> {
        match self.call(Op::DeleteNode { id: id.to_owned() }).await? {
            Outcome::Existed(existed) => Ok(existed),
            other => Err(other.unexpected("delete_node")),
        }
    }

    fn changes(&self) -> Option<broadcast::Receiver<StreamChange>> {
        Some(self.shared.subscribe())
    }
}
