//! Nodes as Ant Media's `ClusterNode`, with a few keys of ours that its panels pass over.

use crate::state::NodeInfo;
use serde::Serialize;
use utoipa::ToSchema;
use weir_cluster::{AppName, NodeRecord, NodeRole};

/// A node of the cluster.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ClusterNode)]
pub(crate) struct ClusterNodeJson {
    id: String,
    ip: String,
    last_update_time: i64,
    memory: String,
    cpu: String,
    #[serde(rename = "dbQueryAveargeTimeMs")]
    db_query_average_time_ms: u32,
    note: Option<String>,
    status: &'static str,
    #[schema(value_type = String)]
    role: NodeRole,
    version: String,
    node_group: Option<String>,
    active_streams: u32,
    viewers: ViewersJson,
    ingress_mbps: f64,
    egress_mbps: f64,
    draining: bool,
}

/// Viewers of a node by protocol.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NodeViewers)]
pub(crate) struct ViewersJson {
    hls: u32,
    dash: u32,
    webrtc: u32,
    rtmp: u32,
}

impl ClusterNodeJson {
    /// The record as seen at `now_ms`, with a remark of people.
    pub(crate) fn new(record: NodeRecord, note: Option<String>, now_ms: i64) -> Self {
        Self {
            status: if record.alive_at(now_ms) {
                "alive"
            } else {
                "dead"
            },
            id: record.id,
            ip: record.ip,
            last_update_time: record.last_update_time,
            memory: record.memory,
            cpu: record.cpu,
            db_query_average_time_ms: record.db_query_average_time_ms,
            note,
            role: record.role,
            version: record.version,
            node_group: record.node_group,
            active_streams: record.streams,
            viewers: ViewersJson {
                hls: record.viewers.hls,
                dash: record.viewers.dash,
                webrtc: record.viewers.webrtc,
                rtmp: record.viewers.rtmp,
            },
            ingress_mbps: record.ingress_mbps,
            egress_mbps: record.egress_mbps,
            draining: record.draining,
        }
    }
}

/// The answering node, for the pages.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NodeInfo)]
pub(crate) struct NodeInfoJson {
    id: String,
    #[schema(value_type = String)]
    role: NodeRole,
    version: String,
    host: String,
    apps: Vec<String>,
    rtmp_host: Option<String>,
    rtmp_port: u16,
    now_ms: i64,
}

impl NodeInfoJson {
    pub(crate) fn new(node: &NodeInfo, apps: &[AppName], now_ms: i64) -> Self {
        Self {
            id: node.id.clone(),
            role: node.role,
            version: node.version.clone(),
            host: node.host.clone(),
            apps: apps.iter().map(ToString::to_string).collect(),
            rtmp_host: node.rtmp.host.clone(),
            rtmp_port: node.rtmp.port,
            now_ms,
        }
    }
}
