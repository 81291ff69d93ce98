//! One stream: its owner task, which alone writes its window and its record.
//!
//! [`state`] decides, [`owner`] does. Frames come in by a bounded channel that the session awaits,
//! go onto the stream's frame bus, and from there into the [`packager`], which is drained in the
//! same turn: no frame waits for another task, and no reader makes the owner wait. The store is
//! called beside all that, one call at a time; so is the node that has the stream, when a publisher
//! comes here for it.

mod calls;
mod event;
pub(crate) mod follow;
mod owner;
mod packager;
mod provisional;
mod record;
mod state;

use std::sync::{Arc, Mutex};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_cluster::{Store, StreamKey, WallClock};

use crate::metrics::Metrics;
use crate::options::OriginOptions;
use crate::peers::Peers;
use crate::streams::{StreamHandle, Streams};
use crate::window::Snapshot;

/// Publishers that may wait at one stream's door; more are told to try again.
pub(crate) const ASKS_MAX: usize = 16;

/// What every owner task shares.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) options: OriginOptions,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn WallClock>,
    pub(crate) peers: Arc<dyn Peers>,
    pub(crate) metrics: Metrics,
    pub(crate) streams: Arc<Streams>,
    /// Whether what this node's last process left behind in the store was freed: nothing of this
    /// one may be there before.
    pub(crate) clean: watch::Sender<bool>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

/// Starts a stream's owner task.
pub(crate) fn start(context: &Arc<Context>, key: StreamKey) -> Arc<StreamHandle> {
    let (asks, inbox) = mpsc::channel(ASKS_MAX);
    let handle = Arc::new(StreamHandle {
        asks,
        snapshot: ArcSwap::from_pointee(Snapshot::default()),
        former: ArcSwapOption::empty(),
        tally: Mutex::default(),
    });
    let owner = owner::Owner::new(Arc::clone(context), key, Arc::clone(&handle));
    context.tasks.spawn(owner.run(inbox));
    handle
}
