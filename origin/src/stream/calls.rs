//! Calls to the store as futures that always end: each has a time limit and says what came of it.
//!
//! A claim that ran out of time may still be carried out. Nobody would know of that epoch, and it
//! would keep every other node away from the stream; so the call lives on in the background for
//! [`LATE_CLAIM_MS`] and gives back what it gets.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use weir_cluster::{Broadcast, Claim, EpochEnd, Ownership, Store, StoreError, StreamKey};

use super::Context;
use super::event::{ClaimOutcome, WriteOutcome};

/// How long a claim that was given up on may still succeed, and be taken back, ms.
const LATE_CLAIM_MS: u64 = 60_000;

/// A call under way.
pub(super) type StoreCall = Pin<Box<dyn Future<Output = StoreReply> + Send>>;

/// What came of it.
pub(super) enum StoreReply {
    Claimed(ClaimOutcome, Option<Ownership>),
    Checkpointed(WriteOutcome),
    Released(WriteOutcome),
}

pub(super) fn claim(context: &Arc<Context>, claim: Claim) -> StoreCall {
    let context = Arc::clone(context);
    Box::pin(async move {
        let key = claim.key.clone();
        let store = Arc::clone(&context.store);
        let mut call = Box::pin(async move { store.claim(claim).await });
        let Ok(result) = timeout(limit(&context), &mut call).await else {
            log_failure(&context, &key, "claim", &"no answer in time");
            let store = Arc::clone(&context.store);
            context.tasks.spawn(take_back(store, key, call));
            return StoreReply::Claimed(ClaimOutcome::Unknown, None);
        };
        match result {
            Ok(ownership) => StoreReply::Claimed(ClaimOutcome::Claimed, Some(ownership)),
            Err(StoreError::Owned { node_id, epoch }) => {
                tracing::info!(app = %key.app, stream = %key.id, node_id, epoch, "owned by another node");
                StoreReply::Claimed(ClaimOutcome::OwnedElsewhere, None)
            }
            Err(error) => {
                log_failure(&context, &key, "claim", &error);
                StoreReply::Claimed(ClaimOutcome::Unavailable, None)
            }
        }
    })
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

fn limit(context: &Context) -> Duration {
    Duration::from_millis(context.options.store_timeout_ms)
}

async fn take_back(
    store: Arc<dyn Store>,
    key: StreamKey,
    call: impl Future<Output = Result<Ownership, StoreError>>,
) {
    let Ok(Ok(late)) = timeout(Duration::from_millis(LATE_CLAIM_MS), call).await else {
        return;
    };
    let unused = EpochEnd {
        next_sequence_number: late.first_sequence_number,
        next_discontinuity_sequence: late.first_discontinuity_sequence,
        media_time_ms: late.media_time_ms,
        wall_clock_ms: late.wall_clock_ms,
    };
    // Fenced when a newer claim came after it: then nothing is left to give back.
    let released = store.release(&key, late.epoch, unused).await;
    tracing::info!(
        app = %key.app, stream = %key.id, epoch = late.epoch, released = released.is_ok(),
        "a claim came too late and was given back"
    );
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
