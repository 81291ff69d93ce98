//! Commands for a live stream are carried to the node that owns it; answers about it come from the store.
//!
//! Ant Media's rule: POST, PUT and DELETE under `/broadcasts/{id}` go to the stream's `originAdress` while it is live
//! there; GETs are never carried. A block of a subscriber goes to the node that the subscriber is connected to
//! (`registeredNodeIp`), which alone can cut it off, and nowhere else. Only addresses that a node of the cluster has
//! registered are called: the call carries the cluster's token. A request that came from a node is not carried again, so that two nodes that
//! disagree on the owner cannot play ball with it. An owner that cannot be reached is passed over: the request is
//! handled here, and a `Result` says so. A request that was sent, but not answered, may have been done: that is 502,
//! and handled nowhere else.
//!
//! Limits: bodies in both directions [`body::BODY_BYTES_MAX`]; a call takes [`FORWARD_TIMEOUT`] at most.

use super::rooms::{FORWARD_TIMEOUT, ForwardError};
use super::{body, broadcast};
use crate::error::ApiError;
use crate::state::{Shared, bounded};
use crate::wire::ResultJson;
use axum::body::{Body, Bytes};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{Method, StatusCode, header};
use std::convert::Infallible;
use std::sync::Arc;
use weir_cluster::{AppName, Fields, Kind, NodeRecord, Place, StreamKey};

/// What is carried begins so.
const CARRIED_PATHS: &str = "/{app}/rest/v2/broadcasts";
/// What goes to a subscriber's node ends so.
const BLOCK_PATH: &str = "/subscribers/{sid}/block/{seconds}/{type}";
/// Headers that go along; whom the request comes from was judged here.
const CARRIED: [header::HeaderName; 3] =
    [header::CONTENT_TYPE, header::ACCEPT, header::AUTHORIZATION];

/// Whether a handler may turn to other nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hop {
    /// The request came from a client.
    First,
    /// It came from another node, or the other node was tried.
    Last,
}

impl<S: Send + Sync> FromRequestParts<S> for Hop {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or(Self::First))
    }
}

/// How an attempt to stop a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Nobody publishes it.
    Idle,
    /// It was stopped.
    Stopped,
    /// It goes on, for this reason.
    GoesOn(String),
}

/// Carries commands to the owner.
pub(crate) async fn carry(
    State(shared): State<Arc<Shared>>,
    matched: Option<MatchedPath>,
    params: Result<RawPathParams, RawPathParamsRejection>,
    mut request: Request,
    next: Next,
) -> Response {
    let command = [Method::POST, Method::PUT, Method::DELETE].contains(request.method());
    let matched = matched.as_ref().map_or("", MatchedPath::as_str);
    let of_streams = matched.starts_with(CARRIED_PATHS);
    // A path that cannot be read is for the handler to refuse.
    let Some(params) = params.ok().filter(|_| command && of_streams) else {
        return next.run(request).await;
    };
    if shared.is_from_node(request.headers()) {
        request.extensions_mut().insert(Hop::Last);
        return next.run(request).await;
    }
    let is_block = matched.ends_with(BLOCK_PATH);
    let (node, whose) = if is_block {
        (shared.subscribers_node(&params).await, "subscriber's node")
    } else {
        (shared.owner_elsewhere(&params).await, "stream's owner")
    };
    let Some(node) = node else {
        return next.run(request).await;
    };
    let (parts, body) = request.into_parts();
    let bytes = match body::read(body).await {
        Ok(bytes) => bytes,
        Err(error) => return error.into_response(),
    };
    let mut copy = http::Request::new(bytes.clone());
    *copy.method_mut() = parts.method.clone();
    *copy.uri_mut() = parts.uri.clone();
    for name in CARRIED {
        if let Some(value) = parts.headers.get(&name) {
            copy.headers_mut().insert(name, value.clone());
        }
    }
    let host = broadcast::host_of(&node, &shared.given.node).to_owned();
    match shared.send(&node, copy).await {
        Ok(answer) => answer.map(Body::from),
        Err(ForwardError::Broken(reason)) => ApiError::Elsewhere {
            whose,
            host,
            reason,
        }
        .into_response(),
        Err(ForwardError::Unreachable(reason)) => {
            tracing::warn!(%node, whose, reason, "the node cannot be reached; its command is handled here");
            let mut request = Request::from_parts(parts, Body::from(bytes));
            request.extensions_mut().insert(Hop::Last);
            let response = next.run(request).await;
            noted(
                response,
                &format!("handled here: the {whose} {host} could not be reached"),
            )
        }
    }
}

/// The answer with a remark, when it is a `Result`.
fn noted(mut response: Response, remark: &str) -> Response {
    let Some(result) = response.extensions_mut().remove::<ResultJson>() else {
        return response;
    };
    result.with_remark(remark).into_response()
}

impl Shared {
    /// Stops a stream wherever it is published.
    pub(crate) async fn stop(&self, key: &StreamKey, record: &Fields, hop: Hop) -> Stop {
        if self.given.rooms.streams.stop(key).await {
            return Stop::Stopped;
        }
        if !broadcast::is_live(record, self.judged_ms()) {
            return Stop::Idle;
        }
        let Some(owner) = self.owner_of(record).filter(|_| hop == Hop::First) else {
            return Stop::GoesOn("it is not published on this node".to_owned());
        };
        let path = format!("/{}/rest/v2/broadcasts/{}/stop", key.app, key.id);
        let request = http::Request::post(path).body(Bytes::new());
        let Ok(request) = request else {
            return Stop::GoesOn("its name makes no URL".to_owned());
        };
        let host = broadcast::host_of(&owner, &self.given.node);
        match self.send(&owner, request).await {
            Ok(answer) if succeeded(&answer) => Stop::Stopped,
            Ok(answer) => Stop::GoesOn(format!("its owner {host} answered {}", answer.status())),
            Err(ForwardError::Unreachable(_)) => {
                Stop::GoesOn(format!("its owner {host} could not be reached"))
            }
            Err(ForwardError::Broken(_)) => {
                Stop::GoesOn(format!("its owner {host} did not answer"))
            }
        }
    }

    /// The address of another node that the subscriber in the path is connected to.
    async fn subscribers_node(&self, params: &RawPathParams) -> Option<String> {
        let app = AppName::parse(param(params, "app")?).ok()?;
        let key = [param(params, "id")?, param(params, "sid")?];
        let place = Place::in_app(Kind::Subscriber, &app, key);
        let subscriber = bounded(self.given.store.get(&place)).await.ok()??;
        let registered = broadcast::text(&subscriber, "registeredNodeIp")?.trim();
        let here = &self.given.node.ip;
        if registered.is_empty() || registered == here {
            return None;
        }
        self.node_at(registered).await
    }

    /// Where the living node answers that is known by this address; `None` when there is none but this one.
    async fn node_at(&self, address: &str) -> Option<String> {
        let now_ms = self.judged_ms();
        let known_by = |node: &NodeRecord| {
            let http = node.http_address.as_deref();
            node.alive_at(now_ms) && (node.ip == address || http == Some(address))
        };
        let node = self.find_node(known_by).await.ok()??;
        let elsewhere = node.id != self.given.node.id;
        elsewhere.then(|| node.http_address.unwrap_or(node.ip))
    }

    /// The address of another node that owns the stream in the path, if it is live there.
    async fn owner_elsewhere(&self, params: &RawPathParams) -> Option<String> {
        let app = AppName::parse(param(params, "app")?).ok()?;
        let record = self.record(&app, param(params, "id")?).await.ok()??;
        if broadcast::is_live(&record, self.judged_ms()) {
            self.owner_of(&record)
        } else {
            None
        }
    }

    /// The address of another node that owns this live stream.
    fn owner_of(&self, record: &Fields) -> Option<String> {
        let address = broadcast::text(record, "originAdress")?;
        let node = &self.given.node;
        let owner = record
            .get("owner")
            .and_then(|owner| owner.get("nodeId")?.as_str());
        let here = match owner {
            Some(id) => id == node.id,
            // Ant Media's records name the address only.
            None => broadcast::host_of(address, node) == node.ip || address == node.ip,
        };
        (!here).then(|| address.to_owned())
    }

    async fn send(
        &self,
        owner: &str,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, ForwardError> {
        let call = self.given.rooms.forward.forward(owner, request);
        match tokio::time::timeout(FORWARD_TIMEOUT, call).await {
            Ok(answer) => answer,
            Err(_) => Err(ForwardError::Broken(format!(
                "no answer within {} s",
                FORWARD_TIMEOUT.as_secs()
            ))),
        }
    }
}

/// A part of the path.
fn param<'a>(params: &'a RawPathParams, wanted: &str) -> Option<&'a str> {
    let mut all = params.iter();
    all.find(|(name, _)| *name == wanted)
        .map(|(_, value)| value)
}

/// Whether an answer is a `Result` that tells of success.
fn succeeded(answer: &http::Response<Bytes>) -> bool {
    let said = serde_json::from_slice::<serde_json::Value>(answer.body());
    answer.status() == StatusCode::OK && said.is_ok_and(|said| said["success"] == true)
}
