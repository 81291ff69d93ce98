//! `proxy_cache`: a request's way through the cache, by nginx's rules.
//!
//! A fresh answer is given at once. Else the request sends for one (`fetch`), alone or for all
//! who ask (`proxy_cache_lock`), and reads it while it is filled; or an old one stands in, where
//! `proxy_cache_use_stale` or the answer itself allows that. What may not be kept is streamed to
//! its asker, as slowly as he takes it. `zones` are the caches, `answer` is what the client gets,
//! `ranges` what of it, `update` what becomes of what was fetched.
//!
//! Left to the plain way: other methods, an upgrade, a body of more than [`BODY_BYTES_MAX`].
//! An answer is fetched to its end though its asker leaves, as in nginx. An error page that is
//! fetched from another upstream after a failure there passes by the cache.

mod answer;
mod fetch;
mod ranges;
mod update;
mod zones;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{TRANSFER_ENCODING, UPGRADE};
use http::{HeaderValue, Method};
use pingora::proxy::Session;
use tokio::time::Instant;
use weir_cache::zone::{Boarding, Landed, Lock, Place, Standing, Ticket};
use weir_conf::nginx::model::cache::CacheZone;

use super::machine::Phase;
use super::proxy::{Ctx, Gateway};
use super::reply::{Reply, Step};
use super::request::{announced, expects_continue};
use super::site::Proxy;
use super::upstream::target;
use answer::End;
pub(crate) use fetch::{Fetch, bring_nothing, taken_over};
use fetch::{Incoming, Order, Report, Told};
use update::{Settled, settle};
pub(crate) use zones::{Caches, Caching, State};
use zones::{Head, Kept, Named, Status, Zone};

/// Longer bodies of requests are not held for a fetch, bytes.
const BODY_BYTES_MAX: u64 = 1 << 20;

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

/// What a request may do about an answer that is not to be had from the zone.
enum Seat {
    /// Bring it.
    Bring(Ticket<Head>),
    /// Get it for itself.
    Alone,
    /// Somebody has brought it, or nothing.
    Landed(Landed<Head>),
}

/// A request at its cache.
struct Visit<'a> {
    caching: &'a Arc<Caching>,
    named: &'a Named,
    place: Place,
    /// An answer past its time.
    stale: Option<Arc<Kept>>,
    /// Whether this request is to bring the one after it.
    updates: bool,
    /// Whether what is fetched is for all.
    for_all: bool,
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
            let step = match self.run(session, ctx, phase) {
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
                    let reply = self.finish(session, ctx, reply);
                    reply.send(session).await?;
                    return Ok(true);
                }
                Step::Proxy => {
                    ctx.target = None;
                    ctx.cache = None;
                    if !self.is_cached(ctx) {
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
        if let Err(fault) = self.aim(session, ctx) {
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
            return Ok(match self.ask(session, ctx, body, None).await {
                Ok((told, incoming)) => Obtained::Alone(told, incoming),
                Err(failure) => Obtained::Failed(failure.status),
            });
        };
        let mut visit = match self.look(session, ctx, caching, named, proxy) {
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

    /// The zone to use; `None` if none is wanted.
    ///
    /// # Errors
    /// The status for one that there is not.
    fn zone_of<'a>(
        &'a self,
        session: &Session,
        ctx: &Ctx,
        caching: &Caching,
    ) -> Result<Option<&'a Named>, u16> {
        match caching.zone() {
            None => Ok(None),
            Some(CacheZone::At(place)) => Ok(self.site.caches.at(*place)),
            Some(CacheZone::Named(template)) => {
                let name = self.values(session, ctx).value(template).into_owned();
                if name.is_empty() || name == b"off" {
                    return Ok(None);
                }
                let found = self.site.caches.named(&name);
                if found.is_none() {
                    let name = String::from_utf8_lossy(&name);
                    tracing::error!(client = ctx.remote_text(), "cache \"{name}\" not found");
                }
                found.map(Some).ok_or(500)
            }
        }
    }

    /// Looks the request up: an answer to give now, or what is to be done to get one.
    fn look<'a>(
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
            self.update_behind(session, ctx, &visit);
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
        let asked = self.ask(session, ctx, body, Some(&visit)).await;
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
            let failure = weir_cache::zone::Failure {
                status,
                kind: weir_cache::zone::FailureKind::Status,
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
    async fn ask(
        &self,
        session: &Session,
        ctx: &mut Ctx,
        body: Option<Bytes>,
        visit: Option<&Visit<'_>>,
    ) -> Result<(Box<Told>, Incoming), weir_cache::zone::Failure> {
        let nothing = weir_cache::zone::Failure {
            status: 500,
            kind: weir_cache::zone::FailureKind::Error,
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
        let (report, incoming) = self.order(session, ctx, order).ok_or(nothing)?;
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
    fn update_behind(&self, session: &Session, ctx: &mut Ctx, visit: &Visit<'_>) {
        if let (Some(kept), true) = (&visit.stale, visit.caching.model.revalidate)
            && let Some(state) = &mut ctx.cache
        {
            state.etag.clone_from(&kept.head().etag);
            state.modified.clone_from(&kept.head().modified);
        }
        let (Some(ticket), Some((report, incoming))) =
            (visit.unlocked(), self.order(session, ctx, visit.order(ctx)))
        else {
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

    /// The body that a fetch is to send; the client is told to send it, if he waits for that.
    async fn take_body(&self, session: &mut Session) -> pingora::Result<Option<Bytes>> {
        if session.is_body_empty() {
            return Ok(None);
        }
        if expects_continue(session) {
            session.write_continue_response().await?;
        }
        let mut body = BytesMut::new();
        while let Some(piece) = session.read_request_body().await? {
            body.extend_from_slice(&piece);
        }
        Ok(Some(body.freeze()))
    }

    /// `proxy_cache_key`, as text that no two keys share.
    fn key(&self, session: &Session, ctx: &Ctx, caching: &Caching, proxy: &Proxy) -> String {
        let values = self.values(session, ctx);
        let bytes = if let Some(template) = &caching.model.key {
            values.value(template).into_owned()
        } else {
            let (secure, host) = match &ctx.target {
                Some(target) => (target.secure, target.host.as_str()),
                None => (proxy.model.tls.is_some(), proxy.model.host.as_str()),
            };
            let mut key = if secure { "https://" } else { "http://" }.to_owned();
            key.push_str(host);
            let mut key = key.into_bytes();
            let request = session.req_header();
            let location = self.location(ctx);
            match location.and_then(|it| target(request, it, &proxy.model, ctx)) {
                Some(target) => key.extend_from_slice(&target),
                None => key.extend_from_slice(request.raw_path()),
            }
            key
        };
        match String::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => text,
            Ok(text) => spell(text.as_bytes()),
            Err(bytes) => spell(bytes.as_bytes()),
        }
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

impl Visit<'_> {
    /// Finds out who brings the answer; waits if it is somebody else.
    async fn seat(&mut self) -> Seat {
        let model = &self.caching.model;
        if !self.for_all {
            self.give_up_update();
            return Seat::Alone;
        }
        let lock = Lock {
            on: model.lock,
            age: Duration::from_millis(model.lock_age_ms),
        };
        let end = Instant::now() + Duration::from_millis(model.lock_timeout_ms);
        loop {
            let zone = self.named.zone();
            match zone.board(&self.place, lock, self.updated()) {
                Boarding::Fetch(ticket) => return Seat::Bring(ticket),
                Boarding::Full => {
                    self.give_up_update();
                    return Seat::Alone;
                }
                Boarding::Wait(mut waiter) => {
                    self.give_up_update();
                    if let Some(landed) = waiter.wait(end).await {
                        return Seat::Landed(landed);
                    }
                    if Instant::now() >= end {
                        return Seat::Alone;
                    }
                }
            }
        }
    }

    /// A ticket that nobody waits for.
    fn unlocked(&self) -> Option<Ticket<Head>> {
        let lock = Lock {
            on: false,
            age: Duration::ZERO,
        };
        match self.named.zone().board(&self.place, lock, self.updated()) {
            Boarding::Fetch(ticket) => Some(ticket),
            Boarding::Wait(_) | Boarding::Full => None,
        }
    }

    fn updated(&self) -> Option<Arc<Kept>> {
        self.stale.clone().filter(|_| self.updates)
    }

    fn give_up_update(&mut self) {
        if let Some(kept) = self.updated() {
            kept.end_update();
        }
        self.updates = false;
    }

    fn order(&self, ctx: &Ctx) -> Order {
        let state = ctx.cache.as_ref();
        Order {
            for_all: self.for_all,
            whole: self.caching.model.convert_head,
            etag: state.and_then(|state| state.etag.clone()),
            modified: state.and_then(|state| state.modified.clone()),
            body: None,
        }
    }

    /// The old answer, if it may stand in for one of this status.
    fn stands_in_for(&self, status: u16) -> Option<Arc<Kept>> {
        let statuses = &self.caching.model.use_stale.statuses;
        self.stale.clone().filter(|_| statuses.contains(&status))
    }

    /// What is answered when nothing came.
    fn failed(&self, ctx: &mut Ctx, failure: weir_cache::zone::Failure) -> Obtained {
        use weir_cache::zone::FailureKind;
        let model = &self.caching.model.use_stale;
        let named = match failure.kind {
            FailureKind::Error => model.error,
            FailureKind::Timeout => model.timeout,
            FailureKind::InvalidHeader => model.invalid_header,
            FailureKind::Status => model.statuses.contains(&failure.status),
        };
        let stands_in = |kept: &Arc<Kept>| {
            let error = matches!(
                kept.standing(now_ms()),
                Standing::Fresh | Standing::Expired { error: true, .. }
            );
            named || (error && failure.kind != FailureKind::Status)
        };
        match self.stale.clone().filter(stands_in) {
            Some(kept) => {
                set(ctx, Status::Stale);
                Obtained::Kept(Arc::clone(self.named.zone()), kept, None)
            }
            None => Obtained::Failed(failure.status),
        }
    }
}

/// Whether the request is one that answers are kept for.
fn may_cache(session: &mut Session, ctx: &Ctx, caching: &Caching) -> bool {
    let request = session.req_header();
    let method = &request.method;
    let fits = method == Method::GET
        || method == Method::HEAD
        || ctx.flow.as_get
        || (method == Method::POST && caching.model.post);
    let plain = !request.headers.contains_key(UPGRADE);
    let chunked = request.headers.contains_key(TRANSFER_ENCODING);
    let large = announced(session) > BODY_BYTES_MAX || chunked;
    fits && plain && (!large || session.is_body_empty())
}

/// `proxy_cache_max_range_offset`
fn is_far(session: &Session, offset: u64) -> bool {
    if offset == u64::MAX {
        return false;
    }
    let start = ranges::range_start(&session.req_header().headers);
    start.is_some_and(|start| start.is_none_or(|start| start >= offset))
}

/// Whether the value of a condition says yes.
fn is_set(value: &[u8]) -> bool {
    !value.is_empty() && value != b"0"
}

fn set(ctx: &mut Ctx, status: Status) {
    if let Some(state) = &mut ctx.cache {
        state.status = Some(status);
    }
}

fn now_ms() -> u64 {
    use weir_cluster::WallClock as _;
    u64::try_from(weir_cluster::SystemClock.now_ms()).unwrap_or(0)
}

/// Bytes as text, each that is none and the zero byte spelt out.
fn spell(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        // Writing to a String does not fail.
        let _ = match byte {
            0x20..=0x7e => write!(out, "{}", char::from(*byte)),
            _ => write!(out, "\u{1}{byte:02x}"),
        };
    }
    out
}
