//! From a request's header to a location: Pingora's `request_filter`.
//!
//! Refused here: no or a malformed `Host` (400), a path that cannot be normalised (400), a header
//! too long (400, as nginx), a body announced too long (413), a length or a transfer coding that
//! the next hop could read in another way (400 and 501, as nginx). Two `Host` headers, two
//! different lengths and the like are refused by Pingora before.

use http::HeaderMap;
use http::Version;
use http::header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use pingora::protocols::http::ServerSession;
use pingora::proxy::Session;
use weir_conf::nginx::model::Common;

use super::host::host_name;
use super::machine::Phase;
use super::proxy::{Ctx, Gateway};
use super::reply::{Reply, Step};
use super::site::{AddHeader, Server};
use super::sound;
use super::uri;
use crate::tls::TlsServer;

/// Longest body that is read and thrown away after an answer which did not need it.
const DISCARD_BYTES_MAX: u64 = 1 << 20;

impl Gateway {
    /// Chooses server and location. `Ok(true)` if the request was answered.
    pub(crate) async fn receive(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
    ) -> pingora::Result<bool> {
        if let Some(conn) = &ctx.conn {
            conn.header_done();
        }
        let chosen = self.choose(session, ctx);
        self.leave_out(session, ctx);
        let step = match chosen {
            Err(status) => {
                // The server is not known for sure: answer and close, as nginx does.
                session.set_keepalive(None);
                self.go(session, ctx, Phase::Fail(status)).await
            }
            Ok(()) => {
                self.find_client(session, ctx);
                let step = self.go(session, ctx, Phase::Server).await;
                self.apply(session, ctx);
                match ctx.conn.as_ref().and_then(|conn| conn.take_failed()) {
                    Some(failed) if matches!(step, Step::Proxy) => {
                        self.go_on_from(session, ctx, *failed).await
                    }
                    _ => step,
                }
            }
        };
        self.conclude(session, ctx, step).await
    }

    /// Does what the phases came to. `Ok(true)` if the request was answered.
    pub(super) async fn conclude(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        step: Step,
    ) -> pingora::Result<bool> {
        match step {
            Step::Close => {
                session.set_keepalive(None);
                Ok(true)
            }
            Step::Proxy if self.is_cached(ctx) => Box::pin(self.through_cache(session, ctx)).await,
            Step::Proxy => {
                if expects_continue(session) {
                    // As nginx: the client is told at once, whatever peer it will be.
                    session.write_continue_response().await?;
                }
                self.hold_body(session, ctx).await?;
                Ok(false)
            }
            Step::Reply(reply) => {
                if reply.status < 400 && announced(session) <= DISCARD_BYTES_MAX {
                    keep_open(session);
                }
                self.give(session, ctx, reply).await?;
                Ok(true)
            }
            // `go` has waited.
            Step::Wait(..) | Step::Ask(_) => Ok(true),
        }
    }

    /// Gives an answer of our own.
    pub(super) async fn give(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        reply: Reply,
    ) -> pingora::Result<()> {
        let reply = self.finish(session, ctx, reply);
        let pace = self.pace(session, ctx);
        let mut header = reply.header()?;
        self.recode(session, ctx, &mut header)?;
        self.tell_keepalive(session, ctx, &mut header)?;
        reply.send(session, header, pace).await
    }

    /// Leaves out the headers whose names do not do.
    fn leave_out(&self, session: &mut Session, ctx: &Ctx) {
        let Some(server) = self.site.servers.get(ctx.server) else {
            return;
        };
        for name in sound::left_out(&session.req_header().headers, &server.model) {
            session.req_header_mut().remove_header(&name);
        }
    }

    fn choose(&self, session: &Session, ctx: &mut Ctx) -> Result<(), u16> {
        let request = session.req_header();
        let conn = ctx.conn.clone();
        ctx.server = conn.as_ref().map_or(0, |conn| conn.hosts.default_server());
        check_framing(&request.headers)?;
        let host = match request.headers.get(HOST) {
            Some(host) => host_name(host.as_bytes())
                .filter(|host| !host.is_empty())
                .ok_or(400_u16)?,
            None if request.version == Version::HTTP_11 => return Err(400),
            None => request
                .uri
                .host()
                .unwrap_or_default()
                .to_ascii_lowercase()
                .into(),
        };
        if let Some(conn) = &conn {
            let (server, regex) = conn.hosts.find(&host);
            ctx.server = server;
            if let Some(regex) = regex {
                self.matches(regex, host.as_bytes(), ctx);
            }
        }
        if !host.is_empty() {
            ctx.host = host.into_owned();
        }
        let server = self.site.servers.get(ctx.server).ok_or(500_u16)?;
        check_tls(server, ctx)?;
        let raw = session.to_h1_raw();
        if raw.len() as u64 > server.model.header_bytes_max
            || request.headers.len() > server.model.headers_max
            || (request.version <= Version::HTTP_11 && !sound::request_line(&raw))
        {
            return Err(400);
        }
        sound::method(request)?;
        let target = uri::origin_form(request.raw_path()).ok_or(400_u16)?;
        let (path, args) = uri::split(&target);
        let normal = uri::normalise(path, server.model.merge_slashes).ok_or(400_u16)?;
        if let std::borrow::Cow::Owned(normal) = normal {
            ctx.flow.path = Some(normal);
        } else if target.len() != request.raw_path().len() {
            ctx.flow.path = Some(path.to_vec());
            ctx.flow.args = Some(args.to_vec());
        }
        Ok(())
    }

    /// The type of a text that the file gives: by the path's ending, as of a file.
    pub(super) fn content_type(&self, session: &Session, ctx: &Ctx) -> String {
        let path = self.values(session, ctx).path().into_owned();
        self.type_of(ctx, &path)
    }

    /// nginx's `absolute_redirect on`: a path becomes a URL on this host and port.
    pub(super) fn absolute(&self, session: &Session, ctx: &Ctx, location: Vec<u8>) -> Vec<u8> {
        let web = self.web(ctx);
        if location.first() != Some(&b'/') || !web.absolute_redirect {
            return location;
        }
        let values = self.values(session, ctx);
        let local = ctx.conn.as_ref().and_then(|conn| conn.local);
        let host = if web.server_name_in_redirect {
            values.server_name.to_owned()
        } else if ctx.host.is_empty() {
            local.map_or_else(String::new, |addr| addr.ip().to_string())
        } else {
            ctx.host.clone()
        };
        let port = local.map_or(80, |addr| addr.port());
        let scheme = values.scheme();
        let usual = if scheme == "https" { 443 } else { 80 };
        let port = if port == usual || !web.port_in_redirect {
            String::new()
        } else {
            format!(":{port}")
        };
        [format!("{scheme}://{host}{port}").into_bytes(), location].concat()
    }

    /// What holds at the request's location, or at its server if there is none.
    pub(crate) fn common(&self, ctx: &Ctx) -> &Common {
        match self.location(ctx) {
            Some(location) => &location.common,
            None => self
                .site
                .servers
                .get(ctx.server)
                .map_or(&self.fallback, |s| &s.model.common),
        }
    }

    pub(super) fn add_headers(&self, ctx: &Ctx) -> &[AddHeader] {
        match (self.location(ctx), self.site.servers.get(ctx.server)) {
            (Some(location), _) => &location.add_headers,
            (None, Some(server)) => &server.add_headers,
            _ => &[],
        }
    }
}

/// Leaves the connection open though a body is still to be read: it is read after the answer.
fn keep_open(session: &mut Session) {
    if let ServerSession::H1(session) = session.as_downstream_mut() {
        session.set_close_on_response_before_downstream_finish(false);
    }
}

/// Refuses what may not be asked on this connection: plain HTTP where TLS is spoken, and a server
/// that wants a certificate which the client does not have, or gave to another server.
///
/// # Errors
/// The status to refuse with, nginx's own for its error pages: see [`super::reply::Reply::page`].
fn check_tls(server: &Server, ctx: &Ctx) -> Result<(), u16> {
    let Some(conn) = &ctx.conn else {
        return Ok(());
    };
    if conn.plain_on_tls {
        return Err(497);
    }
    let Some(tls) = &conn.tls else {
        return Ok(());
    };
    let asks = server.tls.as_ref().is_some_and(TlsServer::asks_client);
    if tls.server != ctx.server && asks {
        return Err(421);
    }
    if tls.info.refused {
        let shown = tls.info.has_client_certificate();
        return Err(if shown { 495 } else { 496 });
    }
    Ok(())
}

/// Lets pass only what every next hop reads in one way (RFC 9110 section 8.6, RFC 9112 section 6.1):
/// one length in digits, one transfer coding, which is `chunked`. Pingora understands more than
/// that, but passes a list of lengths on as it came and other codings as if they were none.
///
/// # Errors
/// The status to refuse with, nginx's.
fn check_framing(headers: &HeaderMap) -> Result<(), u16> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next() {
        let digits = length.as_bytes().iter().all(u8::is_ascii_digit);
        if !digits || lengths.next().is_some() {
            return Err(400);
        }
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        let chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
        if !chunked || codings.next().is_some() {
            return Err(501);
        }
    }
    Ok(())
}

/// The length of the body the client announces; zero if it does not say.
pub(super) fn announced(session: &Session) -> u64 {
    let length = session.req_header().headers.get(CONTENT_LENGTH);
    length
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .unwrap_or(0)
}

/// RFC 9110 section 10.1.1; HTTP/1.0 clients do not wait.
pub(super) fn expects_continue(session: &mut Session) -> bool {
    let request = session.req_header();
    let expects = request.version == Version::HTTP_11
        && request
            .headers
            .get(EXPECT)
            .is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    expects && !session.is_body_empty()
}

/// `client_max_body_size`; zero is none.
pub(crate) fn limit(common: &Common) -> u64 {
    match common.client_max_body_bytes {
        0 => u64::MAX,
        bytes => bytes,
    }
}
