//! The request as the upstream gets it.
//!
//! Pingora has taken off hop-by-hop headers already, and left `Upgrade` only if it asks for a
//! WebSocket; what `proxy_set_header` says of `Connection` and `Upgrade` can therefore only pass
//! on a WebSocket, never smuggle another protocol through.

use std::net::SocketAddr;

use bytes::Bytes;
use http::HeaderValue;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderName, TRANSFER_ENCODING, UPGRADE};
use http::{Method, Version};
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use weir_conf::nginx::model;
use weir_conf::nginx::model::proxy::{Bind, Passing};

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
        if ctx.flow.as_get && request.method != Method::HEAD {
            request.set_method(Method::GET);
        }
        let passing = &proxy.model.passing;
        if !passing.headers {
            bare(request);
        }
        // Answered already.
        request.remove_header(&EXPECT);
        if let Some(fetch) = &ctx.fetch {
            fetch.condition(request)?;
        }
        if let Some(template) = &passing.method {
            let method = self.values(session, ctx).value(template).into_owned();
            // One that is no method is left as the client's.
            if let Ok(method) = Method::from_bytes(&method) {
                request.set_method(method);
            }
        }
        self.frame(session, request, ctx, passing)?;
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
        let kept = self.group(ctx).is_some_and(|group| group.keepalive > 0);
        if !kept || passing.http_1_0 || ctx.last_of_kept || has_token(&connection, b"close") {
            request.insert_header("Connection", "close")?;
        }
        Ok(())
    }
}

impl Gateway {
    /// `proxy_set_body` and `proxy_pass_request_body off`: what goes in place of a piece of the
    /// client's body.
    pub(crate) fn replace_body(&self, session: &Session, ctx: &mut Ctx, body: &mut Option<Bytes>) {
        let Some((_, proxy)) = self.proxy(ctx) else {
            return;
        };
        let passing = &proxy.model.passing;
        match &passing.set_body {
            Some(template) if !ctx.body_set => {
                let value = self.values(session, ctx).value(template).into_owned();
                *body = Some(Bytes::from(value));
                ctx.body_set = true;
            }
            None if passing.body => {}
            // An empty piece is not sent, and not the end.
            _ => *body = body.as_ref().map(|_| Bytes::new()),
        }
    }

    /// Sees to the body's length and the version it is told in.
    fn frame(
        &self,
        session: &Session,
        request: &mut RequestHeader,
        ctx: &Ctx,
        passing: &Passing,
    ) -> pingora::Result<()> {
        let given = match &passing.set_body {
            Some(template) => Some(self.values(session, ctx).value(template).len() as u64),
            None if !passing.body => Some(0),
            // One that came in chunks has its length by now.
            None => ctx.held,
        };
        let had_length = request.headers.contains_key(CONTENT_LENGTH)
            || request.headers.contains_key(TRANSFER_ENCODING);
        if let Some(length) = given.filter(|length| *length > 0 || had_length) {
            request.remove_header(&TRANSFER_ENCODING);
            request.insert_header("Content-Length", length)?;
        }
        // What comes in chunks has no length before its end, which 1.0 would need.
        if passing.http_1_0 && !request.headers.contains_key(TRANSFER_ENCODING) {
            request.set_version(Version::HTTP_10);
        }
        Ok(())
    }
}

impl Gateway {
    /// `proxy_bind`; what a request makes that is no address binds nothing.
    pub(crate) fn bound_to(
        &self,
        session: &Session,
        ctx: &Ctx,
        passing: &Passing,
    ) -> Option<SocketAddr> {
        let template = match passing.bind.as_ref()? {
            Bind::Fixed(addr) => return Some(*addr),
            Bind::Variable(template) => template,
        };
        let text = self.values(session, ctx).value(template).into_owned();
        let text = String::from_utf8_lossy(&text);
        let addr = Bind::addr(&text);
        if addr.is_none() && !text.is_empty() {
            tracing::error!("invalid local address \"{text}\"");
        }
        addr
    }
}

/// `proxy_pass_request_headers off`: what tells of the body stays.
fn bare(request: &mut RequestHeader) {
    let names: Vec<HeaderName> = request.headers.keys().cloned().collect();
    for name in names {
        let framing = [CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION, UPGRADE];
        if !framing.contains(&name) {
            request.remove_header(&name);
        }
    }
}

/// The request target for the upstream, if it is not the client's own.
pub(super) fn target(
    request: &RequestHeader,
    location: &Location,
    proxy: &model::Proxy,
    ctx: &Ctx,
) -> Option<Vec<u8>> {
    let raw = request.raw_path();
    let origin = uri::origin_form(raw)?;
    if let Some(uri) = ctx.target.as_ref().and_then(|target| target.uri.as_ref()) {
        return Some(uri.clone());
    }
    let (path, args) = uri::split(&origin);
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
