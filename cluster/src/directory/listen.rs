//! The task that takes the source's changes into the directory's memory.

use super::Inner;
use super::entry::Entry;
use crate::store::StreamChange;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

pub(super) async fn listen(
    inner: Arc<Inner>,
    mut changes: Receiver<StreamChange>,
    shutdown: CancellationToken,
) {
    loop {
        let change = tokio::select! {
            () = shutdown.cancelled() => break,
            change = changes.recv() => change,
        };
        match change {
            Ok(change) => inner.take_in(change).await,
            Err(RecvError::Lagged(missed)) => {
                inner.metrics.missed_changes(missed);
                inner.telling.fetch_add(1, Ordering::SeqCst);
                tracing::debug!(missed, "the directory missed changes and asks again");
            }
            Err(RecvError::Closed) => break,
        }
    }
    // Nobody tells any more: what is known counts by its age from here on.
    inner.telling.store(0, Ordering::SeqCst);
}

impl Inner {
    async fn take_in(&self, change: StreamChange) {
        // Before the entry is touched; see `Inner::keep`.
        self.told.fetch_add(1, Ordering::SeqCst);
        self.metrics.took_in_change();
        let telling = self.telling.load(Ordering::SeqCst);
        let entry = change.broadcast.as_deref();
        let entry = match entry.and_then(|broadcast| Entry::of(broadcast, self, telling)) {
            Some(entry) => entry,
            None => match self.known.get(&change.key).await {
                Some(known) => known.ended(self),
                None => return,
            },
        };
        self.known.insert(change.key, Arc::new(entry)).await;
    }
}
