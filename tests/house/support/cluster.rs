//! A whole cluster of processes: `mongod`, a load balancer, origins and edges, each on a loopback
//! address of its own, on ports the system chose.
//!
//! Nodes are killed, stopped and frozen by their pid ([`Weir`], [`Mongod`]); on failure each prints
//! the last lines of its log.

use super::weir::Builder;
use super::{Mongod, Weir, get, wait_for};

/// The cluster. Dropping it ends every process of it.
pub struct Cluster {
    pub lb: Weir,
    pub origins: Vec<Weir>,
    pub edges: Vec<Weir>,
    pub mongods: Vec<Mongod>,
}

impl Cluster {
    /// Two origins and two edges behind a load balancer, with one `mongod`.
    pub fn start() -> Option<Self> {
        Self::start_with(1, 2, 2)
    }

    /// So many of each; gives it when the load balancer uses them all.
    pub fn start_with(mongods: usize, origins: usize, edges: usize) -> Option<Self> {
        let mongods = Mongod::start_set(mongods)?;
        let lb = node(&mongods, "lb", 10, "lb").start();
        let mut cluster = Self {
            lb,
            origins: Vec::new(),
            edges: Vec::new(),
            mongods,
        };
        for _ in 0..origins {
            cluster.add_origin();
        }
        for _ in 0..edges {
            cluster.add_edge();
        }
        for node in cluster.origins.iter().chain(&cluster.edges) {
            cluster.wait_used(node);
        }
        Some(cluster)
    }

    /// Starts one more origin; gives its place.
    pub fn add_origin(&mut self) -> usize {
        self.add_origin_with(|it| it)
    }

    /// Starts one more origin with settings of its own; gives its place.
    pub fn add_origin_with(&mut self, set: impl FnOnce(Builder) -> Builder) -> usize {
        let n = self.origins.len() + 1;
        let id = format!("origin-{n}");
        let origin = node(&self.mongods, "origin", 20 + n, &id).set("rtmp.proxy_protocol", "true");
        self.origins.push(set(origin).start());
        n - 1
    }

    /// Starts one more edge; gives its place.
    pub fn add_edge(&mut self) -> usize {
        self.add_edge_with(|it| it)
    }

    /// Starts one more edge with settings of its own; gives its place.
    pub fn add_edge_with(&mut self, set: impl FnOnce(Builder) -> Builder) -> usize {
        let n = self.edges.len() + 1;
        let edge = node(&self.mongods, "edge", 30 + n, &format!("edge-{n}"));
        self.edges.push(set(edge).start());
        n - 1
    }

    /// Waits until the load balancer has found a node well.
    pub fn wait_used(&self, node: &Weir) {
        let door = node
            .door("rtmp")
            .unwrap_or_else(|| node.door("http").unwrap());
        self.lb.wait_log(&["peer is healthy", &door]);
    }

    /// URL at the load balancer.
    pub fn url(&self, path: &str) -> String {
        self.lb.url(path)
    }

    /// URL of a stream's media playlist at the load balancer.
    pub fn playlist(&self, id: &str) -> String {
        self.url(&format!("/LiveApp/streams/{id}/video.m3u8"))
    }

    /// URL for an encoder at the load balancer.
    pub fn rtmp(&self, id: &str) -> String {
        self.lb.rtmp(id)
    }

    /// The place of the origin that has a stream, as the store says.
    pub fn owner(&self, id: &str) -> usize {
        let path = format!("/LiveApp/rest/v2/broadcasts/{id}");
        let record = get(&self.url(&path)).json();
        let host = record["originAdress"].as_str().unwrap_or_default();
        let owns = |origin: &Weir| {
            origin
                .address("origin http")
                .starts_with(&format!("{host}:"))
        };
        let found = self.origins.iter().position(owns);
        found.unwrap_or_else(|| panic!("no origin has {id}: {record}"))
    }

    /// A node's status as an edge tells it; empty when there is no such node.
    pub fn status(&self, node_id: &str) -> String {
        let nodes = get(&self.url("/LiveApp/rest/v2/cluster/nodes")).json();
        let all = nodes.as_array().cloned().unwrap_or_default();
        let node = all.into_iter().find(|node| node["id"] == node_id);
        node.and_then(|node| Some(node["status"].as_str()?.to_owned()))
            .unwrap_or_default()
    }

    /// Waits until a node has a status.
    pub fn wait_status(&self, node_id: &str, status: &str) {
        wait_for(&format!("{node_id} is {status}"), || {
            (self.status(node_id) == status).then_some(())
        });
    }
}

fn node(mongods: &[Mongod], role: &str, host: usize, id: &str) -> Builder {
    let hosts: Vec<String> = mongods.iter().map(Mongod::address).collect();
    let ip = format!("127.0.0.{host}");
    Weir::builder()
        .role(role)
        .set("db.type", "mongodb")
        .set("db.host", &hosts.join(","))
        .set("db.options", "replicaSet=rs0")
        .set("http.host", &ip)
        .set("rtmp.host", &ip)
        .set("cluster.node.ip", &ip)
        .set("cluster.node.id", id)
        .unset("edge.http.listen")
        .unset("origin.http.listen")
        .unset("origin.rtmp.listen")
        .env("RUST_BACKTRACE", "0")
}
