//! A use of a peer, given back however it ends.

use std::sync::Arc;

use tokio::time::Instant;
use weir_conf::nginx::model::{Method, Until};

use super::{Group, Peer};
use crate::balance::Outcome;

/// A connection's worth of a peer.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(super) group: Arc<Group>,
    pub(super) peer: Arc<Peer>,
    pub(super) since: Instant,
    /// It is not the first of its request.
    pub(super) retry: bool,
    pub(super) open: bool,
}

impl Lease {
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The connection is there.
    pub(crate) fn connected(&self) {
        self.passed(Until::Connect);
    }

    /// The header of an answer has come.
    pub(crate) fn answer_began(&self) {
        self.passed(Until::FirstByte);
    }

    fn passed(&self, until: Until) {
        if self.group.method == (Method::LeastTime { until }) {
            self.group.timed(&self.peer, self.since);
        }
    }

    /// Gives it back with what became of it.
    pub(crate) fn finish(mut self, outcome: Outcome) {
        self.open = false;
        if outcome == Outcome::Answered {
            self.passed(Until::LastByte);
        }
        self.group.release(&self.peer, outcome, self.retry);
    }

    /// Whether the peer answered as one that is well does.
    pub(crate) fn observe(&self, good: bool) {
        self.group.observe(&self.peer, good);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.open {
            self.group
                .release(&self.peer, Outcome::Abandoned, self.retry);
        }
    }
}
