//! The window under histories nobody thought of.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Segment { duration_ms: u64, jump: bool },
    Init,
    Epoch { skip: u64 },
    End,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1_u64..12_000, proptest::bool::weighted(0.1))
            .prop_map(|(duration_ms, jump)| Step::Segment { duration_ms, jump }),
        1 => Just(Step::Init),
        1 => (0_u64..3).prop_map(|skip| Step::Epoch { skip }),
        1 => Just(Step::End),
    ]
}

proptest! {
    /// What a player relies on, over any history: numbers without holes that never fall back,
    /// a target no segment is above, discontinuity numbers that never change for a segment, and
    /// every listed segment and its map there to be had, also a playlist's length later.
    #[test]
    fn any_history_keeps_a_players_trust(steps in proptest::collection::vec(step(), 1..80)) {
        let mut window = started(usize::MAX);
        let mut epoch = EPOCH;
        let mut last = (0, 0, 0);
        let mut discontinuities = BTreeMap::new();
        let mut promised: BTreeMap<u64, Promise> = BTreeMap::new();
        let mut length_us = 0_u64;
        for step in steps {
            match step {
                Step::Segment { duration_ms, jump } => {
                    let mut segment = segment(&window, duration_ms * 1_000, 10);
                    segment.discontinuity = jump;
                    add(&mut window, segment);
                    length_us += duration_ms * 1_000;
                }
                Step::Init => init(&mut window),
                Step::Epoch { skip } => {
                    epoch += 1;
                    let number = window.next_sequence_number() + skip;
                    window.start_epoch(epoch, number, window.media_time_ms());
                    init(&mut window);
                }
                Step::End => window.end(),
            }
            let snapshot = window.snapshot();
            let read = snapshot.video.as_ref().map(read).unwrap_or_default();
            for (number, promise) in &mut promised {
                let listed = read.segments.iter().any(|s| s.0 == *number);
                let until_us = promise.until_us.unwrap_or(length_us + promise.keep_us);
                promise.until_us = (!listed).then_some(until_us);
                if listed || length_us < until_us {
                    let kept = snapshot.segment(TrackKind::Video, promise.epoch, *number);
                    prop_assert!(kept.is_some(), "{number} at {length_us}: {promise:?}");
                }
            }
            if read.segments.is_empty() {
                continue;
            }
            prop_assert!(read.segments.len() <= LIST);
            let head = (read.media_sequence, read.discontinuity_sequence, read.target_s);
            prop_assert!(head.0 >= last.0 && head.1 >= last.1 && head.2 >= last.2);
            last = head;
            let mut discontinuity = read.discontinuity_sequence;
            let listed_s: f64 = read.segments.iter().map(|s| s.2).sum();
            for (at, (number, epoch, duration_s, broken, map)) in read.segments.iter().enumerate() {
                prop_assert_eq!(*number, read.media_sequence + u64::try_from(at).unwrap());
                prop_assert!(duration_s.round() <= f64::from(u32::try_from(read.target_s).unwrap()));
                discontinuity += u64::from(*broken);
                let before = at.checked_sub(1).map(|before| &read.segments[before].4);
                prop_assert!(*broken || before.is_none_or(|before| before == map));
                let known = discontinuities.entry(*number).or_insert(discontinuity);
                prop_assert_eq!(*known, discontinuity);
                prop_assert!(snapshot.segment(TrackKind::Video, *epoch, *number).is_some());
                let index = map.split("init-").nth(1).and_then(|m| m.split('.').next()).unwrap();
                let index = index.parse().unwrap();
                prop_assert!(snapshot.init(TrackKind::Video, *epoch, index).is_some());
                let keep = std::time::Duration::from_secs_f64(duration_s + listed_s);
                let keep_us = u64::try_from(keep.as_micros()).unwrap().saturating_sub(100);
                let promise = promised.entry(*number).or_default();
                promise.epoch = *epoch;
                promise.keep_us = promise.keep_us.max(keep_us);
            }
        }
    }
}

/// How long a segment must be there (RFC 8216bis, 6.2.2), on the stream's own clock, less what
/// rounding in the playlist may take.
#[derive(Debug, Default)]
struct Promise {
    epoch: u64,
    /// Its duration and the longest list that had it.
    keep_us: u64,
    /// Once it was seen to be unlisted.
    until_us: Option<u64>,
}
