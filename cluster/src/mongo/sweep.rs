//! Cleaning up after nodes that do not come back: at most once a [`SWEEP_TURN_MS`] in the whole
//! cluster, by one node, [`SWEPT_MAX`] streams at a time.
//!
//! Whose turn it is is decided by one conditional write on `clusterdb.weirduty`. What is cleaned:
//! timelines whose owner's lease lapsed long ago, and records whose epoch ended while its process
//! was dying, so that the record was not told (`recordDue`).

use super::claims::{AsEnded, key_of};
use super::{MongoStore, documents, failed, is_duplicate};
use crate::lease::{LEASE_MS, SWEEP_AFTER_MS};
use crate::names::StreamKey;
use crate::ownership::{Tenure, Timeline};
use crate::store::StoreError;
use mongodb::bson::{DateTime, Document, doc};
use mongodb::options::WriteConcern;

/// How often the cluster sweeps, ms; a little less than a node's period, so that none is left out.
const SWEEP_TURN_MS: i64 = 19_000;
/// Streams one sweep frees at most.
const SWEPT_MAX: i64 = 500;
/// The most gone nodes one sweep looks at.
const GONE_MAX: usize = 1_000;

impl MongoStore {
    /// The store's `sweep`.
    pub(super) async fn sweep_as(&self, node_id: &str) -> Result<usize, StoreError> {
        if !self.take_turn(node_id).await? {
            return Ok(0);
        }
        let long_ago_ms = LEASE_MS + SWEEP_AFTER_MS;
        let long_ago = doc! { "$subtract": [self.time.expression(), long_ago_ms] };
        let seen = self
            .read_leases(doc! { "$or": [
                { "_id": node_id },
                { "$expr": { "$lt": ["$renewed", long_ago] } },
            ] })
            .await?;
        let now_ms = seen.now_ms;
        let own = seen.of(node_id);
        if !own.is_some_and(|own| own.has_run_for(SWEEP_AFTER_MS, now_ms)) {
            return Ok(0);
        }
        let gone = seen.leases.iter().filter(|l| l.sweepable_at(now_ms));
        let gone: Vec<&str> = gone.map(|l| l.node_id.as_str()).take(GONE_MAX).collect();
        let mut freed = 0;
        if !gone.is_empty() {
            let left = doc! {
                "ownership.nodeId": { "$in": gone },
                "tenure": documents::tenure(Tenure::Held),
            };
            freed += self.free(left, now_ms, AsEnded::Abandoned).await?;
        }
        let before = DateTime::from_millis(now_ms.saturating_sub(SWEEP_AFTER_MS));
        self.tell_records(doc! { documents::RECORD_DUE: { "$lt": before } })
            .await?;
        Ok(freed)
    }

    /// Whether this node sweeps now: of many who ask, one does, once a turn.
    async fn take_turn(&self, node_id: &str) -> Result<bool, StoreError> {
        let duty = self.cluster_collection("weirduty", WriteConcern::nodes(1));
        let now = self.time.expression();
        let due = doc! { "$lt": ["$at", { "$subtract": [&now, SWEEP_TURN_MS] }] };
        let turn = doc! { "$set": { "at": &now, "nodeId": { "$literal": node_id } } };
        let mine = doc! { "_id": "sweep", "$expr": due };
        let take = async || {
            let taken = duty.update_one(mine.clone(), vec![turn.clone()]).await;
            taken.map_err(|error| failed("sweep", &error))
        };
        if take().await?.matched_count > 0 {
            return Ok(true);
        }
        let first = doc! { "_id": "sweep", "at": DateTime::from_millis(0) };
        match duty.insert_one(first).await {
            // There is one, and it is not due.
            Err(error) if is_duplicate(&error) => return Ok(false),
            other => other.map_err(|error| failed("sweep", &error))?,
        };
        Ok(take().await?.matched_count > 0)
    }

    /// Frees the streams of these timelines. Returns how many.
    pub(super) async fn free(
        &self,
        left: Document,
        now_ms: i64,
        how: AsEnded,
    ) -> Result<usize, StoreError> {
        let timelines = self.timelines();
        let found = timelines.find(left).limit(SWEPT_MAX).await;
        let cursor = found.map_err(|error| failed("sweep", &error))?;
        let mut freed = 0;
        for document in self.list(cursor).await? {
            let Some(key) = key_of(&document) else {
                continue;
            };
            let Some(held) = self.readable_timeline(&key).await? else {
                continue;
            };
            if held.tenure == Tenure::Held
                && self
                    .swap(&key, Some(&held), &held.lost(now_ms), None)
                    .await?
            {
                freed += 1;
                let epoch = held.ownership.epoch;
                self.end_record(&key, epoch, how).await?;
            }
        }
        Ok(freed)
    }

    /// A stream's timeline; one that cannot be read is left alone, and does not stop the rest.
    async fn readable_timeline(&self, key: &StreamKey) -> Result<Option<Timeline>, StoreError> {
        match self.timeline(key).await {
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::warn!(app = %key.app, stream = %key.id, %error, "left alone");
                Ok(None)
            }
            other => other,
        }
    }

    /// Ends the records of epochs that ended without telling them.
    async fn tell_records(&self, due: Document) -> Result<(), StoreError> {
        let timelines = self.timelines();
        let found = timelines.find(due).limit(SWEPT_MAX).await;
        let cursor = found.map_err(|error| failed("sweep", &error))?;
        for document in self.list(cursor).await? {
            let Some(key) = key_of(&document) else {
                continue;
            };
            let timeline = self.readable_timeline(&key).await?;
            if let Some(ended) = timeline.filter(|t| t.tenure != Tenure::Held) {
                let epoch = ended.ownership.epoch;
                self.end_record(&key, epoch, AsEnded::Abandoned).await?;
            }
        }
        Ok(())
    }
}
