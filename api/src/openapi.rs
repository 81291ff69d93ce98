//! The OpenAPI documents: one for an application's REST, one for the server's, both made from what the router
//! was made from, so that a route cannot exist undocumented.
//!
//! Handlers carry `#[utoipa::path]` with their whole path, the application as `{app}` in front; the router takes
//! path and method from there. Here the collected document is cut in two: what begins with `/{app}` loses that and
//! is given the application as its server.

use crate::error::ApiError;
use crate::extract::UrlPath;
use crate::state::Shared;
use crate::wire::ResultJson;
use axum::Json;
use axum::extract::State;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::{OpenApi, Ref, RefOr, Response, ResponseBuilder, Server};
use utoipa::{IntoResponses, OpenApi as _, PartialSchema as _, ToSchema as _};

/// The prefix of paths that belong to an application.
const IN_APP: &str = "/{app}";

/// What both documents begin with.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Weir REST v2",
        description = "Ant Media's REST v2 as Weir answers it."
    ),
    components(schemas(ResultJson))
)]
struct Base;

/// What the router's routes are added to.
pub(crate) fn base() -> OpenApi {
    Base::openapi()
}

/// Both documents.
pub(crate) struct Documents {
    app: OpenApi,
    server: OpenApi,
}

impl Documents {
    /// Cuts what the router collected in two.
    pub(crate) fn new(mut all: OpenApi) -> Self {
        let paths = std::mem::take(&mut all.paths.paths);
        let mut app = all.clone();
        let mut server = all;
        for (path, item) in paths {
            match path.strip_prefix(IN_APP) {
                Some(rest) => app.paths.paths.insert(rest.to_owned(), item),
                None => server.paths.paths.insert(path, item),
            };
        }
        server.servers = Some(vec![Server::new("/")]);
        Self { app, server }
    }
}

impl std::fmt::Debug for Documents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Documents")
            .field("app_paths", &self.app.paths.paths.len())
            .field("server_paths", &self.server.paths.paths.len())
            .finish()
    }
}

/// `GET /{app}/openapi/openapi.json`: the application's REST.
pub(crate) async fn of_app(
    State(shared): State<Arc<Shared>>,
    UrlPath(app): UrlPath<String>,
) -> Result<Json<OpenApi>, ApiError> {
    shared.app(&app)?;
    let mut document = shared.documents.app.clone();
    document.servers = Some(vec![Server::new(format!("/{app}"))]);
    Ok(Json(document))
}

/// `GET /rest/openapi.json`: the server's REST.
pub(crate) async fn of_server(State(shared): State<Arc<Shared>>) -> Json<OpenApi> {
    Json(shared.documents.server.clone())
}

/// What any REST path may answer instead of what was asked for.
pub(crate) struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let as_result = [
            ("400", "A value that cannot be"),
            ("404", "Nothing by that name"),
            ("405", "Another method is answered here"),
            ("413", "The body is too long"),
            ("415", "The body's type is not the one that is read here"),
            (
                "503",
                "The store does not answer, or too much is asked at once",
            ),
        ];
        let as_result = as_result.map(|(status, meaning)| {
            let schema = Ref::from_schema_name(ResultJson::name());
            let content = ContentBuilder::new().schema(Some(schema)).build();
            (status, with("application/json", content, meaning))
        });
        let refused = with(
            "text/plain",
            ContentBuilder::new().schema(Some(String::schema())).build(),
            "The caller may not",
        );
        let all = as_result.into_iter().chain([("403", refused)]);
        all.map(|(status, response)| (status.to_owned(), RefOr::T(response)))
            .collect()
    }
}

/// A GET of one record that is not there: 404 without a body, as Ant Media's.
pub(crate) struct NoSuchRecord;

impl IntoResponses for NoSuchRecord {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let nothing = ResponseBuilder::new().description("Nothing by that name");
        BTreeMap::from([("404".to_owned(), RefOr::T(nothing.build()))])
    }
}

fn with(content_type: &str, content: utoipa::openapi::Content, meaning: &str) -> Response {
    ResponseBuilder::new()
        .description(meaning)
        .content(content_type, content)
        .build()
}
