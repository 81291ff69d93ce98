//! Media objects over HTTP, for edges.
//!
//! Every object is answered whole from RAM, from an immutable snapshot: no lock is held, no byte
//! copied, no store asked. Ranges, CORS and compression are the edge's work. GET and HEAD only;
//! others are 405. What this node does not have may be another's ([`elsewhere`]); what nobody has
//! is a 404, and what will be there in a moment a 503, which edges bridge with what they have. Edges that ask for a
//! playlist say how many watch ([`weir_cluster::audience`]).

mod elsewhere;
mod listen;
mod path;
mod yielding;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use tokio::time::Instant;
use weir_cluster::{ClusterKey, audience};
use weir_media::TrackKind;

pub use listen::{HttpLimits, HttpListener, Peer, serve_http};
use path::{Object, ObjectPath};

use crate::metrics::{ObjectCounters, ObjectMetrics};
use crate::peers::HOP_HEADER;
use crate::stream::Context;
use crate::streams::StreamHandle;
use crate::window::Snapshot;

const PLAYLIST_TYPE: HeaderValue = HeaderValue::from_static("application/vnd.apple.mpegurl");
const VIDEO_INIT_TYPE: HeaderValue = HeaderValue::from_static("video/mp4");
const AUDIO_INIT_TYPE: HeaderValue = HeaderValue::from_static("audio/mp4");
const SEGMENT_TYPE: HeaderValue = HeaderValue::from_static("video/iso.segment");
const CHANGING: HeaderValue = HeaderValue::from_static("max-age=1");
const IMMUTABLE: HeaderValue = HeaderValue::from_static("max-age=3600, immutable");

#[derive(Clone, Debug)]
struct Objects {
    context: Arc<Context>,
    key: ClusterKey,
}

/// The routes under which objects are served, and streams yielded; mergeable with others.
pub(crate) fn router(context: Arc<Context>, key: ClusterKey) -> Router {
    Router::new()
        .route("/{app}/streams/{*object}", get(object))
        .with_state(Objects {
            context: Arc::clone(&context),
            key: key.clone(),
        })
        .merge(yielding::router(context, key))
}

async fn object(State(objects): State<Objects>, request: Request<Body>) -> Response<Body> {
    let path = request.uri().path();
    let metrics = &objects.context.metrics.objects;
    let named = ObjectPath::parse(path);
    let found = named.as_ref().and_then(|named| {
        let stream = objects.context.streams.get(&named.stream)?;
        if let Object::Playlist(_) = named.object {
            objects.hear(&stream, request.headers());
        }
        find(&stream.snapshot.load(), named.object).map(|body| (named.object, body))
    });
    let peer = request.extensions().get::<Peer>();
    let Some((object, body)) = found else {
        let response = match &named {
            Some(named) => {
                let hopped = request.headers().contains_key(HOP_HEADER);
                elsewhere::answer(&objects.context, named, path, hopped).await
            }
            None => missing(),
        };
        let status = response.status().as_u16();
        if status == StatusCode::NOT_FOUND {
            metrics.missing.inc();
        }
        tracing::debug!(
            target: "weir_origin::access",
            peer = peer.map(tracing::field::display),
            method = %request.method(), path, status, here = false,
        );
        return response;
    };
    let counters = metrics.of(object);
    counters.objects.inc();
    let bytes = body.len();
    counters
        .bytes
        .inc_by(u64::try_from(bytes).unwrap_or(u64::MAX));
    match object {
        // A playlist a second and stream: too many for the default level.
        Object::Multivariant | Object::Playlist(_) => tracing::debug!(
            target: "weir_origin::access",
            peer = peer.map(tracing::field::display),
            method = %request.method(), path, status = 200, bytes,
        ),
        Object::Init { .. } | Object::Segment { .. } => tracing::info!(
            target: "weir_origin::access",
            peer = peer.map(tracing::field::display),
            method = %request.method(), path, status = 200, bytes,
        ),
    }
    respond(object, body)
}

impl Objects {
    /// Takes in what an edge says of the stream's viewers; from a node of the cluster alone.
    fn hear(&self, stream: &StreamHandle, headers: &HeaderMap) {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let told = text(audience::HEADER).and_then(|told| told.parse().ok());
        let Some(told) = told else { return };
        let token = text(weir_cluster::key::HEADER).unwrap_or_default();
        if self.key.verify(token, self.context.clock.now_ms()).is_ok() {
            stream.tally().hear(told, Instant::now());
        }
    }
}

/// `Bytes` are shared, not copied.
fn find(snapshot: &Snapshot, object: Object) -> Option<Bytes> {
    match object {
        Object::Multivariant => snapshot.multivariant.clone(),
        Object::Playlist(TrackKind::Video) => snapshot.video.clone(),
        Object::Playlist(TrackKind::Audio) => snapshot.audio.clone(),
        Object::Init {
            track,
            epoch,
            index,
        } => snapshot.init(track, epoch, index).cloned(),
        Object::Segment {
            track,
            epoch,
            sequence_number,
        } => snapshot.segment(track, epoch, sequence_number).cloned(),
    }
}

fn respond(object: Object, body: Bytes) -> Response<Body> {
    let (content_type, cache_control) = match object {
        Object::Multivariant | Object::Playlist(_) => (PLAYLIST_TYPE, CHANGING),
        Object::Init {
            track: TrackKind::Video,
            ..
        } => (VIDEO_INIT_TYPE, IMMUTABLE),
        Object::Init {
            track: TrackKind::Audio,
            ..
        } => (AUDIO_INIT_TYPE, IMMUTABLE),
        Object::Segment { .. } => (SEGMENT_TYPE, IMMUTABLE),
    };
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, cache_control);
    response
}

pub(super) fn missing() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_FOUND;
    response.headers_mut().insert(CACHE_CONTROL, CHANGING);
    response
}

impl ObjectMetrics {
    fn of(&self, object: Object) -> &ObjectCounters {
        match object {
            Object::Multivariant | Object::Playlist(_) => &self.playlist,
            Object::Init { .. } => &self.init,
            Object::Segment { .. } => &self.segment,
        }
    }
}
