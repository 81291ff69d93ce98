//! A request that looks for its answer: alone, with others, or with an old one in reserve.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use weir_cache::zone::{Boarding, Failure, FailureKind, Landed, Lock, Place, Standing, Ticket};

use super::super::proxy::Ctx;
use super::Obtained;
use super::fetch::Order;
use super::wish::{now_ms, set};
use super::zones::{Caching, Head, Kept, Named, Status};

/// What a request may do about an answer that is not to be had from the zone.
pub(super) enum Seat {
    /// Bring it.
    Bring(Ticket<Head>),
    /// Get it for itself.
    Alone,
    /// Somebody has brought it, or nothing.
    Landed(Landed<Head>),
}

/// A request at its cache.
pub(super) struct Visit<'a> {
    pub(super) caching: &'a Arc<Caching>,
    pub(super) named: &'a Named,
    pub(super) place: Place,
    /// An answer past its time.
    pub(super) stale: Option<Arc<Kept>>,
    /// Whether this request is to bring the one after it.
    pub(super) updates: bool,
    /// Whether what is fetched is for all.
    pub(super) for_all: bool,
}

impl Visit<'_> {
    /// Finds out who brings the answer; waits if it is somebody else.
    pub(super) async fn seat(&mut self) -> Seat {
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
    pub(super) fn unlocked(&self) -> Option<Ticket<Head>> {
        let lock = Lock {
            on: false,
            age: Duration::ZERO,
        };
        match self.named.zone().board(&self.place, lock, self.updated()) {
            Boarding::Fetch(ticket) => Some(ticket),
            Boarding::Wait(_) | Boarding::Full => None,
        }
    }

    pub(super) fn updated(&self) -> Option<Arc<Kept>> {
        self.stale.clone().filter(|_| self.updates)
    }

    pub(super) fn give_up_update(&mut self) {
        if let Some(kept) = self.updated() {
            kept.end_update();
        }
        self.updates = false;
    }

    pub(super) fn order(&self, ctx: &Ctx) -> Order {
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
    pub(super) fn stands_in_for(&self, status: u16) -> Option<Arc<Kept>> {
        let statuses = &self.caching.model.use_stale.statuses;
        self.stale.clone().filter(|_| statuses.contains(&status))
    }

    /// What is answered when nothing came.
    pub(super) fn failed(&self, ctx: &mut Ctx, failure: Failure) -> Obtained {
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
