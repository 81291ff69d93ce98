//! `limit_conn`: how many requests of a key are in hand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use weir_conf::nginx::model::guard::Zone;

use super::cost;

/// The counts of one zone.
#[derive(Debug)]
pub(crate) struct Connections {
    zone: Zone,
    state: ArcSwap<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    counts: HashMap<Vec<u8>, u32>,
    bytes: u64,
}

/// A request in hand: counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    state: Arc<Mutex<State>>,
    key: Vec<u8>,
}

impl Connections {
    pub(crate) fn new(zone: &Zone) -> Self {
        Self {
            zone: zone.clone(),
            state: ArcSwap::default(),
        }
    }

    /// Goes on with the counts of the zone before a reload.
    pub(crate) fn learn(&self, before: &Self) {
        if self.zone == before.zone {
            self.state.store(before.state.load_full());
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.zone.name
    }

    /// Counts a request, unless `max` are in hand or there is no room for its key.
    pub(crate) fn hold(&self, key: &[u8], max: u32) -> Option<Held> {
        let state = self.state.load_full();
        let mut inner = lock(&state);
        match inner.counts.get_mut(key) {
            Some(count) if *count >= max => return None,
            Some(count) => *count += 1,
            None => {
                if inner.bytes + cost(key) > self.zone.bytes_max {
                    return None;
                }
                inner.bytes += cost(key);
                inner.counts.insert(key.to_vec(), 1);
            }
        }
        drop(inner);
        Some(Held {
            state,
            key: key.to_vec(),
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        let Some(count) = state.counts.get_mut(&self.key) else {
            return;
        };
        *count = count.saturating_sub(1);
        if *count == 0 {
            state.counts.remove(&self.key);
            state.bytes = state.bytes.saturating_sub(cost(&self.key));
        }
    }
}

/// Nothing that holds the lock can panic half-way.
fn lock(state: &Arc<Mutex<State>>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use weir_conf::nginx::template::Template;

    use super::*;

    fn zone(bytes_max: u64) -> Connections {
        Connections::new(&Zone {
            name: "z".to_owned(),
            key: Template::text("k"),
            bytes_max,
        })
    }

    #[test]
    fn so_many_are_held_at_a_time() {
        let zone = zone(1 << 20);
        let held = (zone.hold(b"a", 2), zone.hold(b"a", 2));
        assert!(held.0.is_some() && held.1.is_some() && zone.hold(b"a", 2).is_none());
        assert!(zone.hold(b"b", 1).is_some());
        drop(held.0);
        assert!(zone.hold(b"a", 2).is_some());
    }

    #[test]
    fn a_zone_is_bounded_and_outlives_a_reload() {
        let (old, new) = (zone(64 + 1), zone(64 + 1));
        let held = old.hold(b"a", 1);
        new.learn(&old);
        assert!(new.hold(b"b", 1).is_none() && new.hold(b"a", 1).is_none());
        drop(held);
        assert!(new.hold(b"b", 1).is_some());
    }
}
