//! Idle connections to origins, kept for the next fetch.
//!
//! Limits: `idle_per_origin_max` connections an origin, none older than `idle_ms_max` (shorter
//! than the time origins keep theirs open), at most [`ORIGINS_MAX`] origins.

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Origins that idle connections are kept of.
const ORIGINS_MAX: usize = 1024;

pub(crate) type Connection = SendRequest<Full<Bytes>>;

#[derive(Debug)]
pub(crate) struct Pool {
    idle_per_origin_max: usize,
    idle_max: Duration,
    idle: Mutex<HashMap<String, Vec<Idle>>>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    pub(crate) fn new(idle_per_origin_max: usize, idle_max: Duration) -> Self {
        Self {
            idle_per_origin_max,
            idle_max,
            idle: Mutex::default(),
        }
    }

    /// The connection used last, if one still seems good.
    pub(crate) fn take(&self, origin: &str) -> Option<Connection> {
        let mut idle = self.lock();
        let list = idle.get_mut(origin)?;
        let now = Instant::now();
        let mut found = None;
        while let Some(candidate) = list.pop() {
            let old = now.duration_since(candidate.since) >= self.idle_max;
            if !old && candidate.connection.is_ready() {
                found = Some(candidate.connection);
                break;
            }
        }
        if list.is_empty() {
            idle.remove(origin);
        }
        found
    }

    /// Keeps a connection whose answer has been read to its end; over a limit it is closed.
    pub(crate) fn put(&self, origin: &str, connection: Connection) {
        if connection.is_closed() {
            return;
        }
        let mut idle = self.lock();
        if !idle.contains_key(origin) && idle.len() >= ORIGINS_MAX {
            let now = Instant::now();
            idle.retain(|_, list| {
                list.retain(|c| now.duration_since(c.since) < self.idle_max);
                !list.is_empty()
            });
            if idle.len() >= ORIGINS_MAX {
                return;
            }
        }
        let list = idle.entry(origin.to_owned()).or_default();
        if list.len() < self.idle_per_origin_max {
            list.push(Idle {
                connection,
                since: Instant::now(),
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Idle>>> {
        // Nothing panics while the lock is held, so a poisoned table is still a whole one.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
