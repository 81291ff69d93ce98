//! Another node has a publisher for a stream of this one's: `POST /weir/v1/streams/{app}/{id}/yield`.
//!
//! For nodes of the cluster alone: without a good token (`ClusterAuthorization`) the answer is 401,
//! whatever the stream. 200 with [`Given`](crate::Given): the epoch has ended here; 409: its
//! publisher is sending; 404: not this node's stream; 503: the owner task is busy, try again.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::routing::post;
use axum::{Json, Router};
use http::{HeaderMap, Response, StatusCode};
use tokio::sync::oneshot;
use weir_cluster::{ClusterKey, StreamKey};

use axum::response::IntoResponse as _;

use crate::stream::Context;
use crate::streams::{Ask, YieldReply};

#[derive(Clone, Debug)]
struct Door {
    context: Arc<Context>,
    key: ClusterKey,
}

pub(super) fn router(context: Arc<Context>, key: ClusterKey) -> Router {
    Router::new()
        .route("/weir/v1/streams/{app}/{id}/yield", post(asked))
        .with_state(Door { context, key })
}

async fn asked(
    State(door): State<Door>,
    Path((app, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response<Body> {
    let token = headers.get(weir_cluster::key::HEADER);
    let token = token.and_then(|token| token.to_str().ok()).unwrap_or("");
    if let Err(error) = door.key.verify(token, door.context.clock.now_ms()) {
        tracing::warn!(%error, "a call that asks for a stream was refused");
        return status(StatusCode::UNAUTHORIZED);
    }
    let handle = StreamKey::parse(&app, &id)
        .ok()
        .and_then(|stream| door.context.streams.get(&stream));
    let Some(handle) = handle else {
        return status(StatusCode::NOT_FOUND);
    };
    let (reply, answer) = oneshot::channel();
    if handle.asks.try_send(Ask::Yield(reply)).is_err() {
        return status(StatusCode::SERVICE_UNAVAILABLE);
    }
    match answer.await {
        Ok(YieldReply::Given(given)) => Json(given).into_response(),
        Ok(YieldReply::Kept) => status(StatusCode::CONFLICT),
        // The task ended while the question was under way.
        Ok(YieldReply::NotHeld) | Err(_) => status(StatusCode::NOT_FOUND),
    }
}

fn status(status: StatusCode) -> Response<Body> {
    status.into_response()
}
