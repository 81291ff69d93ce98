//! A store that is away.

use async_trait::async_trait;
use weir_cluster::{
    AppName, Broadcast, Claim, EpochEnd, Fields, Kind, Lease, Leases, NodeRecord, Ownership, Place,
    Query, Records, Store, StoreError, StreamKey,
};

/// A store that is away.
#[derive(Debug)]
pub(crate) enum Away {
    /// It says so.
    Refuses,
    /// It says nothing.
    Silent,
}

impl Away {
    async fn answer<T>(&self) -> Result<T, StoreError> {
        match self {
            Self::Refuses => Err(StoreError::Unavailable {
                operation: "test",
                reason: "connection refused".to_owned(),
            }),
            Self::Silent => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Store for Away {
    async fn broadcast(&self, _: &StreamKey) -> Result<Option<Broadcast>, StoreError> {
        self.answer().await
    }
    async fn broadcasts(
        &self,
        _: &AppName,
        _: usize,
        _: usize,
    ) -> Result<Vec<Broadcast>, StoreError> {
        self.answer().await
    }
    async fn claim(&self, _: Claim) -> Result<Ownership, StoreError> {
        self.answer().await
    }
    async fn adopt(&self, _: Claim, _: u64, _: EpochEnd) -> Result<Ownership, StoreError> {
        self.answer().await
    }
    async fn update(
        &self,
        _: &StreamKey,
        _: u64,
        _: Broadcast,
        _: EpochEnd,
    ) -> Result<(), StoreError> {
        self.answer().await
    }
    async fn release(&self, _: &StreamKey, _: u64, _: EpochEnd) -> Result<(), StoreError> {
        self.answer().await
    }
    async fn release_all_of(&self, _: &str, _: i64) -> Result<usize, StoreError> {
        self.answer().await
    }
    async fn sweep(&self, _: &str) -> Result<usize, StoreError> {
        self.answer().await
    }
    async fn renew_lease(&self, _: &str) -> Result<Lease, StoreError> {
        self.answer().await
    }
    async fn end_lease(&self, _: &str) -> Result<(), StoreError> {
        self.answer().await
    }
    async fn leases(&self) -> Result<Leases, StoreError> {
        self.answer().await
    }
    async fn heartbeat(&self, _: NodeRecord) -> Result<(), StoreError> {
        self.answer().await
    }
    async fn nodes(&self, _: usize, _: usize) -> Result<Vec<NodeRecord>, StoreError> {
        self.answer().await
    }
    async fn delete_node(&self, _: &str) -> Result<bool, StoreError> {
        self.answer().await
    }
}

#[async_trait]
impl Records for Away {
    async fn get(&self, _: &Place) -> Result<Option<Fields>, StoreError> {
        self.answer().await
    }
    async fn insert(&self, _: &Place, _: Fields) -> Result<bool, StoreError> {
        self.answer().await
    }
    async fn put(&self, _: &Place, _: Fields) -> Result<(), StoreError> {
        self.answer().await
    }
    async fn patch(&self, _: &Place, _: Fields) -> Result<Option<Fields>, StoreError> {
        self.answer().await
    }
    async fn delete(&self, _: &Place) -> Result<bool, StoreError> {
        self.answer().await
    }
    async fn list(&self, _: &Query) -> Result<Vec<Fields>, StoreError> {
        self.answer().await
    }
    async fn count(&self, _: &Query) -> Result<u64, StoreError> {
        self.answer().await
    }
    async fn delete_matching(&self, _: &Query) -> Result<u64, StoreError> {
        self.answer().await
    }
    async fn add(&self, _: &Place, _: &[(&'static str, i64)]) -> Result<(), StoreError> {
        self.answer().await
    }
    async fn append(&self, _: Kind, _: &AppName, _: Fields) -> Result<(), StoreError> {
        self.answer().await
    }
}
