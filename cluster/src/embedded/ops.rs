//! What each call does to the records: the store's operations, without its file and its thread.

use super::record_ops::RecordOp;
use super::view::{Stage, Stream};
use super::{NODES_MAX, STREAMS_MAX};
use crate::lease::{SWEEP_AFTER_MS, Sight};
use crate::names::StreamKey;
use crate::ownership::{self, Tenure, Timeline};
use crate::record::{self, Document};
use crate::records::Fields;
use crate::store::{Claim, EpochEnd, StoreError};
use crate::types::{Broadcast, NodeRecord, Ownership};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How many ended timelines make room together when the store is full of them.
const EVICTED_TOGETHER: usize = STREAMS_MAX / 100;

/// A call.
#[derive(Debug)]
pub(super) enum Op {
    Claim(Box<Claim>),
    Adopt {
        claim: Box<Claim>,
        epoch: u64,
        checkpoint: EpochEnd,
    },
    Update {
        key: StreamKey,
        epoch: u64,
        broadcast: Box<Broadcast>,
        checkpoint: EpochEnd,
    },
    Release {
        key: StreamKey,
        epoch: u64,
        end: EpochEnd,
    },
    ReleaseAllOf {
        node_id: String,
        now_ms: i64,
    },
    Sweep {
        node_id: String,
    },
    Heartbeat(Box<NodeRecord>),
    DeleteNode {
        id: String,
    },
    Record(RecordOp),
    Flush,
}

/// What a call answers.
#[derive(Debug)]
pub(super) enum Outcome {
    Done,
    Owned(Ownership),
    Count(usize),
    Existed(bool),
    Record(Option<Fields>),
}

impl Outcome {
    pub(super) fn unexpected(&self, operation: &'static str) -> StoreError {
        StoreError::Unavailable {
            operation,
            reason: format!("an answer of the wrong kind: {self:?}"),
        }
    }
}

impl Op {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Claim(_) => "claim",
            Self::Adopt { .. } => "adopt",
            Self::Sweep { .. } => "sweep",
            Self::Update { .. } => "update",
            Self::Release { .. } => "release",
            Self::ReleaseAllOf { .. } => "release_all_of",
            Self::Heartbeat(_) => "heartbeat",
            Self::DeleteNode { .. } => "delete_node",
            Self::Record(op) => op.name(),
            Self::Flush => "flush",
        }
    }

    /// Whether the caller may be answered only once its change is on stable storage.
    pub(super) fn is_durable(&self) -> bool {
        match self {
            Self::Update { .. } | Self::Heartbeat(_) => false,
            Self::Record(op) => op.is_durable(),
            _ => true,
        }
    }

    pub(super) fn is_flush(&self) -> bool {
        matches!(self, Self::Flush)
    }

    /// Carries the call out on `stage`. On an error, `stage` is unchanged.
    pub(super) fn run(&self, stage: &mut Stage<'_>, now_ms: i64) -> Result<Outcome, StoreError> {
        match self {
            Self::Claim(claim) => {
                let judged = |previous: Option<&Timeline>, sight: &Sight| {
                    ownership::take(previous, claim, sight)
                };
                run_taking(claim, judged, stage, now_ms).map(Outcome::Owned)
            }
            Self::Adopt {
                claim,
                epoch,
                checkpoint,
            } => {
                let judged = |previous: Option<&Timeline>, _: &Sight| {
                    ownership::adopt(previous, claim, *epoch, *checkpoint)
                };
                run_taking(claim, judged, stage, now_ms).map(Outcome::Owned)
            }
            Self::Sweep { node_id } => Ok(Outcome::Count(run_sweep(node_id, stage, now_ms))),
            Self::Update {
                key,
                epoch,
                broadcast,
                checkpoint,
            } => run_update(key, *epoch, broadcast, *checkpoint, stage, now_ms),
            Self::Release { key, epoch, end } => run_release(key, *epoch, *end, stage, now_ms),
            Self::ReleaseAllOf { node_id, now_ms } => {
                Ok(Outcome::Count(run_release_all_of(node_id, *now_ms, stage)))
            }
            Self::Heartbeat(node) => run_heartbeat(node, stage, now_ms),
            Self::DeleteNode { id } => {
                let existed = stage.node(id).is_some();
                if existed {
                    stage.put_node(id.clone(), None);
                }
                Ok(Outcome::Existed(existed))
            }
            Self::Record(op) => op.run(stage),
            Self::Flush => Ok(Outcome::Done),
        }
    }
}

/// Forgets timelines whose time has come, and frees streams of nodes that will not come back.
/// Returns how many streams changed.
pub(super) fn prune(stage: &mut Stage<'_>, now_ms: i64) -> usize {
    let mut count = 0;
    for key in stage.keys() {
        let Some(stream) = stage.stream(&key) else {
            continue;
        };
        let Some(timeline) = &stream.timeline else {
            continue;
        };
        if timeline.forgettable_at(now_ms) {
            let stream = Stream {
                timeline: None,
                ..stream.clone()
            };
            stage.put_stream(key, stream);
            count += 1;
        } else if timeline.abandoned_at(now_ms, heartbeat_of(stage, &timeline.ownership.node_id)) {
            let stream = lost(stream, now_ms);
            stage.put_stream(key, stream);
            count += 1;
        }
    }
    count
}

/// Takes a stream as `judged` decides.
fn run_taking(
    claim: &Claim,
    judged: impl Fn(Option<&Timeline>, &Sight) -> Result<Timeline, StoreError>,
    stage: &mut Stage<'_>,
    now_ms: i64,
) -> Result<Ownership, StoreError> {
    let stream = stage.stream(&claim.key).cloned();
    if stream.is_none() {
        make_room(stage)?;
    }
    let stream = stream.unwrap_or_default();
    let leases = stage.view().leases();
    let owner = stream.timeline.as_ref().map(|t| &t.ownership.node_id);
    let sight = Sight {
        now_ms,
        own: leases.get(&claim.node_id, now_ms),
        owner: owner.and_then(|id| leases.get(id, now_ms)),
        heartbeat_ms: owner.and_then(|id| heartbeat_of(stage, id)),
    };
    let timeline = judged(stream.timeline.as_ref(), &sight)?;
    let document = record::claimed(stream.record.as_deref(), claim, &timeline.ownership, now_ms);
    let ownership = timeline.ownership.clone();
    let stream = Stream {
        record: Some(Arc::new(document)),
        timeline: Some(timeline),
        damaged: None,
    };
    stage.put_stream(claim.key.clone(), stream);
    Ok(ownership)
}

pub(super) fn make_room(stage: &mut Stage<'_>) -> Result<(), StoreError> {
    if stage.stream_count_at_most() < STREAMS_MAX {
        return Ok(());
    }
    for key in stage.view().oldest_ended(EVICTED_TOGETHER) {
        let untouched = stage.stream(&key).is_some_and(|stream| {
            let timeline = stream.timeline.as_ref();
            stream.record.is_none() && timeline.is_none_or(|t| t.tenure != Tenure::Held)
        });
        if untouched {
            stage.put_stream(key, Stream::default());
        }
    }
    if stage.stream_count_at_most() < STREAMS_MAX {
        return Ok(());
    }
    Err(StoreError::Limit {
        what: "streams",
        max: STREAMS_MAX,
    })
}

fn run_update(
    key: &StreamKey,
    epoch: u64,
    report: &Broadcast,
    checkpoint: EpochEnd,
    stage: &mut Stage<'_>,
    now_ms: i64,
) -> Result<Outcome, StoreError> {
    let stream = stage.stream(key);
    let Some((stream, timeline)) = stream.and_then(|s| Some((s, s.timeline.as_ref()?))) else {
        return Err(StoreError::NotHeld { epoch });
    };
    let timeline = timeline.checkpointed(epoch, checkpoint)?;
    let mut document = record::updated(
        stream.record.as_deref(),
        report,
        &timeline.ownership,
        now_ms,
    );
    document.known.stream_id = key.id.as_str().to_owned();
    let stream = Stream {
        record: Some(Arc::new(document)),
        timeline: Some(timeline),
        damaged: None,
    };
    stage.put_stream(key.clone(), stream);
    Ok(Outcome::Done)
}

fn run_release(
    key: &StreamKey,
    epoch: u64,
    end: EpochEnd,
    stage: &mut Stage<'_>,
    now_ms: i64,
) -> Result<Outcome, StoreError> {
    let stream = stage.stream(key);
    let Some((stream, timeline)) = stream.and_then(|s| Some((s, s.timeline.as_ref()?))) else {
        return Err(StoreError::NotHeld { epoch });
    };
    if let Some(timeline) = timeline.released(epoch, end)? {
        let record = stream.record.as_deref();
        let record = record.and_then(|document| record::ended(document, now_ms));
        let stream = Stream {
            record: record.map(Arc::new),
            timeline: Some(timeline),
            damaged: None,
        };
        stage.put_stream(key.clone(), stream);
    }
    Ok(Outcome::Done)
}

fn run_release_all_of(node_id: &str, now_ms: i64, stage: &mut Stage<'_>) -> usize {
    let mut count = 0;
    for key in stage.keys() {
        let Some(stream) = stage.stream(&key) else {
            continue;
        };
        let held = stream.timeline.as_ref().is_some_and(|timeline| {
            timeline.tenure == Tenure::Held && timeline.ownership.node_id == node_id
        });
        if held {
            let stream = lost(stream, now_ms);
            stage.put_stream(key, stream);
            count += 1;
        }
    }
    count
}

/// Frees what nodes left behind whose leases lapsed long ago.
fn run_sweep(node_id: &str, stage: &mut Stage<'_>, now_ms: i64) -> usize {
    let leases = stage.view().leases();
    let own = leases.get(node_id, now_ms);
    if !own.is_some_and(|own| own.has_run_for(SWEEP_AFTER_MS, now_ms)) {
        return 0;
    }
    let all = leases.all(now_ms).leases.into_iter();
    let gone = all.filter(|lease| lease.sweepable_at(now_ms));
    let gone: BTreeSet<String> = gone.map(|lease| lease.node_id).collect();
    let mut count = 0;
    for key in stage.keys() {
        let Some(stream) = stage.stream(&key) else {
            continue;
        };
        let left = stream.timeline.as_ref().filter(|timeline| {
            timeline.tenure == Tenure::Held && gone.contains(&timeline.ownership.node_id)
        });
        let Some(timeline) = left else { continue };
        let record = stream.record.as_deref().and_then(record::abandoned);
        let stream = Stream {
            record: record.map(Arc::new),
            timeline: Some(timeline.lost(now_ms)),
            damaged: stream.damaged.clone(),
        };
        stage.put_stream(key, stream);
        count += 1;
    }
    count
}

fn run_heartbeat(
    node: &NodeRecord,
    stage: &mut Stage<'_>,
    now_ms: i64,
) -> Result<Outcome, StoreError> {
    let existing = stage.node(&node.id);
    if existing.is_none() && stage.view().node_count() >= NODES_MAX {
        return Err(StoreError::Limit {
            what: "nodes",
            max: NODES_MAX,
        });
    }
    let document = Document {
        known: NodeRecord {
            last_update_time: now_ms,
            ..node.clone()
        },
        extra: existing.map(|d| d.extra.clone()).unwrap_or_default(),
    };
    stage.put_node(node.id.clone(), Some(document));
    Ok(Outcome::Done)
}

/// A stream whose owner went away without a word.
fn lost(stream: &Stream, now_ms: i64) -> Stream {
    let record = stream.record.as_deref();
    Stream {
        record: record
            .and_then(|document| record::ended(document, now_ms))
            .map(Arc::new),
        timeline: stream.timeline.as_ref().map(|t| t.lost(now_ms)),
        damaged: stream.damaged.clone(),
    }
}

fn heartbeat_of(stage: &Stage<'_>, node_id: &str) -> Option<i64> {
    stage.node(node_id).map(|node| node.known.last_update_time)
}
