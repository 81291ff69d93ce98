//! The store's time as a clock: the node's own, put right by what the store tells.
//!
//! Nodes compare times that others wrote; a node whose clock is a minute off would take the living
//! for dead. So whatever is judged or written for others is told by this clock. Each renewal of the
//! lease brings the store's time, which lies between the asking and the answer; the difference to
//! the node's clock is changed only when it cannot be right, and then by as little as will do, so
//! that clocks which agree are left alone.
//!
//! Unit: ms since the Unix epoch. Before the first answer it is the node's own clock; a clock set
//! anew while the node runs is followed with the next renewal.

use crate::clock::WallClock;
use crate::judging::JudgingTime;
use crate::lease::Lease;
use crate::store::{Store, StoreError};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A difference worth a line in the log, ms.
const LOGGED_MS: i64 = 2_000;

/// The store's time. Clones share one difference.
#[derive(Clone, Debug)]
pub struct StoreClock {
    local: Arc<dyn WallClock>,
    offset_ms: Arc<AtomicI64>,
    judging: Arc<Mutex<JudgingTime>>,
}

impl StoreClock {
    /// A clock that shows `local`'s time until it is told better.
    #[must_use]
    pub fn new(local: Arc<dyn WallClock>) -> Self {
        Self {
            local,
            offset_ms: Arc::default(),
            judging: Arc::default(),
        }
    }

    /// Store time minus the node's, ms.
    #[must_use]
    pub fn offset_ms(&self) -> i64 {
        self.offset_ms.load(Ordering::Relaxed)
    }

    /// Renews a node's lease, and learns the store's time from the answer.
    ///
    /// # Errors
    /// The store's.
    pub async fn renew(&self, store: &dyn Store, node_id: &str) -> Result<Lease, StoreError> {
        let asked_ms = self.local.now_ms();
        let asking = Asking(Some(self));
        let lease = store.renew_lease(node_id).await?;
        self.observe(asked_ms, lease.now_ms, self.local.now_ms());
        asking.heard();
        Ok(lease)
    }

    fn judging(&self) -> MutexGuard<'_, JudgingTime> {
        self.judging.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns that the store showed `store_ms` between two readings of the node's clock.
    pub fn observe(&self, asked_ms: i64, store_ms: i64, answered_ms: i64) {
        // Clocks show whole milliseconds: either may be almost one behind.
        let least = store_ms.saturating_sub(answered_ms).saturating_sub(1);
        let most = store_ms.saturating_sub(asked_ms).saturating_add(1);
        if least > most {
            return; // The node's clock was set back meanwhile; the next answer is better.
        }
        let was = self.offset_ms();
        let offset_ms = was.clamp(least, most);
        self.offset_ms.store(offset_ms, Ordering::Relaxed);
        if offset_ms.abs_diff(was) >= LOGGED_MS.unsigned_abs() {
            tracing::warn!(
                offset_ms,
                "this node's clock differs from the store's, which is used; set it right"
            );
        }
    }
}

/// A renewal under way. Dropped unheard, also by who would wait no longer, the store is away.
struct Asking<'a>(Option<&'a StoreClock>);

impl Asking<'_> {
    fn heard(mut self) {
        if let Some(clock) = self.0.take() {
            clock.judging().seen(clock.now_ms());
        }
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if let Some(clock) = self.0 {
            clock.judging().lost();
        }
    }
}

impl WallClock for StoreClock {
    fn now_ms(&self) -> i64 {
        self.local.now_ms().saturating_add(self.offset_ms())
    }

    /// Stands still while this node's lease cannot be renewed, and back after; see
    /// `crate::judging`.
    fn judged_ms(&self) -> i64 {
        self.judging().at(self.now_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::embedded::EmbeddedStore;

    fn clock(now_ms: i64) -> (ManualClock, StoreClock) {
        let local = ManualClock::at(now_ms);
        (local.clone(), StoreClock::new(Arc::new(local)))
    }

    #[test]
    fn clocks_that_agree_within_an_answers_time_are_left_alone() {
        let (_, clock) = clock(1_000_000);
        for (asked, store, answered) in [(0, 3, 10), (0, 0, 40), (0, 40, 40), (5, 4, 5), (5, 6, 5)]
        {
            clock.observe(asked, store, answered);
            assert_eq!(clock.offset_ms(), 0, "{asked} {store} {answered}");
        }
    }

    #[test]
    fn a_clock_a_minute_off_shows_the_stores_time() {
        for skew in [-60_000, 60_000] {
            let (local, clock) = clock(1_000_000);
            clock.observe(1_000_000, 1_000_010 + skew, 1_000_020);
            let wrong = (clock.now_ms() - (1_000_000 + skew)).abs();
            assert!(wrong <= 21, "off by {wrong} of a 20 ms call");
            clock.observe(1_000_000, 1_000_000 + skew, 1_000_000);
            let wrong = (clock.now_ms() - (1_000_000 + skew)).abs();
            assert!(wrong <= 1, "off by {wrong} of an answer at once");
            // Set right while it runs.
            local.set(1_000_000 + skew);
            clock.observe(1_000_000 + skew, 1_000_000 + skew, 1_000_000 + skew);
            assert!(clock.offset_ms().abs() <= 1);
        }
    }

    #[test]
    fn a_clock_set_back_while_asking_teaches_nothing() {
        let (_, clock) = clock(0);
        clock.observe(10_000, 10_000, 5_000);
        assert_eq!(clock.offset_ms(), 0);
        clock.observe(i64::MAX, i64::MIN, i64::MAX);
        clock.observe(i64::MIN, i64::MAX, i64::MIN);
        clock.now_ms();
    }

    #[test]
    fn clones_share_what_was_learned() {
        let (_, clock) = clock(0);
        let other = clock.clone();
        clock.observe(0, 90_000, 0);
        assert_eq!(other.now_ms(), 89_999);
    }

    #[tokio::test]
    async fn while_its_lease_cannot_be_renewed_nobodys_silence_counts() {
        let folder = tempfile::tempdir().unwrap();
        let (local, clock) = clock(1_000_000);
        let file = folder.path().join("s");
        let store = EmbeddedStore::open(&file, Arc::new(local.clone())).unwrap();
        clock.renew(&store, "a").await.unwrap();
        assert_eq!(clock.judged_ms(), 1_000_000);
        drop(Asking(Some(&clock)));
        local.advance(30_000);
        assert_eq!((clock.now_ms(), clock.judged_ms()), (1_030_000, 1_000_000));
        clock.renew(&store, "a").await.unwrap();
        assert_eq!(clock.judged_ms(), 1_000_000);
        local.advance(20_001);
        assert_eq!(clock.judged_ms(), 1_050_001);
    }
}
