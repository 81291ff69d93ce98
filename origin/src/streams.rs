//! The node's list of streams: how requests find a window and publishers an owner task.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use arc_swap::{ArcSwap, ArcSwapOption};
use prometheus::IntGauge;
use tokio::sync::{mpsc, oneshot};
use weir_cluster::audience::Tally;
use weir_cluster::{AppName, StreamKey};

use crate::ingest::{PublishRefusal, PublishRequest, Publisher};
use crate::options::AppOptions;
use crate::peers::Given;
use crate::window::Snapshot;

/// Somebody at the door of an owner task.
#[derive(Debug)]
pub(crate) enum Ask {
    /// A publisher wants in.
    Publish(PublishAsk),
    /// Another node wants the stream.
    Yield(oneshot::Sender<YieldReply>),
    /// Another node has begun this epoch.
    Superseded { epoch: u64 },
    /// The application is no more.
    AppDeleted,
    /// Somebody who may wants the stream ended, and is answered when it is given back.
    Stop(oneshot::Sender<YieldReply>),
}

/// A publisher at the door.
#[derive(Debug)]
pub(crate) struct PublishAsk {
    pub(crate) request: PublishRequest,
    /// The application's settings as of now.
    pub(crate) app: AppOptions,
    pub(crate) reply: oneshot::Sender<Result<Publisher, PublishRefusal>>,
}

/// What an owner task answers a node that wants its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum YieldReply {
    Given(Given),
    Kept,
    NotHeld,
}

/// What others hold of a stream.
#[derive(Debug)]
pub(crate) struct StreamHandle {
    /// The way to its owner task.
    pub(crate) asks: mpsc::Sender<Ask>,
    /// What requests are answered from.
    pub(crate) snapshot: ArcSwap<Snapshot>,
    /// The node that the stream was taken over from: it still has what it cut.
    pub(crate) former: ArcSwapOption<String>,
    /// What edges say of its viewers. Held for one call, never across an await.
    pub(crate) tally: Mutex<Tally>,
}

impl StreamHandle {
    /// What edges said; a panic elsewhere left it whole.
    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

    /// Every stream of the applications that `chosen` chooses.
    pub(crate) fn of_apps(&self, chosen: impl Fn(&AppName) -> bool) -> Vec<Arc<StreamHandle>> {
        let map = self.read();
        let of_apps = map.iter().filter(|(key, _)| chosen(&key.app));
        of_apps.map(|(_, handle)| Arc::clone(handle)).collect()
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
