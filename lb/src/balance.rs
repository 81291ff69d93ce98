//! Which peer gets the next request: nginx's rules, without I/O and without a clock of their own.
//!
//! Round robin is nginx's smooth weighted one: each peer gains its weight, the richest is taken
//! and pays the sum. `least_conn` takes the peer with the fewest active connections for its
//! weight; peers that tie are chosen among by that same round robin. `least_time` does so with
//! the time of their answers, `least_load` with what they report (`load`), `ip_hash`, `hash` and `random` in `walk`. A peer with `max_fails`
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

mod load;
mod outlier;
mod peer;
mod ring;
mod walk;

pub use load::Load;
pub use outlier::Outlier;
pub use peer::{PeerSpec, Standing};
pub use walk::{Walk, address_key};

use peer::Peer;
use ring::Ring;
use walk::{Dice, Field};

/// How a peer is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rule {
    /// Smooth weighted round robin.
    #[default]
    RoundRobin,
    /// Fewest active connections for the weight.
    LeastConn,
    /// Least time of its answers, of those of a time fewest connections.
    LeastTime,
    /// Least load by what peers report.
    LeastLoad,
    /// By the client's address.
    IpHash,
    /// By a key.
    Hash,
    /// By a key on a ring.
    Ring,
    /// By chance.
    Random,
    /// The emptier of two by chance.
    RandomTwo,
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

/// The state of one upstream.
#[derive(Debug, Clone)]
pub struct Balancer {
    rule: Rule,
    peers: Vec<Peer>,
    next_number: usize,
    alone: bool,
    /// Made when it is first needed after peers came or went.
    ring: Option<Ring>,
    dice: Dice,
    outlier: Option<Outlier>,
    /// After this nobody is ejected.
    ejected_until_ms: u64,
}

impl Balancer {
    /// A group with no history. Peers are numbered from zero in the order given.
    #[must_use]
    pub fn new(rule: Rule, specs: impl IntoIterator<Item = PeerSpec>) -> Self {
        let mut balancer = Self {
            rule,
            peers: Vec::new(),
            next_number: 0,
            alone: false,
            ring: None,
            dice: Dice(0),
            outlier: None,
            ejected_until_ms: 0,
        };
        for spec in specs {
            balancer.add(spec);
        }
        balancer
    }

    /// Begins the chances of `random` elsewhere, so that balancers do not go in step.
    #[must_use]
    pub fn seeded(mut self, seed: u64) -> Self {
        self.dice = Dice(seed);
        self
    }

    /// Takes in a peer, well until an active check says otherwise; gives its number.
    pub fn add(&mut self, spec: PeerSpec) -> usize {
        let number = self.next_number;
        self.next_number += 1;
        self.peers.push(Peer::new(number, spec));
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
        self.pick_for(&mut Walk::default(), tried, now_ms)
    }

    /// [`Self::pick`] for a request that has a key, or a peer its client sticks to.
    pub fn pick_for(&mut self, walk: &mut Walk, tried: &[usize], now_ms: u64) -> Option<usize> {
        let place = if self.panics(now_ms) {
            self.seek(walk, tried, now_ms)
        } else {
            let ejected = self.peers.iter().filter(|it| it.outlier.is_ejected(now_ms));
            let ejected: Vec<usize> = ejected.map(|peer| peer.number).collect();
            // Better one that is ejected than none.
            self.seek(walk, &[tried, &ejected].concat(), now_ms)
                .or_else(|| self.seek(walk, tried, now_ms))
        };
        let peer = self.peers.get_mut(place?)?;
        if now_ms.saturating_sub(peer.checked_ms) > peer.spec.fail_timeout_ms {
            // From here its next failure, or success, is judged anew; others wait for it.
            peer.checked_ms = now_ms;
        }
        peer.active = peer.active.saturating_add(1);
        peer.load.given();
        Some(peer.number)
    }

    fn seek(&mut self, walk: &mut Walk, tried: &[usize], now_ms: u64) -> Option<usize> {
        self.preferred(walk, tried, now_ms)
            .or_else(|| self.pointed_at(walk, tried, now_ms))
            .or_else(|| self.choose(false, None, tried, now_ms))
            .or_else(|| self.choose(true, None, tried, now_ms))
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
                    let max_fails = peer.spec.max_fails;
                    if max_fails > 0 && peer.fails >= max_fails {
                        peer.recover(now_ms);
                    }
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
    pub fn set_healthy(&mut self, number: usize, healthy: bool, now_ms: u64) {
        let place = self.place(number);
        if let Some(peer) = place.and_then(|place| self.peers.get_mut(place)) {
            if healthy && !peer.healthy {
                peer.recover(now_ms);
                peer.fails = 0;
                peer.effective_weight = i64::from(peer.spec.weight);
            }
            peer.healthy = healthy;
        }
    }

    /// Takes in how long an answer took.
    pub fn timed(&mut self, number: usize, time_ms: u64, now_ms: u64) {
        let place = self.place(number);
        if let Some(peer) = place.and_then(|place| self.peers.get_mut(place)) {
            peer.timed(time_ms, now_ms);
        }
    }

    /// Takes in what a peer reports of itself.
    pub fn set_load(&mut self, number: usize, load: Load) {
        let place = self.place(number);
        if let Some(peer) = place.and_then(|place| self.peers.get_mut(place)) {
            peer.load.reported(load);
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
        self.ring = None;
    }

    /// The place of the peer that the request's client sticks to, if that can be used.
    fn preferred(&self, walk: &Walk, tried: &[usize], now_ms: u64) -> Option<usize> {
        let number = walk.prefer.filter(|number| !tried.contains(number))?;
        let place = self.place(number)?;
        let peer = self.peers.get(place)?;
        peer.usable(self.alone, now_ms).then_some(place)
    }

    /// The place that a key or chance points at, if the rule is such a one.
    fn pointed_at(&mut self, walk: &mut Walk, tried: &[usize], now_ms: u64) -> Option<usize> {
        if self.rule == Rule::Ring {
            return self.on_ring(walk, tried, now_ms);
        }
        let field = Field {
            peers: &self.peers,
            tried,
            alone: self.alone,
            now_ms,
        };
        match self.rule {
            Rule::IpHash => walk::by_address(walk, &field),
            Rule::Hash => walk::by_key(walk, &field),
            Rule::Random => walk::by_chance(walk, &field, &mut self.dice),
            Rule::RandomTwo => walk::by_two_chances(walk, &field, &mut self.dice),
            Rule::RoundRobin | Rule::LeastConn | Rule::LeastTime | Rule::LeastLoad | Rule::Ring => {
                None
            }
        }
    }

    fn on_ring(&mut self, walk: &mut Walk, tried: &[usize], now_ms: u64) -> Option<usize> {
        let ring = self.ring.take().unwrap_or_else(|| Ring::new(&self.peers));
        let small = self.peers.iter().filter(|it| walk::is_member(it)).nth(1);
        let found = small.is_some().then(|| {
            walk::by_ring(walk, &ring, |server| {
                self.choose(false, Some(server), tried, now_ms)
            })
        });
        self.ring = Some(ring);
        found.flatten()
    }

    /// The place in the list of the peer to take, by weights and by what the rule counts.
    fn choose(
        &mut self,
        backup: bool,
        server: Option<&str>,
        tried: &[usize],
        now_ms: u64,
    ) -> Option<usize> {
        let alone = self.alone;
        let fits = |peer: &Peer| {
            let untried = !tried.contains(&peer.number);
            let named = server.is_none_or(|server| *peer.spec.server == *server);
            named && peer.spec.backup == backup && untried && peer.usable(alone, now_ms)
        };
        let order: Option<fn(&Peer, &Peer, u64) -> std::cmp::Ordering> = match self.rule {
            Rule::LeastConn => Some(Peer::lighter_than),
            Rule::LeastTime => Some(Peer::quicker_than),
            Rule::LeastLoad => Some(Peer::idler_than),
            _ => None,
        };
        let best = match order {
            Some(order) => {
                let usable = self.peers.iter().filter(|peer| fits(peer));
                let best = usable.min_by(|a, b| order(a, b, now_ms))?;
                Some((order, best.clone()))
            }
            None => None,
        };
        let mut richest: Option<(usize, i64)> = None;
        let mut total = 0_i64;
        for (index, peer) in self.peers.iter_mut().enumerate() {
            let ties = best
                .as_ref()
                .is_none_or(|(order, best)| order(peer, best, now_ms).is_eq());
            if !fits(peer) || !ties {
                continue;
            }
            let gain = peer.gain(now_ms);
            peer.current_weight += gain;
            total += gain;
            if peer.effective_weight < i64::from(peer.spec.weight) {
                peer.effective_weight += 1;
            }
            if richest.is_none_or(|(_, weight)| peer.current_weight > weight) {
                richest = Some((index, peer.current_weight));
            }
        }
        let (index, _) = richest?;
        let peer = self.peers.get_mut(index)?;
        peer.current_weight -= total;
        Some(index)
    }
}

#[cfg(test)]
mod tests;
