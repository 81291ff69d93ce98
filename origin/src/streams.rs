//! The node's list of streams: how requests find a window and publishers an owner task.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use arc_swap::ArcSwap;
use prometheus::IntGauge;
use tokio::sync::{mpsc, oneshot};
use weir_cluster::StreamKey;

use crate::ingest::{PublishRefusal, PublishRequest, Publisher};
use crate::window::Snapshot;

/// A publisher at the door of an owner task.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) request: PublishRequest,
    pub(crate) reply: oneshot::Sender<Result<Publisher, PublishRefusal>>,
}

/// What others hold of a stream.
#[derive(Debug)]
pub(crate) struct StreamHandle {
    /// The way to its owner task.
    pub(crate) asks: mpsc::Sender<Ask>,
    /// What requests are answered from.
    pub(crate) snapshot: ArcSwap<Snapshot>,
}

/// All streams of the node. The lock is held for a map operation, never across an await.
#[derive(Debug)]
pub(crate) struct Streams {
    map: RwLock<HashMap<StreamKey, Arc<StreamHandle>>>,
    streams_max: usize,
    count: IntGauge,
}

impl Streams {
    pub(crate) fn new(streams_max: usize, count: IntGauge) -> Self {
        Self {
            map: RwLock::default(),
            streams_max,
            count,
        }
    }

    pub(crate) fn get(&self, key: &StreamKey) -> Option<Arc<StreamHandle>> {
        self.read().get(key).cloned()
    }

    /// The stream's handle, made by `make` when there is none; `None` when the node is full.
    pub(crate) fn get_or_make(
        &self,
        key: &StreamKey,
        make: impl FnOnce() -> Arc<StreamHandle>,
    ) -> Option<Arc<StreamHandle>> {
        let mut map = self.write();
        if let Some(handle) = map.get(key) {
            return Some(Arc::clone(handle));
        }
        if map.len() >= self.streams_max {
            return None;
        }
        let handle = make();
        map.insert(key.clone(), Arc::clone(&handle));
        self.count.inc();
        Some(handle)
    }

    /// Drops a stream, if `handle` is still the one listed.
    pub(crate) fn remove(&self, key: &StreamKey, handle: &Arc<StreamHandle>) {
        let mut map = self.write();
        if map
            .get(key)
            .is_some_and(|listed| Arc::ptr_eq(listed, handle))
        {
            map.remove(key);
            self.count.dec();
        }
    }

    // A panic while the lock was held left the map whole: each operation on it is one call.
    fn read(&self) -> RwLockReadGuard<'_, HashMap<StreamKey, Arc<StreamHandle>>> {
        self.map.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<StreamKey, Arc<StreamHandle>>> {
        self.map.write().unwrap_or_else(PoisonError::into_inner)
    }
}
