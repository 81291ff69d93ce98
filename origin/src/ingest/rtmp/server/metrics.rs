//! What the RTMP server counts.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::end::End;

/// Counters and gauges, registered once.
pub(super) struct Metrics {
    /// Connections open now.
    pub(super) open: IntGauge,
    /// Publishes under way now.
    pub(super) publishing: IntGauge,
    /// Bytes received.
    pub(super) received_bytes: IntCounter,
    /// Whole messages received.
    pub(super) messages: IntCounter,
    /// Media and data messages thrown away, by reason.
    pub(super) dropped: IntCounterVec,
    connections: IntCounterVec,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            open: IntGauge::new(
                "weir_origin_rtmp_connections_open",
                "RTMP connections open now",
            )?,
            publishing: IntGauge::new(
                "weir_origin_rtmp_publishing",
                "RTMP connections that publish now",
            )?,
            received_bytes: IntCounter::new(
                "weir_origin_rtmp_received_bytes_total",
                "Bytes received over RTMP",
            )?,
            messages: IntCounter::new(
                "weir_origin_rtmp_messages_total",
                "Whole RTMP messages received",
            )?,
            dropped: IntCounterVec::new(
                Opts::new(
                    "weir_origin_rtmp_dropped_messages_total",
                    "RTMP media and data messages thrown away",
                ),
                &["reason"],
            )?,
            connections: IntCounterVec::new(
                Opts::new(
                    "weir_origin_rtmp_connections_total",
                    "RTMP connections ended, by how they ended",
                ),
                &["outcome"],
            )?,
        };
        registry.register(Box::new(metrics.open.clone()))?;
        registry.register(Box::new(metrics.publishing.clone()))?;
        registry.register(Box::new(metrics.received_bytes.clone()))?;
        registry.register(Box::new(metrics.messages.clone()))?;
        registry.register(Box::new(metrics.dropped.clone()))?;
        registry.register(Box::new(metrics.connections.clone()))?;
        Ok(metrics)
    }

    pub(super) fn connection_ended(&self, end: &End) {
        self.connections.with_label_values(&[end.label()]).inc();
    }
}
