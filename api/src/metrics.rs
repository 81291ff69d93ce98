//! Counts and times every request; bounds how many REST requests are under way.

use crate::error::ApiError;
use crate::state::Shared;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// REST requests under way at once on all routers that share an [`ApiMetrics`].
pub const IN_FLIGHT_MAX: usize = 512;

/// Upper bounds of the duration histogram, seconds: from an embedded store's answer to the store's time limit.
const DURATION_BUCKETS_S: [f64; 9] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];

/// Counters of the API; clones count together.
#[derive(Clone, Debug)]
pub struct ApiMetrics {
    requests: IntCounterVec,
    duration: HistogramVec,
    in_flight: IntGauge,
    refused: IntCounter,
    permits: Arc<Semaphore>,
}

impl ApiMetrics {
    /// Registers the API's metrics and those of the process (CPU, memory, file descriptors). Once a registry:
    /// several routers of one process share the value.
    ///
    /// # Errors
    /// When the registry has the API's metrics already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            requests: IntCounterVec::new(
                Opts::new("weir_api_requests_total", "Requests answered."),
                &["route", "code"],
            )?,
            duration: HistogramVec::new(
                HistogramOpts::new(
                    "weir_api_request_duration_seconds",
                    "Time from request to the answer's head.",
                )
                .buckets(DURATION_BUCKETS_S.to_vec()),
                &["route"],
            )?,
            in_flight: IntGauge::new("weir_api_requests_in_flight", "REST requests under way.")?,
            refused: IntCounter::new(
                "weir_api_requests_refused_total",
                "REST requests refused because too many were under way.",
            )?,
            permits: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        registry.register(Box::new(metrics.in_flight.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        match registry.register(Box::new(ProcessCollector::for_self())) {
            // Somebody else may have registered the process before us.
            Ok(()) | Err(prometheus::Error::AlreadyReg) => Ok(metrics),
            Err(error) => Err(error),
        }
    }
}

/// Counts and times a request under its route's pattern, never under its path: labels stay few.
pub(crate) async fn measure(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or("none", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    let metrics = &shared.given.metrics;
    let seconds = started.elapsed().as_secs_f64();
    metrics
        .duration
        .with_label_values(&[&route])
        .observe(seconds);
    let code = response.status();
    metrics
        .requests
        .with_label_values(&[route.as_str(), code.as_str()])
        .inc();
    response
}

/// Refuses what goes beyond [`IN_FLIGHT_MAX`].
pub(crate) async fn admit(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let metrics = &shared.given.metrics;
    let Ok(_permit) = metrics.permits.try_acquire() else {
        metrics.refused.inc();
        return ApiError::Busy.into_response();
    };
    metrics.in_flight.inc();
    let _leaves = Leaves(&metrics.in_flight);
    next.run(request).await
}

/// Counts a request out, also one whose client went away.
struct Leaves<'a>(&'a IntGauge);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
