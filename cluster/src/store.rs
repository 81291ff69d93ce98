//! The cluster's memory behind one trait.

use crate::names::{AppName, StreamKey};
use crate::types::{Broadcast, NodeRecord, Ownership};
use async_trait::async_trait;

/// Why a store call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store cannot be reached or written now; try again later.
    #[error("store unavailable during {operation}: {reason}")]
    Unavailable {
        /// The call.
        operation: &'static str,
        /// What the store said.
        reason: String,
    },
    /// Somebody else owns the stream.
    #[error("stream is owned by node {node_id} (epoch {epoch})")]
    Owned {
        /// The owner.
        node_id: String,
        /// Its epoch.
        epoch: u64,
    },
    /// The caller's epoch is no longer the newest: it must stop writing.
    #[error("epoch {epoch} was superseded by {newest}")]
    Fenced {
        /// The caller's epoch.
        epoch: u64,
        /// The newest.
        newest: u64,
    },
    /// A record that cannot be read.
    #[error("record {key} is damaged: {reason}")]
    Damaged {
        /// Which record.
        key: String,
        /// Why.
        reason: String,
    },
}

/// What a claimant knows when it takes a stream.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The stream.
    pub key: StreamKey,
    /// The claiming node.
    pub node_id: String,
    /// `host:port` (or `unix:/path`) at which it serves objects to edges.
    pub origin_adress: String,
    /// Wall clock of the claim, ms since the Unix epoch.
    pub now_ms: i64,
    /// Upper bound on segments a second the former owner may have cut since its last checkpoint,
    /// as the nominal segment duration, ms (`hls.time`): places the first sequence number beyond
    /// any number the former owner can have used.
    pub segment_duration_ms: u32,
    /// The record to write when the stream is unknown, or to merge when known.
    pub broadcast: Broadcast,
}

/// Where a closed epoch ended, so that the next goes on from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The first sequence number not used.
    pub next_sequence_number: u64,
    /// Media time after the last segment, ms.
    pub media_time_ms: i64,
    /// Wall clock at that moment, ms since the Unix epoch.
    pub wall_clock_ms: i64,
}

/// Streams, ownership and nodes. Every call is one transaction; none blocks the runtime.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// The record of a stream, `None` when unknown.
    async fn broadcast(&self, key: &StreamKey) -> Result<Option<Broadcast>, StoreError>;

    /// Records of one application in id order, `offset` skipped, at most `size`.
    async fn broadcasts(
        &self,
        app: &AppName,
        offset: usize,
        size: usize,
    ) -> Result<Vec<Broadcast>, StoreError>;

    /// Takes a stream for a node: a fresh epoch, greater than any before it, with sequence
    /// numbers and media time running on. Fails with [`StoreError::Owned`] while another live
    /// owner holds it.
    async fn claim(&self, claim: Claim) -> Result<Ownership, StoreError>;

    /// Writes the owner's view of its stream and a checkpoint of its timeline. Fails with
    /// [`StoreError::Fenced`] when `epoch` is no longer the newest.
    async fn update(
        &self,
        key: &StreamKey,
        epoch: u64,
        broadcast: Broadcast,
        checkpoint: EpochEnd,
    ) -> Result<(), StoreError>;

    /// Ends ownership: keeps where the timeline stopped; deletes the record when it is `zombi`,
    /// else marks it finished.
    async fn release(&self, key: &StreamKey, epoch: u64, end: EpochEnd) -> Result<(), StoreError>;

    /// Frees every stream a node left behind (it starts now, so it owns none). Returns how many.
    async fn release_all_of(&self, node_id: &str, now_ms: i64) -> Result<usize, StoreError>;

    /// Writes a node's heartbeat.
    async fn heartbeat(&self, node: NodeRecord) -> Result<(), StoreError>;

    /// Nodes in id order, `offset` skipped, at most `size`.
    async fn nodes(&self, offset: usize, size: usize) -> Result<Vec<NodeRecord>, StoreError>;

    /// Forgets a node; a live one registers again with its next heartbeat.
    async fn delete_node(&self, id: &str) -> Result<bool, StoreError>;
}
