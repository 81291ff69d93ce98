//! What a node says of itself beside its load: where it answers, and how much it does.

use crate::types::{NodeRecord, Viewers};
use tokio::sync::Notify;

/// A node's figures, as in [`NodeRecord`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeFigures {
    /// The region it belongs to (`nodeGroup`).
    pub node_group: Option<String>,
    /// `host:port` at which it answers HTTP to nodes and to the load balancer.
    pub http_address: Option<String>,
    /// `host:port` at which it takes RTMP, when it is an origin.
    pub rtmp_address: Option<String>,
    /// Streams published on it now.
    pub streams: u32,
    /// Viewers now, by protocol.
    pub viewers: Viewers,
    /// Media coming in, Mbit/s.
    pub ingress_mbps: f64,
    /// Bytes going out to viewers and nodes, Mbit/s.
    pub egress_mbps: f64,
    /// It is on its way out: it takes nothing new.
    pub draining: bool,
}

impl NodeFigures {
    /// `record` with these figures.
    #[must_use]
    pub fn in_record(self, record: NodeRecord) -> NodeRecord {
        NodeRecord {
            node_group: self.node_group,
            http_address: self.http_address,
            rtmp_address: self.rtmp_address,
            streams: self.streams,
            viewers: self.viewers,
            ingress_mbps: self.ingress_mbps,
            egress_mbps: self.egress_mbps,
            draining: self.draining,
            ..record
        }
    }
}

/// Tells a node's figures when asked: once a heartbeat, from the heartbeat's thread, which must not
/// be kept waiting.
pub trait FiguresSource: Send + Sync + std::fmt::Debug {
    /// The figures now.
    fn figures(&self) -> NodeFigures;

    /// Notified when they must be told at once, not with the next heartbeat: the node drains.
    fn urgent(&self) -> Option<&Notify> {
        None
    }
}

/// Figures that never change.
impl FiguresSource for NodeFigures {
    fn figures(&self) -> NodeFigures {
        self.clone()
    }
}
