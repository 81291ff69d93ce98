//! The door's numbers.

use http::StatusCode;
use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Seconds; a hit is below the first.
const FIRST_BYTE_SECONDS_BUCKETS: [f64; 9] =
    [0.0005, 0.001, 0.005, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0];

#[derive(Debug)]
pub(crate) struct Metrics {
    requests: IntCounterVec,
    pub(crate) sent_bytes: IntCounter,
    pub(crate) connections: IntGauge,
    pub(crate) connections_refused: IntCounter,
    pub(crate) answers_broken: IntCounter,
    pub(crate) first_byte_seconds: Histogram,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            requests: registered(
                registry,
                IntCounterVec::new(
                    Opts::new(
                        "weir_edge_requests_total",
                        "Requests by what was asked for, class of the status, cache's outcome",
                    ),
                    &["kind", "status", "outcome"],
                )?,
            )?,
            sent_bytes: registered(
                registry,
                IntCounter::new("weir_edge_sent_bytes_total", "Body bytes sent to viewers")?,
            )?,
            connections: registered(
                registry,
                IntGauge::new("weir_edge_connections", "Connections open now")?,
            )?,
            connections_refused: registered(
                registry,
                IntCounter::new(
                    "weir_edge_connections_refused_total",
                    "Connections over the limit",
                )?,
            )?,
            answers_broken: registered(
                registry,
                IntCounter::new(
                    "weir_edge_answers_broken_total",
                    "Answers that ended before their last byte, at the origin or at the viewer",
                )?,
            )?,
            first_byte_seconds: registered(
                registry,
                Histogram::with_opts(
                    HistogramOpts::new(
                        "weir_edge_first_byte_seconds",
                        "Time from a media request's head to its answer's",
                    )
                    .buckets(FIRST_BYTE_SECONDS_BUCKETS.to_vec()),
                )?,
            )?,
        })
    }

    pub(crate) fn request(&self, kind: &str, status: StatusCode, outcome: &str) {
        self.requests
            .with_label_values(&[kind, class(status), outcome])
            .inc();
    }

    /// What was no request, or too much of one.
    pub(crate) fn refused(&self, status: StatusCode) {
        self.request("refused", status, "none");
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        100..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
