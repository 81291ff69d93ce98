//! What an answer says of a media object: type, age, entity tag, who may keep it, how it was come
//! by. And what is said when there is none.

use crate::answer::{Reply, allow_all};
use crate::path::Kind;
use crate::range::Span;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use weir_cache::{Answer, FetchError, Outcome};

/// The header fields of a 200, 206 or 304, but for length and range.
pub(crate) fn headers(kind: Kind<'_>, answer: &Answer, tag: Option<&HeaderValue>) -> HeaderMap {
    let from_origin = &answer.object.head().headers;
    let mut headers = HeaderMap::with_capacity(16);
    let content_type = from_origin
        .get(header::CONTENT_TYPE)
        .cloned()
        .unwrap_or_else(|| HeaderValue::from_static(kind.content_type()));
    headers.insert(header::CONTENT_TYPE, content_type);
    let cache_control = match kind {
        Kind::Multivariant | Kind::Playlist => {
            Some(HeaderValue::from_static(match answer.outcome {
                Outcome::Stale => "no-store",
                _ => "no-cache",
            }))
        }
        Kind::Init(_) | Kind::Segment(_) => from_origin.get(header::CACHE_CONTROL).cloned(),
    };
    if let Some(cache_control) = cache_control {
        headers.insert(header::CACHE_CONTROL, cache_control);
    }
    headers.insert(header::AGE, HeaderValue::from(answer.age_ms / 1000));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(tag) = tag {
        headers.insert(header::ETAG, tag.clone());
    }
    let cache_status = match answer.outcome {
        // RFC 9211 section 2.4: a lifetime that is over is a negative one.
        Outcome::Stale => {
            let over_s = answer.stale_ms.div_ceil(1000);
            value(&format!("weir; hit; ttl=-{over_s}; detail=stale-if-error"))
        }
        outcome => cache_status(outcome),
    };
    headers.insert("cache-status", cache_status);
    allow_all(&mut headers);
    headers
}

/// A strong tag (RFC 9110 section 8.8.3), the same on every edge. What carries an epoch never
/// changes, so its name is its tag; a playlist's is made of its bytes.
pub(crate) fn entity_tag(kind: Kind<'_>, answer: &Answer) -> Option<HeaderValue> {
    let tag = match kind {
        Kind::Init(object) | Kind::Segment(object) => {
            format!("\"{}-{}\"", object.epoch, object.file)
        }
        Kind::Multivariant | Kind::Playlist => format!("\"{:016x}\"", answer.object.digest()?),
    };
    HeaderValue::from_str(&tag).ok()
}

/// If-None-Match (RFC 9110 section 13.1.2): weak comparison with any of the list, or `*`.
pub(crate) fn matches_tag(asked: &HeaderValue, tag: &HeaderValue) -> bool {
    asked.as_bytes().split(|b| *b == b',').any(|one| {
        let one = one.trim_ascii();
        one == b"*" || one.strip_prefix(b"W/").unwrap_or(one) == tag.as_bytes()
    })
}

/// RFC 9211.
fn cache_status(outcome: Outcome) -> HeaderValue {
    HeaderValue::from_static(match outcome {
        Outcome::Hit | Outcome::Negative => "weir; hit",
        Outcome::Miss => "weir; fwd=miss",
        Outcome::Collapsed => "weir; fwd=miss; collapsed",
        Outcome::Stale => "weir; hit; detail=stale-if-error",
        Outcome::Bypass => "weir; fwd=bypass",
        Outcome::Error(_) => "weir; fwd=miss; detail=error",
    })
}

/// The origin's refusal, without its body.
pub(crate) fn passed_on(status: StatusCode, outcome: Outcome) -> Reply {
    let status = match status.as_u16() {
        404 | 410 | 500..=599 => status,
        // Nothing else makes sense for a plain GET between two of our nodes.
        _ => StatusCode::BAD_GATEWAY,
    };
    let mut reply = Reply::plain(status).dated();
    reply.headers.insert("cache-status", cache_status(outcome));
    allow_all(&mut reply.headers);
    reply
}

/// The answer when nothing could be had.
pub(crate) fn failed(error: &FetchError, outcome: Outcome) -> Reply {
    let mut reply = Reply::plain(error.status()).dated();
    reply.headers.insert("cache-status", cache_status(outcome));
    allow_all(&mut reply.headers);
    reply
}

/// The Content-Range field of one part.
pub(crate) fn content_range(span: Span, total: u64) -> String {
    format!("bytes {}-{}/{total}", span.from, span.end.saturating_sub(1))
}

/// Of text made here, which holds no byte a header may not hold.
pub(crate) fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
