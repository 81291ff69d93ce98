//! Asking the source for one stream: once for all who want to know, and what becomes of the answer.

use super::entry::{Answer, Entry, Kind, Located};
use super::metrics::Lookup;
use super::{DirectoryError, Inner};
use crate::names::StreamKey;
use crate::store::StoreError;
use crate::types::Broadcast;
use moka::ops::compute::{CompResult, Op};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::time::{Instant, timeout};

/// When something was asked: its place in the order of changes, and the `telling` then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    place: u64,
    telling: u64,
}

impl Inner {
    pub(super) fn ask_now(&self) -> Asked {
        Asked {
            place: self.recent().now(),
            telling: self.telling.load(Ordering::SeqCst),
        }
    }

    /// What the source says; what it said lately, where `will_do` says that this will do.
    pub(super) async fn ask(
        &self,
        key: &StreamKey,
        will_do: impl Fn(&Answer) -> bool + Send + Sync,
    ) -> Result<Option<Located>, DirectoryError> {
        let (answer, how) = self.answer(key, will_do).await;
        // What is known now: the answer may be a moment old, and its stream have moved since.
        let known = self.known.get(key);
        match (answer.kind, known) {
            (Kind::Failed(_), Some(entry)) => Ok(self.count(entry.located(self, true))),
            (Kind::Failed(error), None) => {
                self.metrics.count(Lookup::Error);
                Err(error)
            }
            (_, Some(entry)) | (Kind::Known(entry), None) => {
                self.metrics.count(how);
                Ok(entry.located(self, false))
            }
            (Kind::Absent, None) => {
                self.metrics.count(match how {
                    Lookup::Hit => Lookup::NegativeHit,
                    how => how,
                });
                Ok(None)
            }
        }
    }

    /// The answer to a query made now, or under way, or made a moment ago.
    pub(super) async fn answer(
        &self,
        key: &StreamKey,
        will_do: impl Fn(&Answer) -> bool + Send + Sync,
    ) -> (Answer, Lookup) {
        if let Some(answer) = self.asked.get(key).await
            && will_do(&answer)
        {
            return (answer, Lookup::Hit);
        }
        let asked_here = AtomicBool::new(false);
        let query = async {
            asked_here.store(true, Ordering::Relaxed);
            self.query(key).await
        };
        let slot = self.asked.entry_by_ref(key);
        // Those who waited take what they waited for, however short it is to be kept.
        let came = Instant::now();
        let found = slot.or_insert_with_if(query, |answer| answer.made <= came && !will_do(answer));
        let answer = found.await.into_value();
        let how = if asked_here.load(Ordering::Relaxed) {
            Lookup::Miss
        } else {
            Lookup::Coalesced
        };
        (answer, how)
    }

    async fn query(&self, key: &StreamKey) -> Answer {
        let answer = match self.left_alone() {
            Some(error) => (Kind::Failed(error), self.options.negative_ttl),
            None => self.query_source(key).await,
        };
        let (kind, kept) = answer;
        let made = Instant::now();
        let kept = self.options.cache_enabled.then_some(kept);
        Answer {
            kind,
            made,
            until: made + kept.unwrap_or_default(),
        }
    }

    async fn query_source(&self, key: &StreamKey) -> (Kind, std::time::Duration) {
        let asked = self.ask_now();
        let start = Instant::now();
        let answer = timeout(self.options.query_timeout, self.source.lookup(key)).await;
        let answer = answer.unwrap_or_else(|_| Err(StoreError::too_long("lookup")));
        self.metrics.queried(start.elapsed());
        self.judge(answer.as_ref().err());
        let negative_ttl = self.options.negative_ttl;
        match answer {
            Ok(Some(broadcast)) => match self.keep(key, &broadcast, asked) {
                Kind::Absent => (Kind::Absent, negative_ttl),
                known => (known, self.options.ttl),
            },
            Ok(None) => (self.gone(key, asked), negative_ttl),
            Err(error) => (Kind::Failed(error.into()), negative_ttl),
        }
    }

    /// Remembers whether the source can answer.
    pub(super) fn judge(&self, error: Option<&StoreError>) {
        let error = error.filter(|error| error.is_retryable());
        if error.is_none() {
            self.metrics.heard();
        }
        self.away.store(error.is_some(), Ordering::Relaxed);
        *self.failed() = error.map(|error| {
            let reason = error.to_string().into();
            (Instant::now(), DirectoryError::Unavailable { reason })
        });
    }

    /// Why the source is not asked at present: it failed a moment ago.
    fn left_alone(&self) -> Option<DirectoryError> {
        let failed = self.failed();
        let (at, error) = failed.as_ref()?;
        (at.elapsed() < self.options.negative_ttl).then(|| error.clone())
    }

    /// Remembers what the source said of a stream.
    pub(super) fn keep(&self, key: &StreamKey, broadcast: &Broadcast, asked: Asked) -> Kind {
        let Some(entry) = Entry::of(broadcast, self, asked.telling) else {
            return self.gone(key, asked);
        };
        self.learn(key, asked, |old| match old {
            Some(old) => entry.after(old, self),
            None => Some(entry),
        })
    }

    /// The source says that nobody serves the stream; if somebody did, it ended.
    pub(super) fn gone(&self, key: &StreamKey, asked: Asked) -> Kind {
        self.learn(key, asked, |old| Some(old?.ended(self, asked.telling)))
    }

    /// Puts an answer in place of what was known, unless something newer was told meanwhile.
    fn learn(
        &self,
        key: &StreamKey,
        asked: Asked,
        next: impl FnOnce(Option<&Entry>) -> Option<Entry> + Send,
    ) -> Kind {
        let known = self.replace(key, |old| {
            // Inside, so that a change comes either before this look, or after the replacing.
            let overtaken = self.recent().may_have_changed(key, asked.place);
            match (overtaken, old) {
                (true, Some(_)) => None,
                // It was told to be gone, and is not, or is again: this counts by its age.
                (true, None) => next(None).map(|entry| entry.doubted()),
                (false, old) => next(old),
            }
        });
        match known {
            Some(entry) => Kind::Known(entry),
            None => Kind::Absent,
        }
    }

    /// Replaces what is known of a stream by what `next` makes of it, if anything; returns what is
    /// known then. One at a time for each stream.
    pub(super) fn replace(
        &self,
        key: &StreamKey,
        next: impl FnOnce(Option<&Entry>) -> Option<Entry> + Send,
    ) -> Option<Arc<Entry>> {
        let slot = self.known.entry_by_ref(key);
        let done = slot.and_compute_with(|old| {
            let old = old.map(|old| old.into_value());
            match next(old.as_deref()) {
                Some(entry) => Op::Put(Arc::new(entry)),
                None => Op::Nop,
            }
        });
        match done {
            CompResult::Inserted(entry)
            | CompResult::ReplacedWith(entry)
            | CompResult::Unchanged(entry) => Some(entry.into_value()),
            CompResult::Removed(_) | CompResult::StillNone(_) => None,
        }
    }
}
