//! Connections kept to an upstream: how old each is and how many requests it has carried.
//!
//! Why our own book: Pingora keeps connections for as long as they idle little, whatever they
//! have carried. One that has carried its last request is closed after it: the request says
//! `Connection: close`. Limits: one entry for a file descriptor, which a later connection of that
//! number takes over.

use std::collections::HashMap;
use std::os::fd::RawFd;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The book of one upstream.
#[derive(Debug)]
pub(crate) struct Kept {
    requests_max: u32,
    age_max: Duration,
    open: Mutex<HashMap<RawFd, (Instant, u32)>>,
}

impl Kept {
    pub(crate) fn new(requests_max: u32, age_max_ms: u64) -> Self {
        Self {
            requests_max,
            age_max: Duration::from_millis(age_max_ms),
            open: Mutex::default(),
        }
    }

    /// Counts a request over a connection. True if it is to be the last.
    pub(crate) fn is_last(&self, fd: RawFd, reused: bool) -> bool {
        let now = Instant::now();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = open.entry(fd).or_insert((now, 0));
        if !reused {
            *entry = (now, 0);
        }
        let (since, requests) = entry;
        *requests = requests.saturating_add(1);
        *requests >= self.requests_max || now.duration_since(*since) > self.age_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn connections_end_by_count_and_by_age() {
        let kept = Kept::new(3, 1000);
        let use_it = |reused| kept.is_last(7, reused);
        assert_eq!(
            [use_it(false), use_it(true), use_it(true)],
            [false, false, true]
        );
        // Another connection that got the number.
        assert!(!use_it(false));
        tokio::time::advance(Duration::from_millis(1001)).await;
        assert!(use_it(true));
        assert!(Kept::new(1, 1000).is_last(1, false));
    }
}
