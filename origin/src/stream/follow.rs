//! What other nodes write of streams that are live here: a newer epoch stops them at once.
//!
//! The same is found out with the next checkpoint, so changes that are missed cost seconds only.

use tokio::sync::broadcast::error::RecvError;
use weir_cluster::StreamChange;

use super::Context;
use crate::streams::Ask;

/// Reads the store's changes until the origin is shut down; ends at once where there are none.
pub(crate) async fn follow(context: &Context) {
    let Some(mut changes) = context.store.changes() else {
        return;
    };
    loop {
        let change = tokio::select! {
            () = context.shutdown.cancelled() => return,
            change = changes.recv() => change,
        };
        match change {
            Ok(change) => look_at(context, &change),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

fn look_at(context: &Context, change: &StreamChange) {
    let owner = change.broadcast.as_ref().and_then(|b| b.owner.as_ref());
    let Some(owner) = owner.filter(|owner| owner.node_id != context.options.node_id) else {
        return;
    };
    if let Some(handle) = context.streams.get(&change.key) {
        let epoch = owner.epoch;
        // A full inbox: the next checkpoint says it.
        let _ = handle.asks.try_send(Ask::Superseded { epoch });
    }
}
