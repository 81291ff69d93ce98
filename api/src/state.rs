//! What the router is made from, and what its handlers share.

use crate::apps_rest::Rooms;
use crate::error::ApiError;
use crate::filter::{KeySets, NodeAddresses, ReadOnce};
use crate::management::{Machine, Management, OnAir, People};
use crate::metrics::ApiMetrics;
use crate::openapi::Documents;
use axum::body::Bytes;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use weir_cluster::{AppName, NodeRole, Store, StoreError, WallClock};

/// How long one store call may take before the request is answered without it.
pub const STORE_TIMEOUT: Duration = Duration::from_secs(3);

/// What the router is made from. One process may build several routers from clones of it.
#[derive(Clone, Debug)]
pub struct ApiState {
    /// The cluster's memory.
    pub store: Arc<dyn Store>,
    /// What other rooms do for REST.
    pub rooms: Rooms,
    /// The time of day, for computed states.
    pub clock: Arc<dyn WallClock>,
    /// What `/metrics` gathers.
    pub registry: prometheus::Registry,
    /// Counters of this room; made once a registry.
    pub metrics: ApiMetrics,
    /// The node that answers.
    pub node: NodeInfo,
    /// The management REST and the filters.
    pub management: Management,
    /// The pages.
    pub assets: Arc<dyn Assets>,
}

/// The node that answers, as it describes itself.
#[derive(Clone, Debug)]
pub struct NodeInfo {
    /// Stable over restarts.
    pub id: String,
    /// Address other nodes reach it at.
    pub ip: String,
    /// What it does.
    pub role: NodeRole,
    /// Weir's version.
    pub version: String,
    /// The machine's host name, told by the liveness probe.
    pub host: String,
    /// Where encoders publish.
    pub rtmp: PublicRtmp,
}

/// Where encoders publish, as the world sees it (the load balancer's door, not the origin's).
#[derive(Clone, Debug)]
pub struct PublicRtmp {
    /// Host name or address; `None` = the node's own address.
    pub host: Option<String>,
    /// TCP port; 1935 is left out of URLs.
    pub port: u16,
}

/// The pages' files by name.
pub trait Assets: Send + Sync + std::fmt::Debug {
    /// The file called `path` (`play.html`, `index.html`, `assets/…`), `None` when there is none. Names are looked
    /// up as they are: nothing is resolved, so no name can lead outside.
    fn get(&self, path: &str) -> Option<Asset>;
}

/// A file of the pages.
#[derive(Clone, Debug)]
pub struct Asset {
    /// The content.
    pub bytes: Bytes,
    /// The content compressed with gzip, for those who accept it.
    pub gzip: Option<Bytes>,
    /// Media type.
    pub content_type: &'static str,
    /// Entity tag in its quotes (RFC 9110 section 8.8.3).
    pub etag: String,
    /// True when the name changes with the content, so that it may be cached for ever.
    pub immutable: bool,
}

impl PublicRtmp {
    /// `rtmp://host[:port]`, without a path; `node_ip` stands in for an unset host.
    pub(crate) fn base_url(&self, node_ip: &str) -> String {
        const RTMP_PORT: u16 = 1935;
        let host = self.host.as_deref().unwrap_or(node_ip);
        let host = if host.contains(':') && !host.starts_with('[') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        if self.port == RTMP_PORT {
            format!("rtmp://{host}")
        } else {
            format!("rtmp://{host}:{}", self.port)
        }
    }
}

/// What handlers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) given: ApiState,
    pub(crate) documents: Documents,
    pub(crate) people: People,
    pub(crate) nodes: NodeAddresses,
    pub(crate) networks: ReadOnce,
    pub(crate) key_sets: KeySets,
    pub(crate) machine: Machine,
    pub(crate) on_air: OnAir,
}

impl Shared {
    pub(crate) fn new(given: ApiState, documents: Documents) -> Self {
        let cluster = Arc::clone(&given.management.cluster);
        Self {
            people: People::new(Arc::<dyn Store>::clone(&given.store), cluster),
            nodes: NodeAddresses::new(Arc::clone(&given.store)),
            networks: ReadOnce::new(),
            key_sets: KeySets::new(),
            machine: Machine::new(),
            on_air: OnAir::new(),
            given,
            documents,
        }
    }

    /// The application called `name`, if this node has it.
    pub(crate) fn app(&self, name: &str) -> Result<AppName, ApiError> {
        let apps = &self.given.management.apps;
        let parsed = AppName::parse(name).ok();
        let found = parsed.filter(|_| apps.security(name).is_some());
        found.ok_or_else(|| ApiError::NoSuchApp { apps: apps.names() })
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.given.clock.now_ms()
    }

    /// The time by which a stream's or a node's silence is judged.
    pub(crate) fn judged_ms(&self) -> i64 {
        self.given.clock.judged_ms()
    }
}

/// Waits for a store call, but not for ever.
pub(crate) async fn bounded<T>(
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, ApiError> {
    match tokio::time::timeout(STORE_TIMEOUT, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error @ StoreError::Invalid { .. })) => Err(ApiError::Invalid(error.to_string())),
        Ok(Err(error @ (StoreError::Limit { .. } | StoreError::DiskFull { .. }))) => {
            Err(ApiError::Full(error.to_string()))
        }
        Ok(Err(error)) => Err(ApiError::Store(error.to_string())),
        Err(_) => Err(ApiError::Store(format!(
            "no answer within {} s",
            STORE_TIMEOUT.as_secs()
        ))),
    }
}
