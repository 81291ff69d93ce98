//! Which path is answered by what.

use crate::error::ApiError;
use crate::state::{ApiState, Shared};
use crate::{broadcasts, metrics, node, nodes, pages};
use axum::Router;
use axum::extract::Request;
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{any, get};
use http::{HeaderName, HeaderValue, Method, header};
use std::sync::Arc;
use std::time::Duration;
use tower_http::cors::{Any, CorsLayer};

/// How long a browser may remember a preflight's answer.
const PREFLIGHT_AGE: Duration = Duration::from_secs(3600);

/// All routes. Paths that have none are 404: JSON under `rest/`, a line of text elsewhere.
pub fn router(state: ApiState) -> Router {
    let shared = Arc::new(Shared::new(state));
    let admitted = in_apps().merge(at_root());
    let admitted = admitted.route_layer(from_fn_with_state(Arc::clone(&shared), metrics::admit));
    // Probes and scrapes are let in however busy the node is: then they matter most.
    let rest = admitted
        .route("/rest/v2/liveness", get(node::liveness))
        .route("/rest/v2/weir/node", get(node::info))
        .method_not_allowed_fallback(other_method)
        .layer(map_response(uncached))
        .layer(cors());
    let pages = Router::new()
        .route("/", get(pages::index))
        .route("/{app}/play.html", get(pages::player))
        .route("/assets/{*path}", get(pages::asset))
        .route("/{app}/assets/{*path}", get(pages::asset_in_app))
        .route("/metrics", get(node::metrics));
    rest.merge(pages)
        .fallback(pages::nothing_here)
        .layer(from_fn_with_state(Arc::clone(&shared), metrics::measure))
        .with_state(shared)
}

/// REST of one application.
fn in_apps() -> Router<Arc<Shared>> {
    let broadcasts = Router::new()
        .route("/list/{offset}/{size}", get(broadcasts::list))
        .route("/count", get(broadcasts::count))
        .route("/count/{search}", get(broadcasts::count_matching))
        .route("/active-live-stream-count", get(broadcasts::count_live))
        .route("/{id}", get(broadcasts::one));
    Router::new()
        .nest("/{app}/rest/v2/broadcasts", broadcasts)
        .route("/{app}/rest/v2/version", get(node::version_in_app))
        .route("/{app}/rest/v2/cluster/nodes", get(nodes::first_in_app))
        .route(
            "/{app}/rest/v2/cluster/nodes/{offset}/{size}",
            get(nodes::list_in_app),
        )
        .route("/{app}/rest/{*path}", any(not_built))
}

/// REST of the server.
fn at_root() -> Router<Arc<Shared>> {
    Router::new()
        .route("/rest/v2/version", get(node::version))
        .route("/rest/v2/cluster/nodes", get(nodes::first))
        .route("/rest/v2/cluster/nodes/{offset}/{size}", get(nodes::list))
        .route("/rest/v2/cluster/node-count", get(nodes::count))
        .route("/rest/{*path}", any(not_built))
}

/// Ant Media's: any origin, these methods, these headers.
fn cors() -> CorsLayer {
    let headers: [HeaderName; 7] = [
        header::ACCEPT,
        header::ORIGIN,
        HeaderName::from_static("x-requested-with"),
        header::ACCESS_CONTROL_REQUEST_HEADERS,
        header::CONTENT_TYPE,
        header::ACCESS_CONTROL_REQUEST_METHOD,
        header::AUTHORIZATION,
    ];
    let methods = [
        Method::GET,
        Method::POST,
        Method::HEAD,
        Method::OPTIONS,
        Method::PUT,
        Method::DELETE,
    ];
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods(methods)
        .allow_headers(headers)
        .max_age(PREFLIGHT_AGE)
}

/// What REST tells is true for now only: no cache between may keep it.
async fn uncached(mut response: Response) -> Response {
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    response
}

async fn not_built(request: Request) -> ApiError {
    let (method, path) = asked(&request);
    ApiError::NotBuilt { method, path }
}

async fn other_method(request: Request) -> ApiError {
    let (method, path) = asked(&request);
    ApiError::Method { method, path }
}

/// Method and path, the latter cut to a length that may be repeated.
fn asked(request: &Request) -> (Method, String) {
    const SHOWN_CHARS: usize = 200;
    let path = request.uri().path().chars().take(SHOWN_CHARS).collect();
    (request.method().clone(), path)
}
