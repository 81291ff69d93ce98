//! The rules of ownership: who may take a stream, and where its next epoch starts.
//!
//! Pure: records and a time in, a record or a refusal out. Each store wraps these in its own
//! transaction, so that all stores judge alike.
//!
//! A stream has one [`Timeline`]: the newest epoch and where it stands. It outlives the stream's
//! record by [`TIMELINE_KEPT_MS`], so that a stream published again soon runs on instead of
//! starting over under its viewers. After that it may be forgotten: a first epoch is the wall
//! clock in ms, so an epoch never repeats, provided that the clock was not set back by more than
//! that.
//!
//! Limits: the numbers skipped after a crash assume that the former owner's media ran no faster
//! than real time by more than [`CRASH_SEQUENCE_MARGIN`] segments since its last checkpoint. The
//! URL of a segment carries the epoch, so that even beyond that limit no URL means two things.

use crate::lease::Sight;
use crate::store::{Claim, EpochEnd, StoreError};
use crate::types::Ownership;
use serde::{Deserialize, Serialize};

/// Segments left out after a crash, beyond those the time since the last checkpoint has room for:
/// for what was cut late, cut short, or checkpointed but lost.
pub const CRASH_SEQUENCE_MARGIN: u64 = 16;
/// Discontinuity numbers left out after a crash, for those since the last checkpoint.
pub const CRASH_DISCONTINUITY_MARGIN: u64 = 16;
/// How long a stream's timeline is remembered after its last epoch ended, ms.
pub const TIMELINE_KEPT_MS: i64 = 24 * 3_600 * 1_000;
/// The shortest segment reckoned with after a crash, ms: bounds how far numbers jump.
pub const SEGMENT_DURATION_MS_MIN: u32 = 100;

/// How a stream's newest epoch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tenure {
    /// Its owner publishes.
    Held,
    /// Its owner ended it and said where.
    Released,
    /// Its owner went away without a word; where it ended is not known.
    Lost,
}

/// A stream's newest epoch: whose it is, where it started, where it was last seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    /// Node, epoch and start.
    pub ownership: Ownership,
    /// How it stands.
    pub tenure: Tenure,
    /// Where the epoch had got to when its owner last wrote.
    pub checkpoint: EpochEnd,
    /// The owner's nominal segment duration, ms.
    pub segment_duration_ms: u32,
    /// When it was released or found lost, ms since the Unix epoch; 0 while held.
    pub ended_ms: i64,
}

impl Timeline {
    /// The newest sign of life the owner itself left here, ms since the Unix epoch.
    #[must_use]
    pub fn last_sign_ms(&self) -> i64 {
        self.checkpoint
            .wall_clock_ms
            .max(self.ownership.wall_clock_ms)
    }

    /// Whether a node other than the owner must keep its hands off: the owner holds the stream
    /// and is there, as far as the asker can tell.
    #[must_use]
    pub fn guarded(&self, sight: &Sight) -> bool {
        self.tenure == Tenure::Held && sight.owner_is_there(self.last_sign_ms())
    }

    /// Whether it may be forgotten at `now_ms`.
    #[must_use]
    pub fn forgettable_at(&self, now_ms: i64) -> bool {
        self.tenure != Tenure::Held && now_ms.saturating_sub(self.ended_ms) > TIMELINE_KEPT_MS
    }

    /// Whether it is held by a node that has left no sign of life for so long that nobody waits
    /// for it any more.
    #[must_use]
    pub fn abandoned_at(&self, now_ms: i64, heartbeat_ms: Option<i64>) -> bool {
        let sign_ms = heartbeat_ms.map_or(self.last_sign_ms(), |at| at.max(self.last_sign_ms()));
        self.tenure == Tenure::Held && now_ms.saturating_sub(sign_ms) > TIMELINE_KEPT_MS
    }

    /// The timeline after its owner's checkpoint.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] or [`StoreError::NotHeld`].
    pub fn checkpointed(&self, epoch: u64, at: EpochEnd) -> Result<Self, StoreError> {
        self.check_epoch(epoch)?;
        if self.tenure != Tenure::Held {
            return Err(StoreError::NotHeld { epoch });
        }
        Ok(Self {
            checkpoint: later(self.checkpoint, at),
            ..self.clone()
        })
    }

    /// The timeline with a checkpoint that its owner left elsewhere.
    #[must_use]
    pub fn seen_at(&self, at: EpochEnd) -> Self {
        Self {
            checkpoint: later(self.checkpoint, at),
            ..self.clone()
        }
    }

    /// The timeline after its owner ended it, `None` when it had done so before. An owner taken
    /// for lost may still say where it ended: it knows better.
    ///
    /// # Errors
    /// [`StoreError::Fenced`].
    pub fn released(&self, epoch: u64, end: EpochEnd) -> Result<Option<Self>, StoreError> {
        self.check_epoch(epoch)?;
        if self.tenure == Tenure::Released {
            return Ok(None);
        }
        let checkpoint = later(self.checkpoint, end);
        Ok(Some(Self {
            tenure: Tenure::Released,
            ended_ms: checkpoint.wall_clock_ms,
            checkpoint,
            ..self.clone()
        }))
    }

    /// The timeline after its owner was found gone at `now_ms`.
    #[must_use]
    pub fn lost(&self, now_ms: i64) -> Self {
        Self {
            tenure: Tenure::Lost,
            ended_ms: now_ms,
            ..self.clone()
        }
    }

    fn check_epoch(&self, epoch: u64) -> Result<(), StoreError> {
        let newest = self.ownership.epoch;
        if epoch == newest {
            Ok(())
        } else {
            Err(StoreError::Fenced { epoch, newest })
        }
    }
}

/// The timeline that `claim` begins after `previous`, judged by what the store sees.
///
/// # Errors
/// [`StoreError::Owned`] while another living node holds the stream, or one that the claimant may
/// not judge.
pub fn take(
    previous: Option<&Timeline>,
    claim: &Claim,
    sight: &Sight,
) -> Result<Timeline, StoreError> {
    let same_node = previous.is_some_and(|p| p.ownership.node_id == claim.node_id);
    if let Some(p) = previous
        && !same_node
        && p.guarded(sight)
    {
        return Err(StoreError::Owned {
            node_id: p.ownership.node_id.clone(),
            epoch: p.ownership.epoch,
        });
    }
    let clock_epoch = u64::try_from(claim.now_ms).unwrap_or(0).max(1);
    let epoch = previous.map_or(clock_epoch, |p| {
        clock_epoch.max(p.ownership.epoch.saturating_add(1))
    });
    let start = previous.map_or(EpochEnd::beginning(claim.now_ms), |p| unused(p, claim));
    let ownership = Ownership {
        node_id: claim.node_id.clone(),
        epoch,
        first_sequence_number: start.next_sequence_number,
        first_discontinuity_sequence: start.next_discontinuity_sequence,
        media_time_ms: start.media_time_ms,
        wall_clock_ms: claim.now_ms,
    };
    let checkpoint = EpochEnd {
        wall_clock_ms: claim.now_ms,
        ..start
    };
    Ok(held(ownership, checkpoint, claim))
}

/// The timeline after its claimant told of an `epoch` that it began while the store was away, and
/// that stands at `checkpoint` now. Of two such epochs the higher wins, whoever is there: both
/// published, and one must stop. Telling it again changes nothing but the checkpoint; an epoch
/// that was taken for lost meanwhile is held again.
///
/// Where the epoch began is what `claim.broadcast.owner` says when it names this epoch, else the
/// checkpoint.
///
/// # Errors
/// [`StoreError::Fenced`] when the newest epoch is higher, or as high and another node's;
/// [`StoreError::NotHeld`] when the claimant itself has ended it.
pub fn adopt(
    previous: Option<&Timeline>,
    claim: &Claim,
    epoch: u64,
    checkpoint: EpochEnd,
) -> Result<Timeline, StoreError> {
    let Some(p) = previous else {
        return Ok(held(begun(claim, epoch, checkpoint), checkpoint, claim));
    };
    let newest = p.ownership.epoch;
    if newest > epoch || (newest == epoch && p.ownership.node_id != claim.node_id) {
        return Err(StoreError::Fenced { epoch, newest });
    }
    if newest == epoch {
        return match p.tenure {
            Tenure::Released => Err(StoreError::NotHeld { epoch }),
            Tenure::Held | Tenure::Lost => Ok(Timeline {
                tenure: Tenure::Held,
                checkpoint: later(p.checkpoint, checkpoint),
                ended_ms: 0,
                ..p.clone()
            }),
        };
    }
    // Its successor must go on beyond both.
    let checkpoint = later(unused(p, claim), checkpoint);
    Ok(held(begun(claim, epoch, checkpoint), checkpoint, claim))
}

fn begun(claim: &Claim, epoch: u64, checkpoint: EpochEnd) -> Ownership {
    let told = claim.broadcast.owner.as_ref();
    let told = told.filter(|o| o.epoch == epoch && o.node_id == claim.node_id);
    told.cloned().unwrap_or_else(|| Ownership {
        node_id: claim.node_id.clone(),
        epoch,
        first_sequence_number: checkpoint.next_sequence_number,
        first_discontinuity_sequence: checkpoint.next_discontinuity_sequence,
        media_time_ms: checkpoint.media_time_ms,
        wall_clock_ms: checkpoint.wall_clock_ms,
    })
}

fn held(ownership: Ownership, checkpoint: EpochEnd, claim: &Claim) -> Timeline {
    Timeline {
        ownership,
        tenure: Tenure::Held,
        checkpoint,
        segment_duration_ms: claim.segment_duration_ms,
        ended_ms: 0,
    }
}

/// The first place after `previous` that nobody can have used.
fn unused(previous: &Timeline, claim: &Claim) -> EpochEnd {
    let same_node = previous.ownership.node_id == claim.node_id;
    match previous.tenure {
        Tenure::Released => previous.checkpoint,
        Tenure::Held if same_node => previous.checkpoint,
        Tenure::Held | Tenure::Lost => beyond(previous, claim),
    }
}

/// A place on the timeline that a crashed owner cannot have reached.
fn beyond(crashed: &Timeline, claim: &Claim) -> EpochEnd {
    let seen = crashed.checkpoint;
    let elapsed_ms = claim.now_ms.saturating_sub(seen.wall_clock_ms).max(0);
    let segment_ms = crashed
        .segment_duration_ms
        .min(claim.segment_duration_ms)
        .max(SEGMENT_DURATION_MS_MIN);
    let cut_since = elapsed_ms.unsigned_abs().div_ceil(u64::from(segment_ms));
    EpochEnd {
        next_sequence_number: seen
            .next_sequence_number
            .saturating_add(cut_since)
            .saturating_add(CRASH_SEQUENCE_MARGIN),
        next_discontinuity_sequence: seen
            .next_discontinuity_sequence
            .saturating_add(CRASH_DISCONTINUITY_MARGIN),
        media_time_ms: seen.media_time_ms.saturating_add(elapsed_ms),
        wall_clock_ms: claim.now_ms,
    }
}

/// No coordinate ever goes back, whatever order reports come in.
fn later(a: EpochEnd, b: EpochEnd) -> EpochEnd {
    EpochEnd {
        next_sequence_number: a.next_sequence_number.max(b.next_sequence_number),
        next_discontinuity_sequence: a
            .next_discontinuity_sequence
            .max(b.next_discontinuity_sequence),
        media_time_ms: a.media_time_ms.max(b.media_time_ms),
        wall_clock_ms: a.wall_clock_ms.max(b.wall_clock_ms),
    }
}

#[cfg(test)]
mod tests;
