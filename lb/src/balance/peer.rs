//! One peer: what the configuration says of it, and what it has shown of itself.

use std::sync::Arc;

use super::load::Known;

/// A peer's whole share, in parts: one that begins slowly has fewer.
pub(super) const RAMP_FULL: u64 = 1000;

/// An average time halves in so many ms without news, so that a slow peer is tried again.
const DECAY_MS: u64 = 1000;

/// Times are told apart in steps of so many ms; less than one step is no time.
const TIME_STEP_MS: u64 = 20;

/// What the configuration says of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerSpec {
    /// The `server` it stands for, as written: what `hash … consistent` places on its ring.
    pub server: Arc<str>,
    /// Share of the requests, at least 1.
    pub weight: u32,
    /// Failures that put it out; zero never does.
    pub max_fails: u32,
    /// How long it is then left alone, and the time within which failures count together.
    pub fail_timeout_ms: u64,
    /// Connections at once; zero is no limit.
    pub max_conns: u32,
    /// Time in which its share grows from nothing when it is well again; zero is at once.
    pub slow_start_ms: u64,
    /// Only when no other peer can be used.
    pub backup: bool,
    /// Never used.
    pub down: bool,
}

impl Default for PeerSpec {
    fn default() -> Self {
        Self {
            server: Arc::from(""),
            weight: 1,
            max_fails: 1,
            fail_timeout_ms: 10_000,
            max_conns: 0,
            slow_start_ms: 0,
            backup: false,
            down: false,
        }
    }
}

/// Whether a peer may get new connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Serving,
    /// It is on its way out and may come back.
    Draining,
    /// It is forgotten when it has no connection left.
    Leaving,
}

#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// Greater than that of every peer before it in the list.
    pub(super) number: usize,
    pub(super) spec: PeerSpec,
    pub(super) standing: Standing,
    /// Active checks' opinion; true until one says otherwise.
    pub(super) healthy: bool,
    pub(super) active: u32,
    pub(super) current_weight: i64,
    pub(super) effective_weight: i64,
    pub(super) fails: u32,
    /// Last failure.
    pub(super) failed_ms: u64,
    /// Last failure, or last time it was tried after its timeout.
    pub(super) checked_ms: u64,
    /// Its bad answers.
    pub(super) outlier: super::outlier::Record,
    /// Since when it is well again, while its share still grows.
    recovered_ms: Option<u64>,
    /// What it reports of itself.
    pub(super) load: Known,
    /// Average time of its answers, and when that was learned.
    time_ms: u64,
    timed_ms: u64,
}

impl Peer {
    pub(super) fn new(number: usize, spec: PeerSpec) -> Self {
        Self {
            number,
            effective_weight: i64::from(spec.weight),
            spec,
            standing: Standing::Serving,
            healthy: true,
            active: 0,
            current_weight: 0,
            fails: 0,
            failed_ms: 0,
            checked_ms: 0,
            outlier: super::outlier::Record::default(),
            recovered_ms: None,
            load: Known::default(),
            time_ms: 0,
            timed_ms: 0,
        }
    }

    pub(super) fn usable(&self, alone: bool, now_ms: u64) -> bool {
        let spec = &self.spec;
        let put_out = !alone
            && spec.max_fails > 0
            && self.fails >= spec.max_fails
            && now_ms.saturating_sub(self.checked_ms) <= spec.fail_timeout_ms;
        let full = spec.max_conns > 0 && self.active >= spec.max_conns;
        let serving = self.standing == Standing::Serving;
        self.healthy && serving && !spec.down && !put_out && !full
    }

    /// Active connections for the weight, to be compared as fractions.
    pub(super) fn lighter_than(&self, other: &Self, now_ms: u64) -> std::cmp::Ordering {
        let mine = u128::from(self.active) * other.share(now_ms);
        let theirs = u128::from(other.active) * self.share(now_ms);
        mine.cmp(&theirs)
    }

    /// Time of an answer times the connections to share it with, and the connections, for the
    /// weight. Peers that take no time to speak of are compared as [`Self::lighter_than`] does.
    pub(super) fn quicker_than(&self, other: &Self, now_ms: u64) -> std::cmp::Ordering {
        let cost = |peer: &Self| {
            let steps = u128::from(peer.average_ms(now_ms) / TIME_STEP_MS);
            let active = u128::from(peer.active);
            steps * (active + 1) + active
        };
        let mine = cost(self).saturating_mul(other.share(now_ms));
        let theirs = cost(other).saturating_mul(self.share(now_ms));
        mine.cmp(&theirs)
    }

    /// What it gains in a round.
    pub(super) fn gain(&self, now_ms: u64) -> i64 {
        let ramp = i64::try_from(self.ramp(now_ms)).unwrap_or(1);
        self.effective_weight.saturating_mul(ramp)
    }

    /// Its share grows from here on, if the configuration wants it to.
    pub(super) fn recover(&mut self, now_ms: u64) {
        self.recovered_ms = (self.spec.slow_start_ms > 0).then_some(now_ms);
    }

    /// Takes in the time of an answer.
    pub(super) fn timed(&mut self, time_ms: u64, now_ms: u64) {
        let before = self.average_ms(now_ms);
        self.time_ms = if self.timed_ms == 0 {
            time_ms
        } else {
            before.midpoint(time_ms)
        };
        self.timed_ms = now_ms.max(1);
    }

    fn average_ms(&self, now_ms: u64) -> u64 {
        let halvings = now_ms.saturating_sub(self.timed_ms) / DECAY_MS;
        let halvings = u32::try_from(halvings).unwrap_or(u32::MAX);
        self.time_ms.checked_shr(halvings).unwrap_or(0)
    }

    pub(super) fn share(&self, now_ms: u64) -> u128 {
        u128::from(self.spec.weight) * u128::from(self.ramp(now_ms))
    }

    /// How much of its share it has, of [`RAMP_FULL`] parts; never nothing.
    fn ramp(&self, now_ms: u64) -> u64 {
        let Some(since) = self.recovered_ms else {
            return RAMP_FULL;
        };
        let elapsed = now_ms.saturating_sub(since);
        let parts = elapsed
            .saturating_mul(RAMP_FULL)
            .checked_div(self.spec.slow_start_ms);
        parts.unwrap_or(RAMP_FULL).clamp(1, RAMP_FULL)
    }
}
