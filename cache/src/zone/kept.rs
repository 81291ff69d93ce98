//! A kept answer: its head, its body, and how long it is good for what.

use crate::body::Body;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ENTRY_BYTES;

/// How long an answer is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Times {
    /// Until when it is fresh, ms since 1970.
    pub fresh_until_ms: u64,
    /// How long after that it may be served while a new one is fetched (RFC 5861 section 3), ms.
    pub updating_ms: u64,
    /// How long after that it may stand in when the upstream fails (RFC 5861 section 4), ms.
    pub error_ms: u64,
}

/// What is known of an answer beside head and body.
#[derive(Clone, Debug, Default)]
pub struct Meta {
    /// How long it is good.
    pub times: Times,
    /// The names of the headers it varies by, as the upstream said.
    pub vary: Option<String>,
    /// What the request had of them.
    pub variant: String,
    /// What the head weighs, bytes.
    pub head_bytes: u64,
    /// The body's length if it was announced, bytes.
    pub content_length: Option<u64>,
    /// Whether its end can be told from a connection that broke: else nobody reads it before it
    /// is whole but who fetches it.
    pub framed: bool,
}

/// How usable a kept answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// As good as the upstream's.
    Fresh,
    /// Past its time.
    Expired {
        /// It may be served while a new one is fetched.
        updating: bool,
        /// It may stand in when the upstream fails.
        error: bool,
    },
}

/// A kept answer; complete, or still filling.
#[derive(Debug)]
pub struct Kept<H> {
    head: H,
    meta: Meta,
    body: Arc<Body>,
    /// [`Times`], which a revalidation changes.
    fresh_until_ms: AtomicU64,
    updating_ms: AtomicU64,
    error_ms: AtomicU64,
    /// Until when somebody is reckoned to fetch a new one, ms since 1970; zero is nobody.
    busy_until_ms: AtomicU64,
}

impl<H> Kept<H> {
    pub(crate) fn new(head: H, meta: Meta) -> Self {
        let times = meta.times;
        Self {
            head,
            meta,
            body: Arc::default(),
            fresh_until_ms: AtomicU64::new(times.fresh_until_ms),
            updating_ms: AtomicU64::new(times.updating_ms),
            error_ms: AtomicU64::new(times.error_ms),
            busy_until_ms: AtomicU64::new(0),
        }
    }

    /// The head.
    pub fn head(&self) -> &H {
        &self.head
    }

    /// All of the body, when it is complete.
    pub fn whole(&self) -> Option<&Bytes> {
        self.body.whole()
    }

    /// The body's length: counted when complete, else as announced; `None` when not known yet.
    pub fn len_bytes(&self) -> Option<u64> {
        let whole = self.whole().map(|whole| whole.len() as u64);
        whole.or(self.meta.content_length)
    }

    /// How usable it is.
    pub fn standing(&self, now_ms: u64) -> Standing {
        let fresh_until_ms = self.fresh_until_ms.load(Ordering::Relaxed);
        if now_ms < fresh_until_ms {
            return Standing::Fresh;
        }
        let within = |window: &AtomicU64| {
            now_ms <= fresh_until_ms.saturating_add(window.load(Ordering::Relaxed))
                && window.load(Ordering::Relaxed) > 0
        };
        Standing::Expired {
            updating: within(&self.updating_ms),
            error: within(&self.error_ms),
        }
    }

    /// Takes it on oneself to fetch a new one, for so long at most. False if somebody does already.
    pub fn begin_update(&self, now_ms: u64, for_ms: u64) -> bool {
        let until_ms = now_ms.saturating_add(for_ms).max(1);
        let take = |busy: u64| (busy <= now_ms).then_some(until_ms);
        let busy = &self.busy_until_ms;
        busy.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }

    /// Whoever fetched a new one has ended.
    pub fn end_update(&self) {
        self.busy_until_ms.store(0, Ordering::Relaxed);
    }

    pub(crate) fn renew(&self, times: Times) {
        self.updating_ms.store(times.updating_ms, Ordering::Relaxed);
        self.error_ms.store(times.error_ms, Ordering::Relaxed);
        self.fresh_until_ms
            .store(times.fresh_until_ms, Ordering::Relaxed);
    }

    pub(crate) fn body(&self) -> &Arc<Body> {
        &self.body
    }

    pub(crate) fn vary(&self) -> Option<&str> {
        self.meta.vary.as_deref()
    }

    pub(crate) fn variant(&self) -> &str {
        &self.meta.variant
    }

    pub(crate) fn framed(&self) -> bool {
        self.meta.framed
    }

    pub(crate) fn weight_bytes(&self) -> u64 {
        let whole = self.whole().map_or(0, |whole| whole.len() as u64);
        ENTRY_BYTES + self.meta.head_bytes + self.meta.variant.len() as u64 + whole
    }
}
