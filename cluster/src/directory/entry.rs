//! What the directory knows of one stream, and how far that can be trusted.

use super::{DirectoryError, Inner};
use crate::types::{Broadcast, BroadcastStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::time::Instant;

/// Where a stream is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// `host:port` or `unix:/path` of the origin's HTTP.
    pub origin_adress: Arc<str>,
    /// The newest epoch; 0 when nobody holds the stream or the source does not say.
    pub epoch: u64,
    /// The stream's state: now, or when `stale`, as it was when last seen.
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
    status: BroadcastStatus,
    update_time_ms: i64,
    /// When it ended, ms since the Unix epoch.
    ended_ms: Option<i64>,
    seen: Instant,
    seen_ms: i64,
    /// The directory's `telling` when it was seen; changes since then reached it. 0: none do.
    telling: u64,
    asking: AtomicBool,
}

impl Entry {
    /// `None` when nobody serves the stream: it was never published, or ended too long ago.
    pub(super) fn of(broadcast: &Broadcast, inner: &Inner, telling: u64) -> Option<Self> {
        let origin_adress = broadcast.origin_adress.as_deref()?.into();
        let ended = broadcast.owner.is_none() && !broadcast.status.is_live();
        let entry = Self {
            origin_adress,
            epoch: broadcast.owner.as_ref().map_or(0, |owner| owner.epoch),
            status: broadcast.status,
            update_time_ms: broadcast.update_time,
            ended_ms: ended.then_some(broadcast.update_time),
            seen: Instant::now(),
            seen_ms: inner.clock.now_ms(),
            telling,
            asking: AtomicBool::new(false),
        };
        (!entry.over(inner)).then_some(entry)
    }

    /// This stream after it ended, seen now.
    pub(super) fn ended(&self, inner: &Inner) -> Self {
        let now_ms = inner.clock.now_ms();
        Self {
            status: BroadcastStatus::Finished,
            ended_ms: self.ended_ms.or(Some(now_ms)),
            seen: Instant::now(),
            seen_ms: now_ms,
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
        let (age, options) = (self.seen.elapsed(), &inner.options);
        if age < options.ttl || (self.is_told(inner) && age < options.told_ttl) {
            Age::Fresh
        } else if age < options.serve_while_asking {
            Age::Ageing
        } else {
            Age::Old
        }
    }

    /// `None` when the stream ended too long ago to be fetched anywhere.
    pub(super) fn located(&self, inner: &Inner, away: bool) -> Option<Located> {
        if self.over(inner) {
            return None;
        }
        // An owner's silence counts only where its words would have been heard.
        let judged_ms = if self.is_told(inner) && !away {
            inner.clock.now_ms()
        } else {
            self.seen_ms
        };
        Some(Located {
            origin_adress: Arc::clone(&self.origin_adress),
            epoch: self.epoch,
            status: self.status.at(self.update_time_ms, judged_ms),
            stale: away,
        })
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
            asking: AtomicBool::new(false),
            ..*self
        }
    }
}

/// What one query said.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) kind: Kind,
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
    pub(super) fn holds_at(&self, now: Instant) -> bool {
        now < self.until
    }
}
