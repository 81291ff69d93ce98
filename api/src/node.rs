//! This node about itself: alive, version, what its pages need to know, metrics.

use crate::error::ApiError;
use crate::extract::UrlPath;
use crate::openapi::Refusals;
use crate::state::Shared;
use crate::wire::{LivenessJson, NodeInfoJson, VersionJson};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use prometheus::{Encoder, TextEncoder};
use std::sync::Arc;

/// `GET /rest/v2/liveness`: 200 and "ok" as long as the process answers. The store is not asked: a probe that failed
/// with it would have every node of the cluster restarted, and its streams cut, because the database is away.
#[utoipa::path(get, path = "/rest/v2/liveness", tag = "server",
    responses((status = 200, body = LivenessJson), Refusals))]
pub(crate) async fn liveness(State(shared): State<Arc<Shared>>) -> Json<LivenessJson> {
    let host = shared.given.node.host.clone();
    Json(LivenessJson { host, status: "ok" })
}

/// `GET /rest/v2/version`.
#[utoipa::path(get, path = "/rest/v2/version", tag = "server",
    responses((status = 200, body = VersionJson), Refusals))]
pub(crate) async fn version(State(shared): State<Arc<Shared>>) -> Json<VersionJson> {
    Json(VersionJson::new(&shared.given.node))
}

/// `GET /{app}/rest/v2/version`.
#[utoipa::path(get, path = "/{app}/rest/v2/version", tag = "server",
    responses((status = 200, body = VersionJson), Refusals))]
pub(crate) async fn version_in_app(
    State(shared): State<Arc<Shared>>,
    UrlPath(app): UrlPath<String>,
) -> Result<Json<VersionJson>, ApiError> {
    shared.app(&app)?;
    Ok(Json(VersionJson::new(&shared.given.node)))
}

/// `GET /rest/v2/weir/node`: what the list of live streams needs to know. Ours, not Ant Media's.
#[utoipa::path(get, path = "/rest/v2/weir/node", tag = "server",
    responses((status = 200, body = NodeInfoJson), Refusals))]
pub(crate) async fn info(State(shared): State<Arc<Shared>>) -> Json<NodeInfoJson> {
    let given = &shared.given;
    Json(NodeInfoJson::new(
        &given.node,
        &given.management.apps.names(),
        shared.now_ms(),
    ))
}

/// `GET /metrics`: Prometheus' text format.
pub(crate) async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let encoder = TextEncoder::new();
    let mut text = Vec::new();
    match encoder.encode(&shared.given.registry.gather(), &mut text) {
        Ok(()) => {
            let content_type = encoder.format_type().to_owned();
            ([(header::CONTENT_TYPE, content_type)], text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
