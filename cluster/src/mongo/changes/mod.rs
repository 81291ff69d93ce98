//! Changes as MongoDB tells them: watched by one node, written into a log, read by all.
//!
//! A change stream that tells nothing still reads every write of the whole cluster from the
//! server's log, each of them for each node that watches: 3,000 writes a second cost a server
//! 100 cores with 1,000 nodes. So one node watches ([`relay`]), through a filter ([`pipeline`]), and
//! writes what it hears into a small capped collection ([`log`]); every node reads that to its end
//! and waits there ([`tail`]), woken by changes alone. Whoever changed something, Ant Media's tools
//! too, is heard.
//!
//! **Where there is a replica set** the two tasks hand out [`StreamChange`]s and [`RecordChange`]s.
//! They start when somebody first asks for changes, and never keep a start waiting: until the log
//! is being written, [`Watch::streams`] says "not now". After a cut or an election a reader goes on
//! from its place in the log and the writer from the last entry's token; followers hear nothing of
//! it but a short silence, which [`Watch::health`] tells. When the writer is gone, another node takes
//! its turn within four seconds and goes on where it stopped. When a place is no longer there, or
//! the server's log has moved on, the channels are closed and made anew from now: followers take
//! their whole copy for old.
//!
//! **Elsewhere** (a standalone `mongod`, a user without the right to watch, an imitation without
//! change streams) it says "not now" for good, tries again each [`REFUSED_RETRY`], and followers
//! poll: see [`crate::store::Store::whereabouts`].
//!
//! **Records** are told by name, without what they are now ([`notice`]): who keeps one reads it anew.
//!
//! **Deletions** name only `_id`. Streams that end are told by their timeline, whose `_id` is
//! their name; for the other records the watcher remembers which `_id` it saw under which key, and
//! says "one of this kind" where it did not.
//!
//! **Applications** are known by the database's name in events, which has lost their case; names
//! come from timelines, settings and records found. A database whose name was never seen holds
//! nothing that anybody here has asked for.
//!
//! **Limits.** [`CHANGES_MAX`] changes a follower may lag behind; [`NAMES_MAX`] databases and
//! [`IDS_MAX`] `_id`s remembered; [`LOG_BYTES_MAX`] of log.

mod cut;
mod event;
mod log;
mod names;
mod notice;
mod pipeline;
mod relay;
mod tail;

use crate::follow::ChangesHealth;
use crate::names::AppName;
use crate::records::RecordChange;
use crate::store::StreamChange;
use mongodb::Client;
use names::Names;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::broadcast;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Changes a follower may lag behind.
const CHANGES_MAX: usize = 4_096;
/// Databases of applications whose names are remembered.
const NAMES_MAX: usize = 10_000;
/// Records whose `_id` is remembered, so that their deletion can be told by name.
const IDS_MAX: u64 = 100_000;
/// How often a server that refused to tell changes is asked again.
const REFUSED_RETRY: Duration = Duration::from_secs(30);
/// Size of the log, bytes: hours where little changes, minutes where much does. Read from its
/// beginning when a reader comes back, so no larger.
const LOG_BYTES_MAX: i64 = 4 * 1_024 * 1_024;
/// How long the server may have nothing to say before it says so.
const WORD_PERIOD: Duration = Duration::from_secs(1);
/// First and longest pause between tries to reach the server.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// The watcher of one client. Ends when dropped.
pub(super) struct Watch {
    shared: Arc<Shared>,
    client: Client,
    runtime: Handle,
    started: AtomicBool,
    stop: CancellationToken,
    _guard: DropGuard,
}

impl Watch {
    /// A watcher that has not started. Must be called on the runtime it is to run on.
    pub(super) fn new(
        client: Client,
        poll_only: bool,
        database_of: impl Fn(&AppName) -> String + Send + Sync + 'static,
    ) -> Self {
        let stop = CancellationToken::new();
        Self {
            shared: Arc::new(Shared {
                names: Names::new(database_of),
                channels: Mutex::default(),
                heard: Mutex::new(Instant::now()),
                resumed: AtomicU64::new(0),
                lost: AtomicU64::new(0),
            }),
            client,
            runtime: Handle::current(),
            // One that does not watch is one that never starts.
            started: AtomicBool::new(poll_only),
            _guard: stop.clone().drop_guard(),
            stop,
        }
    }

    /// See [`crate::store::Store::changes`].
    pub(super) fn streams(&self) -> Option<broadcast::Receiver<StreamChange>> {
        self.start();
        let channels = self.shared.channels();
        channels
            .as_ref()
            .map(|channels| channels.streams.subscribe())
    }

    /// See [`crate::records::Records::record_changes`].
    pub(super) fn records(&self) -> Option<broadcast::Receiver<RecordChange>> {
        self.start();
        let channels = self.shared.channels();
        channels
            .as_ref()
            .map(|channels| channels.records.subscribe())
    }

    /// How well changes are being told.
    pub(super) fn health(&self) -> ChangesHealth {
        self.shared.health()
    }

    /// An application that has records: its name in full.
    pub(super) fn learn(&self, app: &AppName) {
        self.shared.names.learn(app);
    }

    fn start(&self) {
        if !self.started.swap(true, Ordering::Relaxed) {
            let (client, shared) = (self.client.clone(), Arc::clone(&self.shared));
            let stop = self.stop.clone();
            self.runtime.spawn(async move {
                // The driver's futures are large.
                let read = Box::pin(tail::run(client.clone(), &shared));
                let write = Box::pin(relay::run(client, &shared));
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = read => {}
                    () = write => {}
                }
                shared.close();
            });
        }
    }
}

/// What the task and its callers share.
struct Shared {
    names: Names,
    /// `None` while nothing can be told.
    channels: Mutex<Option<Channels>>,
    /// When the log last said something, were it "nothing new".
    heard: Mutex<Instant>,
    resumed: AtomicU64,
    lost: AtomicU64,
}

struct Channels {
    streams: broadcast::Sender<StreamChange>,
    records: broadcast::Sender<RecordChange>,
}

impl Shared {
    fn channels(&self) -> MutexGuard<'_, Option<Channels>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn health(&self) -> ChangesHealth {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        ChangesHealth {
            age: heard.elapsed(),
            resumed: self.resumed.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
        }
    }

    fn is_silent_for(&self, patience: Duration) -> bool {
        self.health().age > patience
    }

    fn heard(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// From now on changes are told.
    fn open(&self) {
        self.heard();
        *self.channels() = Some(Channels {
            streams: broadcast::channel(CHANGES_MAX).0,
            records: broadcast::channel(CHANGES_MAX).0,
        });
    }

    /// Changes went by untold: every copy is old.
    fn close(&self) {
        if self.channels().take().is_some() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    // A send fails only when nobody listens.

    fn tell_stream(&self, change: StreamChange) {
        if let Some(channels) = &*self.channels() {
            let _ = channels.streams.send(change);
        }
    }

    fn tell_record(&self, change: RecordChange) {
        if let Some(channels) = &*self.channels() {
            let _ = channels.records.send(change);
        }
    }
}
