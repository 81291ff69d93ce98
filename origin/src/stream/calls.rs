//! Calls to the store and to other nodes as futures that always end: each has a time limit and says
//! what came of it.
//!
//! A claim that ran out of time may still be carried out. Nobody would know of that epoch, and it
//! would keep every other node away from the stream; so the call lives on for [`LATE_CLAIM_MS`] as
//! another call of the owner's, which registers its own epoch over what comes of it, or gives it
//! back.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use weir_cluster::{Broadcast, Claim, EpochEnd, Ownership, StoreError, StreamKey};

use super::Context;
use super::event::{ClaimOutcome, OwnerAnswer, WriteOutcome};
use crate::options::OWNER_TIMEOUT_MS;
use crate::peers::{Given, YieldAnswer};

/// How long a claim that was given up on may still succeed, ms.
const LATE_CLAIM_MS: u64 = 60_000;

/// A call under way.
pub(super) type StoreCall = Pin<Box<dyn Future<Output = StoreReply> + Send>>;
/// A question to another node under way.
pub(super) type PeerCall = Pin<Box<dyn Future<Output = Asked> + Send>>;

/// What came of a question to another node.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) answer: OwnerAnswer,
    /// Where its epoch ended, when it yielded.
    pub(super) given: Option<Given>,
    /// Where the node is.
    pub(super) adress: Option<String>,
}

/// What came of it.
pub(super) enum StoreReply {
    Claimed(ClaimOutcome, Option<Ownership>),
    /// The claim got no answer in time; this is the rest of it.
    ClaimLate(StoreCall),
    LateClaimed(Option<Ownership>),
    Adopted(WriteOutcome),
    Checkpointed(WriteOutcome),
    Released(WriteOutcome),
}

pub(super) fn claim(context: &Arc<Context>, claim: Claim) -> StoreCall {
    let context = Arc::clone(context);
    Box::pin(async move {
        let key = claim.key.clone();
        let store = Arc::clone(&context.store);
        let clean = context.clean.subscribe();
        let mut call = Box::pin(async move {
            cleaned(clean).await;
            store.claim(claim).await
        });
        let Ok(result) = timeout(limit(&context), &mut call).await else {
            log_failure(&context, &key, "claim", &"no answer in time");
            let rest = timeout(Duration::from_millis(LATE_CLAIM_MS), call);
            return StoreReply::ClaimLate(Box::pin(async move {
                let late = rest.await.ok().and_then(Result::ok);
                tracing::info!(
                    app = %key.app, stream = %key.id, epoch = late.as_ref().map(|o| o.epoch),
                    "a claim that nobody waited for has ended"
                );
                StoreReply::LateClaimed(late)
            }));
        };
        match result {
            Ok(ownership) => StoreReply::Claimed(ClaimOutcome::Claimed, Some(ownership)),
            Err(StoreError::Owned { node_id, epoch }) => {
                tracing::info!(app = %key.app, stream = %key.id, node_id, epoch, "owned by another node");
                StoreReply::Claimed(ClaimOutcome::OwnedElsewhere, None)
            }
            Err(error) => {
                log_failure(&context, &key, "claim", &error);
                let outcome = if error.is_retryable() {
                    ClaimOutcome::Away
                } else {
                    ClaimOutcome::Refused(error.to_string())
                };
                StoreReply::Claimed(outcome, None)
            }
        }
    })
}

/// Asks whoever has the stream to yield it: the node that the store names, or when it is `away`,
/// the one that is remembered.
pub(super) fn ask_owner(context: &Arc<Context>, key: StreamKey, away: bool) -> PeerCall {
    let context = Arc::clone(context);
    Box::pin(async move {
        let Some(adress) = owner_adress(&context, &key, away).await else {
            let answer = OwnerAnswer::Silent;
            return Asked {
                answer,
                given: None,
                adress: None,
            };
        };
        let asked = context.peers.ask_to_yield(&adress, &key);
        let answer = timeout(Duration::from_millis(OWNER_TIMEOUT_MS), asked).await;
        let answer = answer.unwrap_or_else(|_| YieldAnswer::Silent("no answer in time".to_owned()));
        tracing::info!(app = %key.app, stream = %key.id, owner = adress, ?answer, "asked for the stream");
        let (answer, given) = match answer {
            YieldAnswer::Given(given) => (OwnerAnswer::Yielded, Some(given)),
            YieldAnswer::Publishing => (OwnerAnswer::Publishing, None),
            YieldAnswer::NotHeld | YieldAnswer::Silent(_) => (OwnerAnswer::Silent, None),
        };
        Asked {
            answer,
            given,
            adress: Some(adress),
        }
    })
}

async fn owner_adress(context: &Context, key: &StreamKey, away: bool) -> Option<String> {
    let mut adress = None;
    if !away {
        let asked = timeout(limit(context), context.store.broadcast(key)).await;
        let record = asked.ok().and_then(Result::ok).flatten();
        adress = record
            .filter(|record| record.owner.is_some())
            .and_then(|record| record.origin_adress);
    }
    if adress.is_none() {
        let known = timeout(limit(context), context.peers.owner_of(key, false)).await;
        adress = known.ok().flatten().map(|known| known.to_string());
    }
    adress.filter(|adress| *adress != context.options.origin_adress)
}

pub(super) fn adopt(
    context: &Arc<Context>,
    claim: Claim,
    epoch: u64,
    checkpoint: EpochEnd,
) -> StoreCall {
    let context = Arc::clone(context);
    Box::pin(async move {
        let key = claim.key.clone();
        let call = async {
            cleaned(context.clean.subscribe()).await;
            context.store.adopt(claim, epoch, checkpoint).await
        };
        let result = timeout(limit(&context), call).await;
        let result = result.ok().map(|adopted| adopted.map(|_| ()));
        let outcome = outcome(&context, &key, "adopt", result);
        if outcome == WriteOutcome::Done {
            tracing::info!(
                app = %key.app, stream = %key.id, epoch,
                "the store knows the epoch that began without it"
            );
        }
        StoreReply::Adopted(outcome)
    })
}

/// Gives an epoch back in which nothing was cut.
pub(super) fn give_back(context: &Arc<Context>, key: StreamKey, late: &Ownership) -> StoreCall {
    let unused = EpochEnd {
        next_sequence_number: late.first_sequence_number,
        next_discontinuity_sequence: late.first_discontinuity_sequence,
        media_time_ms: late.media_time_ms,
        wall_clock_ms: late.wall_clock_ms,
    };
    // Fenced when a newer claim came after it: then nothing is left to give back.
    release(context, key, late.epoch, unused)
}

pub(super) fn checkpoint(
    context: &Arc<Context>,
    key: StreamKey,
    epoch: u64,
    broadcast: Broadcast,
    end: EpochEnd,
) -> StoreCall {
    let context = Arc::clone(context);
    Box::pin(async move {
        let call = context.store.update(&key, epoch, broadcast, end);
        let result = timeout(limit(&context), call).await;
        StoreReply::Checkpointed(outcome(&context, &key, "update", result.ok()))
    })
}

pub(super) fn release(
    context: &Arc<Context>,
    key: StreamKey,
    epoch: u64,
    end: EpochEnd,
) -> StoreCall {
    let context = Arc::clone(context);
    Box::pin(async move {
        let result = timeout(limit(&context), context.store.release(&key, epoch, end)).await;
        StoreReply::Released(outcome(&context, &key, "release", result.ok()))
    })
}

/// Waits until the store is rid of what this node's last process left there.
async fn cleaned(mut clean: watch::Receiver<bool>) {
    // The sender lives as long as the origin.
    let _ = clean.wait_for(|clean| *clean).await;
}

fn limit(context: &Context) -> Duration {
    Duration::from_millis(context.options.store_timeout_ms)
}

fn outcome(
    context: &Context,
    key: &StreamKey,
    operation: &'static str,
    result: Option<Result<(), StoreError>>,
) -> WriteOutcome {
    match result {
        Some(Ok(())) => WriteOutcome::Done,
        Some(Err(error @ (StoreError::Fenced { .. } | StoreError::NotHeld { .. }))) => {
            tracing::warn!(app = %key.app, stream = %key.id, operation, %error, "lost the stream");
            WriteOutcome::Fenced
        }
        Some(Err(error)) => {
            log_failure(context, key, operation, &error);
            WriteOutcome::Unavailable
        }
        None => {
            log_failure(context, key, operation, &"no answer in time");
            WriteOutcome::Unavailable
        }
    }
}

fn log_failure(
    context: &Context,
    key: &StreamKey,
    operation: &'static str,
    error: &dyn std::fmt::Display,
) {
    let errors = &context.metrics.store_errors;
    errors.with_label_values(&[operation]).inc();
    tracing::warn!(app = %key.app, stream = %key.id, operation, %error, "store call failed");
}
