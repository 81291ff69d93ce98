//! The cluster's memory behind one trait: streams, who owns them, the nodes.
//!
//! Implementations differ in where they keep things, never in what a call means; one contract
//! suite (`tests/store/contract.rs`) holds them to that. The rules of ownership themselves are
//! pure functions in [`crate::ownership`].
//!
//! **Whose clock.** The store has one, and by it alone it judges who is there and dates heartbeats,
//! leases and a broadcast's `updateTime`. Times that callers give place a timeline; they should be
//! the store's as well, as [`crate::StoreClock`] tells it.
//!
//! **What is durable.** `claim`, `adopt`, `release`, `release_all_of`, `sweep` and `delete_node` are on
//! stable storage before they are acknowledged. `update`, `heartbeat` and leases may be lost when the
//! process dies, at most the last few seconds of them; a claim after a crash allows for that.
//!
//! **Failures.** Each error says whether trying again may help ([`StoreError::is_retryable`]).
//! Times are ms since the Unix epoch.

use crate::follow::ChangesHealth;
use crate::lease::{Lease, Leases};
use crate::names::{AppName, StreamKey};
use crate::records::Records;
use crate::types::{Broadcast, NodeRecord, Ownership};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::broadcast;

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
    /// The caller's epoch is the newest, but it no longer holds the stream: it was released, or
    /// freed after a crash, or its ownership was never taken.
    #[error("epoch {epoch} does not hold the stream")]
    NotHeld {
        /// The caller's epoch.
        epoch: u64,
    },
    /// No room on the store's disk. Nothing was changed; try again when there is room.
    #[error("the store's disk is full ({operation}): {reason}")]
    DiskFull {
        /// The call.
        operation: &'static str,
        /// What the system said.
        reason: String,
    },
    /// As many records of a kind as the store keeps.
    #[error("the store holds {max} {what}, and no more")]
    Limit {
        /// What there are too many of.
        what: &'static str,
        /// How many are kept.
        max: usize,
    },
    /// The call asks for what no store can do; ask for something else.
    #[error("{what} cannot be stored: {reason}")]
    Invalid {
        /// What is wrong.
        what: String,
        /// What was expected.
        reason: String,
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

impl StoreError {
    /// The store did not answer in time.
    pub(crate) fn too_long(operation: &'static str) -> Self {
        Self::Unavailable {
            operation,
            reason: "it took too long".to_owned(),
        }
    }

    /// Whether the same call may succeed later without anybody mending a record: the store, or
    /// its disk, was the reason.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::DiskFull { .. })
    }
}

/// A stream's record after a change, told to those who keep a copy.
#[derive(Clone, Debug)]
pub struct StreamChange {
    /// The stream.
    pub key: StreamKey,
    /// Its record now; `None` when it was deleted.
    pub broadcast: Option<Arc<Broadcast>>,
}

/// What [`Store::nodes_since`] says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodesSince {
    /// The nodes that wrote, in no order.
    pub nodes: Vec<NodeRecord>,
    /// How many there are in all, those that did not write too. May be off for a while after a
    /// crash of the store.
    pub total: u64,
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
    /// Time of the claim, ms since the Unix epoch.
    pub now_ms: i64,
    /// Upper bound on segments a second the former owner may have cut since its last checkpoint,
    /// as the nominal segment duration, ms (`hls.time`): places the first sequence number beyond
    /// any number the former owner can have used.
    pub segment_duration_ms: u32,
    /// The record to write when the stream is unknown, or to merge when known.
    pub broadcast: Broadcast,
}

/// Where a closed epoch ended, so that the next goes on from there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EpochEnd {
    /// The first sequence number not used.
    pub next_sequence_number: u64,
    /// How many discontinuities the stream has had: the number the next one counts from.
    #[serde(default)]
    pub next_discontinuity_sequence: u64,
    /// Media time after the last segment, ms.
    pub media_time_ms: i64,
    /// Wall clock at that moment, ms since the Unix epoch.
    pub wall_clock_ms: i64,
}

impl EpochEnd {
    /// The place where a timeline begins that nobody has used.
    #[must_use]
    pub const fn beginning(now_ms: i64) -> Self {
        Self {
            next_sequence_number: 0,
            next_discontinuity_sequence: 0,
            media_time_ms: 0,
            wall_clock_ms: now_ms,
        }
    }
}

/// Streams, ownership and nodes, and beside them all [`Records`]. Every call is one transaction;
/// none blocks the runtime.
#[async_trait]
pub trait Store: Records {
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
    /// owner holds it: one whose lease has not lapsed, or that the claimant may not judge
    /// ([`crate::lease`]).
    ///
    /// Where the new epoch starts:
    /// - after a release, exactly where the last ended;
    /// - when the same node still holds the stream (its publisher came back), exactly at its last
    ///   checkpoint: call [`Store::update`] with where the timeline stopped, then claim;
    /// - after a crash, beyond anything the former owner can have used
    ///   ([`crate::ownership::CRASH_SEQUENCE_MARGIN`]);
    /// - for a stream never seen, or not for a day, at 0 with an epoch taken from the clock.
    async fn claim(&self, claim: Claim) -> Result<Ownership, StoreError>;

    /// Tells the store of an epoch that the claimant began while the store was away. It wins over
    /// every lower one, whose owner is fenced; fails with [`StoreError::Fenced`] when there is a
    /// higher one. The rest is [`crate::ownership::adopt`]'s.
    async fn adopt(
        &self,
        claim: Claim,
        epoch: u64,
        checkpoint: EpochEnd,
    ) -> Result<Ownership, StoreError>;

    /// Writes the owner's view of its stream and a checkpoint of its timeline. Fails with
    /// [`StoreError::Fenced`] when `epoch` is no longer the newest, with [`StoreError::NotHeld`]
    /// when it is but was released.
    ///
    /// The owner's view is state, addresses and figures. What the record says of itself (`date`,
    /// `zombi`, `name` once given, and fields this version does not know) stays as it was; `None`
    /// changes nothing; `owner` is the store's.
    async fn update(
        &self,
        key: &StreamKey,
        epoch: u64,
        broadcast: Broadcast,
        checkpoint: EpochEnd,
    ) -> Result<(), StoreError>;

    /// Ends ownership: keeps where the timeline stopped; deletes the record when it is `zombi`,
    /// else marks it finished. Repeating it for the same epoch does nothing.
    async fn release(&self, key: &StreamKey, epoch: u64, end: EpochEnd) -> Result<(), StoreError>;

    /// Frees every stream a node left behind (it starts now, so it owns none). Returns how many.
    /// Their `zombi` records are deleted, the others marked finished, as Ant Media does.
    async fn release_all_of(&self, node_id: &str, now_ms: i64) -> Result<usize, StoreError>;

    /// Frees streams whose owners' leases lapsed long ago ([`crate::lease::SWEEP_AFTER_MS`]), some
    /// hundreds a call, when `node_id` may judge: its own run must be as long. Their `zombi`
    /// records are deleted, the others marked `terminated_unexpectedly`. Of many who sweep, one
    /// frees a stream. Returns how many this call freed.
    async fn sweep(&self, node_id: &str) -> Result<usize, StoreError>;

    /// Renews a node's lease, or begins it; returns it with the store's time.
    async fn renew_lease(&self, node_id: &str) -> Result<Lease, StoreError>;

    /// Gives a node's lease up: it has lapsed from now on, until it is renewed.
    async fn end_lease(&self, node_id: &str) -> Result<(), StoreError>;

    /// All leases, and the store's time.
    async fn leases(&self) -> Result<Leases, StoreError>;

    /// Writes a node's heartbeat; its time is the store's.
    async fn heartbeat(&self, node: NodeRecord) -> Result<(), StoreError>;

    /// Nodes in id order, `offset` skipped, at most `size`.
    async fn nodes(&self, offset: usize, size: usize) -> Result<Vec<NodeRecord>, StoreError>;

    /// Nodes whose heartbeat is of `since_ms` or later, at most `size`, and how many nodes there
    /// are: for who read them all before and now follows. `None` when the store would have to read
    /// them all for it.
    async fn nodes_since(
        &self,
        since_ms: i64,
        size: usize,
    ) -> Result<Option<NodesSince>, StoreError> {
        let _ = (since_ms, size);
        Ok(None)
    }

    /// Forgets a node; a live one registers again with its next heartbeat.
    async fn delete_node(&self, id: &str) -> Result<bool, StoreError>;

    /// Who serves these streams, in as few queries as the store can. Of a record only `stream_id`,
    /// `status`, `update_time`, `origin_adress`, `owner` and `zombi` need be filled. `None` beside a
    /// key: no such stream. A key that is missing in the answer has a record that cannot be read.
    async fn whereabouts(
        &self,
        keys: &[StreamKey],
    ) -> Result<Vec<(StreamKey, Option<Broadcast>)>, StoreError> {
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            match self.broadcast(key).await {
                Ok(record) => found.push((key.clone(), record)),
                Err(StoreError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Changes of streams from now on, as they happen, `None` when the store cannot tell, or not
    /// now (its readers then ask again from time to time). Told is what a reader must know to find
    /// a stream: that it came, went, changed its state, its owner or its place. Figures alone
    /// (`update_time` among them) need not be told: a reader must not take an owner for lost
    /// because it did not hear of it.
    ///
    /// Bounded: a receiver that lags is told how many it missed. When the store has lost its place
    /// it closes the channel. In both cases the whole copy is old; in the second, call this again.
    /// [`crate::follow::Follower`] does all that.
    fn changes(&self) -> Option<broadcast::Receiver<StreamChange>> {
        None
    }

    /// How well [`Store::changes`] are being told.
    fn changes_health(&self) -> ChangesHealth {
        ChangesHealth::default()
    }
}
