//! `limit_req`: a bucket for each key that fills with every request and leaks at the rate.
//!
//! Units: thousandths of a request, milliseconds. Several limits are asked one after another and
//! only count a request once none refuses it: the last counts it as it is asked, those before hold
//! its key until then.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use lru::LruCache;
use weir_conf::nginx::model::guard::RequestZone;

use super::cost;

/// A key that was asked for since is not forgotten while there is room.
const IDLE_MS: i64 = 60_000;
/// The clock went back further than this: as if a moment had passed.
const BACK_MS_MAX: i64 = 60_000;

/// The counts of one zone.
#[derive(Debug)]
pub(crate) struct Requests {
    zone: RequestZone,
    state: ArcSwap<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// By key, the one asked for last in front.
    nodes: LruCache<Vec<u8>, Node>,
    bytes: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Node {
    last_ms: i64,
    excess_milli: u64,
    /// Requests that asked and are not decided.
    held: u32,
}

/// What a zone says of a request; `excess_milli` is by how much it comes too soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Within rate and burst.
    Passed { excess_milli: u64 },
    /// Too soon.
    Refused { excess_milli: u64 },
    /// There is no room to count it.
    Full,
}

impl Requests {
    pub(crate) fn new(zone: &RequestZone) -> Self {
        let state = State {
            nodes: LruCache::unbounded(),
            bytes: 0,
        };
        Self {
            zone: zone.clone(),
            state: ArcSwap::from_pointee(Mutex::new(state)),
        }
    }

    /// Goes on with the counts of the zone before a reload.
    pub(crate) fn learn(&self, before: &Self) {
        if self.zone.zone == before.zone.zone {
            self.state.store(before.state.load_full());
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.zone.zone.name
    }

    /// Asks whether a request may pass. One that may is counted if this is the `last` zone to be
    /// asked, else held for [`Self::settle`] or [`Self::release`].
    pub(crate) fn look(&self, key: &[u8], burst_milli: u64, now_ms: i64, last: bool) -> Look {
        let shared = self.state.load();
        let mut state = lock(&shared);
        if let Some(node) = state.nodes.get_mut(key) {
            let excess_milli = node.excess(self.zone.rate_milli, now_ms);
            if excess_milli > burst_milli {
                return Look::Refused { excess_milli };
            }
            if last {
                node.count(excess_milli, now_ms);
            } else {
                node.held += 1;
            }
            return Look::Passed { excess_milli };
        }
        state.expire(self.zone.rate_milli, now_ms);
        if !state.make_room(cost(key), self.zone.zone.bytes_max) {
            return Look::Full;
        }
        state.bytes += cost(key);
        let node = Node {
            // One that is only held has leaked out by then.
            last_ms: if last { now_ms } else { i64::MIN },
            excess_milli: 0,
            held: u32::from(!last),
        };
        state.nodes.put(key.to_vec(), node);
        Look::Passed { excess_milli: 0 }
    }

    /// Counts a request that was held. Says by how much it comes too soon.
    pub(crate) fn settle(&self, key: &[u8], now_ms: i64) -> u64 {
        let shared = self.state.load();
        let mut state = lock(&shared);
        let Some(node) = state.nodes.get_mut(key) else {
            return 0;
        };
        let excess_milli = node.excess(self.zone.rate_milli, now_ms);
        node.count(excess_milli, now_ms);
        node.held = node.held.saturating_sub(1);
        excess_milli
    }

    /// How long a request waits that comes too soon, and only what is beyond `delay_milli` counts.
    pub(crate) fn wait_ms(&self, excess_milli: u64, delay_milli: u64) -> u64 {
        let over = excess_milli.saturating_sub(delay_milli);
        over.saturating_mul(1000) / self.zone.rate_milli.max(1)
    }

    /// Lets a request go that another limit refuses.
    pub(crate) fn release(&self, key: &[u8]) {
        let shared = self.state.load();
        if let Some(node) = lock(&shared).nodes.get_mut(key) {
            node.held = node.held.saturating_sub(1);
        }
    }
}

impl Node {
    fn count(&mut self, excess_milli: u64, now_ms: i64) {
        self.excess_milli = excess_milli;
        self.last_ms = now_ms;
    }

    /// By how much a request comes too soon now.
    fn excess(&self, rate_milli: u64, now_ms: i64) -> u64 {
        let passed = match now_ms.saturating_sub(self.last_ms) {
            ms if ms < -BACK_MS_MAX => 1,
            ms => ms.max(0).unsigned_abs(),
        };
        let leaked = rate_milli.saturating_mul(passed) / 1000;
        (self.excess_milli + 1000).saturating_sub(leaked)
    }
}

impl State {
    /// Forgets up to two old keys that have nothing left in their buckets.
    fn expire(&mut self, rate_milli: u64, now_ms: i64) {
        for _ in 0..2 {
            let idle = self.nodes.peek_lru().is_some_and(|(_, node)| {
                let age_ms = now_ms.saturating_sub(node.last_ms);
                let empty = node.excess(rate_milli, now_ms) <= 1000;
                node.held == 0 && age_ms >= IDLE_MS && empty
            });
            if !idle || !self.forget() {
                return;
            }
        }
    }

    /// Forgets those asked for the longest ago until there is room.
    fn make_room(&mut self, bytes: u64, bytes_max: u64) -> bool {
        while self.bytes + bytes > bytes_max {
            let held = self.nodes.peek_lru().is_none_or(|(_, node)| node.held > 0);
            if held || !self.forget() {
                return false;
            }
        }
        true
    }

    fn forget(&mut self) -> bool {
        let Some((key, _)) = self.nodes.pop_lru() else {
            return false;
        };
        self.bytes = self.bytes.saturating_sub(cost(&key));
        true
    }
}

/// Nothing that holds the lock can panic half-way.
fn lock(state: &Arc<Mutex<State>>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use weir_conf::nginx::model::guard::Zone;
    use weir_conf::nginx::template::Template;

    use super::*;

    fn zone(rate_milli: u64, bytes_max: u64) -> Requests {
        Requests::new(&RequestZone {
            zone: Zone {
                name: "z".to_owned(),
                key: Template::text("k"),
                bytes_max,
            },
            rate_milli,
        })
    }

    /// One request: its wait, or `None` if it is refused.
    fn ask(zone: &Requests, key: &str, burst: u64, delay: u64, now_ms: i64) -> Option<u64> {
        let key = key.as_bytes();
        match zone.look(key, burst * 1000, now_ms, true) {
            Look::Passed { excess_milli } => Some(zone.wait_ms(excess_milli, delay * 1000)),
            Look::Refused { .. } | Look::Full => None,
        }
    }

    #[test]
    fn requests_beyond_the_rate_wait_and_beyond_the_burst_are_refused() {
        let zone = zone(2000, 1 << 20);
        let ask = |now: i64| ask(&zone, "a", 2, 0, now);
        assert_eq!(
            [ask(0), ask(0), ask(0), ask(0)],
            [Some(0), Some(500), Some(1000), None]
        );
        // What was refused does not count: one has leaked out after half a second.
        assert_eq!([ask(500), ask(500)], [Some(1000), None]);
        assert_eq!(ask(10_000), Some(0));
        // The clock goes back a little, then far.
        assert_eq!([ask(9_900), ask(-100_000)], [Some(500), Some(999)]);
    }

    #[test]
    fn the_delay_begins_where_it_is_told_to() {
        let zone = zone(1000, 1 << 20);
        let ask = |now: i64| ask(&zone, "a", 3, 1, now);
        assert_eq!(
            [ask(0), ask(0), ask(0), ask(0)],
            [Some(0), Some(0), Some(1000), Some(2000)]
        );
    }

    #[test]
    fn a_zone_is_bounded_and_forgets_the_oldest() {
        let zone = zone(1, 3 * (64 + 1));
        for key in ["a", "b", "c", "a", "d"] {
            ask(&zone, key, 0, 0, 0);
        }
        // `b` was the oldest: it is new again. `a` is still counted.
        assert_eq!(ask(&zone, "a", 0, 0, 0), None);
        assert_eq!(ask(&zone, "b", 0, 0, 0), Some(0));
        // Those that are held are not forgotten.
        let full = self::zone(1, 64 + 1);
        assert_eq!(
            full.look(b"a", 0, 0, false),
            Look::Passed { excess_milli: 0 }
        );
        assert_eq!(full.look(b"b", 0, 0, false), Look::Full);
        full.release(b"a");
        assert_eq!(
            full.look(b"b", 0, 0, true),
            Look::Passed { excess_milli: 0 }
        );
    }

    #[test]
    fn what_is_held_counts_once_it_is_settled() {
        let zone = zone(1000, 1 << 20);
        let passed = |excess_milli| Look::Passed { excess_milli };
        assert_eq!(zone.look(b"a", 0, 0, false), passed(0));
        zone.release(b"a");
        assert_eq!(zone.look(b"a", 0, 0, false), passed(0));
        assert_eq!(zone.settle(b"a", 0), 0);
        assert_eq!(
            zone.look(b"a", 0, 0, false),
            Look::Refused { excess_milli: 1000 }
        );
        assert_eq!(zone.look(b"a", 1000, 0, false), passed(1000));
        assert_eq!(zone.settle(b"a", 500), 500);
    }

    #[test]
    fn counts_outlive_a_reload() {
        let (old, new) = (zone(1, 1 << 20), zone(1, 1 << 20));
        ask(&old, "a", 0, 0, 0);
        new.learn(&old);
        assert_eq!(ask(&new, "a", 0, 0, 0), None);
    }
}
