//! Peers that a key or chance points at: `ip_hash`, `hash`, `hash … consistent`, `random`.
//!
//! All are nginx's to the bit, so that a client and a key meet the same peer behind either: the
//! order of the `server` lines and their weights decide, a peer that is `down` or drains keeps
//! its place and its share is walked over. After [`TRIES_MAX`] places that will not do, and for
//! an empty key, round robin decides.

use super::peer::{Peer, Standing};
use super::ring::Ring;

/// Places looked at for one request before round robin takes over.
const TRIES_MAX: u32 = 20;

/// What one request remembers of its way over the peers, from try to try.
#[derive(Debug, Clone, Default)]
pub struct Walk {
    /// What is hashed: the client's address for `ip_hash` (see [`address_key`]), else the key.
    key: Vec<u8>,
    /// A peer to be asked first: the one its client sticks to.
    pub(super) prefer: Option<usize>,
    begun: bool,
    looked_at: u32,
    hash: u32,
    rehash: u32,
}

impl Walk {
    /// The way of a request that has this key, and a peer its client sticks to.
    #[must_use]
    pub fn new(key: Vec<u8>, prefer: Option<usize>) -> Self {
        Self {
            key,
            prefer,
            ..Self::default()
        }
    }
}

impl Walk {
    /// Has this peer asked first, unless the client sticks to another.
    pub fn prefer(&mut self, number: usize) {
        self.prefer.get_or_insert(number);
    }
}

/// The bytes of a client's address that `ip_hash` looks at: three octets of IPv4, the whole of
/// IPv6, three zeros of anything else.
#[must_use]
pub fn address_key(ip: Option<std::net::IpAddr>) -> Vec<u8> {
    match ip {
        Some(std::net::IpAddr::V4(ip)) => ip.octets().iter().take(3).copied().collect(),
        Some(std::net::IpAddr::V6(ip)) => ip.octets().to_vec(),
        None => vec![0; 3],
    }
}

/// The peers that may be meant, and who of them can be used.
pub(super) struct Field<'a> {
    pub(super) peers: &'a [Peer],
    pub(super) tried: &'a [usize],
    pub(super) alone: bool,
    pub(super) now_ms: u64,
}

impl Field<'_> {
    /// Places and peers that have a share: no backups, none that leave.
    fn members(&self) -> impl Iterator<Item = (usize, &Peer)> {
        let all = self.peers.iter().enumerate();
        all.filter(|(_, peer)| is_member(peer))
    }

    fn total_weight(&self) -> u64 {
        let weights = self.members().map(|(_, peer)| u64::from(peer.spec.weight));
        weights.sum()
    }

    /// The place of the peer that a number below the total falls to.
    fn at(&self, mut point: u64) -> Option<usize> {
        for (place, peer) in self.members() {
            let weight = u64::from(peer.spec.weight);
            if point < weight {
                return Some(place);
            }
            point -= weight;
        }
        None
    }

    fn usable(&self, place: usize) -> bool {
        self.peers.get(place).is_some_and(|peer| {
            !self.tried.contains(&peer.number) && peer.usable(self.alone, self.now_ms)
        })
    }

    fn is_small(&self) -> bool {
        self.members().nth(1).is_none()
    }
}

/// Whether a peer has a share of the keys.
pub(super) fn is_member(peer: &Peer) -> bool {
    !peer.spec.backup && peer.standing != Standing::Leaving
}

/// `ip_hash`
pub(super) fn by_address(walk: &mut Walk, field: &Field<'_>) -> Option<usize> {
    if !walk.begun {
        walk.begun = true;
        walk.hash = 89;
    }
    by_steps(walk, field, |walk| {
        let bytes = walk.key.iter();
        walk.hash = bytes.fold(walk.hash, |hash, byte| {
            (hash * 113 + u32::from(*byte)) % 6271
        });
    })
}

/// `hash`, as Cache::Memcached does it.
pub(super) fn by_key(walk: &mut Walk, field: &Field<'_>) -> Option<usize> {
    if walk.key.is_empty() {
        return None;
    }
    by_steps(walk, field, |walk| {
        let mut crc = crc32fast::Hasher::new();
        if walk.rehash > 0 {
            crc.update(walk.rehash.to_string().as_bytes());
        }
        crc.update(&walk.key);
        walk.hash = walk.hash.wrapping_add((crc.finalize() >> 16) & 0x7fff);
        walk.rehash += 1;
    })
}

fn by_steps(walk: &mut Walk, field: &Field<'_>, step: impl Fn(&mut Walk)) -> Option<usize> {
    if field.is_small() {
        return None;
    }
    let total = field.total_weight();
    while walk.looked_at <= TRIES_MAX {
        step(walk);
        let place = field.at(u64::from(walk.hash).checked_rem(total)?)?;
        if field.usable(place) {
            return Some(place);
        }
        walk.looked_at += 1;
    }
    None
}

/// `hash … consistent`: the servers on the ring from the key on; of several peers of one server
/// the caller's round robin takes one.
pub(super) fn by_ring(
    walk: &mut Walk,
    ring: &Ring,
    mut choose: impl FnMut(&str) -> Option<usize>,
) -> Option<usize> {
    if walk.key.is_empty() {
        return None;
    }
    if !walk.begun {
        walk.begun = true;
        walk.hash = ring.find(crc32fast::hash(&walk.key));
    }
    while walk.looked_at <= TRIES_MAX {
        if let Some(place) = choose(ring.server(walk.hash)?) {
            return Some(place);
        }
        walk.hash = walk.hash.wrapping_add(1);
        walk.looked_at += 1;
    }
    None
}

/// `random`
pub(super) fn by_chance(walk: &mut Walk, field: &Field<'_>, dice: &mut Dice) -> Option<usize> {
    if field.is_small() {
        return None;
    }
    let total = field.total_weight();
    while walk.looked_at <= TRIES_MAX {
        let place = field.at(dice.below(total)?)?;
        if field.usable(place) {
            return Some(place);
        }
        walk.looked_at += 1;
    }
    None
}

/// `random two`: of two peers the one with fewer connections for its weight.
pub(super) fn by_two_chances(walk: &mut Walk, field: &Field<'_>, dice: &mut Dice) -> Option<usize> {
    if field.is_small() {
        return None;
    }
    let total = field.total_weight();
    let mut first: Option<usize> = None;
    while walk.looked_at <= TRIES_MAX {
        let place = field.at(dice.below(total)?)?;
        if Some(place) != first && field.usable(place) {
            let Some(other) = first else {
                first = Some(place);
                continue;
            };
            let (other_peer, peer) = (field.peers.get(other)?, field.peers.get(place)?);
            let heavier = other_peer.lighter_than(peer, field.now_ms).is_lt();
            return Some(if heavier { other } else { place });
        }
        walk.looked_at += 1;
    }
    None
}

/// Numbers for `random`: SplitMix64, for spread and not for secrets.
#[derive(Debug, Clone)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// A number below `end`; `None` if there is none.
    fn below(&mut self, end: u64) -> Option<u64> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).checked_rem(end)
    }
}
