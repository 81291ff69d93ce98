//! The way to a real store, which a test can cut: calls then fail at once, or are never answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use async_trait::async_trait;
use tokio::sync::Notify;
use weir_cluster::{
    AppName, Broadcast, Claim, EpochEnd, NodeRecord, Ownership, Store, StoreError, StreamKey,
};

const WHOLE: u8 = 0;
const CUT: u8 = 1;
const HUNG: u8 = 2;

#[derive(Debug)]
pub(crate) struct WeakLink {
    store: Arc<dyn Store>,
    state: AtomicU8,
    mended: Notify,
}

impl WeakLink {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            state: AtomicU8::new(WHOLE),
            mended: Notify::new(),
        }
    }

    pub(crate) fn cut(&self) {
        self.state.store(CUT, Ordering::SeqCst);
    }

    /// Calls wait, and go through when the link is mended.
    pub(crate) fn hang(&self) {
        self.state.store(HUNG, Ordering::SeqCst);
    }

    pub(crate) fn mend(&self) {
        self.state.store(WHOLE, Ordering::SeqCst);
        self.mended.notify_waiters();
    }

    async fn cross(&self, operation: &'static str) -> Result<&dyn Store, StoreError> {
        loop {
            let mended = self.mended.notified();
            match self.state.load(Ordering::SeqCst) {
                WHOLE => return Ok(&*self.store),
                CUT => {
                    return Err(StoreError::Unavailable {
                        operation,
                        reason: "the link is cut".into(),
                    });
                }
                _ => mended.await,
            }
        }
    }
}

#[async_trait]
impl Store for WeakLink {
    async fn broadcast(&self, key: &StreamKey) -> Result<Option<Broadcast>, StoreError> {
        // Tests look at the store itself.
        self.store.broadcast(key).await
    }

    async fn broadcasts(
        &self,
        app: &AppName,
        offset: usize,
        size: usize,
    ) -> Result<Vec<Broadcast>, StoreError> {
        self.store.broadcasts(app, offset, size).await
    }

    async fn claim(&self, claim: Claim) -> Result<Ownership, StoreError> {
        self.cross("claim").await?.claim(claim).await
    }

    async fn update(
        &self,
        key: &StreamKey,
        epoch: u64,
        broadcast: Broadcast,
        checkpoint: EpochEnd,
    ) -> Result<(), StoreError> {
        let store = self.cross("update").await?;
        store.update(key, epoch, broadcast, checkpoint).await
    }

    async fn release(&self, key: &StreamKey, epoch: u64, end: EpochEnd) -> Result<(), StoreError> {
        self.cross("release").await?.release(key, epoch, end).await
    }

    async fn release_all_of(&self, node_id: &str, now_ms: i64) -> Result<usize, StoreError> {
        let store = self.cross("release_all_of").await?;
        store.release_all_of(node_id, now_ms).await
    }

    async fn heartbeat(&self, node: NodeRecord) -> Result<(), StoreError> {
        self.store.heartbeat(node).await
    }

    async fn nodes(&self, offset: usize, size: usize) -> Result<Vec<NodeRecord>, StoreError> {
        self.store.nodes(offset, size).await
    }

    async fn delete_node(&self, id: &str) -> Result<bool, StoreError> {
        self.store.delete_node(id).await
    }
}
