//! The directory's figures.
//!
//! - `weir_cluster_directory_lookups_total{result}`, see [`Lookup`]
//! - `weir_cluster_directory_query_seconds`
//! - `weir_cluster_directory_changes_total{result}`: `applied`, `missed`

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};
use std::time::Duration;

/// Bounds of the query histogram, seconds.
const QUERY_SECONDS: [f64; 11] = [
    0.000_01, 0.000_1, 0.000_5, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0,
];

/// How a look-up was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// From memory: a known stream.
    Hit,
    /// From memory: no such stream.
    NegativeHit,
    /// By asking.
    Miss,
    /// By another's asking at the same time.
    Coalesced,
    /// From memory, because the source cannot be asked.
    Stale,
    /// Not at all.
    Error,
}

#[derive(Debug)]
pub(super) struct Metrics {
    lookups: [IntCounter; 6],
    query_seconds: Histogram,
    applied: IntCounter,
    missed: IntCounter,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let name = "weir_cluster_directory_lookups_total";
        let lookups = Opts::new(name, "Look-ups of streams, by how they were answered");
        let lookups = IntCounterVec::new(lookups, &["result"])?;
        registry.register(Box::new(lookups.clone()))?;
        let name = "weir_cluster_directory_query_seconds";
        let seconds = HistogramOpts::new(name, "Time the directory's source took to answer");
        let query_seconds = Histogram::with_opts(seconds.buckets(QUERY_SECONDS.to_vec()))?;
        registry.register(Box::new(query_seconds.clone()))?;
        let name = "weir_cluster_directory_changes_total";
        let changes = Opts::new(name, "Changes of streams told by the directory's source");
        let changes = IntCounterVec::new(changes, &["result"])?;
        registry.register(Box::new(changes.clone()))?;
        let all = [
            Lookup::Hit,
            Lookup::NegativeHit,
            Lookup::Miss,
            Lookup::Coalesced,
            Lookup::Stale,
            Lookup::Error,
        ];
        Ok(Self {
            lookups: all.map(|lookup| lookups.with_label_values(&[lookup.label()])),
            query_seconds,
            applied: changes.with_label_values(&["applied"]),
            missed: changes.with_label_values(&["missed"]),
        })
    }

    pub(super) fn count(&self, lookup: Lookup) {
        if let Some(counter) = self.lookups.get(lookup as usize) {
            counter.inc();
        }
    }

    pub(super) fn queried(&self, took: Duration) {
        self.query_seconds.observe(took.as_secs_f64());
    }

    pub(super) fn took_in_change(&self) {
        self.applied.inc();
    }

    pub(super) fn missed_changes(&self, count: u64) {
        self.missed.inc_by(count);
    }
}

impl Lookup {
    const fn label(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::NegativeHit => "negative_hit",
            Self::Miss => "miss",
            Self::Coalesced => "coalesced",
            Self::Stale => "stale",
            Self::Error => "error",
        }
    }
}
