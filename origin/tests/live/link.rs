//! The way to a real store, which a test can cut: calls then fail at once, or happen
//! and are not answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use async_trait::async_trait;
use tokio::sync::Notify;
use weir_cluster::{
    AppName, Broadcast, Claim, EpochEnd, Fields, Kind, Lease, Leases, NodeRecord, Ownership, Place,
    Query, Records, Store, StoreError, StreamKey,
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

    /// Calls reach the store; their answers wait until the link is mended.
    pub(crate) fn hang(&self) {
        self.state.store(HUNG, Ordering::SeqCst);
    }

    pub(crate) fn mend(&self) {
        self.state.store(WHOLE, Ordering::SeqCst);
        self.mended.notify_waiters();
    }

    fn check(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.state.load(Ordering::SeqCst) != CUT {
            return Ok(());
        }
        Err(StoreError::Unavailable {
            operation,
            reason: "the link is cut".into(),
        })
    }

    async fn answer<T>(&self, answer: T) -> T {
        loop {
            let mended = self.mended.notified();
            if self.state.load(Ordering::SeqCst) != HUNG {
                return answer;
            }
            mended.await;
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
        self.check("claim")?;
        self.answer(self.store.claim(claim).await).await
    }

    async fn adopt(
        &self,
        claim: Claim,
        epoch: u64,
        checkpoint: EpochEnd,
    ) -> Result<Ownership, StoreError> {
        self.check("adopt")?;
        let adopted = self.store.adopt(claim, epoch, checkpoint).await;
        self.answer(adopted).await
    }

    async fn update(
        &self,
        key: &StreamKey,
        epoch: u64,
        broadcast: Broadcast,
        checkpoint: EpochEnd,
    ) -> Result<(), StoreError> {
        self.check("update")?;
        let done = self.store.update(key, epoch, broadcast, checkpoint).await;
        self.answer(done).await
    }

    async fn release(&self, key: &StreamKey, epoch: u64, end: EpochEnd) -> Result<(), StoreError> {
        self.check("release")?;
        self.answer(self.store.release(key, epoch, end).await).await
    }

    async fn release_all_of(&self, node_id: &str, now_ms: i64) -> Result<usize, StoreError> {
        self.check("release_all_of")?;
        self.answer(self.store.release_all_of(node_id, now_ms).await)
            .await
    }

    async fn sweep(&self, node_id: &str) -> Result<usize, StoreError> {
        self.check("sweep")?;
        self.answer(self.store.sweep(node_id).await).await
    }

    async fn renew_lease(&self, node_id: &str) -> Result<Lease, StoreError> {
        self.check("renew_lease")?;
        self.answer(self.store.renew_lease(node_id).await).await
    }

    async fn end_lease(&self, node_id: &str) -> Result<(), StoreError> {
        self.check("end_lease")?;
        self.answer(self.store.end_lease(node_id).await).await
    }

    async fn leases(&self) -> Result<Leases, StoreError> {
        self.store.leases().await
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

#[async_trait]
impl Records for WeakLink {
    async fn get(&self, place: &Place) -> Result<Option<Fields>, StoreError> {
        self.store.get(place).await
    }
    async fn insert(&self, place: &Place, fields: Fields) -> Result<bool, StoreError> {
        self.store.insert(place, fields).await
    }
    async fn put(&self, place: &Place, fields: Fields) -> Result<(), StoreError> {
        self.store.put(place, fields).await
    }
    async fn patch(&self, place: &Place, set: Fields) -> Result<Option<Fields>, StoreError> {
        self.store.patch(place, set).await
    }
    async fn delete(&self, place: &Place) -> Result<bool, StoreError> {
        self.store.delete(place).await
    }
    async fn list(&self, query: &Query) -> Result<Vec<Fields>, StoreError> {
        self.store.list(query).await
    }
    async fn count(&self, query: &Query) -> Result<u64, StoreError> {
        self.store.count(query).await
    }
    async fn delete_matching(&self, query: &Query) -> Result<u64, StoreError> {
        self.store.delete_matching(query).await
    }
    async fn add(&self, place: &Place, by: &[(&'static str, i64)]) -> Result<(), StoreError> {
        self.store.add(place, by).await
    }
    async fn append(&self, kind: Kind, app: &AppName, fields: Fields) -> Result<(), StoreError> {
        self.store.append(kind, app, fields).await
    }
}
