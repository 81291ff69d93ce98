//! When a try fails: whose fault it is, whether the next peer is asked, and what the client gets.
//!
//! The rule (nginx's `proxy_next_upstream`): a further try is made if the kind of failure is
//! named there, nothing of an answer has gone to the client, the body can be sent again, peers
//! and tries and time are left, and the request may be sent twice: one of a method that is not
//! idempotent (POST, PATCH, LOCK: RFC 9110 section 9.2.2) only if none of its bytes have left.
//!
//! A kept connection that the peer closed at the same moment is not the peer's failure: the
//! request is sent again on another, [`STALE_TRIES_MAX`] times at most.

use http::Method;
use pingora::proxy::{FailToProxy, Session};
use pingora::{Error, ErrorSource, ErrorType};
use weir_conf::nginx::model::{self, NextUpstream};

use super::body::is_lost;
use super::machine::Phase;
use super::proxy::{Ctx, Gateway};
use super::reply::Step;
use crate::balance::Outcome;
use crate::group::Group;
use crate::metrics::UpstreamFault;

/// Kept connections found dead before it counts as a failure.
const STALE_TRIES_MAX: u32 = 3;

/// nginx's status for a client that left.
const CLIENT_CLOSED: u16 = 499;

/// Where in a try it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Before the peer was connected to: none of the request left.
    Connect,
    /// After, on a connection that was kept (`true`) or new.
    Exchange(bool),
}

impl Gateway {
    /// Judges a failed try: gives the peer back, logs, and marks the error for a further try, or
    /// for the upstream that an error page is fetched from.
    pub(crate) fn judge(&self, session: &Session, ctx: &mut Ctx, error: &mut Error, stage: Stage) {
        if std::mem::take(&mut ctx.intercepted) {
            error.set_retry(false);
            if let Some(lease) = ctx.lease.take() {
                lease.finish(Outcome::Answered);
            }
        } else {
            self.judge_try(session, ctx, error, stage);
        }
        let upstream = *error.esource() == ErrorSource::Upstream || stage == Stage::Connect;
        if !error.retry() && upstream {
            self.error_page(session, ctx, error);
        }
    }

    /// Goes to the page of an error, if it has one: on to its upstream, or to an answer that
    /// `fail_to_proxy` gives.
    pub(crate) fn error_page(&self, session: &Session, ctx: &mut Ctx, error: &mut Error) {
        let Some(status) = status_for(error).filter(|_| ctx.fetch.is_none()) else {
            return;
        };
        let sent_on = ctx.accel.take();
        if has_begun(session) || (sent_on.is_none() && !self.has_page(ctx, status)) {
            return;
        }
        let phase = match sent_on {
            Some(target) => self.sent_on(ctx, &target),
            None => Phase::Fail(status),
        };
        match self.run(session, ctx, phase) {
            Step::Reply(reply) => ctx.pending = Some(reply),
            Step::Close => {}
            // On to the hook that may wait.
            step @ (Step::Wait(..) | Step::Ask(_)) => {
                ctx.resume = Some(step);
                error.set_retry(true);
            }
            Step::Proxy if is_lost(session, ctx) => {}
            Step::Proxy => {
                ctx.start_over();
                error.set_retry(true);
            }
        }
    }

    /// Goes on to the page of an error that had to wait on its way.
    ///
    /// # Errors
    /// It is an answer of our own, which waits to be given.
    pub(crate) async fn resume(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        from: Step,
    ) -> pingora::Result<()> {
        match self.go_on(session, ctx, from).await {
            Step::Proxy if !is_lost(session, ctx) => {
                ctx.start_over();
                Ok(())
            }
            Step::Reply(reply) => {
                let status = reply.status;
                ctx.pending = Some(reply);
                Err(Error::new_in(ErrorType::HTTPStatus(status)))
            }
            _ => Err(Error::new_in(ErrorType::HTTPStatus(500))),
        }
    }

    fn judge_try(&self, session: &Session, ctx: &mut Ctx, error: &mut Error, stage: Stage) {
        error.set_retry(false);
        let (Some((_, proxy)), Some(group)) = (self.proxy(ctx), self.group(ctx)) else {
            return;
        };
        if stage == Stage::Connect && is_ours(error) {
            // No socket to be had: no peer's fault, and no peer's cure.
            ctx.lease = None;
            self.log_failure(session, ctx, None, error, UpstreamFault::Connect);
            return;
        }
        if stage != Stage::Connect && *error.esource() != ErrorSource::Upstream {
            // The client's or our own: the lease is given back unjudged.
            ctx.lease = None;
            return;
        }
        let fault = fault(error, ctx);
        let lease = ctx.lease.take();
        let answering = has_begun(session) || ctx.answered;
        let once_more = may_repeat(session, ctx, &proxy.model.next, stage);
        let stale = stage == Stage::Exchange(true)
            && fault == UpstreamFault::Broken
            && !answering
            && ctx.stale_tries < STALE_TRIES_MAX;
        let peer = lease.as_ref().map(|lease| lease.peer().name.as_str());
        self.log_failure(session, ctx, peer, error, fault);
        if stale && once_more {
            ctx.stale_tries += 1;
            // The peer never saw it: it was no try.
            ctx.tries.forget();
            drop(lease);
            error.set_retry(true);
            return;
        }
        if let Some(lease) = lease {
            ctx.tried.push(lease.peer().number);
            lease.observe(fault == UpstreamFault::Status && ctx.status < Some(500));
            lease.finish(if stale || is_harmless(fault, answering, ctx.status) {
                Outcome::Abandoned
            } else {
                Outcome::Failed
            });
        }
        group.metrics.failed(fault);
        ctx.tries.end(Some(worth(fault)));
        let mut retry = once_more
            && !(answering && fault != UpstreamFault::Status)
            && wanted(&proxy.model.next, fault)
            && left(&proxy.model, &group, ctx, 0);
        // A status was within the budget when it was given up.
        if retry && fault != UpstreamFault::Status && !group.may_retry() {
            group.metrics.retries_refused.inc();
            retry = false;
        }
        if retry {
            group.metrics.retries.inc();
        }
        error.set_retry(retry);
    }

    /// Whether an answer's status sends the request to the next peer.
    pub(crate) fn passes_on(&self, session: &Session, ctx: &Ctx, status: u16) -> bool {
        let (Some((_, proxy)), Some(group)) = (self.proxy(ctx), self.group(ctx)) else {
            return false;
        };
        let next = &proxy.model.next;
        next.statuses.contains(&status)
            && may_repeat(session, ctx, next, Stage::Exchange(false))
            // The try that brought the status is not in the list yet.
            && left(&proxy.model, &group, ctx, 1)
            && {
                let may = group.may_retry();
                if !may {
                    group.metrics.retries_refused.inc();
                }
                may
            }
    }

    fn log_failure(
        &self,
        session: &Session,
        ctx: &Ctx,
        peer: Option<&str>,
        error: &Error,
        fault: UpstreamFault,
    ) {
        let request = session.req_header();
        let what = match fault {
            UpstreamFault::Connect => "connect() failed while connecting to upstream",
            UpstreamFault::Timeout => "upstream timed out (110: Connection timed out)",
            UpstreamFault::Broken => "upstream prematurely closed connection",
            UpstreamFault::Invalid => "upstream sent invalid header",
            UpstreamFault::Status => "upstream answered with a status to be passed over",
            UpstreamFault::NoLive => "no live upstreams while connecting to upstream",
        };
        let group = self.group(ctx);
        let upstream = group.as_ref().map_or("-", |group| group.name.as_str());
        let target = String::from_utf8_lossy(request.raw_path());
        let secure = match &ctx.target {
            Some(target) => target.secure,
            None => self
                .proxy(ctx)
                .is_some_and(|(_, it)| it.model.tls.is_some()),
        };
        let scheme = if secure { "https" } else { "http" };
        let server = self.site.servers.get(ctx.server);
        // nginx's fields in nginx's order; the reason comes after them.
        tracing::error!(
            connection = ctx.conn.as_ref().map_or(0, |conn| conn.serial),
            client = ctx.remote_text(),
            server = server.and_then(|it| it.model.names.first()).map_or("", String::as_str),
            request = %format_args!("{} {target} {:?}", request.method, request.version),
            upstream = %format_args!("{scheme}://{}{target}", peer.unwrap_or(upstream)),
            host = %ctx.host,
            group = upstream,
            reason = %error,
            "{what}"
        );
    }

    /// Records that no peer could be used.
    pub(crate) fn no_live(&self, session: &Session, ctx: &mut Ctx) -> Box<Error> {
        let mut error = Error::new_up(ErrorType::HTTPStatus(502));
        if let Some(group) = self.group(ctx) {
            error.set_context(group.shortage());
            group.metrics.failed(UpstreamFault::NoLive);
        }
        self.log_failure(session, ctx, None, &error, UpstreamFault::NoLive);
        error
    }
}

/// Whether tries and time are left for another peer, `under_way` tries not being listed yet.
fn left(proxy: &model::Proxy, group: &Group, ctx: &Ctx, under_way: usize) -> bool {
    let tries_max = match proxy.next_tries {
        0 => group.tries(),
        tries => group
            .tries()
            .min(usize::try_from(tries).unwrap_or(usize::MAX)),
    };
    let limit_ms = u128::from(proxy.next_timeout_ms);
    ctx.tried.len() + under_way < tries_max && (limit_ms == 0 || ctx.elapsed_ms() < limit_ms)
}

/// The status that a failed try is told with.
fn worth(fault: UpstreamFault) -> u16 {
    match fault {
        UpstreamFault::Timeout => 504,
        _ => 502,
    }
}

/// Whether a failure says nothing of the peer: an answer that broke off may be its object's
/// fault, and so is a 403 or 404, as in nginx; the next request will tell.
fn is_harmless(fault: UpstreamFault, answering: bool, status: Option<u16>) -> bool {
    match fault {
        UpstreamFault::Status => matches!(status, Some(403 | 404)),
        _ => answering,
    }
}

/// What failed before anything went to the network.
fn is_ours(error: &Error) -> bool {
    use ErrorType::{BindError, InternalError, SocketError};
    matches!(error.etype(), BindError | InternalError | SocketError)
}

/// Whether sending the request once more is harmless and possible.
fn may_repeat(session: &Session, ctx: &Ctx, next: &NextUpstream, stage: Stage) -> bool {
    let sent = ctx.sent || stage != Stage::Connect;
    let repeatable = idempotent(&session.req_header().method) || next.non_idempotent || !sent;
    let started = has_begun(session);
    repeatable && !started && !is_lost(session, ctx)
}

/// What Pingora is told of a failed request: its connection ends.
pub(crate) fn not_reused(error_code: u16) -> FailToProxy {
    FailToProxy {
        error_code,
        can_reuse_downstream: false,
    }
}

/// Whether a final answer, or an upgrade, has begun to be written to the client.
pub(crate) fn has_begun(session: &Session) -> bool {
    let status = session
        .response_written()
        .map(|header| header.status.as_u16());
    status.is_some_and(|status| status >= 200 || status == 101)
}

fn idempotent(method: &Method) -> bool {
    !matches!(method.as_str(), "POST" | "PATCH" | "LOCK")
}

fn wanted(next: &NextUpstream, fault: UpstreamFault) -> bool {
    match fault {
        UpstreamFault::Connect | UpstreamFault::Broken => next.error,
        UpstreamFault::Timeout => next.timeout,
        UpstreamFault::Invalid => next.invalid_header,
        // Asked before it was made an error.
        UpstreamFault::Status => true,
        UpstreamFault::NoLive => false,
    }
}

pub(crate) fn fault(error: &Error, ctx: &Ctx) -> UpstreamFault {
    match error.etype() {
        ErrorType::HTTPStatus(_) if ctx.passed_over => UpstreamFault::Status,
        ErrorType::ConnectTimedout | ErrorType::ReadTimedout | ErrorType::WriteTimedout => {
            UpstreamFault::Timeout
        }
        ErrorType::ConnectRefused | ErrorType::ConnectNoRoute | ErrorType::ConnectError => {
            UpstreamFault::Connect
        }
        ErrorType::InvalidHTTPHeader => UpstreamFault::Invalid,
        _ => UpstreamFault::Broken,
    }
}

/// The status for a request that failed for good; `None` if nothing can or should be written.
pub(crate) fn status_for(error: &Error) -> Option<u16> {
    match (error.etype(), error.esource()) {
        (ErrorType::HTTPStatus(status), _) => Some(*status),
        (
            ErrorType::ConnectTimedout | ErrorType::ReadTimedout | ErrorType::WriteTimedout,
            ErrorSource::Upstream,
        ) => Some(504),
        (_, ErrorSource::Upstream) => Some(502),
        (ErrorType::ReadTimedout, ErrorSource::Downstream) => Some(408),
        (
            ErrorType::WriteTimedout
            | ErrorType::WriteError
            | ErrorType::ReadError
            | ErrorType::ConnectionClosed,
            ErrorSource::Downstream,
        ) => None,
        (_, ErrorSource::Downstream) => Some(400),
        _ => Some(500),
    }
}

/// What the access log and the figures call a request that was never answered.
pub(crate) fn unanswered() -> u16 {
    CLIENT_CLOSED
}
