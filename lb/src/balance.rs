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
//! Peers come and go while it runs: each has a number of its own, never used again, so that what a
//! request remembers of a peer stays true. A peer that leaves gets nothing new and is forgotten
//! when its last connection ends.
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

/// What became of a peer that was given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Released {
    /// Nothing.
    Kept,
    /// This failure put it out.
    PutOut,
    /// It was leaving, and this was its last connection.
    Gone,
}

#[derive(Debug, Clone)]
struct Peer {
    /// Greater than that of every peer before it in the list.
    number: usize,
    spec: PeerSpec,
    standing: Standing,
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
        let serving = self.standing == Standing::Serving;
        self.healthy && serving && !spec.down && !put_out && !full
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
    next_number: usize,
    alone: bool,
}

impl Balancer {
    /// A group with no history. Peers are numbered from zero in the order given.
    #[must_use]
    pub fn new(method: Method, specs: impl IntoIterator<Item = PeerSpec>) -> Self {
        let mut balancer = Self {
            method,
            peers: Vec::new(),
            next_number: 0,
            alone: false,
        };
        for spec in specs {
            balancer.add(spec);
        }
        balancer
    }

    /// Takes in a peer, well until an active check says otherwise; gives its number.
    pub fn add(&mut self, spec: PeerSpec) -> usize {
        let number = self.next_number;
        self.next_number += 1;
        self.peers.push(Peer {
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
        });
        self.count();
        number
    }

    /// Says whether a peer may get new connections. True if it is gone already: it was to leave
    /// and had none.
    pub fn set_standing(&mut self, number: usize, standing: Standing) -> bool {
        let Some(place) = self.place(number) else {
            return true;
        };
        let gone = self.peers.get_mut(place).is_some_and(|peer| {
            peer.standing = standing;
            standing == Standing::Leaving && peer.active == 0
        });
        if gone {
            self.peers.remove(place);
        }
        self.count();
        gone
    }

    /// Takes a peer that is not in `tried`, and counts a connection to it.
    ///
    /// Each pick must be followed by one [`Self::release`].
    pub fn pick(&mut self, tried: &[usize], now_ms: u64) -> Option<usize> {
        let place = self
            .choose(false, tried, now_ms)
            .or_else(|| self.choose(true, tried, now_ms));
        let peer = self.peers.get_mut(place?)?;
        if now_ms.saturating_sub(peer.checked_ms) > peer.spec.fail_timeout_ms {
            // From here its next failure, or success, is judged anew; others wait for it.
            peer.checked_ms = now_ms;
        }
        peer.active = peer.active.saturating_add(1);
        Some(peer.number)
    }

    /// Ends a use of a peer.
    pub fn release(&mut self, number: usize, outcome: Outcome, now_ms: u64) -> Released {
        let alone = self.alone;
        let place = self.place(number);
        let Some((place, peer)) = place.and_then(|it| Some((it, self.peers.get_mut(it)?))) else {
            return Released::Kept;
        };
        peer.active = peer.active.saturating_sub(1);
        if peer.standing == Standing::Leaving && peer.active == 0 {
            self.peers.remove(place);
            return Released::Gone;
        }
        match outcome {
            Outcome::Abandoned => Released::Kept,
            Outcome::Answered => {
                if peer.failed_ms < peer.checked_ms {
                    peer.fails = 0;
                }
                Released::Kept
            }
            Outcome::Failed => {
                peer.fails = peer.fails.saturating_add(1);
                peer.failed_ms = now_ms;
                peer.checked_ms = now_ms;
                let max_fails = peer.spec.max_fails;
                if let Some(loss) = peer.spec.weight.checked_div(max_fails) {
                    peer.effective_weight = (peer.effective_weight - i64::from(loss)).max(0);
                }
                if !alone && max_fails > 0 && peer.fails == max_fails {
                    Released::PutOut
                } else {
                    Released::Kept
                }
            }
        }
    }

    /// What the active checks say. A peer found well starts with a clean record.
    pub fn set_healthy(&mut self, number: usize, healthy: bool) {
        let place = self.place(number);
        if let Some(peer) = place.and_then(|place| self.peers.get_mut(place)) {
            if healthy && !peer.healthy {
                peer.fails = 0;
                peer.effective_weight = i64::from(peer.spec.weight);
            }
            peer.healthy = healthy;
        }
    }

    /// Connections to a peer now.
    #[must_use]
    pub fn active(&self, number: usize) -> u32 {
        let place = self.place(number);
        let peer = place.and_then(|place| self.peers.get(place));
        peer.map_or(0, |peer| peer.active)
    }

    /// How many peers a request may be tried on: all that serve and are not `down`.
    #[must_use]
    pub fn tries(&self) -> usize {
        let serving = |peer: &&Peer| !peer.spec.down && peer.standing == Standing::Serving;
        self.peers.iter().filter(serving).count()
    }

    fn place(&self, number: usize) -> Option<usize> {
        self.peers
            .binary_search_by_key(&number, |peer| peer.number)
            .ok()
    }

    fn count(&mut self) {
        let serving = |peer: &&Peer| peer.standing == Standing::Serving;
        self.alone = self.peers.iter().filter(serving).count() == 1;
    }

    /// The place in the list of the peer to take.
    fn choose(&mut self, backup: bool, tried: &[usize], now_ms: u64) -> Option<usize> {
        let alone = self.alone;
        let fits = |peer: &Peer| {
            let untried = !tried.contains(&peer.number);
            peer.spec.backup == backup && untried && peer.usable(alone, now_ms)
        };
        let lightest = match self.method {
            Method::RoundRobin => None,
            Method::LeastConn => {
                let usable = self.peers.iter().filter(|peer| fits(peer));
                Some(usable.min_by(|a, b| a.lighter_than(b))?.clone())
            }
        };
        let mut best: Option<(usize, i64)> = None;
        let mut total = 0_i64;
        for (index, peer) in self.peers.iter_mut().enumerate() {
            let ties = lightest
                .as_ref()
                .is_none_or(|other| peer.lighter_than(other).is_eq());
            if !fits(peer) || !ties {
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
