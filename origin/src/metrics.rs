//! The origin's counters, resolved once so that the frame path looks up no label.

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Every metric of the room.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    /// Streams held, lingering ones included.
    pub(crate) streams: IntGauge,
    /// Publishers connected.
    pub(crate) publishers: IntGauge,
    /// Publish attempts by outcome.
    pub(crate) publishes: IntCounterVec,
    /// Publishers the origin closed, by reason.
    pub(crate) publishers_closed: IntCounterVec,
    /// Frames received.
    pub(crate) frames: IntCounter,
    /// Media bytes received.
    pub(crate) received_bytes: IntCounter,
    /// Frames the packager lost because it was slower than the bus.
    pub(crate) frames_lost: IntCounter,
    /// Segments cut (audio and video of one number count once).
    pub(crate) segments: IntCounter,
    /// Bytes of segments held in RAM.
    pub(crate) window_bytes: IntGauge,
    /// Store calls that failed, by call.
    pub(crate) store_errors: IntCounterVec,
    /// Objects served to edges.
    pub(crate) objects: ObjectMetrics,
    /// Connections of edges.
    pub(crate) connections: ConnectionMetrics,
}

/// Objects and bytes served, by kind.
#[derive(Clone, Debug)]
pub(crate) struct ObjectMetrics {
    pub(crate) playlist: ObjectCounters,
    pub(crate) segment: ObjectCounters,
    pub(crate) init: ObjectCounters,
    /// Requests answered 404.
    pub(crate) missing: IntCounter,
}

/// One kind's counters.
#[derive(Clone, Debug)]
pub(crate) struct ObjectCounters {
    pub(crate) objects: IntCounter,
    pub(crate) bytes: IntCounter,
}

/// Connections accepted by [`crate::serve_http`].
#[derive(Clone, Debug)]
pub struct ConnectionMetrics {
    /// Open now.
    pub(crate) open: IntGauge,
    /// Accepted since the start.
    pub(crate) accepted: IntCounter,
    /// Ended by an error: a malformed or unfinished request, a stalled reader.
    pub(crate) failed: IntCounter,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            streams: gauge(
                registry,
                "weir_origin_streams",
                "Streams held, ended ones included",
            )?,
            publishers: gauge(registry, "weir_origin_publishers", "Publishers connected")?,
            publishes: counters(
                registry,
                "weir_origin_publishes_total",
                "Publish attempts",
                "result",
            )?,
            publishers_closed: counters(
                registry,
                "weir_origin_publishers_closed_total",
                "Publishers closed by the origin",
                "reason",
            )?,
            frames: counter(registry, "weir_origin_frames_total", "Frames received")?,
            received_bytes: counter(
                registry,
                "weir_origin_received_bytes_total",
                "Media bytes received",
            )?,
            frames_lost: counter(
                registry,
                "weir_origin_packager_lost_frames_total",
                "Frames the packager lost by being slow",
            )?,
            segments: counter(registry, "weir_origin_segments_total", "Segments cut")?,
            window_bytes: gauge(
                registry,
                "weir_origin_window_bytes",
                "Bytes of segments held in RAM",
            )?,
            store_errors: counters(
                registry,
                "weir_origin_store_errors_total",
                "Store calls that failed",
                "operation",
            )?,
            objects: ObjectMetrics::register(registry)?,
            connections: ConnectionMetrics::register(registry, "origin_http")?,
        })
    }
}

impl ObjectMetrics {
    /// Body bytes of all kinds since the start.
    pub(crate) fn sent_bytes(&self) -> u64 {
        let kinds = [&self.playlist, &self.segment, &self.init];
        kinds.iter().map(|kind| kind.bytes.get()).sum()
    }

    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let objects = counters(
            registry,
            "weir_origin_objects_total",
            "Objects served to edges",
            "kind",
        )?;
        let bytes = counters(
            registry,
            "weir_origin_object_bytes_total",
            "Body bytes served to edges",
            "kind",
        )?;
        let kind = |kind: &str| ObjectCounters {
            objects: objects.with_label_values(&[kind]),
            bytes: bytes.with_label_values(&[kind]),
        };
        Ok(Self {
            playlist: kind("playlist"),
            segment: kind("segment"),
            init: kind("init"),
            missing: counter(
                registry,
                "weir_origin_objects_missing_total",
                "Requests for objects that are not there",
            )?,
        })
    }
}

impl ConnectionMetrics {
    /// Counters of a door, `weir_{door}_connections` and so on.
    ///
    /// # Errors
    /// When `registry` has metrics of these names already.
    pub fn register(registry: &Registry, door: &str) -> Result<Self, prometheus::Error> {
        let name = |what: &str| format!("weir_{door}_{what}");
        Ok(Self {
            open: gauge(registry, &name("connections"), "Connections open")?,
            accepted: counter(registry, &name("connections_total"), "Connections accepted")?,
            failed: counter(
                registry,
                &name("connection_errors_total"),
                "Connections ended by an error",
            )?,
        })
    }
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    registered(registry, IntGauge::new(name, help)?)
}

fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
    registered(registry, IntCounter::new(name, help)?)
}

fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    label: &str,
) -> Result<IntCounterVec, prometheus::Error> {
    registered(
        registry,
        IntCounterVec::new(Opts::new(name, help), &[label])?,
    )
}

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
