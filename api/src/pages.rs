//! Pages and what they load: `/`, `/{app}/play.html`, `assets/…` at the root and under each application.
//!
//! Assets live under the application too, so that a page's relative links work behind a proxy that passes on one
//! application only. Pages may load from their own server and nowhere else; the player may be framed by any site,
//! as Ant Media's may.

use crate::error::ApiError;
use crate::extract::UrlPath;
use crate::state::{Asset, Shared};
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use std::sync::Arc;

const PLAYER: &str = "play.html";
const INDEX: &str = "index.html";

/// hls.js plays from `blob:` URLs and works in a worker; nothing comes from elsewhere.
macro_rules! policy {
    ($framed_by:literal) => {
        concat!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; ",
            "media-src 'self' blob:; worker-src 'self' blob:; connect-src 'self'; base-uri 'none'; ",
            "form-action 'self'; frame-ancestors ",
            $framed_by
        )
    };
}
const PLAYER_POLICY: HeaderValue = HeaderValue::from_static(policy!("*"));
const INDEX_POLICY: HeaderValue = HeaderValue::from_static(policy!("'self'"));

/// Names that change with their content are kept a year, the longest that caches agree on.
const CACHE_FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// All others are asked for each time, and mostly answered with 304.
const CACHE_ASK: HeaderValue = HeaderValue::from_static("no-cache");

/// `GET /`.
pub(crate) async fn index(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    shared.page(INDEX, INDEX_POLICY, &headers)
}

/// `GET /{app}/play.html`.
pub(crate) async fn player(
    State(shared): State<Arc<Shared>>,
    UrlPath(app): UrlPath<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    shared.app(&app)?;
    Ok(shared.page(PLAYER, PLAYER_POLICY, &headers))
}

/// `GET /assets/{path}`.
pub(crate) async fn asset(
    State(shared): State<Arc<Shared>>,
    UrlPath(path): UrlPath<String>,
    headers: HeaderMap,
) -> Response {
    shared.file(&format!("assets/{path}"), &headers)
}

/// `GET /{app}/assets/{path}`.
pub(crate) async fn asset_in_app(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, path)): UrlPath<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    shared.app(&app)?;
    Ok(shared.file(&format!("assets/{path}"), &headers))
}

/// Whatever has no route and is no REST path.
pub(crate) async fn nothing_here() -> Response {
    (StatusCode::NOT_FOUND, "404: nothing here\n").into_response()
}

impl Shared {
    fn page(&self, path: &str, policy: HeaderValue, headers: &HeaderMap) -> Response {
        let mut response = self.file(path, headers);
        let policy = [
            (header::CONTENT_SECURITY_POLICY, policy),
            (
                header::REFERRER_POLICY,
                HeaderValue::from_static("strict-origin-when-cross-origin"),
            ),
        ];
        response.headers_mut().extend(policy);
        response
    }

    fn file(&self, path: &str, headers: &HeaderMap) -> Response {
        match self.given.assets.get(path) {
            Some(asset) => answer(asset, headers),
            None => (StatusCode::NOT_FOUND, "404: no such file\n").into_response(),
        }
    }
}

fn answer(asset: Asset, request: &HeaderMap) -> Response {
    let cache = if asset.immutable {
        CACHE_FOREVER
    } else {
        CACHE_ASK
    };
    // Weak, because the compressed form has the same tag (RFC 9110 section 8.8.1).
    let etag = HeaderValue::try_from(format!("W/{}", asset.etag)).ok();
    let common: [(HeaderName, Option<HeaderValue>); 4] = [
        (header::CACHE_CONTROL, Some(cache)),
        (header::ETAG, etag),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            Some(HeaderValue::from_static("nosniff")),
        ),
        (
            header::VARY,
            Some(HeaderValue::from_static("accept-encoding")),
        ),
    ];
    let mut response = if is_known(request, &asset.etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        content(asset, request)
    };
    let present = common
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    response.headers_mut().extend(present);
    response
}

fn content(asset: Asset, request: &HeaderMap) -> Response {
    let content_type = HeaderValue::from_static(asset.content_type);
    let zipped = asset.gzip.filter(|_| accepts_gzip(request));
    let encoding = zipped.is_some().then(|| HeaderValue::from_static("gzip"));
    let mut response = Response::new(Body::from(zipped.unwrap_or(asset.bytes)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, encoding);
    }
    response
}

/// If-None-Match, compared weakly (RFC 9110 section 13.1.2).
fn is_known(request: &HeaderMap, etag: &str) -> bool {
    list(request, header::IF_NONE_MATCH)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// Accept-Encoding names gzip and does not refuse it with `q=0`.
fn accepts_gzip(request: &HeaderMap) -> bool {
    list(request, header::ACCEPT_ENCODING).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = weight
            .trim()
            .strip_prefix("q=")
            .is_some_and(|q| q.parse().is_ok_and(|q: f32| q <= 0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

/// The members of a header that is a list.
fn list(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}
