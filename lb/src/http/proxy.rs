//! Pingora's hooks: what happens to a request, in the order it happens.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};
use weir_conf::nginx::model::{Common, Server as ServerModel};

use super::cached::{self, bring_nothing};
use super::conn::Conn;
pub(crate) use super::ctx::Ctx;
use super::downstream::of_session;
use super::failure::{Stage, has_begun, not_reused, status_for, unanswered};
use super::gzip::Recoding;
use super::inner;
use super::log::Logs;
use super::machine::Phase;
use super::reply::{Reply, Step, linger};
use super::request::limit;
use super::rewritten::{is_sound, pause};
use super::site::{Location, Site};
use super::tries::{header_bytes, request_bytes};
use super::vars::Values;
use crate::balance::Outcome;
use crate::owners::StreamOwners;

/// The proxy of one `http` block.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) site: Arc<Site>,
    /// For a request that no server was found for, which cannot be.
    pub(crate) fallback: Common,
    /// Who has a stream.
    pub(crate) owners: StreamOwners,
    /// Access logs in files.
    pub(crate) logs: Option<Arc<Logs>>,
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
            site: &self.site,
            session,
            gateway: self,
            reply: None,
            depth: std::cell::Cell::new(0),
        }
    }
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        Ctx::new()
    }

    /// Modules of ours alone.
    fn init_downstream_modules(&self, modules: &mut pingora::modules::http::HttpModules) {
        if self.site.recodes {
            modules.add_module(Box::new(Recoding));
        }
    }

    /// [`super::serve`] hands the connection over this way for every request.
    fn on_connection_reuse(
        &self,
        _: &mut Session,
        ctx: &mut Ctx,
        previous: Box<dyn std::any::Any + Send + Sync>,
    ) {
        ctx.conn = previous.downcast::<Arc<Conn>>().ok().map(|conn| *conn);
    }

    fn allow_spawning_subrequest(&self, _: &Session, _: &Ctx) -> bool {
        self.site.asks_inside
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> pingora::Result<bool> {
        if let Some(begun) = cached::taken_over(session) {
            *ctx = begun;
            return Ok(false);
        }
        if let Some(inner) = inner::of_session(session) {
            return self.receive_inner(session, ctx, inner).await;
        }
        if ctx.conn.is_none() {
            ctx.conn = of_session(session);
        }
        self.receive(session, ctx).await
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
    ) -> pingora::Result<Box<HttpPeer>> {
        if let Some(step) = ctx.resume.take() {
            self.resume(session, ctx, step).await?;
        }
        let Some((_, proxy)) = self.proxy(ctx) else {
            return Err(Error::new_in(ErrorType::HTTPStatus(500)));
        };
        self.rewind(session, ctx).await?;
        if let Err(fault) = self.aim(session, ctx).await {
            return Err(Error::new_in(ErrorType::HTTPStatus(fault.status())));
        }
        let Some(group) = self.group(ctx) else {
            return Err(Error::new_in(ErrorType::HTTPStatus(500)));
        };
        let mut walk = match ctx.walk.take() {
            Some(walk) => walk,
            None => self.walk(session, ctx, &group).await,
        };
        let lease = group.acquire_for(&mut walk, &ctx.tried);
        ctx.walk = Some(walk);
        let Some(lease) = lease else {
            // As nginx: the last server in the list is the group itself.
            ctx.tries.begin(&group.name);
            ctx.tries.end(Some(502));
            let mut error = self.no_live(session, ctx);
            self.error_page(session, ctx, &mut error);
            return Err(error);
        };
        let bind = self.bound_to(session, ctx, &proxy.model.passing);
        let target = ctx.target.as_ref();
        let Some(peer) = proxy.pingora_peer(&lease.peer().addr, &group, target, bind) else {
            return Err(Error::new_in(ErrorType::HTTPStatus(500)));
        };
        ctx.tries.begin(&lease.peer().name);
        ctx.lease = Some(lease);
        ctx.answered = false;
        ctx.passed_over = false;
        ctx.body_set = false;
        Ok(Box::new(peer))
    }

    async fn connected_to_upstream(
        &self,
        _: &mut Session,
        reused: bool,
        _: &HttpPeer,
        fd: std::os::fd::RawFd,
        _: Option<&Digest>,
        ctx: &mut Ctx,
    ) -> pingora::Result<()> {
        ctx.tries.connected();
        if let Some(group) = self.group(ctx) {
            ctx.last_of_kept = group.kept.is_last(fd, reused);
        }
        ctx.sent = true;
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Ctx,
    ) -> pingora::Result<()> {
        self.prepare(session, request, ctx)?;
        ctx.tries.gave(request_bytes(request));
        Ok(())
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        _: bool,
        ctx: &mut Ctx,
    ) -> pingora::Result<()> {
        ctx.body_bytes += body.as_ref().map_or(0, |body| body.len() as u64);
        if ctx.body_bytes > limit(self.common(ctx)) {
            return Err(Error::new_down(ErrorType::HTTPStatus(413)));
        }
        self.replace_body(session, ctx, body);
        ctx.tries
            .gave(body.as_ref().map_or(0, |body| body.len() as u64));
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
        if !is_sound(&response.headers) {
            return Err(Error::new_up(ErrorType::InvalidHTTPHeader));
        }
        ctx.tries.answered(status, header_bytes(response));
        if let Some(rate) = self.accel_rate(ctx, &response.headers) {
            ctx.flow.limit_rate = Some(rate);
        }
        ctx.answered = true;
        ctx.status = Some(status);
        if let Some(lease) = &ctx.lease {
            lease.answer_began();
        }
        ctx.upstream_headers = Some(response.headers.clone());
        ctx.rate = self.rate(session, ctx);
        if ctx.fetch.is_some() {
            return self.bring(session, ctx, response);
        }
        ctx.accel = self.accel_redirect(ctx, &response.headers);
        if ctx.accel.is_some() {
            ctx.intercepted = true;
            return Err(Error::new_up(ErrorType::HTTPStatus(status)));
        }
        if self.passes_on(session, ctx, status) {
            ctx.passed_over = true;
            return Err(Error::new_up(ErrorType::HTTPStatus(status)));
        }
        if status >= 300 && self.web(ctx).intercept_errors && self.has_page(ctx, status) {
            ctx.intercepted = true;
            let all = response.headers.get_all("www-authenticate").iter();
            let texts = all.filter_map(|it| Some(it.to_str().ok()?.to_owned()));
            ctx.flow.challenges = texts.collect();
            return Err(Error::new_up(ErrorType::HTTPStatus(status)));
        }
        if status == 101 {
            // From here the upstream's read timeout alone says when it is too quiet.
            session.set_read_timeout(None);
        }
        Ok(())
    }

    /// `proxy_limit_rate`: how long to wait after a piece.
    fn upstream_response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        _: bool,
        ctx: &mut Ctx,
    ) -> pingora::Result<Option<Duration>> {
        let bytes = body.as_ref().map_or(0, Bytes::len);
        ctx.tries.took(bytes as u64);
        Ok(pause(bytes, ctx.rate))
    }

    /// `limit_rate`: how long a piece waits.
    fn response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        _: bool,
        ctx: &mut Ctx,
    ) -> pingora::Result<Option<Duration>> {
        Ok(self.wait_for(session, ctx, body.as_ref().map_or(0, Bytes::len)))
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> pingora::Result<()> {
        if ctx.fetch.is_none() {
            self.adjust(session, response, ctx)?;
            self.recode(session, ctx, response)?;
            self.tell_keepalive(session, ctx, response)?;
        }
        Ok(())
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
        if ctx.fetch.is_some() {
            return bring_nothing(ctx, error);
        }
        let status = status_for(error).filter(|_| !has_begun(session));
        if let Some(status) = status {
            session.set_keepalive(None);
            let reply = match ctx.pending.take() {
                Some(reply) => reply,
                None => match self.go(session, ctx, Phase::Fail(status)).await {
                    Step::Reply(reply) => reply,
                    // Too late for another upstream.
                    _ => Reply::page(status),
                },
            };
            if self.give(session, ctx, reply).await.is_ok() {
                linger(session).await;
            }
        }
        not_reused(status.unwrap_or(0))
    }

    async fn logging(&self, session: &mut Session, _: Option<&Error>, ctx: &mut Ctx) {
        ctx.tries.end(None);
        if let Some(lease) = ctx.lease.take() {
            if ctx.answered {
                lease.observe(ctx.status < Some(500));
            }
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
        if let Some(mut inner) = ctx.inner.take() {
            self.tell(session, ctx, &mut inner, status);
            return;
        }
        // What came from the cache, the fetch has counted.
        let group = self.group(ctx).filter(|_| ctx.cache.is_none());
        let metrics = group
            .as_ref()
            .map_or(&self.site.own, |group| &group.metrics);
        metrics.answered(written.unwrap_or(0));
        if ctx.fetch.is_some() {
            return;
        }
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
