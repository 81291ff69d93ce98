//! What all publishers and viewers count together: figures, latencies, errors.
//!
//! Counters are atomics; a histogram or the errors are behind a lock that is held for an addition.
//! Bounded: errors are counted by kind, with [`EXAMPLES_MAX`] examples each.

use crate::fault::{Fault, Kind};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Examples kept of each kind of error: the first ones, which are the cause more often than the
/// later ones.
pub(crate) const EXAMPLES_MAX: usize = 5;
/// Longest latency told apart, microseconds; beyond it they count as this.
const LATENCY_US_MAX: u64 = 600_000_000;
/// Significant digits of a latency.
const LATENCY_DIGITS: u8 = 3;

/// A number that only goes up, or a gauge.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn subtract(&self, count: u64) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Times between asking and having.
#[derive(Debug)]
pub(crate) struct Latency(Mutex<Option<Histogram<u64>>>);

/// Percentiles, milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) count: u64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl Default for Latency {
    fn default() -> Self {
        // The bounds are constants that the histogram accepts; without one nothing is recorded.
        let histogram = Histogram::new_with_bounds(1, LATENCY_US_MAX, LATENCY_DIGITS);
        Self(Mutex::new(histogram.ok()))
    }
}

impl Latency {
    pub(crate) fn record(&self, taken: Duration) {
        let us = u64::try_from(taken.as_micros()).unwrap_or(u64::MAX);
        if let Some(histogram) = lock(&self.0).as_mut() {
            histogram.saturating_record(us);
        }
    }

    pub(crate) fn percentiles(&self) -> Percentiles {
        let guard = lock(&self.0);
        let Some(histogram) = guard.as_ref() else {
            return Percentiles::default();
        };
        let ms = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        Percentiles {
            count: histogram.len(),
            p50: ms(0.5),
            p90: ms(0.9),
            p99: ms(0.99),
            p999: ms(0.999),
            max: histogram.max() as f64 / 1000.0,
        }
    }
}

/// One error as it was seen.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Example {
    /// Seconds since the run began.
    pub(crate) at_s: f64,
    pub(crate) stream: String,
    pub(crate) url: String,
    /// What was found and what was expected.
    pub(crate) detail: String,
}

/// All errors of a kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Errors {
    pub(crate) count: u64,
    pub(crate) examples: Vec<Example>,
}

/// The whole run's figures.
#[derive(Debug)]
pub(crate) struct Tally {
    began: Instant,
    /// Publishes accepted for the first time.
    pub(crate) streams_accepted: Count,
    /// Publishes under way.
    pub(crate) streams_live: Count,
    /// Publishes begun again after a loss.
    pub(crate) publish_reconnects: Count,
    pub(crate) frames_sent: Count,
    pub(crate) published_bytes: Count,
    /// Viewers that asked for something.
    pub(crate) viewers_started: Count,
    /// Viewers that got media (in playlist-only runs: a media playlist) at least once.
    pub(crate) viewers_played: Count,
    /// Viewers' connections made again after one ended.
    pub(crate) viewer_reconnects: Count,
    pub(crate) multivariant: Count,
    pub(crate) playlists: Count,
    /// Initialization sections.
    pub(crate) inits: Count,
    pub(crate) segments: Count,
    /// Segments whose samples' times were read and judged.
    pub(crate) segments_timed: Count,
    pub(crate) viewed_bytes: Count,
    /// Connect to accepted publish.
    pub(crate) publish_latency: Latency,
    /// Playlists, request to last byte.
    pub(crate) playlist_latency: Latency,
    /// Segments, request to last byte.
    pub(crate) segment_latency: Latency,
    /// A viewer's first request to its first segment.
    pub(crate) startup_latency: Latency,
    /// How late this process's own tasks were: above some 100 ms, figures tell of this machine.
    pub(crate) own_delay: Latency,
    errors: Mutex<BTreeMap<Kind, Errors>>,
}

impl Tally {
    /// An empty one; the run begins now.
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            streams_accepted: Count::default(),
            streams_live: Count::default(),
            publish_reconnects: Count::default(),
            frames_sent: Count::default(),
            published_bytes: Count::default(),
            viewers_started: Count::default(),
            viewers_played: Count::default(),
            viewer_reconnects: Count::default(),
            multivariant: Count::default(),
            playlists: Count::default(),
            inits: Count::default(),
            segments: Count::default(),
            segments_timed: Count::default(),
            viewed_bytes: Count::default(),
            publish_latency: Latency::default(),
            playlist_latency: Latency::default(),
            segment_latency: Latency::default(),
            startup_latency: Latency::default(),
            own_delay: Latency::default(),
            errors: Mutex::new(BTreeMap::new()),
        }
    }

    /// Time since the run began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Counts an error seen with `stream` at `url`.
    pub(crate) fn fault(&self, stream: &str, url: &str, fault: Fault) {
        let mut all = lock(&self.errors);
        let errors = all.entry(fault.kind).or_default();
        errors.count += 1;
        if errors.examples.len() < EXAMPLES_MAX {
            errors.examples.push(Example {
                at_s: self.elapsed().as_secs_f64(),
                stream: stream.to_owned(),
                url: url.to_owned(),
                detail: fault.detail,
            });
        }
    }

    /// Number of errors of all kinds.
    pub(crate) fn error_count(&self) -> u64 {
        lock(&self.errors).values().map(|errors| errors.count).sum()
    }

    /// Errors by kind.
    pub(crate) fn errors(&self) -> BTreeMap<Kind, Errors> {
        lock(&self.errors).clone()
    }
}

/// A poisoned lock guards plain numbers: they are as good as before.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_all_counted_and_the_first_kept() {
        let tally = Tally::new();
        for number in 0..20 {
            let fault = Fault::new(Kind::Extinf, format!("number {number}"));
            tally.fault("cam1", "http://h/v1.m4s", fault);
        }
        tally.fault("cam1", "", Fault::new(Kind::Stalled, "late"));
        assert_eq!(tally.error_count(), 21);
        let errors = tally.errors();
        assert_eq!(errors[&Kind::Extinf].count, 20);
        assert_eq!(errors[&Kind::Extinf].examples.len(), EXAMPLES_MAX);
        assert_eq!(errors[&Kind::Extinf].examples[4].detail, "number 4");
    }

    #[test]
    fn percentiles_are_milliseconds() {
        let latency = Latency::default();
        assert_eq!(latency.percentiles(), Percentiles::default());
        for ms in 1..=1000 {
            latency.record(Duration::from_millis(ms));
        }
        latency.record(Duration::from_secs(100_000));
        let found = latency.percentiles();
        assert_eq!(found.count, 1001);
        assert!(
            (found.p50 - 501.0).abs() < 1.0 && (found.p99 - 991.0).abs() < 1.0,
            "{found:?}"
        );
        assert!((found.max - 600_000.0).abs() < 1000.0, "{found:?}");
    }
}
