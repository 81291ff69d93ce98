//! The API's router as each role serves it: an origin beside its objects, an edge for whatever is
//! not media. Here the API's traits meet what implements them.

use crate::house::House;
use crate::recordings::Recordings;
use crate::rooms::{self, Published};
use async_trait::async_trait;
use axum::Router;
use axum::middleware::map_request;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use tower::ServiceExt as _;
use weir_api::{ApiMetrics, ApiState, Asset, Assets, Management, NodeInfo, Peer, PublicRtmp};

/// Makes routers for the roles of one process; they share counters.
pub(crate) struct Routers {
    state: ApiState,
    published: Arc<Published>,
}

impl Routers {
    /// Registers the API's metrics.
    pub(crate) fn new(house: &House) -> anyhow::Result<Self> {
        let node = NodeInfo {
            id: house.node_id.as_str().to_owned(),
            ip: house.ip.clone(),
            role: house.settings.node_role(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: host_name(),
            rtmp: PublicRtmp {
                host: house.settings.config.management.public_host(),
                port: house.settings.config.rtmp.port,
            },
        };
        let published = Arc::new(Published::default());
        let state = ApiState {
            store: Arc::clone(&house.store),
            rooms: rooms::wired(
                &published,
                Recordings::in_folder(&house.settings.layout.data_dir),
                &house.network.fetch,
            ),
            clock: Arc::clone(&house.clock),
            registry: house.registry.clone(),
            metrics: ApiMetrics::register(&house.registry)?,
            node,
            management: Management {
                apps: Arc::new(house.apps.clone()),
                cluster: Arc::new(house.network.key.clone()),
                log: Some(Arc::new(crate::logging::Kept)),
                options: house.settings.management_options(house.started_ms),
            },
            assets: Arc::new(Pages),
        };
        Ok(Self { state, published })
    }

    /// The process has an origin.
    pub(crate) fn publish_at(&self, origin: Arc<weir_origin::Origin>) {
        self.published.begin(origin);
    }

    /// The router of a node whose encoders publish at `rtmp_port`.
    pub(crate) fn for_node(&self, rtmp_port: u16) -> Router {
        let mut state = self.state.clone();
        state.node.rtmp.port = rtmp_port;
        weir_api::router(state)
    }

    /// The same behind an origin's doors.
    pub(crate) fn for_origin(&self, rtmp_port: u16) -> Router {
        self.for_node(rtmp_port).layer(map_request(told_by_origin))
    }

    /// The same as an edge's answer to what is not media.
    pub(crate) fn fallback(&self, rtmp_port: u16) -> RouterFallback {
        RouterFallback(self.for_node(rtmp_port))
    }
}

/// A router behind an edge.
#[derive(Debug)]
pub(crate) struct RouterFallback(Router);

#[async_trait]
impl weir_edge::Fallback for RouterFallback {
    async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let mut request = request.map(|body| axum::body::Body::new(Full::new(body)));
        if let Some(weir_edge::Peer(address)) = request.extensions().get::<weir_edge::Peer>() {
            let peer = Peer(address.ip());
            request.extensions_mut().insert(peer);
        }
        // A router's error type is uninhabited.
        let Ok(response) = self.0.clone().oneshot(request).await;
        let (parts, body) = response.into_parts();
        match body.collect().await {
            Ok(whole) => Response::from_parts(parts, whole.to_bytes()),
            Err(error) => {
                tracing::error!(%error, "the API's answer broke off");
                let mut response = Response::new(Bytes::new());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
        }
    }
}

/// The peer of an origin's connection, as the API knows peers.
async fn told_by_origin(mut request: axum::extract::Request) -> axum::extract::Request {
    let peer = request.extensions().get::<weir_origin::Peer>();
    let peer = peer.map(|peer| match peer {
        weir_origin::Peer::Tcp(address) => Peer(address.ip()),
        weir_origin::Peer::Unix => Peer(IpAddr::V4(Ipv4Addr::LOCALHOST)),
    });
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer);
    }
    request
}

/// The embedded pages.
#[derive(Debug)]
struct Pages;

impl Assets for Pages {
    fn get(&self, path: &str) -> Option<Asset> {
        let file = weir_web::get(path)?;
        Some(Asset {
            bytes: shared(file.bytes.clone()),
            gzip: file.gzip.clone().map(shared),
            content_type: file.content_type,
            etag: file.etag.clone(),
            immutable: file.immutable,
        })
    }
}

/// What the binary holds is served from where it is.
fn shared(bytes: std::borrow::Cow<'static, [u8]>) -> Bytes {
    match bytes {
        std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        std::borrow::Cow::Owned(bytes) => Bytes::from(bytes),
    }
}

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "localhost".to_owned(), |name| name.trim().to_owned())
}
