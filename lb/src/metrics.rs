//! The balancer's figures, as Prometheus sees them. Labels are names from the configuration and
//! fixed words, never anything a client sends, so their number is bounded.

use prometheus::{
    IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, core::Collector,
};
mod cache;

pub(crate) use cache::CacheMetrics;

/// Why an upstream failed a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UpstreamFault {
    /// Could not connect.
    Connect,
    /// Took too long to connect, to take the request or to answer.
    Timeout,
    /// Closed or broke the connection.
    Broken,
    /// Answered with something that is not HTTP.
    Invalid,
    /// Answered with a status that `proxy_next_upstream` names.
    Status,
    /// No peer could be used.
    NoLive,
}

impl UpstreamFault {
    const ALL: [Self; 6] = [
        Self::Connect,
        Self::Timeout,
        Self::Broken,
        Self::Invalid,
        Self::Status,
        Self::NoLive,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::Invalid => "invalid",
            Self::Status => "status",
            Self::NoLive => "no_live",
        }
    }
}

/// What is counted for the whole balancer.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    connections: IntGaugeVec,
    accepted: IntCounterVec,
    bytes: IntCounterVec,
    /// Connections closed because there were too many.
    pub(crate) refused: IntCounter,
    requests: IntCounterVec,
    upstream_errors: IntCounterVec,
    retries: IntCounterVec,
    retries_refused: IntCounterVec,
    peer_active: IntGaugeVec,
    peer_healthy: IntGaugeVec,
    peer_ejections: IntCounterVec,
    /// What is counted of each cache.
    pub(crate) cache: CacheMetrics,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            connections: gauge(
                registry,
                "weir_lb_connections",
                "Client connections open now",
                &["listen"],
            )?,
            accepted: counter(
                registry,
                "weir_lb_connections_total",
                "Client connections accepted",
                &["listen"],
            )?,
            bytes: counter(
                registry,
                "weir_lb_bytes_total",
                "Bytes read from and written to clients",
                &["listen", "direction"],
            )?,
            refused: register(
                registry,
                IntCounter::new(
                    "weir_lb_connections_refused_total",
                    "Client connections closed because there were too many",
                )?,
            )?,
            requests: counter(
                registry,
                "weir_lb_requests_total",
                "HTTP requests answered, by upstream and class of status",
                &["upstream", "class"],
            )?,
            upstream_errors: counter(
                registry,
                "weir_lb_upstream_errors_total",
                "Failed tries of an upstream's peers, by kind",
                &["upstream", "kind"],
            )?,
            retries: counter(
                registry,
                "weir_lb_upstream_retries_total",
                "Requests and connections sent to a further peer",
                &["upstream"],
            )?,
            retries_refused: counter(
                registry,
                "weir_lb_upstream_retries_refused_total",
                "Further tries not made because too many were under way (weir_retry_budget)",
                &["upstream"],
            )?,
            peer_active: gauge(
                registry,
                "weir_lb_peer_active",
                "Requests and connections in hand at a peer",
                &["upstream", "peer"],
            )?,
            peer_healthy: gauge(
                registry,
                "weir_lb_peer_healthy",
                "1 while active checks find the peer well",
                &["upstream", "peer"],
            )?,
            peer_ejections: counter(
                registry,
                "weir_lb_peer_ejections_total",
                "Times that failed requests, or a row of bad answers, put the peer out",
                &["upstream", "peer"],
            )?,
            cache: CacheMetrics::new(registry)?,
        })
    }

    /// The figures of one listening address.
    pub(crate) fn listener(&self, address: &str) -> ListenerMetrics {
        ListenerMetrics {
            open: self.connections.with_label_values(&[address]),
            accepted: self.accepted.with_label_values(&[address]),
            bytes_in: self.bytes.with_label_values(&[address, "in"]),
            bytes_out: self.bytes.with_label_values(&[address, "out"]),
        }
    }

    /// The figures of one upstream; `name` is `-` for answers the balancer gives itself.
    pub(crate) fn upstream(&self, name: &str) -> UpstreamMetrics {
        let class = |class| self.requests.with_label_values(&[name, class]);
        UpstreamMetrics {
            classes: [
                class("1xx"),
                class("2xx"),
                class("3xx"),
                class("4xx"),
                class("5xx"),
                class("closed"),
            ],
            errors: UpstreamFault::ALL.map(|fault| {
                self.upstream_errors
                    .with_label_values(&[name, fault.label()])
            }),
            retries: self.retries.with_label_values(&[name]),
            retries_refused: self.retries_refused.with_label_values(&[name]),
        }
    }

    /// The figures of one peer.
    pub(crate) fn peer(&self, upstream: &str, peer: &str) -> PeerMetrics {
        let labels = [upstream, peer];
        let healthy = self.peer_healthy.with_label_values(&labels);
        healthy.set(1);
        PeerMetrics {
            active: self.peer_active.with_label_values(&labels),
            healthy,
            ejections: self.peer_ejections.with_label_values(&labels),
        }
    }

    /// Forgets a peer that is gone for good.
    pub(crate) fn forget_peer(&self, upstream: &str, peer: &str) {
        let labels = [upstream, peer];
        // It has no figures only if it is forgotten already.
        let _ = self.peer_active.remove_label_values(&labels);
        let _ = self.peer_healthy.remove_label_values(&labels);
        let _ = self.peer_ejections.remove_label_values(&labels);
    }
}

/// One listening address.
#[derive(Debug, Clone)]
pub(crate) struct ListenerMetrics {
    pub(crate) open: IntGauge,
    pub(crate) accepted: IntCounter,
    pub(crate) bytes_in: IntCounter,
    pub(crate) bytes_out: IntCounter,
}

/// One upstream.
#[derive(Debug, Clone)]
pub(crate) struct UpstreamMetrics {
    classes: [IntCounter; 6],
    errors: [IntCounter; 6],
    pub(crate) retries: IntCounter,
    pub(crate) retries_refused: IntCounter,
}

impl UpstreamMetrics {
    /// Counts an answer; status 0 is a connection closed without one.
    pub(crate) fn answered(&self, status: u16) {
        let class = match status / 100 {
            class @ 1..=5 => usize::from(class) - 1,
            _ => self.classes.len() - 1,
        };
        if let Some(counter) = self.classes.get(class) {
            counter.inc();
        }
    }

    pub(crate) fn failed(&self, fault: UpstreamFault) {
        let place = UpstreamFault::ALL.iter().position(|other| *other == fault);
        if let Some(counter) = place.and_then(|place| self.errors.get(place)) {
            counter.inc();
        }
    }
}

/// One peer.
#[derive(Debug, Clone)]
pub(crate) struct PeerMetrics {
    pub(crate) active: IntGauge,
    pub(crate) healthy: IntGauge,
    pub(crate) ejections: IntCounter,
}

fn counter(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<IntCounterVec> {
    register(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
}

fn gauge(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<IntGaugeVec> {
    register(registry, IntGaugeVec::new(Opts::new(name, help), labels)?)
}

fn register<T: Collector + Clone + 'static>(
    registry: &Registry,
    metric: T,
) -> prometheus::Result<T> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
