//! What the directory knows of one stream, how far that can be trusted, and what replaces it.

use super::{DirectoryError, Inner};
use crate::types::{Broadcast, BroadcastStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::time::Instant;

/// Where a stream is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// `host:port` or `unix:/path` of the origin's HTTP.
    pub origin_adress: Arc<str>,
    /// The newest epoch known; 0 when the source names none. Never an older one than before.
    pub epoch: u64,
    /// The stream's state as its owner last wrote it, judged when it was read.
    pub status: BroadcastStatus,
    /// The source cannot be reached and this is older than it should be.
    pub stale: bool,
}

/// How an entry's age stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// To be used as it is.
    Fresh,
    /// To be used, and to be asked again.
    Ageing,
    /// To be asked again before use.
    Old,
}

/// A stream as last seen.
#[derive(Debug)]
pub(super) struct Entry {
    origin_adress: Arc<str>,
    epoch: u64,
    /// The newest epoch ever heard of; greater than `epoch` where a source names none.
    newest: u64,
    status: BroadcastStatus,
    update_time_ms: i64,
    /// When it ended, ms since the Unix epoch.
    ended_ms: Option<i64>,
    seen: Instant,
    /// The directory's `telling` when it was seen; changes since then reached it. 0: none do.
    telling: u64,
    /// When it was last looked up, by the directory's `tick`.
    wanted: AtomicU64,
    asking: AtomicBool,
}

impl Entry {
    /// `None` when nobody serves the stream: it was never published, or ended too long ago.
    pub(super) fn of(broadcast: &Broadcast, inner: &Inner, telling: u64) -> Option<Self> {
        let origin_adress = broadcast.origin_adress.as_deref()?.into();
        let ended = broadcast.owner.is_none() && !broadcast.status.is_live();
        let epoch = broadcast.owner.as_ref().map_or(0, |owner| owner.epoch);
        let entry = Self {
            origin_adress,
            epoch,
            newest: epoch,
            status: broadcast.status_at(inner.clock.judged_ms()),
            update_time_ms: broadcast.update_time,
            ended_ms: ended.then_some(broadcast.update_time),
            seen: Instant::now(),
            telling,
            wanted: AtomicU64::new(inner.tick()),
            asking: AtomicBool::new(false),
        };
        (!entry.over(inner)).then_some(entry)
    }

    /// What is known after `self` was learned where `old` was known; `None`: `old` stands.
    ///
    /// An epoch never goes back: a word about an older one is old news, whoever brings it. A
    /// record that names no owner speaks of the newest epoch, which then is over; it ended when
    /// that was first heard of, by this node's clock.
    pub(super) fn after(mut self, old: &Self, inner: &Inner) -> Option<Self> {
        if self.epoch > 0 && self.epoch < old.newest {
            return None;
        }
        let dated = self.update_time_ms > 0;
        if self.ended_ms.is_some() {
            self.epoch = self.epoch.max(old.epoch);
            self.ended_ms = old.ended_ms.or(Some(inner.clock.now_ms()));
        } else if self.epoch == 0 && dated && self.update_time_ms < old.update_time_ms {
            return None;
        }
        self.newest = self.newest.max(old.newest);
        self.wanted = AtomicU64::new(old.wanted.load(Ordering::Relaxed));
        Some(self)
    }

    /// This stream after it ended, seen now.
    pub(super) fn ended(&self, inner: &Inner, telling: u64) -> Self {
        Self {
            status: BroadcastStatus::Finished,
            ended_ms: self.ended_ms.or(Some(inner.clock.now_ms())),
            seen: Instant::now(),
            telling,
            ..self.copy()
        }
    }

    /// The same, to be trusted by its age only.
    pub(super) fn doubted(&self) -> Self {
        Self {
            telling: 0,
            ..self.copy()
        }
    }

    pub(super) fn age(&self, inner: &Inner) -> Age {
        if self.is_told(inner) {
            return Age::Fresh;
        }
        let (age, options) = (self.seen.elapsed(), &inner.options);
        if age < inner.fresh_for() {
            Age::Fresh
        } else if age < options.serve_while_asking {
            Age::Ageing
        } else {
            Age::Old
        }
    }

    /// `None` when the stream ended too long ago to be fetched anywhere.
    pub(super) fn located(&self, inner: &Inner, stale: bool) -> Option<Located> {
        if self.over(inner) {
            return None;
        }
        Some(Located {
            origin_adress: Arc::clone(&self.origin_adress),
            epoch: self.epoch,
            status: self.status,
            stale,
        })
    }

    /// Somebody looked it up.
    pub(super) fn want(&self, inner: &Inner) {
        let tick = inner.tick();
        // Readers of one stream share this line: written once a tick only.
        if self.wanted.load(Ordering::Relaxed) != tick {
            self.wanted.store(tick, Ordering::Relaxed);
        }
    }

    /// Whether it is to be asked for along with the others.
    pub(super) fn is_to_be_asked(&self, inner: &Inner) -> bool {
        let unwanted = inner
            .tick()
            .saturating_sub(self.wanted.load(Ordering::Relaxed));
        !self.is_told(inner) && !self.over(inner) && unwanted <= inner.interest_ticks()
    }

    /// True for the one caller that is to ask.
    pub(super) fn start_asking(&self) -> bool {
        !self.asking.swap(true, Ordering::Relaxed)
    }

    pub(super) fn stop_asking(&self) {
        self.asking.store(false, Ordering::Relaxed);
    }

    fn is_told(&self, inner: &Inner) -> bool {
        self.telling != 0 && self.telling == inner.telling.load(Ordering::Relaxed)
    }

    fn over(&self, inner: &Inner) -> bool {
        let kept_ms = i64::try_from(inner.options.ended_kept.as_millis()).unwrap_or(i64::MAX);
        self.ended_ms
            .is_some_and(|ended_ms| inner.clock.now_ms().saturating_sub(ended_ms) > kept_ms)
    }

    fn copy(&self) -> Self {
        Self {
            origin_adress: Arc::clone(&self.origin_adress),
            wanted: AtomicU64::new(self.wanted.load(Ordering::Relaxed)),
            asking: AtomicBool::new(false),
            ..*self
        }
    }
}

/// What one query said.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) kind: Kind,
    pub(super) made: Instant,
    /// Until when others may use it.
    pub(super) until: Instant,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Known(Arc<Entry>),
    Absent,
    Failed(DirectoryError),
}

impl Answer {
    /// Whether it may still be used.
    pub(super) fn holds(&self) -> bool {
        Instant::now() < self.until
    }
}
