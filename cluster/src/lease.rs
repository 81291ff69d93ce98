//! Leases: how a node shows, by the second, that it is there, and who may say that another is not.
//!
//! A node has one lease and renews it each [`RENEW_PERIOD`]; all its streams live on it, so that
//! a stream costs no write to stay owned. Times are the store's alone, ms since the Unix epoch: a
//! node's own clock has no say.
//!
//! **Who judges.** A lease [lapses](Lease::lapsed_at) [`LEASE_MS`] after its last renewal. That
//! alone proves nothing: the store may have been away, or without a primary, or frozen, or its
//! clock may have jumped, and then every lease is old at once. So a judge must vouch for the
//! store: its own renewals show when the store was there, and the longest time without one, within
//! the other's silence, may have been the store's fault. While that is no more than
//! [`VOUCHED_GAP_MS`], which a lease outlives, [`LEASE_MS`] of silence are enough; else the silence
//! must be longer than it by [`LEASE_MS`]. So after an outage everybody has the time to renew, a
//! judge on a slow machine is slower and not wrong, one that has just come counts from its coming,
//! and a node that cannot reach the store judges nobody.
//!
//! Pure: records and a time in, a verdict out. Each store keeps the records in its own way.

use crate::types::NODE_TIMEOUT_MS;
use std::time::Duration;

/// How long a lease holds after its last renewal, ms.
pub const LEASE_MS: i64 = 3_000;
/// How often a node renews its lease.
pub const RENEW_PERIOD: Duration = Duration::from_secs(1);
/// The longest time between a judge's renewals that another's lease outlives in any case, ms: a node
/// that renewed a period before an outage as long as that is back before its lease lapses.
pub const VOUCHED_GAP_MS: i64 = 1_500;
/// Renewals that a lease remembers, for its node to vouch by. Together longer than [`LEASE_MS`].
pub const RENEWALS_KEPT: usize = 8;
/// How long a lease must have lapsed before what its node left behind is cleaned up, ms.
pub const SWEEP_AFTER_MS: i64 = 20_000;
/// How long a lease that nobody renews is remembered, ms.
pub const LEASE_KEPT_MS: i64 = 24 * 3_600 * 1_000;

/// A node's lease. Times are the store's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Whose it is.
    pub node_id: String,
    /// Since when it has not lapsed, ms since the Unix epoch.
    pub since_ms: i64,
    /// Its last renewal, ms since the Unix epoch; 0 = ended by its node.
    pub renewed_ms: i64,
    /// Its last renewals, the newest first, at most [`RENEWALS_KEPT`], ms since the Unix epoch.
    pub renewals_ms: Vec<i64>,
    /// When it was read, ms since the Unix epoch.
    pub now_ms: i64,
}

/// All leases, as of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leases {
    /// The store's time, ms since the Unix epoch.
    pub now_ms: i64,
    /// One a node, in no order.
    pub leases: Vec<Lease>,
}

impl Leases {
    /// A node's lease.
    #[must_use]
    pub fn of(&self, node_id: &str) -> Option<&Lease> {
        self.leases.iter().find(|lease| lease.node_id == node_id)
    }
}

impl Lease {
    /// The lease of `node_id` after a renewal at `now_ms`. A last renewal that lies ahead shows that
    /// the store's clock went back: then it begins anew.
    #[must_use]
    pub fn renewed(previous: Option<&Self>, node_id: &str, now_ms: i64) -> Self {
        let previous = previous.filter(|lease| lease.renewed_ms <= now_ms);
        let unbroken = previous.filter(|lease| lease.unbroken_at(now_ms));
        let before = previous.map_or([].as_slice(), |lease| &lease.renewals_ms);
        let renewals = std::iter::once(now_ms).chain(before.iter().copied());
        Self {
            node_id: node_id.to_owned(),
            since_ms: unbroken.map_or(now_ms, |lease| lease.since_ms),
            renewed_ms: now_ms,
            renewals_ms: renewals.take(RENEWALS_KEPT).collect(),
            now_ms,
        }
    }

    /// The lease after its node gave it up: lapsed at once.
    #[must_use]
    pub fn ended(&self) -> Self {
        Self {
            since_ms: 0,
            renewed_ms: 0,
            renewals_ms: Vec::new(),
            ..self.clone()
        }
    }

    /// Whether it has lapsed at `now_ms`. A renewal that lies ahead by more than a lease's time was
    /// made before the store's clock went back.
    #[must_use]
    pub const fn lapsed_at(&self, now_ms: i64) -> bool {
        now_ms.saturating_sub(self.renewed_ms) > LEASE_MS
            || self.renewed_ms.saturating_sub(now_ms) > LEASE_MS
    }

    /// Whether it has lapsed for so long at `now_ms` that its node's streams may be cleaned up.
    #[must_use]
    pub const fn sweepable_at(&self, now_ms: i64) -> bool {
        now_ms.saturating_sub(self.renewed_ms) > LEASE_MS + SWEEP_AFTER_MS
    }

    /// Whether its node may say at `now_ms` that `other` has lapsed: see the head of this file.
    #[must_use]
    pub fn sees_lapsed(&self, other: &Self, now_ms: i64) -> bool {
        if !other.lapsed_at(now_ms) {
            return false;
        }
        // By a clock that went back, nobody knows since when: not before this node's own renewals.
        let silent_since_ms = match (other.renewed_ms > now_ms, self.renewals_ms.last()) {
            (true, Some(oldest_ms)) => *oldest_ms,
            (true, None) => return false,
            (false, _) => other.renewed_ms,
        };
        let own = self.renewals_ms.iter();
        let within = own.filter(|at| (silent_since_ms..=now_ms).contains(at));
        let (mut later_ms, mut gap_ms) = (now_ms, 0);
        for at_ms in within.copied().chain([silent_since_ms]) {
            gap_ms = gap_ms.max(later_ms.saturating_sub(at_ms));
            later_ms = at_ms;
        }
        let enough_ms = if gap_ms <= VOUCHED_GAP_MS {
            LEASE_MS
        } else {
            gap_ms.saturating_add(LEASE_MS)
        };
        now_ms.saturating_sub(silent_since_ms) > enough_ms
    }

    /// Whether it has not lapsed for `run_ms` at `now_ms`.
    #[must_use]
    pub const fn has_run_for(&self, run_ms: i64, now_ms: i64) -> bool {
        self.unbroken_at(now_ms) && now_ms.saturating_sub(self.since_ms) >= run_ms
    }

    const fn unbroken_at(&self, now_ms: i64) -> bool {
        let gap_ms = now_ms.saturating_sub(self.renewed_ms);
        0 <= gap_ms && gap_ms <= LEASE_MS
    }
}

/// What a store knows, at one moment, of a stream's owner and of who asks about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// The store's time, ms since the Unix epoch.
    pub now_ms: i64,
    /// The asker's own lease.
    pub own: Option<Lease>,
    /// The owner's lease.
    pub owner: Option<Lease>,
    /// The owner's last heartbeat, ms since the Unix epoch; matters when it has no lease.
    pub heartbeat_ms: Option<i64>,
}

impl Sight {
    /// Whether the owner must be taken for there, when its last sign of life in the stream's own
    /// records is of `last_sign_ms`.
    ///
    /// An owner with a lease is judged by that. One without (an older version, or Ant Media) is
    /// there for [`NODE_TIMEOUT_MS`] after its last sign, and an asker who has a lease judges it
    /// only after a run as long as that.
    #[must_use]
    pub fn owner_is_there(&self, last_sign_ms: i64) -> bool {
        let own = self.own.as_ref();
        match &self.owner {
            Some(owner) => !own.is_some_and(|own| own.sees_lapsed(owner, self.now_ms)),
            None => {
                let sign_ms = self
                    .heartbeat_ms
                    .map_or(last_sign_ms, |at| at.max(last_sign_ms));
                let silent = self.now_ms.saturating_sub(sign_ms) > NODE_TIMEOUT_MS;
                !silent || own.is_some_and(|own| !own.has_run_for(NODE_TIMEOUT_MS, self.now_ms))
            }
        }
    }
}

#[cfg(test)]
mod tests;
