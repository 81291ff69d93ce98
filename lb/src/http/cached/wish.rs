//! What a request is to its cache: whether it has to do with one, which, and under what key.

use bytes::{Bytes, BytesMut};
use http::Method;
use http::header::{TRANSFER_ENCODING, UPGRADE};
use pingora::proxy::Session;
use weir_conf::nginx::model::cache::CacheZone;

use super::super::proxy::{Ctx, Gateway};
use super::super::request::{announced, expects_continue};
use super::super::site::Proxy;
use super::super::upstream::target;
use super::ranges;
use super::zones::{Caching, Named, Status};

/// Longer bodies of requests are not held for a fetch, bytes.
pub(super) const BODY_BYTES_MAX: u64 = 1 << 20;

impl Gateway {
    /// The zone to use; `None` if none is wanted.
    ///
    /// # Errors
    /// The status for one that there is not.
    pub(super) fn zone_of<'a>(
        &'a self,
        session: &Session,
        ctx: &Ctx,
        caching: &Caching,
    ) -> Result<Option<&'a Named>, u16> {
        match caching.zone() {
            None => Ok(None),
            Some(CacheZone::At(place)) => Ok(self.site.caches.at(*place)),
            Some(CacheZone::Named(template)) => {
                let name = self.values(session, ctx).value(template).into_owned();
                if name.is_empty() || name == b"off" {
                    return Ok(None);
                }
                let found = self.site.caches.named(&name);
                if found.is_none() {
                    let name = String::from_utf8_lossy(&name);
                    tracing::error!(client = ctx.remote_text(), "cache \"{name}\" not found");
                }
                found.map(Some).ok_or(500)
            }
        }
    }

    /// The body that a fetch is to send; the client is told to send it, if he waits for that.
    pub(super) async fn take_body(&self, session: &mut Session) -> pingora::Result<Option<Bytes>> {
        if session.is_body_empty() {
            return Ok(None);
        }
        if expects_continue(session) {
            session.write_continue_response().await?;
        }
        let mut body = BytesMut::new();
        while let Some(piece) = session.read_request_body().await? {
            body.extend_from_slice(&piece);
        }
        Ok(Some(body.freeze()))
    }

    /// `proxy_cache_key`, as text that no two keys share.
    pub(super) fn key(
        &self,
        session: &Session,
        ctx: &Ctx,
        caching: &Caching,
        proxy: &Proxy,
    ) -> String {
        let values = self.values(session, ctx);
        let bytes = if let Some(template) = &caching.model.key {
            values.value(template).into_owned()
        } else {
            let (secure, host) = match &ctx.target {
                Some(target) => (target.secure, target.host.as_str()),
                None => (proxy.model.tls.is_some(), proxy.model.host.as_str()),
            };
            let mut key = if secure { "https://" } else { "http://" }.to_owned();
            key.push_str(host);
            let mut key = key.into_bytes();
            let request = session.req_header();
            let location = self.location(ctx);
            match location.and_then(|it| target(request, it, &proxy.model, ctx)) {
                Some(target) => key.extend_from_slice(&target),
                None => key.extend_from_slice(request.raw_path()),
            }
            key
        };
        match String::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => text,
            Ok(text) => spell(text.as_bytes()),
            Err(bytes) => spell(bytes.as_bytes()),
        }
    }
}

/// Whether the request is one that answers are kept for.
pub(super) fn may_cache(session: &mut Session, ctx: &Ctx, caching: &Caching) -> bool {
    let request = session.req_header();
    let method = &request.method;
    let fits = method == Method::GET
        || method == Method::HEAD
        || ctx.flow.as_get
        || (method == Method::POST && caching.model.post);
    let plain = !request.headers.contains_key(UPGRADE);
    let chunked = request.headers.contains_key(TRANSFER_ENCODING);
    let large = announced(session) > BODY_BYTES_MAX || chunked;
    fits && plain && (!large || session.is_body_empty())
}

/// `proxy_cache_max_range_offset`
pub(super) fn is_far(session: &Session, offset: u64) -> bool {
    if offset == u64::MAX {
        return false;
    }
    let start = ranges::range_start(&session.req_header().headers);
    start.is_some_and(|start| start.is_none_or(|start| start >= offset))
}

/// Whether the value of a condition says yes.
pub(super) fn is_set(value: &[u8]) -> bool {
    !value.is_empty() && value != b"0"
}

pub(super) fn set(ctx: &mut Ctx, status: Status) {
    if let Some(state) = &mut ctx.cache {
        state.status = Some(status);
    }
}

pub(super) fn now_ms() -> u64 {
    use weir_cluster::WallClock as _;
    u64::try_from(weir_cluster::SystemClock.now_ms()).unwrap_or(0)
}

/// Bytes as text, each that is none and the zero byte spelt out.
fn spell(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        // Writing to a String does not fail.
        let _ = match byte {
            0x20..=0x7e => write!(out, "{}", char::from(*byte)),
            _ => write!(out, "\u{1}{byte:02x}"),
        };
    }
    out
}
