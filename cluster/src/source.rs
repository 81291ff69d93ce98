//! Where the directory asks: a store, or whatever else can tell who serves a stream.
//!
//! An edge that shares a store asks that; an edge with a fixed list of origins asks them. The
//! second kind is implemented where its network client lives.

use crate::names::StreamKey;
use crate::store::{Store, StoreError, StreamChange};
use crate::types::Broadcast;
use async_trait::async_trait;
use std::sync::Arc;
use tokio::sync::broadcast;

/// Tells which record a stream has.
#[async_trait]
pub trait StreamSource: Send + Sync + std::fmt::Debug {
    /// The record of a stream, `None` when the source is sure that there is none. `origin_adress`
    /// is what the directory is after; a record without `owner` is that of a stream that ended.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the source cannot tell now.
    async fn lookup(&self, key: &StreamKey) -> Result<Option<Broadcast>, StoreError>;

    /// Changes as they happen, where the source can tell; see [`Store::changes`].
    fn changes(&self) -> Option<broadcast::Receiver<StreamChange>> {
        None
    }
}

/// Any [`Store`] as a source.
#[derive(Clone, Debug)]
pub struct StoreSource(Arc<dyn Store>);

impl StoreSource {
    /// Asks `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }
}

#[async_trait]
impl StreamSource for StoreSource {
    async fn lookup(&self, key: &StreamKey) -> Result<Option<Broadcast>, StoreError> {
        self.0.broadcast(key).await
    }

    fn changes(&self) -> Option<broadcast::Receiver<StreamChange>> {
        self.0.changes()
    }
}
