//! The RAM tier: complete objects, bounded by bytes, least recently used out first.
//!
//! Not by frequency: what a live audience wants next is always the newest object, which nobody has
//! asked for before. One look-up is one hash and no body copy.
//!
//! An object that can no longer answer anybody leaves by itself, at the latest with the next insert:
//! else the "not there" answers to made-up names, good for a second, would push out what is watched.
//!
//! Limits: `store_bytes_max` in all. The bound is enforced after each insert, before it returns.

use crate::key::Key;
use crate::metrics::Metrics;
use crate::object::Object;
use moka::Expiry;
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct Store {
    objects: Cache<Key, Arc<Object>>,
    metrics: Arc<Metrics>,
}

/// Keeps an object for as long as it may be used for anything.
struct Usable;

impl Expiry<Key, Arc<Object>> for Usable {
    fn expire_after_create(&self, _: &Key, object: &Arc<Object>, _: Instant) -> Option<Duration> {
        Some(object.usable())
    }

    fn expire_after_update(
        &self,
        _: &Key,
        object: &Arc<Object>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(object.usable())
    }
}

impl Store {
    pub(crate) fn new(bytes_max: u64, metrics: Arc<Metrics>) -> Self {
        let counted = Arc::clone(&metrics);
        let objects = Cache::builder()
            .name("weir-cache")
            .max_capacity(bytes_max)
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(Usable)
            .weigher(|_, object: &Arc<Object>| {
                u32::try_from(object.weight_bytes()).unwrap_or(u32::MAX)
            })
            .eviction_listener(move |_, object: Arc<Object>, cause| {
                counted.objects.dec();
                counted.stored_bytes.sub(signed(object.weight_bytes()));
                if cause == RemovalCause::Size {
                    counted.evictions.inc();
                }
            })
            .build();
        Self { objects, metrics }
    }

    pub(crate) fn get(&self, key: &str) -> Option<Arc<Object>> {
        self.objects.get(key)
    }

    pub(crate) fn insert(&self, key: Key, object: Arc<Object>) {
        self.metrics.objects.inc();
        self.metrics.stored_bytes.add(signed(object.weight_bytes()));
        self.objects.insert(key, object);
        // Evictions are otherwise put off, and the bound would be one in the mean only.
        self.objects.run_pending_tasks();
    }

    pub(crate) fn remove(&self, key: &str) -> bool {
        let removed = self.objects.remove(key).is_some();
        self.objects.run_pending_tasks();
        removed
    }

    #[cfg(test)]
    pub(crate) fn weight_bytes(&self) -> u64 {
        self.objects.weighted_size()
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
