//! Who fetches an answer, and who waits for that: nginx's `proxy_cache_lock`, but told, not polled.
//!
//! A fetch that others may wait for is in the zone's table from its beginning until its answer is
//! kept, passed on or failed. One that has run longer than the lock's age loses its place to the
//! next who asks: both may then be kept, and the last to end stays.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

use super::filling::Filler;
use super::kept::{Kept, Meta, Times};
use super::{Place, Zone};

/// Fetches at once in one zone that others may wait for.
const FETCHES_MAX: usize = 16_384;

/// `proxy_cache_lock` and its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// One fetch at a time for a place.
    pub on: bool,
    /// After that another may fetch.
    pub age: Duration,
}

/// What kind of failure a fetch came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// No connection, or it broke.
    Error,
    /// It took too long.
    Timeout,
    /// What came was no answer.
    InvalidHeader,
    /// An answer with a status that is not to be had.
    Status,
}

/// A fetch that brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What the client is told.
    pub status: u16,
    /// Why.
    pub kind: FailureKind,
}

/// How a fetch ended for those who wait.
#[derive(Debug)]
pub enum Landed<H> {
    /// With an answer, which may still be filling.
    Kept(Arc<Kept<H>>),
    /// With one for its asker alone: each fetches for himself.
    Alone,
    /// With nothing.
    Failed(Failure),
}

impl<H> Clone for Landed<H> {
    fn clone(&self) -> Self {
        match self {
            Self::Kept(kept) => Self::Kept(Arc::clone(kept)),
            Self::Alone => Self::Alone,
            Self::Failed(failure) => Self::Failed(*failure),
        }
    }
}

/// A fetch under way.
#[derive(Debug)]
pub(crate) struct Fetching<H> {
    landed: watch::Sender<Option<Landed<H>>>,
    started: Instant,
}

/// What to do about an answer that is not there.
#[derive(Debug)]
pub enum Boarding<H: Send + Sync + 'static> {
    /// Fetch it.
    Fetch(Ticket<H>),
    /// Wait for who fetches it.
    Wait(Waiter<H>),
    /// Too many fetch: ask for this request alone, and keep nothing.
    Full,
}

/// The right to bring an answer into a zone. Dropped unused, it tells those who wait to ask for
/// themselves.
#[derive(Debug)]
pub struct Ticket<H: Send + Sync + 'static> {
    zone: Arc<Zone<H>>,
    place: Place,
    /// `None`: nobody waits for this one.
    fetching: Option<Arc<Fetching<H>>>,
    /// The answer past its time that this one is to follow.
    updates: Option<Arc<Kept<H>>>,
}

/// Waits for a fetch.
#[derive(Debug)]
pub struct Waiter<H: Send + Sync + 'static> {
    landed: watch::Receiver<Option<Landed<H>>>,
    ages_at: Instant,
}

impl<H: Send + Sync + 'static> Zone<H> {
    /// Asks to fetch the answer of a place, or to wait for who does. `updates` is the answer past
    /// its time, if this request has taken it on itself to fetch the next.
    pub fn board(
        self: &Arc<Self>,
        place: &Place,
        lock: Lock,
        updates: Option<Arc<Kept<H>>>,
    ) -> Boarding<H> {
        let ticket = |fetching| {
            Boarding::Fetch(Ticket {
                zone: Arc::clone(self),
                place: place.clone(),
                fetching,
                updates,
            })
        };
        if !lock.on {
            return ticket(None);
        }
        let key = place.key();
        let mut table = self.table();
        if let Some(running) = table.get(&key) {
            let ages_at = running.started + lock.age;
            if Instant::now() < ages_at {
                let landed = running.landed.subscribe();
                return Boarding::Wait(Waiter { landed, ages_at });
            }
        } else if table.len() >= FETCHES_MAX {
            return Boarding::Full;
        }
        let fetching = Arc::new(Fetching {
            landed: watch::Sender::new(None),
            started: Instant::now(),
        });
        table.insert(key, Arc::clone(&fetching));
        drop(table);
        ticket(Some(fetching))
    }
}

impl<H: Send + Sync + 'static> Waiter<H> {
    /// Waits until the fetch has landed, it has aged, or `until`. `None` for the latter two.
    pub async fn wait(&mut self, until: Instant) -> Option<Landed<H>> {
        let end = self.ages_at.min(until);
        let landed = self.landed.wait_for(Option::is_some);
        match tokio::time::timeout_at(end, landed).await {
            Ok(Ok(landed)) => landed.clone(),
            Ok(Err(_)) => Some(Landed::Alone),
            Err(_) => None,
        }
    }
}

impl<H: Send + Sync + 'static> Ticket<H> {
    /// Begins to fill an answer. `Err` gives the ticket and the head back if there is no room: it
    /// is to be passed on and not kept.
    ///
    /// # Errors
    /// No error, but no room.
    pub fn fill(self, head: H, meta: Meta) -> Result<Filler<H>, (Self, H)> {
        let announced = meta.content_length.unwrap_or(0);
        let options = self.zone.options();
        let filling = self
            .zone
            .filling_bytes
            .load(std::sync::atomic::Ordering::Relaxed);
        if announced > options.object_bytes_max
            || filling.saturating_add(announced) > options.bytes_max
        {
            return Err((self, head));
        }
        let kept = Arc::new(Kept::new(head, meta));
        if kept.framed() {
            self.tell(Landed::Kept(Arc::clone(&kept)));
        }
        Ok(Filler::new(self, kept))
    }

    /// The answer is for its asker alone.
    pub fn pass(self) {
        self.tell(Landed::Alone);
    }

    /// There is none.
    pub fn fail(self, failure: Failure) {
        self.tell(Landed::Failed(failure));
    }

    /// The old answer is good again, until then.
    pub fn renew(self, kept: &Arc<Kept<H>>, times: Times) {
        kept.renew(times);
        self.tell(Landed::Kept(Arc::clone(kept)));
    }

    /// The zone it is for.
    pub fn zone(&self) -> &Arc<Zone<H>> {
        &self.zone
    }

    pub(crate) fn land(&self, kept: &Arc<Kept<H>>) {
        self.zone.store(&self.place, Arc::clone(kept));
        self.tell(Landed::Kept(Arc::clone(kept)));
    }

    /// Only the first word counts.
    fn tell(&self, landed: Landed<H>) {
        if let Some(fetching) = &self.fetching {
            fetching.landed.send_if_modified(|state| {
                let first = state.is_none();
                if first {
                    *state = Some(landed);
                }
                first
            });
        }
    }
}

impl<H: Send + Sync + 'static> Drop for Ticket<H> {
    fn drop(&mut self) {
        if let Some(kept) = &self.updates {
            kept.end_update();
        }
        if let Some(fetching) = &self.fetching {
            let key = self.place.key();
            let mut table = self.zone.table();
            if table
                .get(&key)
                .is_some_and(|other| Arc::ptr_eq(other, fetching))
            {
                table.remove(&key);
            }
            drop(table);
            self.tell(Landed::Alone);
        }
    }
}
