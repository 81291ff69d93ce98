//! The tasks that keep the directory's memory as new as the source is: one takes its changes in,
//! one asks for many streams at once after changes were missed, or where none are told.

use super::entry::Entry;
use super::{Directory, Inner, Options};
use crate::follow::{Follower, News};
use crate::names::StreamKey;
use crate::store::{StoreError, StreamChange};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::time::{Instant, interval, timeout};
use tokio_util::sync::CancellationToken;

/// Streams asked for in one go.
const TOGETHER_MAX: usize = 1_000;

/// Runs until `shutdown`; then what is known counts by its age.
pub(super) async fn listen(inner: Arc<Inner>, shutdown: CancellationToken) {
    let (source, healthy) = (Arc::clone(&inner.source), Arc::clone(&inner.source));
    let follower = Follower::new(
        move || source.changes(),
        move || healthy.changes_health(),
        inner.options.ttl,
    );
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = take_in_all(&inner, follower) => {}
        () = ask_together(&inner) => {}
        () = tick(&inner) => {}
    }
    inner.telling.store(0, Ordering::SeqCst);
}

async fn take_in_all(inner: &Inner, mut follower: Follower<StreamChange>) {
    let mut generation = 0;
    loop {
        match follower.next().await {
            News::Changed(change) => inner.take_in(change),
            News::Reload { told, missed } => {
                inner.metrics.missed_changes(missed);
                generation += 1;
                let telling = if told { generation } else { 0 };
                inner.telling.store(telling, Ordering::SeqCst);
                inner.ask_all.notify_one();
            }
        }
    }
}

/// After each notice, asks for every stream that is wanted and not known to be as the source has it.
async fn ask_together(inner: &Inner) {
    loop {
        inner.ask_all.notified().await;
        let known = inner.known.iter();
        let wanted = known.filter(|(_, entry)| entry.is_to_be_asked(inner));
        let keys: Vec<StreamKey> = wanted.map(|(key, _)| key.as_ref().clone()).collect();
        for keys in keys.chunks(TOGETHER_MAX) {
            match inner.ask_for(keys).await {
                Some(true) => {}
                Some(false) => break,
                // One at a time, as they are looked up.
                None => return std::future::pending().await,
            }
        }
    }
}

/// Counts the directory's coarse time and shows how the source is doing.
async fn tick(inner: &Inner) {
    let mut seconds = interval(Options::TICK);
    loop {
        seconds.tick().await;
        inner.ticks.fetch_add(1, Ordering::Relaxed);
        let told = inner.telling.load(Ordering::Relaxed) != 0;
        inner.metrics.source(inner.source.changes_health(), told);
    }
}

impl Inner {
    fn take_in(&self, change: StreamChange) {
        // Before the entry is touched; see `Inner::keep`.
        self.recent().push(&change.key);
        self.metrics.took_in_change();
        let telling = self.telling.load(Ordering::SeqCst);
        let broadcast = change.broadcast.as_deref();
        let entry = broadcast.and_then(|broadcast| Entry::of(broadcast, self, telling));
        self.replace(&change.key, |old| match (entry, old) {
            (Some(new), Some(old)) => new.after(old, self),
            (Some(new), None) => Some(new),
            (None, Some(old)) => Some(old.ended(self, telling)),
            (None, None) => None,
        });
    }

    /// Asks for these streams; whether that worked, `None` when the source cannot be asked so.
    async fn ask_for(&self, keys: &[StreamKey]) -> Option<bool> {
        let asked = self.ask_now();
        let start = Instant::now();
        let answer = timeout(self.options.query_timeout, self.source.whereabouts(keys)).await;
        let answer = answer.unwrap_or_else(|_| Some(Err(StoreError::too_long("whereabouts"))))?;
        self.metrics.queried(start.elapsed());
        self.batched.store(true, Ordering::Relaxed);
        self.judge(answer.as_ref().err());
        let Ok(found) = answer else {
            return Some(false);
        };
        for (key, broadcast) in found {
            match broadcast {
                Some(broadcast) => drop(self.keep(&key, &broadcast, asked)),
                None => drop(self.gone(&key, asked)),
            }
        }
        Some(true)
    }
}

impl Directory {
    /// Asks anew where `key` is served: for one who was sent to an origin that cannot be reached,
    /// or that answers that it has no such stream (404, 421). However many call and however often,
    /// one stream is asked for once each [`Options::refresh_min`]; in between they get the last
    /// answer.
    ///
    /// # Errors
    /// [`super::DirectoryError`], for streams not known from before only.
    pub async fn refresh(
        &self,
        key: &StreamKey,
    ) -> Result<Option<super::Located>, super::DirectoryError> {
        let newer_than = self.0.options.refresh_min;
        self.0
            .ask(key, |answer| answer.made.elapsed() < newer_than)
            .await
    }
}
