//! Ant Media's V1 paths that its panels and scripts still call; each is the twin of a V2 path.

use crate::error::ApiError;
use crate::extract::{Page, PageParams, UrlPath};
use crate::management::users::{self, Told};
use crate::management::wire::{Body, UserBody};
use crate::nodes;
use crate::openapi::Refusals;
use crate::state::Shared;
use crate::wire::{ClusterNodeJson, ResultJson, SimpleStat};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
pub(crate) fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new()
        .routes(routes!(is_authenticated))
        .routes(routes!(authenticate_user))
        .routes(routes!(add_initial_user))
        .routes(routes!(is_first_login))
        .routes(routes!(node_count))
        .routes(routes!(nodes_list))
        .routes(routes!(delete_node))
}

/// `GET /rest/isAuthenticated`.
#[utoipa::path(get, path = "/rest/isAuthenticated", tag = "v1",
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn is_authenticated(shared: State<Arc<Shared>>, headers: HeaderMap) -> Told {
    users::authentication_status(shared, headers).await
}

/// `POST /rest/authenticateUser`.
#[utoipa::path(post, path = "/rest/authenticateUser", tag = "v1", request_body = UserBody,
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn authenticate_user(
    shared: State<Arc<Shared>>,
    body: Body<UserBody>,
) -> Result<Response, ApiError> {
    users::authenticate(shared, body).await
}

/// `POST /rest/addInitialUser`.
#[utoipa::path(post, path = "/rest/addInitialUser", tag = "v1", request_body = UserBody,
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn add_initial_user(shared: State<Arc<Shared>>, body: Body<UserBody>) -> Told {
    users::initial(shared, body).await
}

/// `GET /rest/isFirstLogin`.
#[utoipa::path(get, path = "/rest/isFirstLogin", tag = "v1",
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn is_first_login(shared: State<Arc<Shared>>) -> Told {
    users::first_login(shared).await
}

/// `GET /rest/cluster/node-count`.
#[utoipa::path(get, path = "/rest/cluster/node-count", tag = "v1",
    responses((status = 200, body = SimpleStat), Refusals))]
pub(crate) async fn node_count(shared: State<Arc<Shared>>) -> Result<Json<SimpleStat>, ApiError> {
    nodes::count(shared).await
}

/// `GET /rest/cluster/nodes/{offset}/{size}`.
#[utoipa::path(get, path = "/rest/cluster/nodes/{offset}/{size}", tag = "v1", params(PageParams),
    responses((status = 200, body = Vec<ClusterNodeJson>), Refusals))]
pub(crate) async fn nodes_list(
    State(shared): State<Arc<Shared>>,
    UrlPath((offset, size)): UrlPath<(String, String)>,
) -> Result<Json<Vec<ClusterNodeJson>>, ApiError> {
    shared.nodes(Page::parse(&offset, &size)?).await
}

/// `GET /rest/cluster/deleteNode/{id}`: a GET that deletes, for admins.
#[utoipa::path(get, path = "/rest/cluster/deleteNode/{id}", tag = "v1",
    params(("id" = String, Path, description = "The node")),
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn delete_node(
    State(shared): State<Arc<Shared>>,
    UrlPath(id): UrlPath<String>,
) -> Told {
    shared.forget_node(&id).await
}
