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
use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType};
use weir_conf::nginx::model::NextUpstream;

use super::proxy::{Ctx, Gateway};
use super::site::Proxy;
use crate::balance::Outcome;
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
    /// Judges a failed try: gives the peer back, logs, and marks the error for a further try.
    pub(crate) fn judge(&self, session: &Session, ctx: &mut Ctx, error: &mut Error, stage: Stage) {
        error.set_retry(false);
        let Some((_, proxy)) = self.proxy(ctx) else {
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
            drop(lease);
            error.set_retry(true);
            return;
        }
        if let Some(lease) = lease {
            ctx.tried.push(lease.peer().number);
            lease.finish(if stale || is_harmless(fault, answering, ctx.status) {
                Outcome::Abandoned
            } else {
                Outcome::Failed
            });
        }
        proxy.group.metrics.failed(fault);
        let retry = once_more
            && !(answering && fault != UpstreamFault::Status)
            && wanted(&proxy.model.next, fault)
            && left(proxy, ctx, 0);
        if retry {
            proxy.group.metrics.retries.inc();
        }
        error.set_retry(retry);
    }

    /// Whether an answer's status sends the request to the next peer.
    pub(crate) fn passes_on(&self, session: &Session, ctx: &Ctx, status: u16) -> bool {
        let Some((_, proxy)) = self.proxy(ctx) else {
            return false;
        };
        let next = &proxy.model.next;
        next.statuses.contains(&status)
            && may_repeat(session, ctx, next, Stage::Exchange(false))
            // The try that brought the status is not in the list yet.
            && left(proxy, ctx, 1)
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
        let upstream = self
            .proxy(ctx)
            .map_or("-", |(_, proxy)| proxy.group.name.as_str());
        let target = String::from_utf8_lossy(request.raw_path());
        let server = self.site.servers.get(ctx.server);
        // nginx's fields in nginx's order; the reason comes after them.
        tracing::error!(
            connection = ctx.conn.as_ref().map_or(0, |conn| conn.serial),
            client = ctx.conn.as_ref().map_or("-", |conn| conn.remote_text.as_str()),
            server = server.and_then(|it| it.model.names.first()).map_or("", String::as_str),
            request = %format_args!("{} {target} {:?}", request.method, request.version),
            upstream = %format_args!("http://{}{target}", peer.unwrap_or(upstream)),
            host = %ctx.host,
            group = upstream,
            reason = %error,
            "{what}"
        );
    }

    /// Records that no peer could be used.
    pub(crate) fn no_live(&self, session: &Session, ctx: &mut Ctx) -> Box<Error> {
        let mut error = Error::new_up(ErrorType::HTTPStatus(502));
        if let Some((_, proxy)) = self.proxy(ctx) {
            error.set_context(proxy.group.shortage());
            proxy.group.metrics.failed(UpstreamFault::NoLive);
        }
        self.log_failure(session, ctx, None, &error, UpstreamFault::NoLive);
        error
    }
}

/// Whether tries and time are left for another peer, `under_way` tries not being listed yet.
fn left(proxy: &Proxy, ctx: &Ctx, under_way: usize) -> bool {
    let tries_max = match proxy.model.next_tries {
        0 => proxy.group.tries(),
        tries => proxy
            .group
            .tries()
            .min(usize::try_from(tries).unwrap_or(usize::MAX)),
    };
    let limit_ms = u128::from(proxy.model.next_timeout_ms);
    ctx.tried.len() + under_way < tries_max && (limit_ms == 0 || ctx.elapsed_ms() < limit_ms)
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
    repeatable && !started && !session.as_ref().retry_buffer_truncated()
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

fn fault(error: &Error, ctx: &Ctx) -> UpstreamFault {
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
