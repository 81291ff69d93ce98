//! What the node's record says of its work: streams, viewers, traffic, where it answers.
//!
//! Rates are over the time since the figures were last asked for, which is one heartbeat.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use tokio::time::Instant;
use weir_cluster::Viewers;
use weir_cluster::node::{FiguresSource, NodeFigures};
use weir_edge::Edge;
use weir_origin::Origin;

const BITS_PER_BYTE: f64 = 8.0;
const BITS_PER_MBIT: f64 = 1_000_000.0;

/// The node's figures, from the roles that run.
#[derive(Debug)]
pub(crate) struct Figures {
    fixed: NodeFigures,
    origin: Option<Arc<Origin>>,
    edge: Option<Arc<Edge>>,
    draining: AtomicBool,
    urgent: Notify,
    /// When, and how many bytes had come in and gone out.
    measured: Mutex<(Instant, u64, u64)>,
}

impl Figures {
    /// `fixed` says what does not change: addresses, group.
    pub(crate) fn new(
        fixed: NodeFigures,
        origin: Option<Arc<Origin>>,
        edge: Option<Arc<Edge>>,
    ) -> Self {
        Self {
            fixed,
            origin,
            edge,
            draining: AtomicBool::new(false),
            urgent: Notify::new(),
            measured: Mutex::new((Instant::now(), 0, 0)),
        }
    }

    /// The node is on its way out from now on, and says so at once.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.urgent.notify_one();
    }
}

impl FiguresSource for Figures {
    fn figures(&self) -> NodeFigures {
        let origin = self.origin.as_ref().map(|origin| origin.totals());
        let origin = origin.unwrap_or_default();
        let edge = self.edge.as_ref().map(|edge| edge.totals());
        let edge = edge.unwrap_or_default();
        let received = origin.received_bytes;
        let sent = origin.sent_bytes.saturating_add(edge.sent_bytes);
        let now = Instant::now();
        // One assignment sets it, so a panic elsewhere leaves it whole.
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        let (then, received_then, sent_then) = *measured;
        *measured = (now, received, sent);
        drop(measured);
        let passed_s = now.duration_since(then).as_secs_f64();
        NodeFigures {
            streams: origin.publishers,
            viewers: Viewers {
                hls: edge.hls_viewers,
                ..Viewers::default()
            },
            ingress_mbps: mbps(received.saturating_sub(received_then), passed_s),
            egress_mbps: mbps(sent.saturating_sub(sent_then), passed_s),
            draining: self.draining.load(Ordering::Relaxed),
            ..self.fixed.clone()
        }
    }

    fn urgent(&self) -> Option<&Notify> {
        Some(&self.urgent)
    }
}

fn mbps(bytes: u64, passed_s: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let bits = bytes as f64 * BITS_PER_BYTE;
    if passed_s > 0.0 {
        bits / passed_s / BITS_PER_MBIT
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn rates_are_mbit_per_second() {
        assert!((mbps(2_500_000, 5.0) - 4.0).abs() < 1e-9);
        assert!(mbps(1, 0.0) < 1e-9);
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_on_its_way_out_says_so() {
        let figures = Figures::new(NodeFigures::default(), None, None);
        assert!(!figures.figures().draining);
        tokio::time::advance(Duration::from_secs(5)).await;
        figures.drain();
        assert!(figures.figures().draining);
    }
}
