//! How many viewers each stream has, within a few in a hundred, in the same memory for one viewer and a million.
//!
//! Beside the edge's own count ([`crate::viewers`]), which is one for all streams: here each stream has a sketch
//! (HyperLogLog: Flajolet and others, 2007; small numbers by linear counting) for each of the last [`SLOTS`] spans
//! of time. A viewer sets one of [`REGISTERS`] bytes, at a place and to a height hashed from who it is; the standard
//! error is 1.04 over the root of that number, 3.3 in a hundred, and small numbers come out nearly exact.
//!
//! What is counted goes to the stream's owner with the next playlist that is fetched there: see
//! [`weir_cluster::audience`].
//!
//! Limits: [`STREAMS_MAX`] streams at once, [`SLOTS`] times [`REGISTERS`] bytes each (42 MB in all). When there is no
//! room, streams that nobody has asked for within the slots make some; without any the newest stream goes uncounted
//! here, and counts in the edge's own number alone. A request costs a read lock on one of [`SHARDS`] maps, held for a
//! look-up, and one atomic maximum.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// Spans of time looked back on.
pub(crate) const SLOTS: usize = 5;
/// Bytes of one sketch, a power of two.
const REGISTERS: usize = 1 << REGISTER_BITS;
const REGISTER_BITS: u32 = 10;
/// Streams counted at once.
const STREAMS_MAX: usize = 8_192;
/// Maps, so that requests for different streams seldom meet.
const SHARDS: usize = 16;
/// HyperLogLog's constant for [`REGISTERS`].
const ALPHA: f64 = 0.7213 / (1.0 + 1.079 / 1_024.0);
/// Up to here linear counting is the better estimate, times [`REGISTERS`].
const LINEAR_MAX: f64 = 2.5;

const _: () = assert!(REGISTERS == 1_024, "ALPHA is for this many");

struct Slot {
    /// Which span of time it holds, from 1; 0: none yet.
    span: AtomicU64,
    heights: [AtomicU8; REGISTERS],
}

/// One stream's viewers.
struct Sketch {
    slots: [Slot; SLOTS],
}

/// All streams' viewers.
pub(crate) struct Audience {
    shards: [RwLock<HashMap<u64, Arc<Sketch>>>; SHARDS],
}

impl Audience {
    pub(crate) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| RwLock::default()),
        }
    }

    /// Viewer `viewer` asked for stream `stream` (both hashes) in `span`.
    pub(crate) fn saw(&self, stream: u64, viewer: u64, span: u64) {
        if let Some(sketch) = self.sketch(stream, span) {
            sketch.saw(viewer, span);
        }
    }

    /// Viewers of stream `stream` in the slots up to `span`.
    pub(crate) fn count(&self, stream: u64, span: u64) -> u32 {
        let shard = self.shard(stream).read();
        let sketch = shard
            .unwrap_or_else(PoisonError::into_inner)
            .get(&stream)
            .cloned();
        sketch.map_or(0, |sketch| sketch.count(span))
    }

    fn shard(&self, stream: u64) -> &RwLock<HashMap<u64, Arc<Sketch>>> {
        let at = usize::try_from(stream % (SHARDS as u64)).unwrap_or(0);
        // Below the array's length by the line before.
        self.shards.get(at).unwrap_or(&self.shards[0])
    }

    fn sketch(&self, stream: u64, span: u64) -> Option<Arc<Sketch>> {
        let shard = self.shard(stream);
        // A panic elsewhere left the map whole: each operation on it is one call.
        let known = shard
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&stream)
            .cloned();
        if known.is_some() {
            return known;
        }
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= STREAMS_MAX / SHARDS {
            shard.retain(|_, sketch| sketch.is_recent(span));
        }
        if shard.len() >= STREAMS_MAX / SHARDS {
            return None;
        }
        Some(Arc::clone(shard.entry(stream).or_insert_with(Sketch::new)))
    }
}

impl Sketch {
    fn new() -> Arc<Self> {
        let slot = || Slot {
            span: AtomicU64::new(0),
            heights: [const { AtomicU8::new(0) }; REGISTERS],
        };
        Arc::new(Self {
            slots: std::array::from_fn(|_| slot()),
        })
    }

    fn saw(&self, viewer: u64, span: u64) {
        let at = usize::try_from(span % (SLOTS as u64)).unwrap_or(0);
        let Some(slot) = self.slots.get(at) else {
            return;
        };
        if slot.span.swap(span, Ordering::AcqRel) != span {
            for height in &slot.heights {
                height.store(0, Ordering::Relaxed);
            }
        }
        let place = usize::try_from(viewer & (REGISTERS as u64 - 1)).unwrap_or(0);
        // The place of the first one bit in the rest, from 1.
        let rest = (viewer >> REGISTER_BITS) | (1 << (u64::BITS - REGISTER_BITS));
        let height = u8::try_from(rest.trailing_zeros() + 1).unwrap_or(u8::MAX);
        if let Some(register) = slot.heights.get(place) {
            register.fetch_max(height, Ordering::Relaxed);
        }
    }

    fn is_recent(&self, now: u64) -> bool {
        self.recent(now).next().is_some()
    }

    fn recent(&self, now: u64) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(move |slot| {
            let span = slot.span.load(Ordering::Acquire);
            span != 0 && now.saturating_sub(span) < SLOTS as u64
        })
    }

    fn count(&self, now: u64) -> u32 {
        let mut heights = [0_u8; REGISTERS];
        for slot in self.recent(now) {
            for (height, seen) in heights.iter_mut().zip(&slot.heights) {
                *height = (*height).max(seen.load(Ordering::Relaxed));
            }
        }
        estimate(&heights)
    }
}

/// How many different viewers leave such heights.
fn estimate(heights: &[u8; REGISTERS]) -> u32 {
    #[expect(clippy::cast_precision_loss, reason = "a small power of two")]
    let registers = REGISTERS as f64;
    let sum: f64 = heights
        .iter()
        .map(|height| (-f64::from(*height)).exp2())
        .sum();
    let raw = ALPHA * registers * registers / sum;
    let clear = heights.iter().filter(|height| **height == 0).count();
    let viewers = if raw <= LINEAR_MAX * registers && clear > 0 {
        #[expect(clippy::cast_precision_loss, reason = "at most a small power of two")]
        let clear = clear as f64;
        registers * (registers / clear).ln()
    } else {
        raw
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "casts of floats saturate, and this one is positive"
    )]
    let viewers = viewers.round() as u32;
    viewers
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};

    fn hash(of: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        of.hash(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn each_stream_has_its_own_number_within_a_few_in_a_hundred() {
        let audience = Audience::new();
        for (stream, viewers) in [
            (1, 1),
            (2, 3),
            (3, 40),
            (4, 1_000),
            (5, 30_000),
            (6, 300_000),
        ] {
            for _ in 0..2 {
                for viewer in 0..viewers {
                    audience.saw(stream, hash(viewer * 31 + stream), 1 + viewer % 3);
                }
            }
            let counted = u64::from(audience.count(stream, 3));
            // Three standard errors; none at all where a handful watch.
            let off_max = if viewers < 10 { 0 } else { viewers / 10 };
            assert!(
                counted.abs_diff(viewers) <= off_max,
                "{counted} of {viewers}"
            );
        }
        assert_eq!(audience.count(7, 3), 0);
    }

    #[test]
    fn who_asks_no_more_is_forgotten() {
        let audience = Audience::new();
        audience.saw(1, hash(1), 1);
        audience.saw(1, hash(2), 3);
        assert_eq!(audience.count(1, 5), 2);
        assert_eq!(audience.count(1, 6), 1);
        assert_eq!(audience.count(1, 8), 0);
        audience.saw(1, hash(3), 8);
        assert_eq!(
            audience.count(1, 8),
            1,
            "the slot was cleared for its next span"
        );
    }

    #[test]
    fn streams_are_bounded_and_those_nobody_watches_make_room() {
        let audience = Audience::new();
        let many = (STREAMS_MAX / SHARDS) as u64;
        for stream in 0..many {
            audience.saw(stream * SHARDS as u64, hash(1), 1);
        }
        let one_more = many * SHARDS as u64;
        audience.saw(one_more, hash(1), 2);
        assert_eq!(audience.count(one_more, 2), 0);
        assert_eq!(audience.count(0, 2), 1);
        audience.saw(one_more, hash(1), 1 + SLOTS as u64);
        assert_eq!(audience.count(one_more, 1 + SLOTS as u64), 1);
        assert_eq!(audience.shard(0).read().unwrap().len(), 1);
    }
}
