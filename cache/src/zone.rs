//! A cache as nginx's `proxy_cache_path` has it: answers by key and `Vary`, kept in memory.
//!
//! Why beside the engine of the edge: nginx's rules differ from RFC 9111's where people rely on
//! them (what a lifetime is, who may ask the origin again, what a lock does), and a file says
//! which of them hold. The bodies are the same: pieces that many read while one fills them.
//!
//! What a head is, the zone does not know: `H` is whatever the proxy wants back with a body.
//! Who fetches holds a [`Ticket`]; who waits for that holds a [`Waiter`]. No lock is held across
//! an await, and a look-up that hits takes none of the zone's own.
//!
//! Units: milliseconds since 1970 for what is good until when, as dates in headers are; tokio's
//! clock for how long a fetch has run. Limits: [`ZoneOptions`]. Failures: a fetch that ends in any
//! way tells those who wait, at the latest when its ticket is dropped.

mod boarding;
mod filling;
mod kept;
mod plan;

use crate::key::Key;
use http::HeaderMap;
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use prometheus::{IntCounter, IntGauge};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use boarding::Fetching;
pub use boarding::{Boarding, Failure, FailureKind, Landed, Lock, Ticket, Waiter};
pub use filling::Filler;
pub use kept::{Kept, Meta, Standing, Times};
pub use plan::{Ignored, Plan};

/// What one fetched answer and its bookkeeping weigh beside body and head, bytes.
const ENTRY_BYTES: u64 = 512;

/// A zone's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneOptions {
    /// Bytes of complete answers, and as many again of such as are being filled.
    pub bytes_max: u64,
    /// Answers. Each is reckoned to weigh at least its share of `bytes_max`, so that one bound
    /// holds both.
    pub keys_max: u64,
    /// Bytes of one answer.
    pub object_bytes_max: u64,
    /// An answer that nobody asks for so long is forgotten, ms.
    pub inactive_ms: u64,
}

/// A zone's figures.
#[derive(Clone, Debug)]
pub struct ZoneMetrics {
    /// Answers kept.
    pub objects: IntGauge,
    /// Their bytes.
    pub stored_bytes: IntGauge,
    /// Answers dropped to make room.
    pub evictions: IntCounter,
    /// Body bytes handed to readers.
    pub served_bytes: IntCounter,
}

/// A cache.
#[derive(Debug)]
pub struct Zone<H: Send + Sync + 'static> {
    options: ZoneOptions,
    metrics: ZoneMetrics,
    kept: Cache<Key, Arc<Kept<H>>>,
    /// How often keys were asked for that nothing is kept of.
    uses: Cache<Key, Arc<AtomicU32>>,
    fetching: Mutex<HashMap<Key, Arc<Fetching<H>>>>,
    /// Bytes of what is being filled.
    filling_bytes: AtomicU64,
}

/// What a look-up found.
#[derive(Debug)]
pub struct Look<H: Send + Sync + 'static> {
    /// The answer, fresh or not.
    pub kept: Option<Arc<Kept<H>>>,
    /// Where an answer to this request would be kept.
    pub place: Place,
}

/// A key, and the variant of it that a request wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub(crate) main: Key,
    /// What the request has of the headers that the kept answer varies by, if that is not what
    /// the answer under the key itself was for.
    pub(crate) variant: Option<String>,
}

impl Place {
    /// The key that a fetch goes by.
    pub(crate) fn key(&self) -> Key {
        match &self.variant {
            Some(variant) => secondary(&self.main, variant),
            None => self.main.clone(),
        }
    }
}

impl<H: Send + Sync + 'static> Zone<H> {
    /// An empty zone.
    pub fn new(options: ZoneOptions, metrics: ZoneMetrics) -> Arc<Self> {
        let counted = metrics.clone();
        let share = (options.bytes_max / options.keys_max.max(1)).max(1);
        let idle = Duration::from_millis(options.inactive_ms.max(1));
        let kept = Cache::builder()
            .name("zone")
            .max_capacity(options.bytes_max)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_idle(idle)
            .weigher(move |_, kept: &Arc<Kept<H>>| {
                u32::try_from(kept.weight_bytes().max(share)).unwrap_or(u32::MAX)
            })
            .eviction_listener(move |_, kept: Arc<Kept<H>>, cause| {
                counted.objects.dec();
                counted.stored_bytes.sub(signed(kept.weight_bytes()));
                if cause == RemovalCause::Size {
                    counted.evictions.inc();
                }
            })
            .build();
        Arc::new(Self {
            options,
            metrics,
            kept,
            uses: Cache::builder()
                .max_capacity(options.keys_max)
                .time_to_idle(idle)
                .build(),
            fetching: Mutex::default(),
            filling_bytes: AtomicU64::new(0),
        })
    }

    /// Looks a request up: its key, and the headers that an answer may vary by.
    pub fn look(&self, key: &str, headers: &HeaderMap) -> Look<H> {
        let found = self.kept.get(key);
        let main = || Place {
            main: Key::from_path(key),
            variant: None,
        };
        let Some(kept) = found else {
            return Look {
                kept: None,
                place: main(),
            };
        };
        let Some(names) = kept.vary() else {
            return Look {
                place: main(),
                kept: Some(kept),
            };
        };
        let variant = plan::variant(names, headers);
        if kept.variant() == variant {
            return Look {
                place: main(),
                kept: Some(kept),
            };
        }
        let place = Place {
            main: Key::from_path(key),
            variant: Some(variant),
        };
        Look {
            kept: self.kept.get(&place.key()),
            place,
        }
    }

    /// Counts a request for what is not kept. False until it is the `min`th.
    pub fn is_wanted(&self, place: &Place, min: u32) -> bool {
        if min <= 1 {
            return true;
        }
        let uses = self.uses.get_with(place.key(), Arc::default);
        uses.fetch_add(1, Ordering::Relaxed).saturating_add(1) >= min
    }

    /// A reader of bytes `from` up to but not including `end` of a kept answer.
    pub fn reader(&self, kept: &Kept<H>, from: u64, end: Option<u64>) -> crate::Reader {
        crate::Reader::new(
            Arc::clone(kept.body()),
            self.metrics.served_bytes.clone(),
            from,
            end.unwrap_or(u64::MAX),
        )
    }

    /// The limits.
    pub fn options(&self) -> &ZoneOptions {
        &self.options
    }

    /// Takes over what another zone keeps.
    pub fn adopt(&self, other: &Self) {
        for (key, kept) in &other.kept {
            self.insert(Key::clone(&key), kept);
        }
    }

    /// Where an answer is kept that came for `place`: as its variant if that is still what the
    /// headers it varies by make of the request, else under the key itself.
    pub(crate) fn store(&self, place: &Place, kept: Arc<Kept<H>>) {
        let same = kept.vary().is_some() && place.variant.as_deref() == Some(kept.variant());
        let key = if same {
            place.key()
        } else {
            place.main.clone()
        };
        self.insert(key, kept);
    }

    fn insert(&self, key: Key, kept: Arc<Kept<H>>) {
        self.metrics.objects.inc();
        self.metrics.stored_bytes.add(signed(kept.weight_bytes()));
        self.kept.insert(key, kept);
        // Evictions are otherwise put off, and the bound would be one in the mean only.
        self.kept.run_pending_tasks();
    }

    fn table(&self) -> MutexGuard<'_, HashMap<Key, Arc<Fetching<H>>>> {
        // Whole at every unlock, so a poisoned table is as good as any.
        self.fetching.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The zero byte cannot stand in a key that is made of a request.
fn secondary(main: &Key, variant: &str) -> Key {
    Key::from_path(&format!("{}\0{variant}", main.as_str()))
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
