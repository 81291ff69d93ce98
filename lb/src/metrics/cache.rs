//! The figures of the caches, by their zones' names.

use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Registry};
use weir_cache::zone::ZoneMetrics;

use super::{counter, gauge};

/// What is counted of each cache.
#[derive(Debug, Clone)]
pub(crate) struct CacheMetrics {
    requests: IntCounterVec,
    objects: IntGaugeVec,
    bytes: IntGaugeVec,
    evictions: IntCounterVec,
    served: IntCounterVec,
}

impl CacheMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            requests: counter(
                registry,
                "weir_lb_cache_requests_total",
                "Requests of cached locations, by zone and $upstream_status",
                &["zone", "status"],
            )?,
            objects: gauge(registry, "weir_lb_cache_objects", "Answers kept", &["zone"])?,
            bytes: gauge(
                registry,
                "weir_lb_cache_stored_bytes",
                "Bytes of the answers kept",
                &["zone"],
            )?,
            evictions: counter(
                registry,
                "weir_lb_cache_evictions_total",
                "Answers dropped to make room",
                &["zone"],
            )?,
            served: counter(
                registry,
                "weir_lb_cache_served_bytes_total",
                "Body bytes that came from the cache, or through it while it filled",
                &["zone"],
            )?,
        })
    }

    /// The figures of one cache, and how often its requests had each of `statuses`.
    pub(crate) fn zone<const N: usize>(
        &self,
        zone: &str,
        statuses: [&str; N],
    ) -> (ZoneMetrics, [IntCounter; N]) {
        let metrics = ZoneMetrics {
            objects: self.objects.with_label_values(&[zone]),
            stored_bytes: self.bytes.with_label_values(&[zone]),
            evictions: self.evictions.with_label_values(&[zone]),
            served_bytes: self.served.with_label_values(&[zone]),
        };
        let count = |status: &str| self.requests.with_label_values(&[zone, status]);
        (metrics, statuses.map(count))
    }
}
