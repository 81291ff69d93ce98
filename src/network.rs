//! What the roles of this process share of the cluster: the key, the way to other nodes, and where
//! streams are. Here the origin's questions to other nodes become HTTP requests.

use crate::settings::Settings;
use crate::static_origins::{AnySource, StaticOrigins};
use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use prometheus::Registry;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use weir_cache::{
    Fetch as _, FetchBody, FetchRequest, HttpFetch, HttpFetchOptions, RequestHeaders,
};
use weir_cluster::{ClusterKey, Directory, Store, StoreSource, StreamKey, StreamSource, WallClock};
use weir_origin::{HOP_HEADER, Peers, YieldAnswer, yield_path};

/// The longest answer to a question, bytes.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// The shared parts.
pub(crate) struct Network {
    /// By which nodes know each other.
    pub(crate) key: ClusterKey,
    /// To other nodes; every request proves that it comes from one.
    pub(crate) fetch: Arc<HttpFetch>,
    /// Where streams are.
    pub(crate) directory: Directory,
}

impl Network {
    /// Makes the parts; the key settles as soon as the store answers.
    pub(crate) fn start(
        settings: &Settings,
        store: &Arc<dyn Store>,
        clock: &Arc<dyn WallClock>,
        registry: &Registry,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let key = match &settings.config.cluster.key {
            Some(key) => ClusterKey::fixed(key.expose()),
            None => {
                let key = ClusterKey::random()?;
                let (settling, records) = (key.clone(), Arc::clone(store));
                let stop = stop.clone();
                tokio::spawn(async move { settling.settle_in_time(records, stop).await });
                key
            }
        };
        let badge = Badge {
            key: key.clone(),
            clock: Arc::clone(clock),
        };
        let fetch = HttpFetch::new(HttpFetchOptions::default()).with_headers(Arc::new(badge));
        let fetch = Arc::new(fetch);
        let stored = StoreSource::new(Arc::clone(store));
        let origins = &settings.layout.origins;
        let source: Arc<dyn StreamSource> = if origins.is_empty() {
            Arc::new(stored)
        } else {
            let origins = origins.iter().map(ToString::to_string).collect();
            let listed = StaticOrigins::new(origins, fetch.clone());
            Arc::new(AnySource::new(stored, listed))
        };
        let directory = Directory::spawn(
            source,
            Arc::clone(clock),
            settings.directory_options(),
            registry,
            stop.clone(),
        )?;
        Ok(Self {
            key,
            fetch,
            directory,
        })
    }

    /// The other nodes, as an origin sees them.
    pub(crate) fn peers(&self) -> Arc<dyn Peers> {
        Arc::new(Neighbours {
            fetch: Arc::clone(&self.fetch),
            directory: self.directory.clone(),
        })
    }
}

/// The token on every request to another node.
#[derive(Debug)]
struct Badge {
    key: ClusterKey,
    clock: Arc<dyn WallClock>,
}

impl RequestHeaders for Badge {
    fn add(&self, headers: &mut HeaderMap) {
        // A token is letters, digits and dots: it always is a header's value.
        if let Ok(mut token) = HeaderValue::from_str(&self.key.mint(self.clock.now_ms())) {
            token.set_sensitive(true);
            headers.insert(weir_cluster::key::HEADER, token);
        }
    }
}

/// The other nodes, over HTTP.
#[derive(Debug)]
struct Neighbours {
    fetch: Arc<HttpFetch>,
    directory: Directory,
}

#[async_trait]
impl Peers for Neighbours {
    async fn owner_of(&self, stream: &StreamKey, anew: bool) -> Option<Arc<str>> {
        let located = if anew {
            self.directory.refresh(stream).await
        } else {
            self.directory.locate(stream).await
        };
        Some(located.ok().flatten()?.origin_adress)
    }

    async fn ask_to_yield(&self, adress: &str, stream: &StreamKey) -> YieldAnswer {
        let request = Request::post(yield_path(stream)).body(Bytes::new());
        let request = match request {
            Ok(request) => request,
            Err(error) => return YieldAnswer::Silent(error.to_string()),
        };
        let answer = match self.fetch.call(adress, request, ANSWER_BYTES_MAX).await {
            Ok(answer) => answer,
            Err(error) => return YieldAnswer::Silent(error.to_string()),
        };
        match answer.status() {
            StatusCode::OK => match serde_json::from_slice(answer.body()) {
                Ok(given) => YieldAnswer::Given(given),
                Err(error) => YieldAnswer::Silent(error.to_string()),
            },
            StatusCode::CONFLICT => YieldAnswer::Publishing,
            StatusCode::NOT_FOUND => YieldAnswer::NotHeld,
            StatusCode::UNAUTHORIZED => {
                YieldAnswer::Silent("it does not know this node's cluster.key".to_owned())
            }
            status => YieldAnswer::Silent(format!("status {status}")),
        }
    }

    async fn fetch(&self, adress: &str, target: &str) -> Response<Body> {
        let hop = HeaderName::from_static(HOP_HEADER);
        let request = FetchRequest {
            origin: adress.to_owned(),
            target: target.to_owned(),
            headers: HeaderMap::from_iter([(hop, HeaderValue::from_static("1"))]),
        };
        let mut response = Response::new(Body::empty());
        match self.fetch.fetch(request).await {
            Ok(fetched) => {
                *response.status_mut() = fetched.status;
                for name in [
                    header::CONTENT_TYPE,
                    header::CACHE_CONTROL,
                    header::RETRY_AFTER,
                ] {
                    if let Some(value) = fetched.headers.get(&name) {
                        response.headers_mut().insert(name, value.clone());
                    }
                }
                if let Some(len_bytes) = fetched.content_length {
                    let headers = response.headers_mut();
                    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(len_bytes));
                }
                *response.body_mut() = streamed(fetched.body);
            }
            Err(error) => {
                tracing::debug!(adress, target, %error, "cannot pass a request on");
                *response.status_mut() = error.status();
            }
        }
        response
    }
}

fn streamed(body: Box<dyn FetchBody>) -> Body {
    Body::from_stream(futures::stream::unfold(body, |mut body| async move {
        let piece = body.next().await?;
        Some((piece, body))
    }))
}
