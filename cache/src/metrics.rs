//! What a request came to, and the numbers kept of it.

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// What a request to the cache came to; [`Outcome::label`] is the metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Answered from memory.
    Hit,
    /// This request made the cache ask the origin.
    Miss,
    /// Waited for the fetch another request had started.
    Collapsed,
    /// The origin failed; an answer past its lifetime stood in.
    Stale,
    /// Answered from memory that there is nothing.
    Negative,
    /// Went to the origin by itself: the cache is off, or the answer may not be shared.
    Bypass,
    /// Nothing could be had; the label of the error.
    Error(&'static str),
}

impl Outcome {
    /// The metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Collapsed => "collapsed",
            Self::Stale => "stale",
            Self::Negative => "negative",
            Self::Bypass => "bypass",
            Self::Error(reason) => reason,
        }
    }
}

/// Seconds; from a loopback origin to one that is about to time out.
const FETCH_SECONDS_BUCKETS: [f64; 10] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0];

#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) hit: IntCounter,
    pub(crate) negative: IntCounter,
    requests: IntCounterVec,
    pub(crate) served_bytes: IntCounter,
    pub(crate) stored_bytes: IntGauge,
    pub(crate) objects: IntGauge,
    pub(crate) evictions: IntCounter,
    pub(crate) not_stored: IntCounter,
    pub(crate) fetches: IntCounter,
    pub(crate) fetched_bytes: IntCounter,
    pub(crate) fetches_in_flight: IntGauge,
    pub(crate) fetch_head_seconds: Histogram,
    pub(crate) fetch_seconds: Histogram,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = registered(
            registry,
            IntCounterVec::new(
                Opts::new("weir_cache_requests_total", "Requests by outcome"),
                &["outcome"],
            )?,
        )?;
        let seconds = |name, help| {
            Histogram::with_opts(
                HistogramOpts::new(name, help).buckets(FETCH_SECONDS_BUCKETS.to_vec()),
            )
        };
        Ok(Self {
            hit: requests.with_label_values(&[Outcome::Hit.label()]),
            negative: requests.with_label_values(&[Outcome::Negative.label()]),
            requests,
            served_bytes: counter(
                registry,
                "weir_cache_served_bytes_total",
                "Body bytes handed to readers",
            )?,
            stored_bytes: gauge(registry, "weir_cache_stored_bytes", "Bytes in the store")?,
            objects: gauge(registry, "weir_cache_objects", "Objects in the store")?,
            evictions: counter(
                registry,
                "weir_cache_evictions_total",
                "Objects dropped to make room",
            )?,
            not_stored: counter(
                registry,
                "weir_cache_not_stored_total",
                "Whole answers that could not or may not be stored",
            )?,
            fetches: counter(registry, "weir_cache_fetches_total", "Fetches started")?,
            fetched_bytes: counter(
                registry,
                "weir_cache_fetched_bytes_total",
                "Body bytes received from origins",
            )?,
            fetches_in_flight: gauge(
                registry,
                "weir_cache_fetches_in_flight",
                "Fetches running now",
            )?,
            fetch_head_seconds: registered(
                registry,
                seconds(
                    "weir_cache_fetch_head_seconds",
                    "Time from asking to the answer's head",
                )?,
            )?,
            fetch_seconds: registered(
                registry,
                seconds(
                    "weir_cache_fetch_seconds",
                    "Time from asking to the last byte",
                )?,
            )?,
        })
    }

    pub(crate) fn count(&self, outcome: Outcome) {
        self.requests.with_label_values(&[outcome.label()]).inc();
    }
}

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
    registered(registry, IntCounter::new(name, help)?)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    registered(registry, IntGauge::new(name, help)?)
}
