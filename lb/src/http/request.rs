//! From a request's header to a location: Pingora's `request_filter`.
//!
//! Refused here: no or a malformed `Host` (400), a path that cannot be normalised (400), a header
//! too long (400, as nginx), a body announced too long (413), a length or a transfer coding that
//! the next hop could read in another way (400 and 501, as nginx). Two `Host` headers, two
//! different lengths and the like are refused by Pingora before.

use std::time::Duration;

use http::HeaderMap;
use http::Version;
use http::header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use pingora::proxy::Session;
use weir_conf::nginx::model::{Common, Return};

use super::proxy::{Ctx, Gateway};
use super::reply::Reply;
use super::route::{Found, host_name};
use super::site::{AddHeader, Do, Server};
use super::uri;
use crate::tls::TlsServer;

/// How long what is left of a request's body is read after the answer, so that the connection
/// can serve the next request.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

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
        let reply = match self.choose(session, ctx) {
            Err(status) => {
                // The server is not known for sure: answer and close, as nginx does.
                session.set_keepalive(None);
                Reply::page(status)
            }
            Ok(Some(Step::Reply(reply))) => {
                self.apply(session, ctx);
                reply
            }
            Ok(Some(Step::Close)) => {
                session.set_keepalive(None);
                return Ok(true);
            }
            Ok(None) => {
                self.apply(session, ctx);
                if expects_continue(session) {
                    // As nginx: the client is told at once, whatever peer it will be.
                    session.write_continue_response().await?;
                }
                return Ok(false);
            }
        };
        let reply = self.with_added_headers(session, ctx, reply);
        ctx.status = Some(reply.status);
        reply.send(session).await?;
        Ok(true)
    }

    fn choose(&self, session: &Session, ctx: &mut Ctx) -> Result<Option<Step>, u16> {
        let request = session.req_header();
        check_framing(&request.headers)?;
        let host = match request.headers.get(HOST) {
            Some(host) => host_name(host.as_bytes()).ok_or(400_u16)?,
            None if request.version == Version::HTTP_11 => return Err(400),
            None => request
                .uri
                .host()
                .unwrap_or_default()
                .to_ascii_lowercase()
                .into(),
        };
        ctx.server = ctx.conn.as_ref().map_or(0, |conn| conn.hosts.find(&host));
        if !host.is_empty() {
            ctx.host = host.into_owned();
        }
        let server = self.site.servers.get(ctx.server).ok_or(500_u16)?;
        check_tls(server, ctx)?;
        let header_bytes = session.to_h1_raw().len();
        if header_bytes as u64 > server.model.header_bytes_max {
            return Err(400);
        }
        let target = uri::origin_form(request.raw_path()).ok_or(400_u16)?;
        let (path, _) = uri::split(target);
        let normal = uri::normalise(path).ok_or(400_u16)?;
        if let Some(ret) = &server.model.ret {
            return Ok(Some(self.answer(ret, session, ctx)));
        }
        let found = server.paths.find(&normal);
        if let std::borrow::Cow::Owned(normal) = normal {
            ctx.path = Some(normal);
        } else if target.len() != request.raw_path().len() {
            ctx.path = Some(path.to_vec());
        }
        match found {
            Found::Nothing => Ok(Some(Step::Reply(Reply::page(404)))),
            Found::WithSlash => Ok(Some(Step::Reply(self.with_slash(session, ctx, target)))),
            Found::Location(index) => {
                ctx.location = Some(index);
                let location = server.locations.get(index).ok_or(500_u16)?;
                match &location.action {
                    Do::Return(ret) => Ok(Some(self.answer(ret, session, ctx))),
                    Do::Proxy(_) if announced(session) > limit(&location.common) => {
                        Ok(Some(Step::Reply(Reply::page(413))))
                    }
                    Do::Proxy(_) => Ok(None),
                }
            }
        }
    }

    /// `return`
    fn answer(&self, ret: &Return, session: &Session, ctx: &Ctx) -> Step {
        let text = ret
            .text
            .as_ref()
            .map(|text| self.values(session, ctx).value(text).into_owned());
        match (ret.status, text) {
            (444, _) => Step::Close,
            (status @ (301 | 302 | 303 | 307 | 308), Some(text)) => {
                let location = self.absolute(session, ctx, text);
                Step::Reply(Reply::redirect(status, location))
            }
            (status, Some(text)) => Step::Reply(Reply {
                status,
                content_type: self.common(ctx).default_type.clone(),
                body: text.into(),
                headers: Vec::new(),
            }),
            (status, None) => {
                let mut page = Reply::page(status);
                if (200..300).contains(&status) {
                    page.body = bytes::Bytes::new();
                }
                Step::Reply(page)
            }
        }
    }

    /// nginx's `absolute_redirect on`: a path becomes a URL on this host and port.
    fn absolute(&self, session: &Session, ctx: &Ctx, location: Vec<u8>) -> Vec<u8> {
        if location.first() != Some(&b'/') {
            return location;
        }
        let values = self.values(session, ctx);
        let host = if ctx.host.is_empty() {
            values.server_name
        } else {
            &ctx.host
        };
        let port = ctx
            .conn
            .as_ref()
            .and_then(|conn| conn.local)
            .map_or(80, |addr| addr.port());
        let scheme = values.scheme();
        let port = if port == 80 && scheme == "http" || port == 443 && scheme == "https" {
            String::new()
        } else {
            format!(":{port}")
        };
        [format!("{scheme}://{host}{port}").into_bytes(), location].concat()
    }

    /// A client that asks for `/a` where only `/a/` is passed on is sent there.
    fn with_slash(&self, session: &Session, ctx: &Ctx, target: &[u8]) -> Reply {
        let (_, args) = uri::split(target);
        let mut location = Vec::new();
        let normal = uri::normalise(uri::split(target).0).unwrap_or_default();
        uri::escape(&normal, &mut location);
        location.push(b'/');
        if !args.is_empty() {
            location.push(b'?');
            location.extend_from_slice(args);
        }
        Reply::redirect(301, self.absolute(session, ctx, location))
    }

    /// Sets what the chosen location says of the client's connection.
    fn apply(&self, session: &mut Session, ctx: &Ctx) {
        let common = self.common(ctx);
        session.set_read_timeout(Some(Duration::from_millis(common.client_body_timeout_ms)));
        session.set_write_timeout(Some(Duration::from_millis(common.send_timeout_ms)));
        session.set_total_drain_timeout(Some(DRAIN_LIMIT));
        if session.get_keepalive().is_some() {
            // Pingora counts seconds; anything below one is one.
            let seconds = common.keepalive_timeout_ms.div_ceil(1000);
            session.set_keepalive((seconds > 0).then_some(seconds));
        }
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

    fn add_headers(&self, ctx: &Ctx) -> &[AddHeader] {
        match (self.location(ctx), self.site.servers.get(ctx.server)) {
            (Some(location), _) => &location.add_headers,
            (None, Some(server)) => &server.add_headers,
            _ => &[],
        }
    }

    /// `add_header`, for an answer of this status.
    pub(crate) fn added(
        &self,
        session: &Session,
        ctx: &Ctx,
        status: u16,
    ) -> Vec<(String, Vec<u8>)> {
        let usual = matches!(
            status,
            200 | 201 | 204 | 206 | 301 | 302 | 303 | 304 | 307 | 308
        );
        let wanted = self
            .add_headers(ctx)
            .iter()
            .filter(|header| usual || header.always);
        let mut out = Vec::new();
        for header in wanted {
            let value = self.values(session, ctx).value(&header.value).into_owned();
            if !value.is_empty() {
                out.push((header.name.clone(), value));
            }
        }
        out
    }

    fn with_added_headers(&self, session: &Session, ctx: &mut Ctx, mut reply: Reply) -> Reply {
        ctx.status = Some(reply.status);
        reply.headers.extend(self.added(session, ctx, reply.status));
        reply
    }
}

/// What happens instead of proxying.
enum Step {
    Reply(Reply),
    Close,
}

/// Refuses what may not be asked on this connection: plain HTTP where TLS is spoken, and a server
/// that wants a certificate which the client does not have, or gave to another server.
///
/// # Errors
/// The status to refuse with, nginx's.
fn check_tls(server: &Server, ctx: &Ctx) -> Result<(), u16> {
    let Some(conn) = &ctx.conn else {
        return Ok(());
    };
    if conn.plain_on_tls {
        return Err(400);
    }
    let Some(tls) = &conn.tls else {
        return Ok(());
    };
    let asks = server.tls.as_ref().is_some_and(TlsServer::asks_client);
    if tls.server != ctx.server && asks {
        return Err(421);
    }
    if tls.info.refused {
        return Err(400);
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
fn announced(session: &Session) -> u64 {
    let length = session.req_header().headers.get(CONTENT_LENGTH);
    length
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .unwrap_or(0)
}

/// RFC 9110 section 10.1.1; HTTP/1.0 clients do not wait.
fn expects_continue(session: &mut Session) -> bool {
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
