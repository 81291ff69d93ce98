//! What REST needs of this process and of other nodes: to end a stream that is published here, and
//! to carry a command to the node where one is.

use crate::recordings::Recordings;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use std::sync::{Arc, OnceLock};
use weir_api::{BODY_BYTES_MAX, Forward, ForwardError, Rooms, Streams};
use weir_cache::{FetchError, HttpFetch};
use weir_cluster::StreamKey;
use weir_origin::Origin;

/// The port of Ant Media's nodes, whose addresses name none.
const HTTP_PORT: u16 = 5080;

/// The streams of this process's origin, once there is one.
#[derive(Debug, Default)]
pub(crate) struct Published(OnceLock<Arc<Origin>>);

impl Published {
    /// The origin is there.
    pub(crate) fn begin(&self, origin: Arc<Origin>) {
        // There is one origin a process.
        let _ = self.0.set(origin);
    }
}

#[async_trait]
impl Streams for Published {
    async fn stop(&self, key: &StreamKey) -> bool {
        match self.0.get() {
            Some(origin) => origin.stop(key).await,
            None => false,
        }
    }
}

/// Other nodes, over HTTP.
#[derive(Debug)]
struct OtherNodes(Arc<HttpFetch>);

#[async_trait]
impl Forward for OtherNodes {
    async fn forward(
        &self,
        origin_adress: &str,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, ForwardError> {
        let named = origin_adress.starts_with("unix:") || origin_adress.contains(':');
        let adress = if named {
            origin_adress.to_owned()
        } else {
            format!("{origin_adress}:{HTTP_PORT}")
        };
        let answer = self.0.call(&adress, request, BODY_BYTES_MAX).await;
        answer.map_err(|error| match error {
            FetchError::Address { .. }
            | FetchError::Connect { .. }
            | FetchError::ConnectTimeout { .. }
            | FetchError::NoRoute { .. }
            | FetchError::Busy { .. } => ForwardError::Unreachable(error.to_string()),
            _ => ForwardError::Broken(error.to_string()),
        })
    }
}

/// The rooms of a process with these streams and recordings, whose way to other nodes is `fetch`.
pub(crate) fn wired(
    published: &Arc<Published>,
    recordings: Recordings,
    fetch: &Arc<HttpFetch>,
) -> Rooms {
    Rooms {
        streams: Arc::<Published>::clone(published),
        media: Arc::new(recordings),
        forward: Arc::new(OtherNodes(Arc::clone(fetch))),
    }
}
