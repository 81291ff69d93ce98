//! A request that the short way tried and hands on.

use pingora::proxy::Session;
use pingora::{Error, ErrorType};

use super::express::Failed;
use super::failure::{left, wanted, worth};
use super::machine::Phase;
use super::proxy::{Ctx, Gateway};
use super::reply::Step;
use crate::metrics::UpstreamFault;

impl Gateway {
    /// Takes over a request from the short way, which tried one peer: on to the next, or to the
    /// answer for the failure.
    pub(crate) async fn go_on_from(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        failed: Failed,
    ) -> Step {
        let Failed {
            peer,
            name,
            fault,
            reason,
            started,
            tries,
        } = failed;
        let (Some((_, proxy)), Some(group)) = (self.proxy(ctx), self.group(ctx)) else {
            return Step::Proxy;
        };
        ctx.started = started;
        ctx.tries = tries;
        ctx.tries.end(Some(worth(fault)));
        ctx.tried.push(peer);
        ctx.sent = fault != UpstreamFault::Connect;
        let mut error = Error::new_up(ErrorType::HTTPStatus(worth(fault)));
        error.set_context(reason);
        self.log_failure(session, ctx, Some(&name), &error, fault);
        group.metrics.failed(fault);
        let goes_on = wanted(&proxy.model.next, fault) && left(&proxy.model, &group, ctx, 0);
        // A status was within the budget when it was given up.
        if goes_on && (fault == UpstreamFault::Status || group.may_retry()) {
            group.metrics.retries.inc();
            return Step::Proxy;
        }
        if goes_on {
            group.metrics.retries_refused.inc();
        }
        let step = self.go(session, ctx, Phase::Fail(worth(fault))).await;
        if matches!(step, Step::Proxy) {
            ctx.start_over();
        }
        step
    }
}
