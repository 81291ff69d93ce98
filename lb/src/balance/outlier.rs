//! Outlier ejection: a peer that answers badly so often in a row is left out for a while.
//!
//! Why beside `max_fails`: nginx counts what could not be had, and a peer that answers 500 to
//! everything keeps its share. Each ejection is longer than the one before by the first one's
//! time, up to a most; a good answer after it takes one step back. Never more than a share of the
//! peers are ejected at once (one may always be), and in a panic, when too few peers are well, all
//! that is only ejected is used: a bad answer is better than the load of all on few.

use super::Balancer;
use super::peer::{Peer, Standing};

/// When peers are ejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlier {
    /// Bad answers in a row.
    pub consecutive: u32,
    /// How long the first ejection is, and what each adds.
    pub time_ms: u64,
    /// How long one is at most.
    pub max_time_ms: u64,
    /// Of a hundred peers so many at most.
    pub share_percent: u32,
    /// With fewer of a hundred peers well nobody is left out.
    pub panic_percent: u32,
}

/// What is known of one peer.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    bad_row: u32,
    times: u32,
    until_ms: u64,
}

impl Record {
    pub(super) fn is_ejected(&self, now_ms: u64) -> bool {
        now_ms < self.until_ms
    }
}

impl Balancer {
    /// A group whose outliers are ejected.
    #[must_use]
    pub fn ejecting(mut self, outlier: Option<Outlier>) -> Self {
        self.outlier = outlier;
        self
    }

    /// Takes in how a peer answered; how long it is ejected for if this was one too many.
    pub fn observe(&mut self, number: usize, good: bool, now_ms: u64) -> Option<u64> {
        let outlier = self.outlier?;
        let place = self.place(number)?;
        let counted = self.peers.iter().filter(|peer| counts(peer));
        let (all, out) = counted.fold((0_u64, 0_u64), |(all, out), peer| {
            (all + 1, out + u64::from(peer.outlier.is_ejected(now_ms)))
        });
        let peer = self.peers.get_mut(place)?;
        let record = &mut peer.outlier;
        if good {
            if record.bad_row == 0 && !record.is_ejected(now_ms) {
                record.times = record.times.saturating_sub(1);
            }
            record.bad_row = 0;
            return None;
        }
        record.bad_row = record.bad_row.saturating_add(1);
        let room = (out + 1) * 100 <= all * u64::from(outlier.share_percent) || out == 0;
        let due = record.bad_row >= outlier.consecutive && !record.is_ejected(now_ms);
        if !due || !room || all < 2 {
            return None;
        }
        record.times = record.times.saturating_add(1);
        record.bad_row = 0;
        let time_ms = outlier.time_ms.saturating_mul(u64::from(record.times));
        let time_ms = time_ms.min(outlier.max_time_ms);
        record.until_ms = now_ms.saturating_add(time_ms);
        self.ejected_until_ms = self.ejected_until_ms.max(record.until_ms);
        Some(time_ms)
    }

    /// Whether ejections are to be overlooked. Asked at each choice: it looks at the peers only
    /// while one may be ejected.
    pub(super) fn panics(&self, now_ms: u64) -> bool {
        let Some(outlier) = self.outlier else {
            return true;
        };
        if now_ms >= self.ejected_until_ms {
            return true;
        }
        let counted = self.peers.iter().filter(|peer| counts(peer));
        let (all, well) = counted.fold((0_u64, 0_u64), |(all, well), peer| {
            let good = peer.usable(self.alone, now_ms) && !peer.outlier.is_ejected(now_ms);
            (all + 1, well + u64::from(good))
        });
        well * 100 < all * u64::from(outlier.panic_percent)
    }
}

fn counts(peer: &Peer) -> bool {
    !peer.spec.backup && !peer.spec.down && peer.standing == Standing::Serving
}

#[cfg(test)]
mod tests {
    use super::super::{Outcome, PeerSpec, Rule};
    use super::*;

    fn four(share_percent: u32, panic_percent: u32) -> Balancer {
        let outlier = Outlier {
            consecutive: 2,
            time_ms: 100,
            max_time_ms: 250,
            share_percent,
            panic_percent,
        };
        let specs = (0..4).map(|_| PeerSpec::default());
        Balancer::new(Rule::RoundRobin, specs).ejecting(Some(outlier))
    }

    fn used(balancer: &mut Balancer, now_ms: u64) -> Vec<usize> {
        let mut all: Vec<usize> = (0..8)
            .filter_map(|_| {
                let number = balancer.pick(&[], now_ms)?;
                balancer.release(number, Outcome::Answered, now_ms);
                Some(number)
            })
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    #[test]
    fn a_row_of_bad_answers_ejects_for_longer_each_time() {
        let mut it = four(50, 50);
        assert_eq!(it.observe(1, false, 0), None);
        assert_eq!(it.observe(1, true, 0), None, "the row is broken");
        assert_eq!(it.observe(1, false, 0), None);
        assert_eq!(it.observe(1, false, 0), Some(100));
        assert_eq!(used(&mut it, 99), [0, 2, 3]);
        assert_eq!(used(&mut it, 100), [0, 1, 2, 3]);
        for (now_ms, wanted) in [(200, 200), (500, 250), (900, 250)] {
            assert_eq!(it.observe(1, false, now_ms), None);
            assert_eq!(it.observe(1, false, now_ms), Some(wanted));
        }
        // Good answers take the steps back.
        for _ in 0..9 {
            it.observe(1, true, 2000);
        }
        it.observe(1, false, 2000);
        assert_eq!(it.observe(1, false, 2000), Some(100));
    }

    #[test]
    fn never_more_than_a_share_and_nobody_in_a_panic() {
        let bad = |it: &mut Balancer, number| {
            it.observe(number, false, 0);
            it.observe(number, false, 0)
        };
        let mut it = four(50, 40);
        assert!(bad(&mut it, 0).is_some() && bad(&mut it, 1).is_some());
        assert_eq!(bad(&mut it, 2), None);
        assert_eq!(used(&mut it, 1), [2, 3]);
        // Checks take another: one of four is well, fewer than forty of a hundred.
        it.set_healthy(2, false, 1);
        assert_eq!(used(&mut it, 1), [0, 1, 3]);
        // One may always be; when nobody else can be used it is used all the same.
        let mut it = four(10, 0);
        assert!(bad(&mut it, 3).is_some() && bad(&mut it, 0).is_none());
        for number in 0..3 {
            it.set_healthy(number, false, 0);
        }
        assert_eq!(used(&mut it, 1), [3]);
    }

    #[test]
    fn without_the_directive_nothing_is_counted() {
        let mut it = Balancer::new(Rule::RoundRobin, (0..2).map(|_| PeerSpec::default()));
        assert!((0..99).all(|_| it.observe(0, false, 0).is_none()));
    }
}
