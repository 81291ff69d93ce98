//! How many connections there are, in all and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts connections; a [`Slot`] is one of them.
pub(super) struct Peers {
    open_max: usize,
    per_peer_max: Option<usize>,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Default)]
struct Counts {
    open: usize,
    /// Only kept when there is a limit; never more entries than open connections.
    per_peer: HashMap<IpAddr, usize>,
}

/// A connection's place; given back when dropped.
pub(super) struct Slot {
    counts: Arc<Mutex<Counts>>,
    per_peer_max: Option<usize>,
    peer: Option<IpAddr>,
}

impl Peers {
    pub(super) fn new(open_max: usize, per_peer_max: Option<usize>) -> Self {
        Self {
            open_max,
            per_peer_max,
            counts: Arc::default(),
        }
    }

    /// A place, unless all are taken.
    pub(super) fn enter(&self) -> Option<Slot> {
        let mut counts = lock(&self.counts);
        if counts.open >= self.open_max {
            return None;
        }
        counts.open += 1;
        Some(Slot {
            counts: Arc::clone(&self.counts),
            per_peer_max: self.per_peer_max,
            peer: None,
        })
    }
}

impl Slot {
    /// Says whose place it is, once that is known.
    ///
    /// # Errors
    /// The limit, when that address has used it up.
    pub(super) fn claim(&mut self, peer: IpAddr) -> Result<(), usize> {
        let Some(max) = self.per_peer_max else {
            return Ok(());
        };
        let mut counts = lock(&self.counts);
        let count = counts.per_peer.entry(peer).or_default();
        if *count >= max {
            return Err(max);
        }
        *count += 1;
        self.peer = Some(peer);
        Ok(())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        counts.open -= 1;
        if let Some(peer) = self.peer
            && let Some(count) = counts.per_peer.get_mut(&peer)
        {
            *count -= 1;
            if *count == 0 {
                counts.per_peer.remove(&peer);
            }
        }
    }
}

/// The counts are whole at every unlock, so a poisoned lock is as good as any.
fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_and_given_back() {
        let peers = Peers::new(2, Some(1));
        let address = IpAddr::from([127, 0, 0, 1]);
        let mut first = peers.enter().unwrap();
        let mut second = peers.enter().unwrap();
        assert!(peers.enter().is_none());
        assert_eq!(first.claim(address), Ok(()));
        assert_eq!(second.claim(address), Err(1));
        drop(second);
        let mut third = peers.enter().unwrap();
        assert_eq!(third.claim(address), Err(1));
        drop(first);
        assert_eq!(third.claim(address), Ok(()));
        drop(third);
        assert!(lock(&peers.counts).per_peer.is_empty());
    }
}
