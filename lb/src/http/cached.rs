//! `proxy_cache`: a request's way through the cache, by nginx's rules.
//!
//! A fresh answer is given at once. Else the request sends for one (`fetch`), alone or for all
//! who ask (`proxy_cache_lock`), and reads it while it is filled; or an old one stands in, where
//! `proxy_cache_use_stale` or the answer itself allows that. What may not be kept is streamed to
//! its asker, as slowly as he takes it. `zones` are the caches, `answer` is what the client gets,
//! `ranges` and `parts` what of it, `wish` is what the request is to its cache, `visit` how it looks for its
//! answer, `update` what becomes of what was fetched.
//!
//! Left to the plain way: other methods, an upgrade, a body of more than [`wish::BODY_BYTES_MAX`].
//! An answer is fetched to its end though its asker leaves, as in nginx. An error page that is
//! fetched from another upstream after a failure there passes by the cache.

mod answer;
mod fetch;
mod parts;
mod ranges;
mod update;
mod visit;
mod wish;
mod zones;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method};
use pingora::proxy::Session;
use weir_cache::zone::{Failure, FailureKind, Landed, Standing, Ticket};
use weir_conf::nginx::model::cache::CacheZone;

use super::machine::Phase;
use super::proxy::{Ctx, Gateway};
use super::reply::{Reply, Step};
use super::request::expects_continue;
use super::site::Proxy;
use answer::End;
pub(crate) use fetch::{Fetch, bring_nothing, taken_over};
use fetch::{Incoming, Order, Report, Told};
use update::{Settled, settle};
use visit::{Seat, Visit};
use wish::{is_far, is_set, may_cache, now_ms, set};
pub(crate) use zones::{Caches, Caching, State};
use zones::{Head, Kept, Named, Status, Zone};

/// How an answer is come by.
enum Obtained {
    /// As without a cache.
    Plain,
    /// From the zone, perhaps while it fills; with a cookie for who sent for it.
    Kept(Arc<Zone>, Arc<Kept>, Option<HeaderValue>),
    /// For this request alone.
    Alone(Box<Told>, Incoming),
    /// There is none.
    Failed(u16),
}

impl Gateway {
    /// Whether the request's location has to do with caching.
    pub(crate) fn is_cached(&self, ctx: &Ctx) -> bool {
        self.site.caches.any && self.proxy(ctx).is_some_and(|(_, it)| it.cache.is_some())
    }

    /// Answers a request from the cache or through it. `Ok(false)`: it goes the plain way.
    pub(crate) async fn through_cache(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
    ) -> pingora::Result<bool> {
        loop {
            let mut body_taken = false;
            let phase = match self.obtain(session, ctx, &mut body_taken).await? {
                Obtained::Plain => {
                    ctx.cache = None;
                    if expects_continue(session) {
                        session.write_continue_response().await?;
                    }
                    self.hold_body(session, ctx).await?;
                    return Ok(false);
                }
                Obtained::Failed(status) => Phase::Fail(status),
                Obtained::Kept(zone, kept, sticky) => {
                    self.count(ctx);
                    match self.offer(session, ctx, (&zone, &kept), sticky).await? {
                        End::Sent => return Ok(true),
                        End::On(phase) => phase,
                    }
                }
                Obtained::Alone(told, incoming) => {
                    self.count(ctx);
                    match self.pass_on(session, ctx, *told, incoming).await? {
                        End::Sent => return Ok(true),
                        End::On(phase) => phase,
                    }
                }
            };
            let step = match self.go(session, ctx, phase).await {
                // What the body was for has failed, and it cannot be sent again.
                Step::Proxy if body_taken => Step::Reply(Reply::page(ctx.flow.err_status)),
                step => step,
            };
            match step {
                Step::Close => {
                    session.set_keepalive(None);
                    return Ok(true);
                }
                Step::Reply(reply) => {
                    self.give(session, ctx, reply).await?;
                    return Ok(true);
                }
                // `go` has waited.
                Step::Wait(..) | Step::Ask(_) => return Ok(true),
                Step::Proxy => {
                    ctx.start_over();
                    ctx.cache = None;
                    if !self.is_cached(ctx) {
                        self.hold_body(session, ctx).await?;
                        return Ok(false);
                    }
                }
            }
        }
    }

    async fn obtain(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        body_taken: &mut bool,
    ) -> pingora::Result<Obtained> {
        let Some((_, proxy)) = self.proxy(ctx) else {
            return Ok(Obtained::Plain);
        };
        let Some(caching) = proxy
            .cache
            .as_ref()
            .filter(|it| may_cache(session, ctx, it))
        else {
            return Ok(Obtained::Plain);
        };
        if let Err(fault) = self.aim(session, ctx).await {
            return Ok(Obtained::Failed(fault.status()));
        }
        let named = match self.zone_of(session, ctx, caching) {
            Ok(named) => named,
            Err(status) => return Ok(Obtained::Failed(status)),
        };
        let Some(named) = named else {
            if !caching.model.force_ranges {
                return Ok(Obtained::Plain);
            }
            let body = self.take_body(session).await?;
            *body_taken = body.is_some();
            return Ok(match self.send_for(session, ctx, body, None).await {
                Ok((told, incoming)) => Obtained::Alone(told, incoming),
                Err(failure) => Obtained::Failed(failure.status),
            });
        };
        let mut visit = match self.look(session, ctx, caching, named, proxy).await {
            Ok(kept) => return Ok(Obtained::Kept(Arc::clone(named.zone()), kept, None)),
            Err(visit) => visit,
        };
        let seat = visit.seat().await;
        let ticket = match seat {
            Seat::Landed(Landed::Kept(kept)) => {
                set(ctx, Status::Hit);
                return Ok(Obtained::Kept(Arc::clone(named.zone()), kept, None));
            }
            Seat::Landed(Landed::Failed(failure)) => {
                return Ok(visit.failed(ctx, failure));
            }
            Seat::Landed(Landed::Alone) => visit.unlocked(),
            Seat::Bring(ticket) => Some(ticket),
            Seat::Alone => None,
        };
        let body = self.take_body(session).await?;
        *body_taken = body.is_some();
        self.bring_in(session, ctx, visit, ticket, body).await
    }

    /// Looks the request up: an answer to give now, or what is to be done to get one.
    async fn look<'a>(
        &self,
        session: &Session,
        ctx: &mut Ctx,
        caching: &'a Arc<Caching>,
        named: &'a Named,
        proxy: &Proxy,
    ) -> Result<Arc<Kept>, Visit<'a>> {
        let model = &caching.model;
        let key = self.key(session, ctx, caching, proxy);
        let headers = &session.req_header().headers;
        let look = named.zone().look(&key, headers);
        ctx.cache = Some(Box::new(State {
            key,
            ..State::default()
        }));
        let mut visit = Visit {
            caching,
            named,
            place: look.place,
            stale: None,
            updates: false,
            for_all: true,
        };
        let values = self.values(session, ctx);
        let mut bypass = model.bypass.iter();
        if bypass.any(|template| is_set(&values.value(template))) {
            set(ctx, Status::Bypass);
            return Err(visit);
        }
        let Some(kept) = look.kept else {
            set(ctx, Status::Miss);
            visit.for_all = named.zone().is_wanted(&visit.place, model.min_uses);
            visit.for_all &= !is_far(session, model.max_range_offset);
            return Err(visit);
        };
        let now_ms = now_ms();
        let Standing::Expired { updating, .. } = kept.standing(now_ms) else {
            set(ctx, Status::Hit);
            return Ok(kept);
        };
        let may_wait = updating || model.use_stale.updating;
        let mine = kept.begin_update(now_ms, model.lock_age_ms.max(1));
        if !mine && may_wait {
            set(ctx, Status::Updating);
            return Ok(kept);
        }
        set(ctx, Status::Expired);
        if mine && may_wait && model.background_update {
            visit.stale = Some(Arc::clone(&kept));
            visit.updates = true;
            self.update_behind(session, ctx, &visit).await;
            set(ctx, Status::Stale);
            return Ok(kept);
        }
        visit.stale = Some(kept);
        visit.updates = mine;
        visit.for_all = !is_far(session, model.max_range_offset);
        Err(visit)
    }

    /// Sends for the answer, and keeps it if there is a ticket and it may be.
    async fn bring_in(
        &self,
        session: &Session,
        ctx: &mut Ctx,
        visit: Visit<'_>,
        ticket: Option<Ticket<Head>>,
        body: Option<Bytes>,
    ) -> pingora::Result<Obtained> {
        if let (Some(kept), true) = (&visit.stale, visit.caching.model.revalidate)
            && let Some(state) = &mut ctx.cache
        {
            state.etag.clone_from(&kept.head().etag);
            state.modified.clone_from(&kept.head().modified);
        }
        let asked = self.send_for(session, ctx, body, Some(&visit)).await;
        let (told, incoming) = match asked {
            Ok(asked) => asked,
            Err(failure) => {
                if let Some(ticket) = ticket {
                    visit.keep_failure(ticket, failure);
                }
                return Ok(visit.failed(ctx, failure));
            }
        };
        let status = told.header.status.as_u16();
        if let Some(kept) = visit.stands_in_for(status) {
            set(ctx, Status::Stale);
            let failure = Failure {
                status,
                kind: FailureKind::Status,
            };
            if let Some(ticket) = ticket {
                ticket.fail(failure);
            }
            let zone = Arc::clone(visit.named.zone());
            return Ok(Obtained::Kept(zone, kept, None));
        }
        let Some(ticket) = ticket else {
            return Ok(Obtained::Alone(told, incoming));
        };
        if self.accel_redirect(ctx, &told.header.headers).is_some() {
            ticket.pass();
            return Ok(Obtained::Alone(told, incoming));
        }
        let zone = Arc::clone(visit.named.zone());
        let sticky = told.sticky.clone();
        let request = session.req_header();
        let bodiless = request.method == Method::HEAD && !visit.caching.model.convert_head;
        let stale = visit.stale.as_ref();
        let parts = (told, incoming, ticket);
        Ok(
            match settle(parts, visit.caching, stale, &request.headers, bodiless) {
                Settled::Kept(kept) => Obtained::Kept(zone, kept, sticky),
                Settled::Renewed(kept) => {
                    set(ctx, Status::Revalidated);
                    Obtained::Kept(zone, kept, sticky)
                }
                Settled::Alone(told, incoming) => Obtained::Alone(told, incoming),
            },
        )
    }

    /// Sends for an answer and waits for its head.
    async fn send_for(
        &self,
        session: &Session,
        ctx: &mut Ctx,
        body: Option<Bytes>,
        visit: Option<&Visit<'_>>,
    ) -> Result<(Box<Told>, Incoming), Failure> {
        let nothing = Failure {
            status: 500,
            kind: FailureKind::Error,
        };
        let order = match visit {
            Some(visit) => Order {
                body,
                ..visit.order(ctx)
            },
            None => Order {
                body,
                ..Order::default()
            },
        };
        let (report, incoming) = self.order(session, ctx, order).await.ok_or(nothing)?;
        match report.await {
            Ok(Report::Head(mut told)) => {
                ctx.tries = std::mem::take(&mut told.tries);
                Ok((told, incoming))
            }
            Ok(Report::Failed(failure, tries)) => {
                ctx.tries = tries;
                Err(failure)
            }
            Err(_) => Err(nothing),
        }
    }

    /// Renews an answer that is given though it is past its time.
    async fn update_behind(&self, session: &Session, ctx: &mut Ctx, visit: &Visit<'_>) {
        if let (Some(kept), true) = (&visit.stale, visit.caching.model.revalidate)
            && let Some(state) = &mut ctx.cache
        {
            state.etag.clone_from(&kept.head().etag);
            state.modified.clone_from(&kept.head().modified);
        }
        let Some(ticket) = visit.unlocked() else {
            return;
        };
        let order = self.order(session, ctx, visit.order(ctx)).await;
        let Some((report, incoming)) = order else {
            return;
        };
        let caching = Arc::clone(visit.caching);
        let stale = visit.stale.clone();
        let request = session.req_header().headers.clone();
        tokio::spawn(async move {
            if let Ok(Report::Head(told)) = report.await {
                let parts = (told, incoming, ticket);
                settle(parts, &caching, stale.as_ref(), &request, false);
            }
        });
    }

    /// Counts what came of a request.
    fn count(&self, ctx: &Ctx) {
        let status = ctx.cache.as_ref().and_then(|state| state.status);
        let caching = self.proxy(ctx).and_then(|(_, proxy)| proxy.cache.as_ref());
        if let (Some(status), Some(CacheZone::At(place))) =
            (status, caching.and_then(|caching| caching.zone()))
            && let Some(named) = self.site.caches.at(*place)
        {
            named.count(status);
        }
    }
}
