//! What this node does not have: fetched from the node that does, as an edge would.
//!
//! A viewer, or an edge that knows an older owner, may ask any origin and plays all the same. The
//! node that has the stream is asked first; pieces of an epoch that ended at another node, when the
//! stream was taken over from there, are asked of that one next. A request that was passed on once
//! ([`HOP_HEADER`]) is answered from here alone, whoever sent it: so none goes in circles, and who
//! forges the header is only told less.
//!
//! Playlists that were there and will be again (the stream is between two nodes, or its next epoch
//! has no segment yet) are a 503, not a 404: a 404 ends players, a 503 lets edges go on with the
//! playlist they have.
//!
//! [`HOP_HEADER`]: crate::HOP_HEADER

use axum::body::Body;
use http::header::{CACHE_CONTROL, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use super::missing;
use super::path::{Object, ObjectPath};
use crate::stream::Context;

/// Answers a request for an object that is not here; `hopped`: another origin has passed it on.
pub(super) async fn answer(
    context: &Context,
    named: &ObjectPath,
    path: &str,
    hopped: bool,
) -> Response<Body> {
    let here = context.streams.get(&named.stream);
    let playlist = matches!(named.object, Object::Multivariant | Object::Playlist(_));
    let awaited = playlist && here.as_ref().is_some_and(|h| h.snapshot.load().awaited);
    if hopped {
        return if awaited { soon() } else { missing() };
    }
    let own = context.options.origin_adress.as_str();
    let mut owner = context.peers.owner_of(&named.stream, false).await;
    if awaited && owner.as_deref().is_none_or(|owner| owner == own) {
        // This node has given the stream up, and does not know yet to whom.
        owner = context.peers.owner_of(&named.stream, true).await;
    }
    if let Some(owner) = owner.filter(|owner| **owner != *own) {
        let answer = context.peers.fetch(&owner, path).await;
        if answer.status() != StatusCode::NOT_FOUND {
            return answer;
        }
    }
    let former = here.and_then(|here| here.former.load_full());
    if let Some(former) = former.filter(|former| !playlist && former.as_str() != own) {
        return context.peers.fetch(&former, path).await;
    }
    if awaited { soon() } else { missing() }
}

/// Try again in a moment.
fn soon() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
