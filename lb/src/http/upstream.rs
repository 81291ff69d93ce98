//! The request as the upstream gets it, and its answer as the client gets it.
//!
//! Pingora has taken off hop-by-hop headers already, and left `Upgrade` only if it asks for a
//! WebSocket; what `proxy_set_header` says of `Connection` and `Upgrade` can therefore only pass
//! on a WebSocket, never smuggle another protocol through.

use http::HeaderValue;
use http::header::{CONNECTION, EXPECT, HeaderName, LOCATION, UPGRADE};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;
use weir_conf::nginx::model;

use super::proxy::{Ctx, Gateway};
use super::site::{Location, Proxy};
use super::uri;

impl Gateway {
    /// Rewrites a request for the upstream.
    pub(crate) fn prepare(
        &self,
        session: &Session,
        request: &mut RequestHeader,
        ctx: &Ctx,
    ) -> pingora::Result<()> {
        let Some((location, proxy)) = self.proxy(ctx) else {
            return Ok(());
        };
        if let Some(target) = target(session.req_header(), location, &proxy.model, ctx) {
            request.set_raw_path(&target)?;
        }
        if ctx.flow.as_get && request.method != http::Method::HEAD {
            request.set_method(http::Method::GET);
        }
        // Answered already.
        request.remove_header(&EXPECT);
        let websocket = request.headers.contains_key(UPGRADE);
        let mut upgrade = false;
        let mut connection = None;
        let values = self.values(session, ctx);
        for (name, written, template) in &proxy.set_headers {
            let value = values.value(template);
            if *name == UPGRADE {
                upgrade = websocket && value.eq_ignore_ascii_case(b"websocket");
            } else if *name == CONNECTION {
                connection = Some(value);
            } else {
                set(request, name, written, &value)?;
            }
        }
        let connection = connection.unwrap_or_default();
        if upgrade && has_token(&connection, b"upgrade") {
            // Left as Pingora wrote them.
            return Ok(());
        }
        request.remove_header(&UPGRADE);
        request.remove_header(&CONNECTION);
        if proxy.group.keepalive == 0 || has_token(&connection, b"close") {
            request.insert_header("Connection", "close")?;
        }
        Ok(())
    }

    /// Rewrites an answer's header for the client. 1xx pass as they are.
    pub(crate) fn adjust(
        &self,
        session: &Session,
        response: &mut ResponseHeader,
        ctx: &Ctx,
    ) -> pingora::Result<()> {
        if response.status.is_informational() {
            return Ok(());
        }
        if let Some((_, proxy)) = self.proxy(ctx) {
            for name in &proxy.hide_headers {
                response.remove_header(name);
            }
            redirect(response, &proxy.model)?;
        }
        if ctx.flow.err_status != 0 {
            let status = http::StatusCode::from_u16(ctx.flow.err_status);
            response.set_status(status.unwrap_or(response.status))?;
        }
        self.add_to(session, ctx, response)
    }
}

/// The request target for the upstream, if it is not the client's own.
fn target(
    request: &RequestHeader,
    location: &Location,
    proxy: &model::Proxy,
    ctx: &Ctx,
) -> Option<Vec<u8>> {
    let raw = request.raw_path();
    let origin = uri::origin_form(raw)?;
    let (path, args) = uri::split(origin);
    let normal = ctx.flow.path.as_deref().unwrap_or(path);
    let args = ctx.flow.args.as_deref().unwrap_or(args);
    let Some(replacement) = &proxy.uri else {
        if !ctx.flow.rewritten {
            return (origin.len() != raw.len()).then(|| origin.to_vec());
        }
        let mut out = Vec::with_capacity(normal.len() + args.len() + 1);
        uri::escape(normal, &mut out);
        if !args.is_empty() {
            out.push(b'?');
            out.extend_from_slice(args);
        }
        return Some(out);
    };
    let rest = if location.exact {
        &[][..]
    } else if location.pathless {
        normal
    } else {
        normal.get(location.path.len()..).unwrap_or_default()
    };
    let mut out = replacement.as_bytes().to_vec();
    if !replacement.starts_with('/') {
        out.insert(0, b'/');
    }
    uri::escape(rest, &mut out);
    if !args.is_empty() {
        out.push(b'?');
        out.extend_from_slice(args);
    }
    Some(out)
}

fn set(
    request: &mut RequestHeader,
    name: &HeaderName,
    written: &str,
    value: &[u8],
) -> pingora::Result<()> {
    // An empty value takes the header off; one that cannot stand in a header is never sent.
    match HeaderValue::from_bytes(value) {
        Ok(value) if !value.is_empty() => request.insert_header(written.to_owned(), value),
        _ => {
            request.remove_header(name);
            Ok(())
        }
    }
}

/// `proxy_redirect`: the first prefix that fits is replaced.
fn redirect(response: &mut ResponseHeader, proxy: &model::Proxy) -> pingora::Result<()> {
    let Some(location) = response.headers.get(LOCATION) else {
        return Ok(());
    };
    let replaced = proxy.redirects.iter().find_map(|(from, to)| {
        let rest = location.as_bytes().strip_prefix(from.as_bytes())?;
        HeaderValue::from_bytes(&[to.as_bytes(), rest].concat()).ok()
    });
    match replaced {
        Some(location) => response.insert_header("Location", location),
        None => Ok(()),
    }
}

fn has_token(value: &[u8], token: &[u8]) -> bool {
    value
        .split(|byte| *byte == b',')
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(token))
}

/// The proxy of a request's location, if it has one.
impl Gateway {
    pub(crate) fn proxy(&self, ctx: &Ctx) -> Option<(&Location, &Proxy)> {
        let location = self.location(ctx)?;
        match &location.action {
            super::site::Do::Proxy(proxy) => Some((location, proxy)),
            super::site::Do::Files | super::site::Do::StubStatus => None,
        }
    }
}
