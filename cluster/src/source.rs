//! Where the directory asks: a store, or whatever else can tell who serves a stream.
//!
//! An edge that shares a store asks that; an edge with a fixed list of origins asks them. The
//! second kind is implemented where its network client lives.

use crate::follow::ChangesHealth;
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

    /// Who serves these streams, all in one go; see [`Store::whereabouts`]. `None` when the source
    /// can only be asked for one at a time.
    async fn whereabouts(&self, keys: &[StreamKey]) -> Option<Whereabouts> {
        let _ = keys;
        None
    }

    /// Changes as they happen, where the source can tell; see [`Store::changes`].
    fn changes(&self) -> Option<broadcast::Receiver<StreamChange>> {
        None
    }

    /// How well changes are being told; see [`Store::changes_health`].
    fn changes_health(&self) -> ChangesHealth {
        ChangesHealth::default()
    }
}

/// What a source answers when asked for many streams.
pub type Whereabouts = Result<Vec<(StreamKey, Option<Broadcast>)>, StoreError>;

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

    async fn whereabouts(&self, keys: &[StreamKey]) -> Option<Whereabouts> {
        Some(self.0.whereabouts(keys).await)
    }

    fn changes(&self) -> Option<broadcast::Receiver<StreamChange>> {
        self.0.changes()
    }

    fn changes_health(&self) -> ChangesHealth {
        self.0.changes_health()
    }
}
