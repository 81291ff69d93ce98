//! The directory's figures.
//!
//! - `weir_cluster_directory_lookups_total{result}`, see [`Lookup`]
//! - `weir_cluster_directory_query_seconds`
//! - `weir_cluster_directory_changes_total{result}`: `applied`, `missed`
//! - `weir_cluster_directory_resumes_total{result}`: how the source's changes were taken up again
//!   after a cut: `resumed` (nothing lost), `lost` (everything known was asked anew)
//! - `weir_cluster_directory_staleness_seconds`: age of the last word from the source, where it
//!   tells changes or can be asked for many streams at once
//! - `weir_cluster_directory_told`: 1 while the source tells changes, 0 while it is asked

use crate::follow::ChangesHealth;
use prometheus::{
    Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

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
    resumed: IntCounter,
    lost: IntCounter,
    staleness: Gauge,
    told: IntGauge,
    heard: Mutex<Instant>,
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
        let name = "weir_cluster_directory_resumes_total";
        let resumes = Opts::new(name, "Times the source's changes were taken up again");
        let resumes = IntCounterVec::new(resumes, &["result"])?;
        registry.register(Box::new(resumes.clone()))?;
        let name = "weir_cluster_directory_staleness_seconds";
        let staleness = Gauge::new(name, "Age of the last word from the directory's source")?;
        registry.register(Box::new(staleness.clone()))?;
        let name = "weir_cluster_directory_told";
        let told = IntGauge::new(name, "Whether the directory's source tells changes now")?;
        registry.register(Box::new(told.clone()))?;
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
            resumed: resumes.with_label_values(&["resumed"]),
            lost: resumes.with_label_values(&["lost"]),
            staleness,
            told,
            heard: Mutex::new(Instant::now()),
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

    /// The source answered.
    pub(super) fn heard(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Shows how the source is doing. Called by one task.
    pub(super) fn source(&self, health: ChangesHealth, told: bool) {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let age = if told { health.age } else { heard.elapsed() };
        self.staleness.set(age.as_secs_f64());
        self.told.set(i64::from(told));
        self.resumed
            .inc_by(health.resumed.saturating_sub(self.resumed.get()));
        self.lost
            .inc_by(health.lost.saturating_sub(self.lost.get()));
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
