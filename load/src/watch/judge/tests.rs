//! Each rule: what keeps it, what breaks it, and that a break is told once.

use super::*;

/// Entries `from..to` of two seconds each.
fn list(from: u64, to: u64) -> List {
    let entry = |sequence| Entry {
        sequence,
        uri: format!("1/v{sequence}.m4s"),
        map_uri: Some("1/v-init-0.mp4".to_owned()),
        duration_s: 2.0,
        ..Entry::default()
    };
    List {
        target_s: 2,
        media_sequence: from,
        entries: (from..to).map(entry).collect(),
        ..List::default()
    }
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Kinds of the faults in a row of lists, two seconds apart.
fn judged(lists: impl IntoIterator<Item = List>) -> Vec<Kind> {
    let mut judge = Judge::default();
    let mut kinds = Vec::new();
    for (list, second) in lists.into_iter().zip((0..).step_by(2)) {
        let verdict = judge.list(&Arc::new(list), at(second));
        kinds.extend(verdict.faults.iter().map(|fault| fault.kind));
    }
    kinds
}

fn timing(start: u64, duration: u64) -> Timing {
    Timing {
        start,
        duration,
        frame: 3600,
        timescale: 90_000,
    }
}

#[test]
fn a_list_that_runs_on_is_good_and_gives_what_is_new() {
    let mut judge = Judge::default();
    let first = judge.list(&Arc::new(list(10, 16)), at(0));
    assert_eq!(
        (first.faults, first.new_from, first.changed),
        (vec![], 3, true)
    );
    let same = judge.list(&Arc::new(list(10, 16)), at(1));
    assert_eq!(
        (same.faults, same.new_from, same.changed),
        (vec![], 6, false)
    );
    let next = judge.list(&Arc::new(list(12, 18)), at(4));
    assert_eq!(
        (next.faults, next.new_from, next.changed),
        (vec![], 4, true)
    );
    let ended = List {
        ended: true,
        ..list(12, 18)
    };
    let ended = judge.list(&Arc::new(ended), at(5));
    assert_eq!((ended.faults, ended.changed), (vec![], true));
    assert_eq!(judge.waited(at(100)), None, "an ended list need not grow");
}

#[test]
fn numbers_left_out_are_a_gap_once() {
    assert_eq!(
        judged([list(1, 5), list(6, 10), list(7, 11)]),
        [Kind::SequenceGap]
    );
    assert_eq!(judged([list(1, 5), list(5, 9)]), [], "just all of them new");
    assert_eq!(
        judged([list(4, 4), list(6, 7)]),
        [],
        "an empty list had nothing to miss"
    );
}

#[test]
fn an_older_list_is_a_step_back_and_not_believed() {
    assert_eq!(
        judged([list(5, 9), list(4, 8), list(6, 10)]),
        [Kind::SequenceBack]
    );
    assert_eq!(
        judged([list(5, 9), list(5, 8), list(5, 10)]),
        [Kind::SequenceBack]
    );
    assert_eq!(
        judged([list(50, 59), list(0, 3), list(51, 60)]),
        [Kind::SequenceBack]
    );
}

#[test]
fn entries_may_not_change_nor_repeat() {
    let mut changed = list(2, 6);
    changed.entries[1].duration_s = 1.5;
    assert_eq!(judged([list(1, 5), changed]), [Kind::EntryChanged]);
    let mut repeated = list(2, 6);
    repeated.entries[3].uri = "1/v4.m4s".to_owned();
    assert_eq!(judged([list(1, 5), repeated]), [Kind::SegmentRepeated]);
}

#[test]
fn a_discontinuity_that_leaves_is_counted() {
    let with = |from: u64, to, marked: u64, sequence| {
        let mut list = list(from, to);
        if let Some(index) = marked.checked_sub(from) {
            list.entries[usize::try_from(index).unwrap()].discontinuity = true;
        }
        List {
            discontinuity_sequence: sequence,
            ..list
        }
    };
    assert_eq!(
        judged([with(1, 5, 3, 0), with(3, 7, 3, 0), with(4, 8, 0, 1)]),
        []
    );
    assert_eq!(
        judged([with(1, 5, 3, 0), with(4, 8, 0, 0)]),
        [Kind::DiscontinuitySequence]
    );
    assert_eq!(
        judged([with(1, 5, 3, 0), with(2, 6, 3, 1)]),
        [Kind::DiscontinuitySequence],
        "counted before it left"
    );
}

#[test]
fn extinf_and_target_duration_agree() {
    let mut long = list(1, 5);
    long.entries[3].duration_s = 2.6;
    assert_eq!(judged([long]), [Kind::TargetDuration]);
    let mut fits = list(1, 5);
    fits.entries[3].duration_s = 2.4;
    assert_eq!(judged([fits]), []);
    let lower = List {
        target_s: 1,
        entries: Vec::new(),
        ..list(5, 5)
    };
    assert_eq!(judged([list(1, 5), lower]), [Kind::TargetDuration]);
}

#[test]
fn a_missing_segment_is_told() {
    let mut gap = list(2, 6);
    gap.entries[3].gap = true;
    assert_eq!(judged([list(1, 5), gap.clone(), gap]), [Kind::Gap]);
}

#[test]
fn a_list_that_stands_still_is_a_stall_once_each_time() {
    let mut judge = Judge::default();
    judge.list(&Arc::new(list(1, 5)), at(0));
    assert_eq!(judge.list(&Arc::new(list(1, 5)), at(6)).faults, []);
    let faults = judge.list(&Arc::new(list(1, 5)), at(7)).faults;
    assert_eq!(faults[0].kind, Kind::Stalled);
    assert!(
        faults[0].detail.contains("segment 4"),
        "{}",
        faults[0].detail
    );
    assert_eq!(judge.waited(at(30)), None, "told once");
    assert_eq!(judge.list(&Arc::new(list(2, 6)), at(31)).faults, []);
    assert_eq!(judge.waited(at(38)).unwrap().kind, Kind::Stalled);
}

#[test]
fn segments_last_what_extinf_says() {
    let entry = &list(7, 8).entries[0];
    let kinds = |timing| {
        let faults = Judge::default().segment(entry, timing);
        faults.iter().map(|f| f.kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds(timing(0, 180_000)), []);
    assert_eq!(kinds(timing(0, 176_400)), [], "a frame less");
    assert_eq!(kinds(timing(0, 172_000)), [Kind::Extinf]);
    assert_eq!(kinds(timing(0, 190_000)), [Kind::Extinf]);
}

#[test]
fn segments_follow_each_other_unless_they_say_otherwise() {
    let entries = list(7, 12).entries;
    let mut judge = Judge::default();
    assert_eq!(judge.segment(&entries[0], timing(0, 180_000)), []);
    assert_eq!(
        judge.segment(&entries[1], timing(183_600, 180_000)),
        [],
        "a frame off"
    );
    let faults = judge.segment(&entries[2], timing(380_000, 180_000));
    assert_eq!(faults[0].kind, Kind::Timing);
    assert!(
        faults[0].detail.contains("4.222222"),
        "{}",
        faults[0].detail
    );
    let announced = Entry {
        discontinuity: true,
        ..entries[3].clone()
    };
    assert_eq!(judge.segment(&announced, timing(0, 180_000)), []);
    assert_eq!(judge.segment(&entries[4], timing(180_000, 180_000)), []);

    let mut skips = Judge::default();
    skips.segment(&entries[0], timing(0, 180_000));
    let faults = skips.segment(&entries[2], timing(360_000, 180_000));
    assert_eq!(faults, [], "nothing is known of what was not had");
}

proptest::proptest! {
    /// No list, however odd, panics; and what is new is in the list.
    #[test]
    fn any_lists_are_judged(lists in proptest::collection::vec((0_u64..40, 0_u64..8, 0_u64..3, 0_u64..4), 1..12)) {
        let mut judge = Judge::default();
        for (index, (from, count, discontinuity_sequence, target_s)) in lists.into_iter().enumerate() {
            let list = Arc::new(List { discontinuity_sequence, target_s, ..list(from, from + count) });
            let verdict = judge.list(&list, at(index as u64));
            proptest::prop_assert!(verdict.new_from <= list.entries.len());
        }
    }
}
