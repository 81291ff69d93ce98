//! Pingora's hooks: what happens to a request, in the order it happens.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};
use tokio::time::Instant;
use weir_conf::nginx::model::{Common, Server as ServerModel};

use super::conn::{self, Conn};
use super::failure::{Stage, has_begun, status_for, unanswered};
use super::log::Logs;
use super::reply::Reply;
use super::request::limit;
use super::site::{Location, Site};
use super::vars::Values;
use crate::balance::Outcome;
use crate::group::Lease;

/// After an error answer, how long what the client still sends is read, so that it sees the
/// answer and not a reset.
const LINGER: std::time::Duration = std::time::Duration::from_secs(2);

/// The proxy of one `http` block.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) site: Arc<Site>,
    /// For a request that no server was found for, which cannot be.
    pub(crate) fallback: Common,
    /// Access logs in files.
    pub(crate) logs: Option<Logs>,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Ctx {
    pub(crate) conn: Option<Arc<Conn>>,
    started: Instant,
    /// Place of the server.
    pub(crate) server: usize,
    /// Place of the location in it.
    pub(crate) location: Option<usize>,
    /// The host asked for, lower case, without port.
    pub(crate) host: String,
    /// The normalised path, if it is not the one in the request line.
    pub(crate) path: Option<Vec<u8>>,
    /// The peer in use.
    pub(crate) lease: Option<Lease>,
    /// Numbers of peers that failed.
    pub(crate) tried: Vec<usize>,
    /// Kept connections found dead.
    pub(crate) stale_tries: u32,
    /// Whether any of the request may have reached a peer.
    pub(crate) sent: bool,
    /// Whether a peer's answer has begun.
    pub(crate) answered: bool,
    /// Whether the answer's status sends the request to the next peer.
    pub(crate) passed_over: bool,
    body_bytes: u64,
    /// The answer's status.
    pub(crate) status: Option<u16>,
    /// `$upstream_addr`
    pub(crate) upstream_addrs: String,
    /// `$upstream_status`
    pub(crate) upstream_statuses: String,
}

impl Ctx {
    pub(crate) fn elapsed_ms(&self) -> u128 {
        self.started.elapsed().as_millis()
    }
}

impl Gateway {
    pub(crate) fn location(&self, ctx: &Ctx) -> Option<&Location> {
        self.site
            .servers
            .get(ctx.server)?
            .locations
            .get(ctx.location?)
    }

    pub(crate) fn values<'a>(&'a self, session: &'a Session, ctx: &'a Ctx) -> Values<'a> {
        let server: Option<&ServerModel> = self
            .site
            .servers
            .get(ctx.server)
            .map(|server| &server.model);
        Values {
            request: session.req_header(),
            conn: ctx.conn.as_deref(),
            ctx,
            server_name: server
                .and_then(|server| server.names.first())
                .map_or("", String::as_str),
            proxy: self.proxy(ctx).map(|(_, proxy)| &proxy.model),
            maps: &self.site.maps,
        }
    }

    /// One line for each request, where `access_log` is on.
    fn log_access(&self, session: &Session, ctx: &Ctx, status: u16) {
        let request = session.req_header();
        let header = |name: &str| {
            let value = request.headers.get(name).map(|value| value.as_bytes());
            String::from_utf8_lossy(value.unwrap_or(b"-")).into_owned()
        };
        tracing::info!(
            target: "weir_lb::access",
            client = ctx.conn.as_ref().map_or("-", |conn| conn.remote_text.as_str()),
            host = %ctx.host,
            request = %format_args!(
                "{} {} {:?}",
                request.method,
                String::from_utf8_lossy(request.raw_path()),
                request.version
            ),
            status,
            body_bytes_sent = session.body_bytes_sent(),
            referer = header("referer"),
            user_agent = header("user-agent"),
            upstream = %ctx.upstream_addrs,
            request_ms = u64::try_from(ctx.elapsed_ms()).unwrap_or(u64::MAX),
        );
    }
}

fn append(list: &mut String, item: &str) {
    if !list.is_empty() {
        list.push_str(", ");
    }
    list.push_str(item);
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        Ctx {
            conn: None,
            started: Instant::now(),
            server: 0,
            location: None,
            host: String::new(),
            path: None,
            lease: None,
            tried: Vec::new(),
            stale_tries: 0,
            sent: false,
            answered: false,
            passed_over: false,
            body_bytes: 0,
            status: None,
            upstream_addrs: String::new(),
            upstream_statuses: String::new(),
        }
    }

    /// No modules: there is no compression here.
    fn init_downstream_modules(&self, _: &mut pingora::modules::http::HttpModules) {}

    /// [`super::serve`] hands the connection over this way for every request.
    fn on_connection_reuse(
        &self,
        _: &mut Session,
        ctx: &mut Ctx,
        previous: Box<dyn std::any::Any + Send + Sync>,
    ) {
        ctx.conn = previous.downcast::<Arc<Conn>>().ok().map(|conn| *conn);
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> pingora::Result<bool> {
        if ctx.conn.is_none() {
            ctx.conn = conn::of_session(session);
        }
        self.receive(session, ctx).await
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
    ) -> pingora::Result<Box<HttpPeer>> {
        let Some((_, proxy)) = self.proxy(ctx) else {
            return Err(Error::new_in(ErrorType::HTTPStatus(500)));
        };
        let Some(lease) = proxy.group.acquire(&ctx.tried) else {
            return Err(self.no_live(session, ctx));
        };
        let Some(peer) = proxy.pingora_peer(&lease.peer().addr) else {
            return Err(Error::new_in(ErrorType::HTTPStatus(500)));
        };
        append(&mut ctx.upstream_addrs, &lease.peer().name);
        ctx.lease = Some(lease);
        ctx.answered = false;
        ctx.passed_over = false;
        Ok(Box::new(peer))
    }

    async fn connected_to_upstream(
        &self,
        _: &mut Session,
        _: bool,
        _: &HttpPeer,
        _: std::os::fd::RawFd,
        _: Option<&Digest>,
        ctx: &mut Ctx,
    ) -> pingora::Result<()> {
        ctx.sent = true;
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Ctx,
    ) -> pingora::Result<()> {
        self.prepare(session, request, ctx)
    }

    async fn request_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        _: bool,
        ctx: &mut Ctx,
    ) -> pingora::Result<()> {
        ctx.body_bytes += body.as_ref().map_or(0, |body| body.len() as u64);
        if ctx.body_bytes > limit(self.common(ctx)) {
            return Err(Error::new_down(ErrorType::HTTPStatus(413)));
        }
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> pingora::Result<()> {
        let status = response.status.as_u16();
        if response.status.is_informational() && status != 101 {
            return Ok(());
        }
        append(&mut ctx.upstream_statuses, response.status.as_str());
        ctx.answered = true;
        ctx.status = Some(status);
        if self.passes_on(session, ctx, status) {
            ctx.passed_over = true;
            return Err(Error::new_up(ErrorType::HTTPStatus(status)));
        }
        if status == 101 {
            // From here the upstream's read timeout alone says when it is too quiet.
            session.set_read_timeout(None);
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> pingora::Result<()> {
        self.adjust(session, response, ctx)
    }

    fn fail_to_connect(
        &self,
        session: &mut Session,
        _: &HttpPeer,
        ctx: &mut Ctx,
        mut error: Box<Error>,
    ) -> Box<Error> {
        self.judge(session, ctx, &mut error, Stage::Connect);
        error
    }

    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        ctx: &mut Ctx,
        reused: bool,
    ) -> Box<Error> {
        self.judge(session, ctx, &mut error, Stage::Exchange(reused));
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Ctx,
    ) -> FailToProxy {
        let status = if has_begun(session) {
            None
        } else {
            status_for(error)
        };
        if let Some(status) = status {
            session.set_keepalive(None);
            ctx.status = Some(status);
            let mut reply = Reply::page(status);
            reply.headers.extend(self.added(session, ctx, status));
            if reply.send(session).await.is_ok() {
                linger(session).await;
            }
        }
        FailToProxy {
            error_code: status.unwrap_or(0),
            can_reuse_downstream: false,
        }
    }

    async fn logging(&self, session: &mut Session, _: Option<&Error>, ctx: &mut Ctx) {
        if let Some(lease) = ctx.lease.take() {
            lease.finish(if ctx.answered {
                Outcome::Answered
            } else {
                Outcome::Abandoned
            });
        }
        let written = session
            .response_written()
            .map(|header| header.status.as_u16());
        let status = written.unwrap_or_else(unanswered);
        let metrics = self
            .proxy(ctx)
            .map_or(&self.site.own, |(_, proxy)| &proxy.group.metrics);
        metrics.answered(written.unwrap_or(0));
        if self.common(ctx).access_log {
            self.log_access(session, ctx, status);
        }
        self.write_access(session, ctx, status);
        if let Some(conn) = &ctx.conn {
            conn.request_done();
        }
    }

    /// Logged by [`Gateway::judge`] already, in nginx's words.
    fn suppress_error_log(&self, _: &Session, _: &Ctx, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        _: &Ctx,
        _: &Error,
        _: ProxyWarnLogContext,
    ) -> bool {
        true
    }
}

/// Reads on for a moment what the client is still sending.
async fn linger(session: &mut Session) {
    let drain = async { while let Ok(Some(_)) = session.read_request_body().await {} };
    // Over time: it is cut.
    let _ = tokio::time::timeout(LINGER, drain).await;
}
