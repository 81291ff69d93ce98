//! How many viewers there are, without a cookie and without keeping one of them in memory.
//!
//! A player asks for its playlist again and again. Each such request sets one bit of a bitmap, at a
//! place hashed from who asked for which stream; how many different ones asked is read off the
//! share of bits that stayed clear (linear counting: Whang and others, 1990), within about one in a
//! hundred up to a million viewers. There is a bitmap for each of the last [`SLOTS`] spans of
//! [`SLOT_MS`], the oldest cleared for the next: who has asked in the last 16 to 20 s is a viewer,
//! which is twice the longest target duration there commonly is. So a viewer that leaves counts for
//! that long.
//!
//! **Who is who.** Behind a balancer: the addresses in `X-Forwarded-For` and the `User-Agent`, so
//! that viewers behind one NAT with one kind of player count as one. Without: address and port,
//! so that a player with several connections may count as several. It is a figure for people and
//! for balancing, not for bills.
//!
//! Each stream's own number is kept beside that ([`crate::audience`]), by the same mark.
//!
//! Memory: [`SLOTS`] times [`BITS`] bits, whatever happens. A request costs one hash and one atomic
//! or; while a slot is being cleared a mark may be lost, and the next request sets it again.

use crate::audience::{Audience, SLOTS};
use http::{HeaderMap, header};
use std::hash::{BuildHasher as _, DefaultHasher, Hash as _, Hasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::time::Instant;
use weir_cluster::audience::Told;

/// Bits of one slot.
const BITS: usize = 1 << 18;
/// How long one slot is filled, ms.
const SLOT_MS: u128 = 4_000;
const WORD_BITS: usize = 64;
const FORWARDED_FOR: &str = "x-forwarded-for";

struct Slot {
    /// Which span of time it holds, from 1; 0: none yet.
    span: AtomicU64,
    words: Box<[AtomicU64]>,
}

/// The count.
pub(crate) struct Viewers {
    started: Instant,
    slots: [Slot; SLOTS],
    streams: Audience,
    /// This edge, as owners of streams tell edges apart.
    edge: u64,
}

impl Viewers {
    pub(crate) fn new() -> Self {
        let slot = || Slot {
            span: AtomicU64::new(0),
            words: (0..BITS / WORD_BITS).map(|_| AtomicU64::new(0)).collect(),
        };
        Self {
            started: Instant::now(),
            slots: std::array::from_fn(|_| slot()),
            streams: Audience::new(),
            edge: RandomState::new().hash_one(std::process::id()),
        }
    }

    /// Somebody asked for a playlist of stream `app`/`id`.
    pub(crate) fn saw(&self, peer: SocketAddr, headers: &HeaderMap, app: &str, id: &str) {
        let mut hasher = DefaultHasher::new();
        (app, id).hash(&mut hasher);
        let stream = hasher.finish();
        match headers.get(FORWARDED_FOR) {
            Some(addresses) => {
                let player = headers.get(header::USER_AGENT);
                (
                    addresses.as_bytes(),
                    player.map(http::HeaderValue::as_bytes),
                )
                    .hash(&mut hasher);
            }
            None => peer.hash(&mut hasher),
        }
        let viewer = hasher.finish();
        let bit = usize::try_from(viewer % (BITS as u64)).unwrap_or(0);
        let span = self.span();
        self.streams.saw(stream, viewer, span);
        let slot = self.slots.get(at(span));
        let Some(slot) = slot else { return };
        if slot.span.swap(span, Ordering::AcqRel) != span {
            for word in &slot.words {
                word.store(0, Ordering::Relaxed);
            }
        }
        if let Some(word) = slot.words.get(bit / WORD_BITS) {
            word.fetch_or(1 << (bit % WORD_BITS), Ordering::Relaxed);
        }
    }

    /// What this edge says to the owner of stream `app`/`id`.
    pub(crate) fn told_of(&self, app: &str, id: &str) -> Told {
        let mut hasher = DefaultHasher::new();
        (app, id).hash(&mut hasher);
        Told {
            edge: self.edge,
            viewers: self.streams.count(hasher.finish(), self.span()),
        }
    }

    /// How many viewers there are now.
    pub(crate) fn count(&self) -> u32 {
        let now = self.span();
        let recent: Vec<&Slot> = self
            .slots
            .iter()
            .filter(|slot| {
                let span = slot.span.load(Ordering::Acquire);
                span != 0 && now.saturating_sub(span) < SLOTS as u64
            })
            .collect();
        let mut clear = 0_u32;
        for at in 0..BITS / WORD_BITS {
            let words = recent.iter().filter_map(|slot| slot.words.get(at));
            let seen = words.fold(0, |seen, word| seen | word.load(Ordering::Relaxed));
            clear += seen.count_zeros();
        }
        estimate(clear)
    }

    /// The span of time that is now, from 1.
    fn span(&self) -> u64 {
        let passed = self.started.elapsed().as_millis() / SLOT_MS;
        u64::try_from(passed).unwrap_or(u64::MAX).saturating_add(1)
    }
}

fn at(span: u64) -> usize {
    usize::try_from(span % (SLOTS as u64)).unwrap_or(0)
}

/// How many different marks leave so many bits clear.
fn estimate(clear: u32) -> u32 {
    #[expect(clippy::cast_precision_loss, reason = "a small power of two")]
    let bits = BITS as f64;
    let share = f64::from(clear.max(1)) / bits;
    let marks = (-bits * share.ln()).round();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and a few millions"
    )]
    let marks = marks as u32;
    marks
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn peer(n: u32) -> SocketAddr {
        let [_, a, b, c] = n.to_be_bytes();
        SocketAddr::from(([10, a, b, c], 4_000))
    }

    #[tokio::test(start_paused = true)]
    async fn viewers_are_counted_once_however_often_they_ask() {
        let viewers = Viewers::new();
        let none = HeaderMap::new();
        for n in [1, 10, 1_000, 100_000, 500_000] {
            for _ in 0..2 {
                for viewer in 0..n {
                    viewers.saw(peer(viewer), &none, "live", "s");
                }
            }
            let counted = viewers.count();
            assert!(counted.abs_diff(n) <= n / 50, "{counted} of {n}");
        }
        viewers.saw(peer(1), &none, "live", "s");
        viewers.saw(peer(1), &none, "live", "other");
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_no_more_is_forgotten() {
        let viewers = Viewers::new();
        let none = HeaderMap::new();
        viewers.saw(peer(1), &none, "live", "s");
        viewers.saw(peer(2), &none, "live", "s");
        tokio::time::advance(Duration::from_secs(15)).await;
        viewers.saw(peer(2), &none, "live", "s");
        assert_eq!(viewers.count(), 2);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(viewers.count(), 1);
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!(viewers.count(), 0);
        viewers.saw(peer(3), &none, "live", "s");
        assert_eq!(viewers.count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn behind_a_balancer_its_word_counts() {
        let viewers = Viewers::new();
        let headers = |from: &'static str, player: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(FORWARDED_FOR, http::HeaderValue::from_static(from));
            headers.insert(header::USER_AGENT, http::HeaderValue::from_static(player));
            headers
        };
        for connection in 0..4 {
            viewers.saw(peer(connection), &headers("192.0.2.1", "a"), "live", "s");
        }
        assert_eq!(viewers.count(), 1);
        viewers.saw(peer(0), &headers("192.0.2.1", "b"), "live", "s");
        viewers.saw(peer(0), &headers("192.0.2.2", "a"), "live", "s");
        assert_eq!(viewers.count(), 3);
    }
}
