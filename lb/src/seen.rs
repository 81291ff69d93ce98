//! The cluster's nodes as the directory last saw them.

use weir_cluster::NodeRecord;

/// A view of the cluster's nodes.
#[derive(Clone, Debug, Default)]
pub struct NodesSeen {
    /// Their records.
    pub nodes: Vec<NodeRecord>,
    /// The store's time of the view, ms since the Unix epoch.
    pub now_ms: i64,
    /// The store could not be read since: what is here may be old.
    pub stale: bool,
}
