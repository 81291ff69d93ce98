//! Where an epoch begins that the store cannot be asked for.
//!
//! While the store is away nobody can say which epochs and numbers of a stream have been used. They
//! are taken from the clock then, from where nobody can have been before:
//!
//! - **Epochs** are ms since the Unix epoch, or one more than the last where that is ahead. The
//!   clock now, or one more than the greatest epoch this node knows of, is above all of them,
//!   unless another node's clock is ahead by more than the time since its claim: then that epoch
//!   is the higher one, and wins when the store is back.
//! - **Sequence numbers** count segments from 0, and none is shorter than
//!   [`SEGMENT_DURATION_MS_MIN`]. So a stream that begins at some time of day has used fewer numbers
//!   at any later one than that time has such spans since 1970: the clock divided by the span is
//!   above them all, and the same holds of numbers that go on from such a place. What a crash
//!   leaves out ([`CRASH_SEQUENCE_MARGIN`]) fits in the decades between, thousands of times over.
//! - **Discontinuities** are at most as many as segments: the same number is above them, too.
//! - **Media time** runs with the clock, from 0: the clock is ahead of it.
//!
//! Where this node knows better, it uses that: numbers another node said it had used (when it
//! yielded), and its own. A number never goes below them.
//!
//! [`CRASH_SEQUENCE_MARGIN`]: weir_cluster::ownership::CRASH_SEQUENCE_MARGIN

use weir_cluster::ownership::SEGMENT_DURATION_MS_MIN;
use weir_cluster::{EpochEnd, Ownership};

/// What is known of a stream without the store.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Known {
    /// The greatest epoch heard of.
    pub(crate) epoch: u64,
    /// Where this node's own last epoch ended.
    pub(crate) own_end: EpochEnd,
    /// Where the owner ended that has just yielded: nobody has been beyond.
    pub(crate) yielded: Option<EpochEnd>,
}

/// The epoch that begins at `now_ms` at `node_id`.
pub(crate) fn begin(node_id: &str, known: &Known, now_ms: i64) -> Ownership {
    let start = known.yielded.unwrap_or_else(|| by_the_clock(now_ms));
    let own = known.own_end;
    Ownership {
        node_id: node_id.to_owned(),
        epoch: positive(now_ms).max(known.epoch.saturating_add(1)),
        first_sequence_number: start.next_sequence_number.max(own.next_sequence_number),
        first_discontinuity_sequence: start
            .next_discontinuity_sequence
            .max(own.next_discontinuity_sequence),
        media_time_ms: start.media_time_ms.max(own.media_time_ms),
        wall_clock_ms: now_ms,
    }
}

/// A place that no stream can have reached.
fn by_the_clock(now_ms: i64) -> EpochEnd {
    let spans = positive(now_ms) / u64::from(SEGMENT_DURATION_MS_MIN);
    EpochEnd {
        next_sequence_number: spans,
        next_discontinuity_sequence: spans,
        media_time_ms: now_ms.max(0),
        wall_clock_ms: now_ms,
    }
}

fn positive(now_ms: i64) -> u64 {
    u64::try_from(now_ms).unwrap_or(0).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW_MS: i64 = 1_790_000_000_000;

    #[test]
    fn what_a_node_knows_outranks_the_clock_only_upwards() {
        let known = Known {
            epoch: 2_000_000_000_000,
            own_end: EpochEnd {
                next_sequence_number: 40_000_000_000,
                ..EpochEnd::default()
            },
            yielded: None,
        };
        let begun = begin("n", &known, NOW_MS);
        assert_eq!(begun.epoch, 2_000_000_000_001);
        assert_eq!(begun.first_sequence_number, 40_000_000_000);
        assert_eq!(begun.media_time_ms, NOW_MS);
        assert_eq!(
            begin("n", &Known::default(), NOW_MS).epoch,
            1_790_000_000_000
        );
    }

    #[test]
    fn after_a_yield_it_goes_on_exactly_there() {
        let end = EpochEnd {
            next_sequence_number: 7,
            next_discontinuity_sequence: 2,
            media_time_ms: 14_000,
            wall_clock_ms: NOW_MS,
        };
        let known = Known {
            yielded: Some(end),
            ..Known::default()
        };
        let begun = begin("n", &known, NOW_MS);
        assert_eq!(
            (
                begun.first_sequence_number,
                begun.first_discontinuity_sequence,
                begun.media_time_ms
            ),
            (7, 2, 14_000)
        );
    }

    proptest! {
        /// Whatever spans a stream ran in, live or over, in real time: a provisional epoch begins
        /// beyond all of it, and one that begins later beyond that.
        #[test]
        fn no_number_is_used_twice(
            runs in proptest::collection::vec((0_i64..1_000_000_000, 0_i64..1_000_000, 100_i64..10_000), 1..20),
        ) {
            let (mut now_ms, mut number, mut begun) = (NOW_MS / 2, 0_u64, 0_u64);
            for (idle_ms, live_ms, segment_ms) in runs {
                now_ms += idle_ms + live_ms;
                number += u64::try_from(live_ms / segment_ms).unwrap();
                let provisional = begin("n", &Known::default(), now_ms);
                prop_assert!(provisional.first_sequence_number >= number);
                prop_assert!(provisional.epoch >= begun);
                number = provisional.first_sequence_number;
                begun = provisional.epoch;
            }
        }
    }
}
