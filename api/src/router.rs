//! Which path is answered by what.

use crate::error::ApiError;
use crate::management::panel::AppsRouter;
use crate::openapi::Documents;
use crate::state::{ApiState, Shared};
use crate::{apps_rest, filter, management, metrics, node, nodes, openapi, pages};
use axum::extract::Request;
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{any, get};
use axum::{Extension, Router};
use http::{HeaderName, HeaderValue, Method, header};
use std::sync::Arc;
use std::time::Duration;
use tower_http::cors::{Any, CorsLayer};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How long a browser may remember a preflight's answer.
const PREFLIGHT_AGE: Duration = Duration::from_secs(3600);

/// All routes. Paths that have none are 404: JSON under `rest/`, a line of text elsewhere.
pub fn router(state: ApiState) -> Router {
    let (apps, app_paths) = in_apps().split_for_parts();
    let (server, server_paths) = at_root().split_for_parts();
    // Probes and scrapes are let in however busy the node is: then they matter most.
    let (probes, probe_paths) = probes().split_for_parts();
    let mut all = openapi::base();
    for paths in [app_paths, server_paths, probe_paths] {
        all.merge(paths);
    }
    let shared = Arc::new(Shared::new(state, Documents::new(all)));
    let admit = from_fn_with_state(Arc::clone(&shared), metrics::admit);

    let apps = apps
        .route("/{app}/rest/{*path}", any(not_built))
        .route_layer(from_fn_with_state(Arc::clone(&shared), apps_rest::carry))
        .route_layer(from_fn_with_state(Arc::clone(&shared), filter::of_app));
    let panel = apps.clone().fallback(not_built);
    let panel = panel.method_not_allowed_fallback(other_method);
    let panel = AppsRouter(panel.with_state(Arc::clone(&shared)));
    let server = server
        .route("/rest/{*path}", any(not_built))
        .layer(Extension(panel))
        .route_layer(from_fn_with_state(Arc::clone(&shared), filter::of_server));
    let documents = Router::new()
        .route("/rest/openapi.json", get(openapi::of_server))
        .route("/{app}/openapi", get(openapi::of_app))
        .route("/{app}/openapi/openapi.json", get(openapi::of_app));
    let rest = apps
        .merge(server)
        .merge(documents)
        .route_layer(admit)
        .merge(probes)
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

/// Routes that document themselves: path and method are those of the handler's `#[utoipa::path]`.
type Routes = OpenApiRouter<Arc<Shared>>;

/// REST of one application; every path begins with `/{app}`.
fn in_apps() -> Routes {
    apps_rest::routes()
        .routes(routes!(node::version_in_app))
        .routes(routes!(nodes::first_in_app))
        .routes(routes!(nodes::list_in_app))
}

/// REST of the server.
fn at_root() -> Routes {
    management::routes()
        .merge(management::public_routes())
        .routes(routes!(node::version))
        .routes(routes!(nodes::first))
        .routes(routes!(nodes::list))
        .routes(routes!(nodes::count))
}

/// What is answered however busy the node is.
fn probes() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(node::liveness))
        .routes(routes!(node::info))
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
