//! `/rest/v2/request?_path={App}/rest/v2/…`: the panel's way to the applications' REST.
//!
//! Ant Media's panel talks to the management REST only, and has it repeat the request from loopback, so that the
//! application's IP filter passes. Here the request goes through this node's own router once more, marked
//! [`FromPanel`]: a mark that no client can make, because it is no header. The user's role in that application is
//! judged first. Parameters after `_path` are the application's, whether they stand in it or beside it.

use crate::error::ApiError;
use crate::filter::Refused;
use crate::management::access::{self, Caller};
use crate::openapi::Refusals;
use crate::state::Shared;
use axum::Extension;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header;
use http::uri::PathAndQuery;
use std::sync::Arc;
use tower::ServiceExt as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The longest path that is passed on, bytes.
const PATH_BYTES_MAX: usize = 4_096;

/// Marks a request that the panel's way passed on after it judged the user.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FromPanel;

/// The router of the applications' REST, its filters included; an extension of requests to the panel's way.
#[derive(Clone, Debug)]
pub(crate) struct AppsRouter(pub(crate) Router);

#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "only its description is used, in the OpenAPI document"
)]
struct PanelQuery {
    /// `{App}/rest/v2/…`; further parameters are passed on.
    #[param(rename = "_path", pattern = "^/?[A-Za-z0-9_-]+/rest/")]
    path: String,
}

/// The routes: one path, every method that the applications' REST has.
pub(crate) fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(get, post, put, delete))
}

macro_rules! passed_on {
    ($method:ident, $meaning:literal) => {
        #[doc = $meaning]
        #[utoipa::path($method, path = "/rest/v2/request", tag = "panel", params(PanelQuery),
            responses((status = "default", description = "What the application answers"), Refusals))]
        pub(crate) async fn $method(
            Extension(caller): Extension<Caller>,
            Extension(AppsRouter(router)): Extension<AppsRouter>,
            request: Request,
        ) -> Result<Response, ApiError> {
            pass_on(router, &caller, request).await
        }
    };
}

passed_on!(get, "`GET /rest/v2/request`: reads of an application.");
passed_on!(
    post,
    "`POST /rest/v2/request`: a command to an application."
);
passed_on!(put, "`PUT /rest/v2/request`: a change in an application.");
passed_on!(
    delete,
    "`DELETE /rest/v2/request`: a removal in an application."
);

async fn pass_on(router: Router, caller: &Caller, request: Request) -> Result<Response, ApiError> {
    let (app, target) = target(request.uri().query().unwrap_or_default())?;
    let allowed = match caller {
        Caller::User(user) => access::may_in_app(user, &app, request.method()),
        Caller::Token | Caller::Node => true,
        Caller::Nobody => false,
    };
    if !allowed {
        return Ok(Refused::NotPermitted.into_response());
    }
    let mut inner = Request::new(Body::empty());
    *inner.method_mut() = request.method().clone();
    *inner.uri_mut() = target.into();
    for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::ACCEPT] {
        if let Some(value) = request.headers().get(&name) {
            inner.headers_mut().insert(name, value.clone());
        }
    }
    *inner.body_mut() = request.into_body();
    inner.extensions_mut().insert(FromPanel);
    // A router's error type is uninhabited.
    let Ok(answer) = router.oneshot(inner).await;
    Ok(answer)
}

/// The application and the path with its parameters, from the query of the panel's request.
fn target(query: &str) -> Result<(String, PathAndQuery), ApiError> {
    let fault = || ApiError::Invalid("_path must be {App}/rest/v2/…".to_owned());
    let mut path = None;
    let mut further = Vec::new();
    for pair in query.split('&') {
        match pair.strip_prefix("_path=") {
            Some(value) if path.is_none() => path = Some(decoded(value).ok_or_else(fault)?),
            _ if !pair.is_empty() => further.push(pair),
            _ => {}
        }
    }
    let path = path.ok_or_else(fault)?;
    let (path, own) = path.split_once('?').unwrap_or((&path, ""));
    let path = path.trim_start_matches('/');
    let (app, rest) = path.split_once('/').ok_or_else(fault)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    // What is judged must be what is asked: no encoded letters in the name, no way up and out.
    let leads_out = rest.split('/').any(|part| matches!(part, "." | ".."));
    if app.is_empty() || !app.bytes().all(plain) || !rest.starts_with("rest/") || leads_out {
        return Err(fault());
    }
    if !own.is_empty() {
        further.insert(0, own);
    }
    let mut target = format!("/{app}/{}", encoded(rest));
    if !further.is_empty() {
        target = format!("{target}?{}", further.join("&"));
    }
    if target.len() > PATH_BYTES_MAX {
        return Err(fault());
    }
    let app = app.to_owned();
    PathAndQuery::try_from(target)
        .map(|target| (app, target))
        .map_err(|_| fault())
}

/// A query's value as text.
fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (high, low) = (hex(*rest.first()?)?, hex(*rest.get(1)?)?);
                bytes.push(high << 4 | low);
                rest = &rest[2..];
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

/// A path with what may not stand in one encoded; what is encoded already stays.
fn encoded(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_graphic()
            && !matches!(byte, b'?' | b'#' | b'"' | b'<' | b'>' | b'`' | b'{' | b'}')
        {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(query: &str) -> Option<String> {
        target(query)
            .ok()
            .map(|(app, target)| format!("{app} {target}"))
    }

    #[test]
    fn the_path_and_all_parameters_are_passed_on() {
        let some = |text: &str| Some(text.to_owned());
        let list = "LiveApp /LiveApp/rest/v2/broadcasts/list/0/5";
        assert_eq!(of("_path=LiveApp/rest/v2/broadcasts/list/0/5"), some(list));
        assert_eq!(
            of("_path=%2FLiveApp%2Frest%2Fv2%2Fbroadcasts%2Flist%2F0%2F5"),
            some(list)
        );
        let sorted = format!("{list}?sort_by=name&search=a%20b");
        assert_eq!(
            of("_path=LiveApp/rest/v2/broadcasts/list/0/5?sort_by=name&search=a%20b"),
            Some(sorted.clone())
        );
        assert_eq!(
            of("_path=LiveApp/rest/v2/broadcasts/list/0/5&sort_by=name&search=a%20b"),
            Some(sorted)
        );
    }

    #[test]
    fn only_rest_of_one_application_is_reached() {
        for query in [
            "",
            "_path=",
            "_path=LiveApp",
            "_path=rest/v2/users",
            "_path=LiveApp/streams/a.m3u8",
            "_path=LiveApp/rest/../../rest/v2/users",
            "_path=Live%2541pp/rest/v2/version",
            "_path=LiveApp/rest/%zz",
            "path=LiveApp/rest/v2/version",
            "_path=/",
            "_path=%ff/rest/",
        ] {
            assert_eq!(of(query), None, "{query}");
        }
    }
}
