//! Taking, keeping and ending streams: the rules of [`crate::ownership`] on conditional writes.

use super::{MongoStore, documents, failed, is_duplicate, majority};
use crate::lease::Sight;
use crate::names::StreamKey;
use crate::ownership::{self, TIMELINE_KEPT_MS, Tenure, Timeline};
use crate::record;
use crate::store::{Claim, EpochEnd, StoreError};
use crate::types::{Broadcast, Ownership};
use mongodb::bson::{DateTime, Document, doc};
use mongodb::options::WriteConcern;

/// How often a call that lost a race reads again.
const RACES_MAX: u32 = 100;
/// How often a claim is made again whose write got no clear answer; a server that is away does not
/// answer the reading before it.
const DOUBTS_MAX: u32 = 3;
/// How long a judgement on an owner is good for, ms by the store's clock: a claimant or a server that
/// stood still after it must judge again.
const JUDGED_MS: i64 = 2_000;

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
        let mut doubts = 0;
        for _ in 0..RACES_MAX {
            let previous = self.timeline(&claim.key).await?;
            let owner = previous.as_ref().map(|p| p.ownership.node_id.as_str());
            let other = owner.filter(|owner| *owner != claim.node_id);
            let sight = match other {
                Some(other) => self.sight(&claim.node_id, other).await?,
                None => Sight {
                    now_ms: self.now_ms().await?,
                    ..Sight::default()
                },
            };
            let next = ownership::take(previous.as_ref(), claim, &sight)?;
            let until_ms = other.map(|_| sight.now_ms.saturating_add(JUDGED_MS));
            let swapped = self.swap(&claim.key, previous.as_ref(), &next, until_ms);
            match swapped.await {
                Ok(true) => return Ok(self.taken(claim, next, sight.now_ms).await),
                Ok(false) => {}
                // It may have been done. If it was, the stream is this node's own when it is read
                // again, and is taken once more.
                Err(error) if error.is_retryable() && doubts < DOUBTS_MAX => doubts += 1,
                Err(error) => return Err(error),
            }
        }
        Err(contended("claim"))
    }

    /// The store's `adopt`.
    pub(super) async fn take_over(
        &self,
        claim: &Claim,
        epoch: u64,
        checkpoint: EpochEnd,
    ) -> Result<Ownership, StoreError> {
        self.prepare(&claim.key.app).await?;
        for _ in 0..RACES_MAX {
            let previous = self.timeline(&claim.key).await?;
            let next = ownership::adopt(previous.as_ref(), claim, epoch, checkpoint)?;
            if self
                .swap(&claim.key, previous.as_ref(), &next, None)
                .await?
            {
                let now_ms = self.now_ms().await.unwrap_or(claim.now_ms);
                return Ok(self.taken(claim, next, now_ms).await);
            }
        }
        Err(contended("adopt"))
    }

    /// Writes the record of a stream that was taken. The stream is the claimant's whatever comes
    /// of it: its first report makes a record that is missing.
    async fn taken(&self, claim: &Claim, timeline: Timeline, now_ms: i64) -> Ownership {
        let document = record::claimed(None, claim, &timeline.ownership, now_ms);
        let written = self.write_record(&claim.key, &document.known, &timeline);
        if let Err(error) = written.await {
            let (app, stream) = (claim.key.app.as_str(), claim.key.id.as_str());
            tracing::warn!(app, stream, %error, "claimed, but its record is not written yet");
        }
        timeline.ownership
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
        let mut fields = documents::literals(figures);
        fields.insert("updateTime", self.time.expression_ms());
        for (name, value) in documents::checkpoint(at)? {
            let name = format!("{}.{name}", documents::CHECKPOINT);
            let newest = doc! { "$max": [format!("${name}"), { "$literal": value }] };
            fields.insert(name, newest);
        }
        let broadcasts = self.broadcasts_of(&key.app, WriteConcern::nodes(1));
        let mine = doc! { "streamId": key.id.as_str(), "owner.epoch": documents::number(epoch) };
        let written = broadcasts.update_one(mine, vec![doc! { "$set": fields }]);
        if written
            .await
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
        let now_ms = self.now_ms().await?;
        let document = record::updated(None, report, &timeline.ownership, now_ms);
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
                Some(released) => self.swap(key, Some(&held), &released, None).await?,
                None => true,
            };
            if done {
                return self.end_record(key, epoch, AsEnded::Finished).await;
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
        let mut freed = 0;
        loop {
            let some = self.free(left.clone(), now_ms, AsEnded::Finished).await?;
            if some == 0 {
                return Ok(freed);
            }
            freed += some;
        }
    }

    /// A stream's timeline, with the checkpoint that its record keeps for it.
    pub(super) async fn timeline(&self, key: &StreamKey) -> Result<Option<Timeline>, StoreError> {
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

    /// Puts `next` in the place of `previous`; false when somebody else was quicker, or the store's
    /// clock is past `until_ms`.
    pub(super) async fn swap(
        &self,
        key: &StreamKey,
        previous: Option<&Timeline>,
        next: &Timeline,
        until_ms: Option<i64>,
    ) -> Result<bool, StoreError> {
        let id = key.to_string();
        let forget_at_ms = next.ended_ms.saturating_add(TIMELINE_KEPT_MS);
        let document = documents::timeline(&id, next, forget_at_ms)?;
        let timelines = self.timelines();
        let written = match previous {
            None => timelines.insert_one(document).await.map(|_| true),
            Some(previous) => {
                let mut unchanged = doc! {
                    "_id": &id,
                    "ownership.epoch": documents::number(previous.ownership.epoch),
                    "tenure": documents::tenure(previous.tenure),
                };
                if let Some(until_ms) = until_ms {
                    let until = DateTime::from_millis(until_ms);
                    unchanged.insert("$expr", doc! { "$lte": [self.time.expression(), until] });
                }
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
        new_only.extend(documents::at_birth());
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

    /// Deletes or marks the record of an epoch that ended, and notes that this was done.
    pub(super) async fn end_record(
        &self,
        key: &StreamKey,
        epoch: u64,
        how: AsEnded,
    ) -> Result<(), StoreError> {
        let broadcasts = self.broadcasts_of(&key.app, majority());
        let mine = doc! { "streamId": key.id.as_str(), "owner.epoch": documents::number(epoch) };
        let mut zombi = mine.clone();
        zombi.insert("zombi", true);
        let deleted = broadcasts.delete_one(zombi).await;
        let deleted = deleted.map_err(|error| failed("release", &error))?;
        if deleted.deleted_count == 0 {
            let mut set = doc! { "status": how.status(), "hlsViewerCount": 0 };
            if how == AsEnded::Finished {
                set.insert("updateTime", self.time.expression_ms());
            }
            let ended = vec![
                doc! { "$set": set },
                doc! { "$unset": ["owner", documents::CHECKPOINT] },
            ];
            let written = broadcasts.update_one(mine, ended).await;
            written.map_err(|error| failed("release", &error))?;
        }
        let timelines = self.cluster_collection("weirtimeline", WriteConcern::nodes(1));
        let told = doc! { "_id": key.to_string(), "ownership.epoch": documents::number(epoch) };
        let undue = doc! { "$unset": { documents::RECORD_DUE: "" } };
        let told = timelines.update_one(told, undue).await;
        told.map_err(|error| failed("release", &error)).map(drop)
    }
}

/// What a record that outlives its epoch says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AsEnded {
    /// Its owner, or its owner's successor, ended it.
    Finished,
    /// Its owner is gone for good: time has made this of it already.
    Abandoned,
}

impl AsEnded {
    const fn status(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Abandoned => "terminated_unexpectedly",
        }
    }
}

/// The stream that a timeline's document is about.
pub(super) fn key_of(timeline: &Document) -> Option<StreamKey> {
    let id = timeline.get_str("_id").unwrap_or_default();
    let key = id.split_once('/');
    let key = key.and_then(|(app, id)| StreamKey::parse(app, id).ok());
    if key.is_none() {
        tracing::warn!(id, "a timeline that names no stream");
    }
    key
}

fn contended(operation: &'static str) -> StoreError {
    StoreError::Unavailable {
        operation,
        reason: "too many want this stream at once".to_owned(),
    }
}
