//! Who may own a stream when, and where its numbers go on.

use super::*;
use crate::names::StreamKey;
use crate::types::Broadcast;

fn claim_by(node: &str, now_ms: i64) -> Claim {
    Claim {
        key: StreamKey::parse("LiveApp", "s").unwrap(),
        node_id: node.to_owned(),
        origin_adress: "127.0.0.1:5082".to_owned(),
        now_ms,
        segment_duration_ms: 2_000,
        broadcast: Broadcast::default(),
    }
}

const fn at(next_sequence_number: u64, media_time_ms: i64, wall_clock_ms: i64) -> EpochEnd {
    EpochEnd {
        next_sequence_number,
        next_discontinuity_sequence: 0,
        media_time_ms,
        wall_clock_ms,
    }
}

/// What a store without leases sees: heartbeats.
fn heard(heartbeat_ms: Option<i64>, now_ms: i64) -> Sight {
    Sight {
        now_ms,
        heartbeat_ms,
        ..Sight::default()
    }
}

fn take(
    previous: Option<&Timeline>,
    claim: &Claim,
    heartbeat_ms: Option<i64>,
    now_ms: i64,
) -> Result<Timeline, StoreError> {
    super::take(previous, claim, &heard(heartbeat_ms, now_ms))
}

fn first(now_ms: i64) -> Timeline {
    take(None, &claim_by("a", now_ms), None, now_ms).unwrap()
}

#[test]
fn a_first_epoch_is_the_clock_and_starts_at_zero() {
    let timeline = first(1_000_000);
    assert_eq!(timeline.ownership.epoch, 1_000_000);
    assert_eq!(timeline.ownership.first_sequence_number, 0);
    assert_eq!(timeline.tenure, Tenure::Held);
    assert_eq!(first(-5).ownership.epoch, 1, "a clock before 1970");
}

#[test]
fn after_a_release_the_next_epoch_starts_where_the_last_ended() {
    let held = first(1_000);
    let released = held
        .released(1_000, at(40, 80_000, 81_000))
        .unwrap()
        .unwrap();
    let next = take(Some(&released), &claim_by("b", 500_000), None, 500_000).unwrap();
    assert_eq!(next.ownership.epoch, 500_000);
    assert_eq!(next.ownership.first_sequence_number, 40);
    assert_eq!(next.ownership.media_time_ms, 80_000);
    assert_eq!(next.ownership.wall_clock_ms, 500_000);
}

#[test]
fn epochs_grow_even_when_the_clock_goes_back() {
    let released = first(9_000).released(9_000, at(1, 1, 1)).unwrap().unwrap();
    let next = take(Some(&released), &claim_by("a", 10), None, 10).unwrap();
    assert_eq!(next.ownership.epoch, 9_001);
}

#[test]
fn a_crash_is_passed_by_what_the_time_since_has_room_for() {
    let held = first(1_000)
        .checkpointed(1_000, at(10, 20_000, 21_000))
        .unwrap();
    let lost = held.lost(22_000);
    let next = take(Some(&lost), &claim_by("a", 26_001), None, 26_001).unwrap();
    // 5001 ms at 2 s a segment: at most 3 begun.
    assert_eq!(
        next.ownership.first_sequence_number,
        10 + 3 + CRASH_SEQUENCE_MARGIN
    );
    assert_eq!(next.ownership.media_time_ms, 25_001);
}

#[test]
fn absurd_durations_and_clocks_do_not_overflow() {
    let mut held = first(1_000);
    held.segment_duration_ms = 0;
    held.checkpoint = at(u64::MAX - 3, i64::MAX - 3, i64::MIN);
    let next = take(
        Some(&held.lost(1)),
        &claim_by("b", i64::MAX),
        None,
        i64::MAX,
    )
    .unwrap();
    assert_eq!(next.ownership.first_sequence_number, u64::MAX);
    assert_eq!(next.ownership.media_time_ms, i64::MAX);
}

#[test]
fn the_same_node_takes_its_stream_again_where_it_stopped() {
    let held = first(1_000)
        .checkpointed(1_000, at(7, 14_000, 15_000))
        .unwrap();
    let next = take(Some(&held), &claim_by("a", 18_000), Some(18_000), 18_000).unwrap();
    assert_eq!(next.ownership.epoch, 18_000);
    assert_eq!(next.ownership.first_sequence_number, 7);
    assert_eq!(next.ownership.media_time_ms, 14_000);
}

#[test]
fn a_living_owner_is_left_alone_and_a_silent_one_is_not() {
    let held = first(100_000);
    let owned = |heartbeat, now| take(Some(&held), &claim_by("b", now), heartbeat, now);
    assert!(
        matches!(owned(Some(110_000), 130_000), Err(StoreError::Owned { node_id, epoch: 100_000 }) if node_id == "a")
    );
    assert!(owned(Some(110_000), 130_001).is_ok());
    assert!(
        matches!(owned(None, 120_000), Err(StoreError::Owned { .. })),
        "claimed before its first heartbeat"
    );
    assert!(owned(None, 120_001).is_ok());
    let fresh = held.checkpointed(100_000, at(5, 10, 125_000)).unwrap();
    assert!(
        take(
            Some(&fresh),
            &claim_by("b", 130_001),
            Some(100_000),
            130_001
        )
        .is_err(),
        "a checkpoint is a sign of life, too"
    );
}

#[test]
fn an_older_epoch_is_fenced_and_a_released_one_holds_nothing() {
    let held = first(1_000);
    assert!(matches!(
        held.checkpointed(999, at(1, 1, 1)),
        Err(StoreError::Fenced {
            epoch: 999,
            newest: 1_000
        })
    ));
    assert!(matches!(
        held.released(1_001, at(1, 1, 1)),
        Err(StoreError::Fenced { .. })
    ));
    let released = held.released(1_000, at(1, 1, 2_000)).unwrap().unwrap();
    assert!(matches!(
        released.checkpointed(1_000, at(2, 2, 2)),
        Err(StoreError::NotHeld { epoch: 1_000 })
    ));
    assert_eq!(released.released(1_000, at(9, 9, 9)).unwrap(), None);
    assert!(
        held.lost(3_000)
            .released(1_000, at(3, 3, 3))
            .unwrap()
            .is_some(),
        "its owner knows better"
    );
}

#[test]
fn reports_out_of_order_never_move_a_timeline_back() {
    let held = first(1_000)
        .checkpointed(1_000, at(9, 18_000, 19_000))
        .unwrap()
        .checkpointed(1_000, at(4, 8_000, 9_000))
        .unwrap();
    assert_eq!(held.checkpoint, at(9, 18_000, 19_000));
}

#[test]
fn timelines_are_forgotten_a_day_after_their_end_only() {
    let held = first(0);
    assert!(!held.forgettable_at(i64::MAX));
    assert!(held.abandoned_at(TIMELINE_KEPT_MS + 1, None));
    assert!(!held.abandoned_at(TIMELINE_KEPT_MS + 1, Some(1)));
    let lost = held.lost(5);
    assert!(!lost.forgettable_at(TIMELINE_KEPT_MS + 5));
    assert!(lost.forgettable_at(TIMELINE_KEPT_MS + 6));
}
