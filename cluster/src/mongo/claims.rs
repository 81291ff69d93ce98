//! Taking, keeping and ending streams: the rules of [`crate::ownership`] on conditional writes.

use super::{MongoStore, documents, failed, is_duplicate, majority};
use crate::names::StreamKey;
use crate::ownership::{self, TIMELINE_KEPT_MS, Tenure, Timeline};
use crate::record;
use crate::store::{Claim, EpochEnd, StoreError};
use crate::types::{Broadcast, Ownership};
use mongodb::bson::{Document, doc};
use mongodb::options::WriteConcern;

/// How often a call that lost a race reads again.
const RACES_MAX: u32 = 100;

impl MongoStore {
    pub(super) async fn broadcast_document(
        &self,
        key: &StreamKey,
    ) -> Result<Option<Document>, StoreError> {
        let broadcasts = self.broadcasts_of(&key.app, majority());
        let found = broadcasts
            .find_one(doc! { "streamId": key.id.as_str() })
            .await;
        found.map_err(|error| failed("broadcast", &error))
    }

    /// The store's `claim`.
    pub(super) async fn take(&self, claim: &Claim) -> Result<Ownership, StoreError> {
        self.prepare(&claim.key.app).await?;
        for _ in 0..RACES_MAX {
            let previous = self.timeline(&claim.key).await?;
            let heartbeat_ms = match &previous {
                Some(p) if p.ownership.node_id != claim.node_id => {
                    self.heartbeat_of(&p.ownership.node_id).await?
                }
                _ => None,
            };
            let now_ms = self.clock.now_ms();
            let next = ownership::take(previous.as_ref(), claim, heartbeat_ms, now_ms)?;
            if self.swap(&claim.key, previous.as_ref(), &next).await? {
                let document = record::claimed(None, claim, &next.ownership);
                self.write_record(&claim.key, &document.known, &next)
                    .await?;
                return Ok(next.ownership);
            }
        }
        Err(contended("claim"))
    }

    /// The store's `update`: one write, unless somebody else has been at the record.
    pub(super) async fn report(
        &self,
        key: &StreamKey,
        epoch: u64,
        report: &Broadcast,
        at: EpochEnd,
    ) -> Result<(), StoreError> {
        let (mut figures, _) = documents::parts(report)?;
        figures.remove("owner");
        let update_time_ms = report.update_time.max(at.wall_clock_ms);
        figures.remove("updateTime");
        let mut newest = doc! { "updateTime": update_time_ms };
        for (name, value) in documents::checkpoint(at)? {
            newest.insert(format!("{}.{name}", documents::CHECKPOINT), value);
        }
        let broadcasts = self.broadcasts_of(&key.app, WriteConcern::nodes(1));
        let mine = doc! { "streamId": key.id.as_str(), "owner.epoch": documents::number(epoch) };
        let written = broadcasts
            .update_one(mine, doc! { "$set": figures, "$max": newest })
            .await;
        if written
            .map_err(|error| failed("update", &error))?
            .matched_count
            > 0
        {
            return Ok(());
        }
        let timeline = self.timeline(key).await?;
        let timeline = timeline.ok_or(StoreError::NotHeld { epoch })?;
        let timeline = timeline.checkpointed(epoch, at)?;
        // The stream is the caller's and its record is gone, or was never written.
        let document = record::updated(None, report, &timeline.ownership, at.wall_clock_ms);
        self.write_record(key, &document.known, &timeline).await
    }

    /// The store's `release`.
    pub(super) async fn end(
        &self,
        key: &StreamKey,
        epoch: u64,
        end: EpochEnd,
    ) -> Result<(), StoreError> {
        for _ in 0..RACES_MAX {
            let held = self.timeline(key).await?;
            let held = held.ok_or(StoreError::NotHeld { epoch })?;
            let done = match held.released(epoch, end)? {
                Some(released) => self.swap(key, Some(&held), &released).await?,
                None => true,
            };
            if done {
                return self.end_record(key, epoch, end.wall_clock_ms).await;
            }
        }
        Err(contended("release"))
    }

    /// The store's `release_all_of`.
    pub(super) async fn free_all_of(
        &self,
        node_id: &str,
        now_ms: i64,
    ) -> Result<usize, StoreError> {
        let left = doc! { "ownership.nodeId": node_id, "tenure": documents::tenure(Tenure::Held) };
        let cursor = self.timelines().find(left).await;
        let cursor = cursor.map_err(|error| failed("release_all_of", &error))?;
        let mut freed = 0;
        for document in self.list(cursor).await? {
            let id = document.get_str("_id").unwrap_or_default().to_owned();
            let key = id.split_once('/');
            let key = key.and_then(|(app, id)| StreamKey::parse(app, id).ok());
            let Some(key) = key else {
                tracing::warn!(id, "a timeline that names no stream");
                continue;
            };
            let Some(held) = self.timeline(&key).await? else {
                continue;
            };
            if self.swap(&key, Some(&held), &held.lost(now_ms)).await? {
                freed += 1;
                let epoch = held.ownership.epoch;
                self.end_record(&key, epoch, now_ms).await?;
            }
        }
        Ok(freed)
    }

    /// A stream's timeline, with the checkpoint that its record keeps for it.
    async fn timeline(&self, key: &StreamKey) -> Result<Option<Timeline>, StoreError> {
        let timelines = self.timelines();
        let found = timelines.find_one(doc! { "_id": key.to_string() }).await;
        let found = found.map_err(|error| failed("timeline", &error))?;
        let Some(document) = found else {
            return Ok(None);
        };
        let timeline: Timeline = documents::read(&key.to_string(), document)?;
        let broadcast = self.broadcast_document(key).await?;
        let epoch = timeline.ownership.epoch;
        let seen = broadcast.and_then(|b| documents::checkpoint_of(&b, epoch));
        Ok(Some(match seen {
            Some(at) => timeline.seen_at(at),
            None => timeline,
        }))
    }

    /// Puts `next` in the place of `previous`; false when somebody else was quicker.
    async fn swap(
        &self,
        key: &StreamKey,
        previous: Option<&Timeline>,
        next: &Timeline,
    ) -> Result<bool, StoreError> {
        let id = key.to_string();
        let forget_at_ms = next.ended_ms.saturating_add(TIMELINE_KEPT_MS);
        let document = documents::timeline(&id, next, forget_at_ms)?;
        let timelines = self.timelines();
        let written = match previous {
            None => timelines.insert_one(document).await.map(|_| true),
            Some(previous) => {
                let unchanged = doc! {
                    "_id": &id,
                    "ownership.epoch": documents::number(previous.ownership.epoch),
                    "tenure": documents::tenure(previous.tenure),
                };
                let swapped = timelines.find_one_and_replace(unchanged, document).await;
                swapped.map(|before| before.is_some())
            }
        };
        match written {
            Err(error) if is_duplicate(&error) => Ok(false),
            other => other.map_err(|error| failed("timeline", &error)),
        }
    }

    /// Makes `record` what the stream's document says, unless a newer epoch wrote it.
    async fn write_record(
        &self,
        key: &StreamKey,
        record: &Broadcast,
        timeline: &Timeline,
    ) -> Result<(), StoreError> {
        let (mut owners, mut new_only) = documents::parts(record)?;
        owners.insert("owner", documents::owner(&timeline.ownership)?);
        let at = documents::checkpoint(timeline.checkpoint)?;
        owners.insert(documents::CHECKPOINT, at);
        let name = new_only.get("name").cloned();
        new_only.insert("streamId", key.id.as_str());
        let not_newer = doc! { "$or": [
            { "owner.epoch": { "$lte": documents::number(timeline.ownership.epoch) } },
            { "owner.epoch": { "$exists": false } },
        ] };
        let mut mine = doc! { "streamId": key.id.as_str() };
        mine.extend(not_newer);
        // The condition names it already.
        new_only.remove("streamId");
        let broadcasts = self.broadcasts_of(&key.app, majority());
        let change = doc! { "$set": owners, "$setOnInsert": new_only };
        match broadcasts.update_one(mine, change).upsert(true).await {
            // A newer epoch has written it: let it stand.
            Err(error) if is_duplicate(&error) => return Ok(()),
            other => other.map_err(|error| failed("broadcast", &error))?,
        };
        if let Some(name) = name {
            let nameless = doc! { "streamId": key.id.as_str(), "name": null };
            let named = broadcasts.update_one(nameless, doc! { "$set": { "name": name } });
            named.await.map_err(|error| failed("broadcast", &error))?;
        }
        Ok(())
    }

    /// Deletes or finishes the record of an epoch that ended.
    async fn end_record(&self, key: &StreamKey, epoch: u64, at_ms: i64) -> Result<(), StoreError> {
        let broadcasts = self.broadcasts_of(&key.app, majority());
        let mine = doc! { "streamId": key.id.as_str(), "owner.epoch": documents::number(epoch) };
        let mut zombi = mine.clone();
        zombi.insert("zombi", true);
        let deleted = broadcasts.delete_one(zombi).await;
        if deleted
            .map_err(|error| failed("release", &error))?
            .deleted_count
            > 0
        {
            return Ok(());
        }
        let finished = doc! {
            "$set": { "status": "finished" },
            "$unset": { "owner": "", documents::CHECKPOINT: "" },
            "$max": { "updateTime": at_ms },
        };
        let written = broadcasts.update_one(mine, finished).await;
        written.map_err(|error| failed("release", &error)).map(drop)
    }

    async fn heartbeat_of(&self, node_id: &str) -> Result<Option<i64>, StoreError> {
        let nodes = self.cluster_nodes(majority());
        let found = nodes.find_one(doc! { "_id": node_id }).await;
        let found = found.map_err(|error| failed("node", &error))?;
        let node = found.as_ref().and_then(documents::read_node);
        Ok(node.map(|node| node.last_update_time))
    }
}

fn contended(operation: &'static str) -> StoreError {
    StoreError::Unavailable {
        operation,
        reason: "too many want this stream at once".to_owned(),
    }
}
