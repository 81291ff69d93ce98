//! Which peer gets the next request: nginx's rules, without I/O and without a clock of their own.
//!
//! Round robin is nginx's smooth weighted one: each peer gains its weight, the richest is taken
//! and pays the sum. `least_conn` takes the peer with the fewest active connections for its
//! weight; peers that tie are chosen among by that same round robin. A peer with `max_fails`
//! failures is left alone for `fail_timeout`, then tried with one request at a time until it
//! succeeds; each failure also lowers its effective weight, which recovers by one a round.
//! Backups are asked when no other peer can be. A group of one is never put out by failed
//! requests, as in nginx: there is nothing to gain.
//!
//! Units: `now_ms` on any clock that does not go back. Failures: [`Balancer::pick`] returns
//! `None` when no peer can be used ("no live upstreams").

use weir_conf::nginx::model::Method;

/// What the configuration says of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerSpec {
    /// Share of the requests, at least 1.
    pub weight: u32,
    /// Failures that put it out; zero never does.
    pub max_fails: u32,
    /// How long it is then left alone, and the time within which failures count together.
    pub fail_timeout_ms: u64,
    /// Connections at once; zero is no limit.
    pub max_conns: u32,
    /// Only when no other peer can be used.
    pub backup: bool,
    /// Never used.
    pub down: bool,
}

impl Default for PeerSpec {
    fn default() -> Self {
        Self {
            weight: 1,
            max_fails: 1,
            fail_timeout_ms: 10_000,
            max_conns: 0,
            backup: false,
            down: false,
        }
    }
}

/// How a use of a peer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It answered.
    Answered,
    /// It failed in a way that `proxy_next_upstream` names.
    Failed,
    /// The client left first: says nothing about the peer.
    Abandoned,
}

#[derive(Debug, Clone)]
struct Peer {
    spec: PeerSpec,
    /// Active checks' opinion; true until one says otherwise.
    healthy: bool,
    active: u32,
    current_weight: i64,
    effective_weight: i64,
    fails: u32,
    /// Last failure.
    failed_ms: u64,
    /// Last failure, or last time it was tried after its timeout.
    checked_ms: u64,
}

impl Peer {
    fn usable(&self, alone: bool, now_ms: u64) -> bool {
        let spec = &self.spec;
        let put_out = !alone
            && spec.max_fails > 0
            && self.fails >= spec.max_fails
            && now_ms.saturating_sub(self.checked_ms) <= spec.fail_timeout_ms;
        let full = spec.max_conns > 0 && self.active >= spec.max_conns;
        self.healthy && !spec.down && !put_out && !full
    }

    /// Active connections for the weight, to be compared as fractions.
    fn lighter_than(&self, other: &Self) -> std::cmp::Ordering {
        let mine = u64::from(self.active) * u64::from(other.spec.weight);
        let theirs = u64::from(other.active) * u64::from(self.spec.weight);
        mine.cmp(&theirs)
    }
}

/// The state of one upstream.
#[derive(Debug, Clone)]
pub struct Balancer {
    method: Method,
    peers: Vec<Peer>,
    alone: bool,
}

impl Balancer {
    /// A group with no history.
    #[must_use]
    pub fn new(method: Method, specs: impl IntoIterator<Item = PeerSpec>) -> Self {
        let peers: Vec<Peer> = specs
            .into_iter()
            .map(|spec| Peer {
                effective_weight: i64::from(spec.weight),
                spec,
                healthy: true,
                active: 0,
                current_weight: 0,
                fails: 0,
                failed_ms: 0,
                checked_ms: 0,
            })
            .collect();
        Self {
            method,
            alone: peers.len() == 1,
            peers,
        }
    }

    /// Takes a peer that is not in `tried`, and counts a connection to it.
    ///
    /// Each pick must be followed by one [`Self::release`].
    pub fn pick(&mut self, tried: &[usize], now_ms: u64) -> Option<usize> {
        let index = self
            .choose(false, tried, now_ms)
            .or_else(|| self.choose(true, tried, now_ms));
        let index = index?;
        let peer = self.peers.get_mut(index)?;
        if now_ms.saturating_sub(peer.checked_ms) > peer.spec.fail_timeout_ms {
            // From here its next failure, or success, is judged anew; others wait for it.
            peer.checked_ms = now_ms;
        }
        peer.active = peer.active.saturating_add(1);
        Some(index)
    }

    /// Ends a use of a peer. Says whether this put the peer out.
    pub fn release(&mut self, index: usize, outcome: Outcome, now_ms: u64) -> bool {
        let alone = self.alone;
        let Some(peer) = self.peers.get_mut(index) else {
            return false;
        };
        peer.active = peer.active.saturating_sub(1);
        match outcome {
            Outcome::Abandoned => false,
            Outcome::Answered => {
                if peer.failed_ms < peer.checked_ms {
                    peer.fails = 0;
                }
                false
            }
            Outcome::Failed => {
                peer.fails = peer.fails.saturating_add(1);
                peer.failed_ms = now_ms;
                peer.checked_ms = now_ms;
                let max_fails = peer.spec.max_fails;
                if let Some(loss) = peer.spec.weight.checked_div(max_fails) {
                    peer.effective_weight = (peer.effective_weight - i64::from(loss)).max(0);
                }
                !alone && max_fails > 0 && peer.fails == max_fails
            }
        }
    }

    /// What the active checks say. A peer found well starts with a clean record.
    pub fn set_healthy(&mut self, index: usize, healthy: bool) {
        if let Some(peer) = self.peers.get_mut(index) {
            if healthy && !peer.healthy {
                peer.fails = 0;
                peer.effective_weight = i64::from(peer.spec.weight);
            }
            peer.healthy = healthy;
        }
    }

    /// Connections to a peer now.
    #[must_use]
    pub fn active(&self, index: usize) -> u32 {
        self.peers.get(index).map_or(0, |peer| peer.active)
    }

    /// How many peers a request may be tried on: all that are not `down`.
    #[must_use]
    pub fn tries(&self) -> usize {
        self.peers.iter().filter(|peer| !peer.spec.down).count()
    }

    fn choose(&mut self, backup: bool, tried: &[usize], now_ms: u64) -> Option<usize> {
        let alone = self.alone;
        let fits = |index: usize, peer: &Peer| {
            peer.spec.backup == backup && !tried.contains(&index) && peer.usable(alone, now_ms)
        };
        let lightest = match self.method {
            Method::RoundRobin => None,
            Method::LeastConn => {
                let usable = self
                    .peers
                    .iter()
                    .enumerate()
                    .filter(|(i, peer)| fits(*i, peer));
                let lightest = usable.min_by(|(_, a), (_, b)| a.lighter_than(b));
                Some(lightest?.1.clone())
            }
        };
        let mut best: Option<(usize, i64)> = None;
        let mut total = 0_i64;
        for (index, peer) in self.peers.iter_mut().enumerate() {
            let ties = lightest
                .as_ref()
                .is_none_or(|other| peer.lighter_than(other).is_eq());
            if !fits(index, peer) || !ties {
                continue;
            }
            peer.current_weight += peer.effective_weight;
            total += peer.effective_weight;
            if peer.effective_weight < i64::from(peer.spec.weight) {
                peer.effective_weight += 1;
            }
            if best.is_none_or(|(_, weight)| peer.current_weight > weight) {
                best = Some((index, peer.current_weight));
            }
        }
        let (index, _) = best?;
        let peer = self.peers.get_mut(index)?;
        peer.current_weight -= total;
        Some(index)
    }
}

#[cfg(test)]
mod tests;
