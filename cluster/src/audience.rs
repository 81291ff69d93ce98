//! How many watch a stream, over all edges, without a write a viewer and without one of its own at all.
//!
//! An edge knows its own viewers of a stream; the stream's owner writes a record each 5 s in any case. So an edge
//! that fetches a playlist says in that request how many it has ([`HEADER`], [`Told`]); the owner adds up what edges
//! said of late ([`Tally`]) and puts the sum into the record that it writes anyway, under Ant Media's
//! `hlsViewerCount`. The store is asked nothing more: the alternative, counts in each edge's own record, would be a
//! document that grows with streams times edges, and a sum over all of them for everybody who reads.
//!
//! **How true.** An edge with a viewer fetches the playlist about once a second, so the record is at most some 6 s
//! behind the edges. An edge that asks no more, for it has no viewer left or is gone, is forgotten after
//! [`TOLD_KEPT`]. Between the end of an owner and the first word to the next a stream reads 0.
//!
//! Whoever is believed proved with the cluster's token that it is a node; that is the caller's affair.
//!
//! Limits: [`EDGES_MAX`] edges a stream; what more of them say is left out.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use tokio::time::Instant;

/// The header of a playlist's request that carries a [`Told`].
pub const HEADER: &str = "weir-viewers";
/// How long an edge's word holds: as long as the longest segment there commonly is, and half as long again.
pub const TOLD_KEPT: Duration = Duration::from_secs(15);
/// Edges of one stream that are added up.
pub const EDGES_MAX: usize = 4_096;

/// An edge's word: `{edge, 16 hex digits} {viewers}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Which edge: a number it drew when it started.
    pub edge: u64,
    /// Its viewers of the stream.
    pub viewers: u32,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x} {}", self.edge, self.viewers)
    }
}

/// The text is no [`Told`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no count of viewers: expected 16 hex digits, a blank and a number")]
pub struct NotTold;

impl FromStr for Told {
    type Err = NotTold;

    fn from_str(text: &str) -> Result<Self, NotTold> {
        let (edge, viewers) = text.split_once(' ').ok_or(NotTold)?;
        let digits = |text: &str, radix| text.bytes().all(|b| char::from(b).is_digit(radix));
        if edge.len() != 16 || !digits(edge, 16) || !digits(viewers, 10) {
            return Err(NotTold);
        }
        Ok(Self {
            edge: u64::from_str_radix(edge, 16).map_err(|_| NotTold)?,
            viewers: viewers.parse().map_err(|_| NotTold)?,
        })
    }
}

/// What the edges said of one stream.
#[derive(Debug, Default)]
pub struct Tally {
    edges: HashMap<u64, (u32, Instant)>,
}

impl Tally {
    /// An edge said this at `now`.
    pub fn hear(&mut self, told: Told, now: Instant) {
        if self.edges.len() >= EDGES_MAX && !self.edges.contains_key(&told.edge) {
            self.forget(now);
            if self.edges.len() >= EDGES_MAX {
                return;
            }
        }
        self.edges.insert(told.edge, (told.viewers, now));
    }

    /// How many watch at `now`.
    pub fn sum(&mut self, now: Instant) -> u32 {
        self.forget(now);
        let viewers = self.edges.values().map(|(viewers, _)| *viewers);
        viewers.fold(0, u32::saturating_add)
    }

    fn forget(&mut self, now: Instant) {
        self.edges
            .retain(|_, (_, at)| now.duration_since(*at) < TOLD_KEPT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(edge: u64, viewers: u32) -> Told {
        Told { edge, viewers }
    }

    #[test]
    fn the_last_word_of_each_edge_counts_while_it_is_new() {
        let start = Instant::now();
        let mut tally = Tally::default();
        tally.hear(told(1, 5), start);
        tally.hear(told(2, 7), start + TOLD_KEPT / 2);
        tally.hear(told(1, 3), start + TOLD_KEPT / 2);
        assert_eq!(tally.sum(start + TOLD_KEPT / 2), 10);
        tally.hear(told(2, 8), start + TOLD_KEPT);
        assert_eq!(tally.sum(start + TOLD_KEPT + TOLD_KEPT / 2), 8);
        assert_eq!(tally.sum(start + TOLD_KEPT * 2), 0);
    }

    #[test]
    fn edges_are_bounded_and_those_that_left_make_room() {
        let start = Instant::now();
        let mut tally = Tally::default();
        for edge in 0..=EDGES_MAX as u64 {
            tally.hear(told(edge, 1), start);
        }
        let most = u32::try_from(EDGES_MAX).unwrap();
        assert_eq!(tally.sum(start), most);
        tally.hear(told(0, u32::MAX), start);
        assert_eq!(tally.sum(start), u32::MAX);
        tally.hear(told(u64::MAX, 2), start + TOLD_KEPT);
        assert_eq!(tally.sum(start + TOLD_KEPT), 2);
    }

    #[test]
    fn a_word_is_read_as_it_was_said_and_nothing_else_is() {
        for said in [told(0, 0), told(u64::MAX, u32::MAX), told(10, 1_000)] {
            assert_eq!(said.to_string().parse(), Ok(said));
        }
        let one = "000000000000000a";
        for wrong in [
            "",
            "a 1",
            one,
            &format!("{one} "),
            &format!("{one} -1"),
            &format!("{one} +1"),
        ] {
            assert_eq!(wrong.parse::<Told>(), Err(NotTold), "{wrong:?}");
        }
        let much = format!("{one} {}", u64::MAX);
        assert_eq!(much.parse::<Told>(), Err(NotTold));
    }
}
