//! Fetches under way: who asks for the same object joins the one that runs.
//!
//! A flight is in the table from the moment somebody starts it until its object is stored or has
//! failed. The table's lock is held for a look-up only, never across an await.
//!
//! Failures: a flight whose task ends in any way leaves the table and fails those who wait.

use crate::fetch::FetchError;
use crate::key::Key;
use crate::object::Object;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Being held by everybody who waits for, or reads, a flight's object.
pub(crate) type Interest = Arc<()>;

#[derive(Clone, Debug)]
pub(crate) enum HeadState {
    Waiting,
    Ready(Arc<Object>),
    Failed(FetchError),
}

#[derive(Debug)]
pub(crate) struct Flight {
    head: watch::Sender<HeadState>,
    interest: Interest,
}

impl Flight {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            head: watch::Sender::new(HeadState::Waiting),
            interest: Arc::new(()),
        })
    }

    pub(crate) fn interest(&self) -> Interest {
        Arc::clone(&self.interest)
    }

    pub(crate) fn ready(&self, object: Arc<Object>) {
        self.head.send_replace(HeadState::Ready(object));
    }

    /// Does nothing once the head was ready: the body says then what went wrong.
    pub(crate) fn fail(&self, error: FetchError) {
        self.head.send_if_modified(|state| {
            let waiting = matches!(state, HeadState::Waiting);
            if waiting {
                *state = HeadState::Failed(error);
            }
            waiting
        });
    }

    /// Waits for the head.
    pub(crate) async fn head(&self) -> Result<Arc<Object>, FetchError> {
        let mut head = self.head.subscribe();
        let state = head
            .wait_for(|state| !matches!(state, HeadState::Waiting))
            .await
            .map_err(|_| FetchError::Abandoned)?;
        match &*state {
            HeadState::Ready(object) => Ok(Arc::clone(object)),
            HeadState::Failed(error) => Err(error.clone()),
            HeadState::Waiting => Err(FetchError::Abandoned),
        }
    }

    /// Nobody but the flight itself holds the interest.
    fn is_unwatched(&self) -> bool {
        Arc::strong_count(&self.interest) == 1
    }
}

#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<HashMap<Key, Arc<Flight>>>);

/// How a request came to its flight.
pub(crate) enum Joined {
    /// It runs already.
    Running(Arc<Flight>, Interest),
    /// The caller has to start it.
    Started(Arc<Flight>, Interest),
    /// Meanwhile somebody has brought the object.
    Landed(Arc<Object>),
}

impl Flights {
    /// Joins the flight of `key` or makes one. `landed` is asked, under the lock, before a new one
    /// is made: a flight stores its object before it leaves the table, so that nobody fetches what
    /// has just come.
    pub(crate) fn join(&self, key: &Key, landed: impl FnOnce() -> Option<Arc<Object>>) -> Joined {
        let mut table = self.lock();
        if let Some(flight) = table.get(key) {
            return Joined::Running(Arc::clone(flight), flight.interest());
        }
        if let Some(object) = landed() {
            return Joined::Landed(object);
        }
        let flight = Flight::new();
        table.insert(key.clone(), Arc::clone(&flight));
        let interest = flight.interest();
        Joined::Started(flight, interest)
    }

    /// Takes the flight out of the table if nobody watches it; then nobody can join it any more.
    pub(crate) fn leave_if_unwatched(&self, key: &Key, flight: &Arc<Flight>) -> bool {
        let mut table = self.lock();
        let unwatched = flight.is_unwatched();
        if unwatched {
            take(&mut table, key, flight);
        }
        unwatched
    }

    pub(crate) fn leave(&self, key: &Key, flight: &Arc<Flight>) {
        take(&mut self.lock(), key, flight);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<Flight>>> {
        // Nothing panics while the lock is held, so a poisoned table is still a whole one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take(table: &mut HashMap<Key, Arc<Flight>>, key: &Key, flight: &Arc<Flight>) {
    if table.get(key).is_some_and(|held| Arc::ptr_eq(held, flight)) {
        table.remove(key);
    }
}
