//! The machine under a hand-moved clock: every way a stream can live and end.

mod histories;
mod storeless;
mod takeover;

use super::*;
use crate::stream::event::{ClaimOutcome, OwnerAnswer};
use Action as A;
use Event as E;

const GRACE_MS: u64 = 10_000;
const LINGER_MS: u64 = 60_000;
const KEYFRAME_MS: u64 = 15_000;
const CHECKPOINT_MS: u64 = 5_000;
const TAKEOVER_MS: u64 = 7_000;
const SILENCE_MS: u64 = 3_000;
const DONE: WriteOutcome = WriteOutcome::Done;

fn machine() -> StreamState {
    StreamState::new(Limits {
        publish_grace_ms: GRACE_MS,
        ended_linger_ms: LINGER_MS,
        first_keyframe_timeout_ms: KEYFRAME_MS,
        checkpoint_interval_ms: CHECKPOINT_MS,
        takeover_timeout_ms: TAKEOVER_MS,
        yield_silence_ms: SILENCE_MS,
    })
}

/// A machine whose publisher was let in at 0.
fn preparing() -> StreamState {
    let mut state = machine();
    assert_eq!(state.ask(0), Ok(vec![A::Claim]));
    let claimed = E::ClaimDone(ClaimOutcome::Claimed);
    assert_eq!(state.handle(claimed, 0), [A::Admit(EpochKind::Fresh)]);
    state
}

/// A machine with a segment cut at 0 and that written.
fn live() -> StreamState {
    let mut state = preparing();
    assert_eq!(state.handle(E::MediaStarted, 0), []);
    assert_eq!(state.handle(E::SegmentCut, 0), [A::Checkpoint]);
    assert_eq!(state.handle(E::CheckpointDone(DONE), 0), []);
    state
}

/// A machine whose publisher was lost at `at_ms`, and that written.
fn lost(at_ms: u64) -> StreamState {
    let mut state = live();
    assert_eq!(
        state.handle(E::ConnectionLost, at_ms),
        [A::FinishSegment, A::Checkpoint]
    );
    assert_eq!(state.handle(E::CheckpointDone(DONE), at_ms), []);
    state
}

fn refused_now(state: &mut StreamState) -> PublishRefusal {
    state.ask(0).unwrap_err()
}

#[test]
fn a_live_stream_is_written_each_interval_and_never_twice_at_once() {
    let mut state = live();
    assert_eq!(state.deadline_ms(), Some(CHECKPOINT_MS));
    assert_eq!(state.handle(E::Tick, 4_999), []);
    assert_eq!(state.handle(E::Tick, 5_000), [A::Checkpoint]);
    assert_eq!(state.deadline_ms(), None);
    assert_eq!(state.handle(E::Tick, 10_000), []);
    // The one that fell due meanwhile follows at once.
    assert_eq!(
        state.handle(E::CheckpointDone(DONE), 11_000),
        [A::Checkpoint]
    );
}

#[test]
fn a_clean_end_writes_endlist_and_releases_at_once() {
    let mut state = live();
    assert_eq!(
        state.handle(E::Unpublish, 7_000),
        [A::FinishSegment, A::EndPlaylists, A::Release]
    );
    assert_eq!(state.handle(E::ReleaseDone(DONE), 7_001), []);
    assert_eq!(state.deadline_ms(), Some(7_000 + LINGER_MS));
    assert_eq!(state.handle(E::Tick, 66_999), []);
    assert_eq!(state.handle(E::Tick, 67_000), [A::Forget]);
    assert_eq!(state.deadline_ms(), None);
}

#[test]
fn a_second_publisher_is_turned_away_while_one_is_in_or_coming() {
    let mut claiming = machine();
    assert_eq!(claiming.ask(0), Ok(vec![A::Claim]));
    for mut state in [claiming, preparing(), live()] {
        assert_eq!(refused_now(&mut state), PublishRefusal::StreamIdInUse);
    }
}

#[test]
fn a_publisher_back_within_the_grace_goes_on_in_a_new_epoch() {
    let mut state = lost(1_000);
    assert_eq!(state.ask(10_999), Ok(vec![A::Claim]));
    let claimed = E::ClaimDone(ClaimOutcome::Claimed);
    assert_eq!(
        state.handle(claimed, 11_500),
        [A::Admit(EpochKind::Resumed)]
    );
    assert_eq!(state.handle(E::Tick, 12_000), []);
    assert_eq!(state.handle(E::SegmentCut, 13_000), [A::Checkpoint]);
}

#[test]
fn the_timeline_is_written_before_it_is_claimed_again() {
    let mut state = live();
    let lost = state.handle(E::ConnectionLost, 1_000);
    assert_eq!(lost, [A::FinishSegment, A::Checkpoint]);
    assert_eq!(state.ask(1_100), Ok(vec![]));
    assert_eq!(state.handle(E::CheckpointDone(DONE), 1_200), [A::Claim]);
}

#[test]
fn a_grace_that_passes_ends_the_stream() {
    let mut state = lost(1_000);
    assert_eq!(state.handle(E::Tick, 6_000), [A::Checkpoint]);
    assert_eq!(state.handle(E::CheckpointDone(DONE), 6_000), []);
    assert_eq!(state.handle(E::Tick, 11_000), [A::EndPlaylists, A::Release]);
}

#[test]
fn a_fenced_owner_gives_way_without_releasing_or_ending() {
    let fenced = E::CheckpointDone(WriteOutcome::Fenced);
    let mut state = live();
    assert_eq!(state.handle(E::Tick, 5_000), [A::Checkpoint]);
    assert_eq!(
        state.handle(fenced.clone(), 5_001),
        [A::ClosePublisher(Closed::TakenOver), A::WithdrawPlaylists]
    );
    assert_eq!(state.deadline_ms(), Some(5_001 + LINGER_MS));

    let mut state = lost(0);
    assert_eq!(state.handle(E::Tick, 5_000), [A::Checkpoint]);
    assert_eq!(state.handle(fenced.clone(), 5_001), [A::WithdrawPlaylists]);

    let mut state = lost(0);
    assert_eq!(state.handle(E::Tick, 5_000), [A::Checkpoint]);
    assert_eq!(state.ask(5_000), Ok(vec![]));
    // Who has come back meanwhile may still be given it by whoever has it.
    assert_eq!(
        state.handle(fenced, 5_001),
        [A::WithdrawPlaylists, A::Claim]
    );
}

#[test]
fn a_store_that_is_away_stops_nothing_that_runs() {
    let mut state = live();
    for round in 1..=100 {
        let now_ms = round * CHECKPOINT_MS;
        assert_eq!(state.handle(E::Tick, now_ms), [A::Checkpoint]);
        let failed = E::CheckpointDone(WriteOutcome::Unavailable);
        assert_eq!(state.handle(failed, now_ms + 1), []);
        assert_eq!(state.deadline_ms(), Some(now_ms + CHECKPOINT_MS));
    }
}

#[test]
fn a_claim_supersedes_a_release_that_is_owed() {
    let mut state = live();
    assert_eq!(state.handle(E::Unpublish, 0)[2..], [A::Release]);
    assert_eq!(state.ask(1), Ok(vec![]));
    let failed = E::ReleaseDone(WriteOutcome::Unavailable);
    assert_eq!(state.handle(failed, 2), [A::Claim]);
    let claimed = E::ClaimDone(ClaimOutcome::Claimed);
    assert_eq!(state.handle(claimed, 3), [A::Admit(EpochKind::Fresh)]);
}

#[test]
fn a_release_that_is_still_owed_is_forgotten_by_a_claim() {
    let mut state = live();
    assert_eq!(state.handle(E::Unpublish, 0)[2..], [A::Release]);
    let failed = E::ReleaseDone(WriteOutcome::Unavailable);
    assert_eq!(state.handle(failed, 1), []);
    assert_eq!(state.ask(2), Ok(vec![A::Claim]));
    let claimed = E::ClaimDone(ClaimOutcome::Claimed);
    assert_eq!(state.handle(claimed, 3), [A::Admit(EpochKind::Fresh)]);
    assert_eq!(state.handle(E::Tick, 6_000), [A::Checkpoint]);
    assert_eq!(state.handle(E::CheckpointDone(DONE), 6_001), []);
}

#[test]
fn no_key_frame_in_time_closes_the_publisher() {
    let mut state = preparing();
    let checkpoints = [5_000, 10_000];
    for now_ms in checkpoints {
        assert_eq!(state.handle(E::Tick, now_ms), [A::Checkpoint]);
        assert_eq!(state.handle(E::CheckpointDone(DONE), now_ms), []);
    }
    assert_eq!(
        state.handle(E::Tick, KEYFRAME_MS),
        [
            A::ClosePublisher(Closed::NoKeyframe),
            A::FinishSegment,
            A::EndPlaylists,
            A::Release
        ]
    );
    // Nothing was ever cut, so there is nothing to linger for.
    assert_eq!(state.handle(E::ReleaseDone(DONE), 15_100), [A::Forget]);
}

#[test]
fn sound_alone_does_not_stand_in_for_pictures_that_cannot_be_started() {
    let mut state = preparing();
    assert_eq!(state.handle(E::SegmentCut, 3_000), [A::Checkpoint]);
    assert_eq!(state.handle(E::CheckpointDone(DONE), 3_000), []);
    let actions = state.handle(E::Tick, KEYFRAME_MS);
    assert_eq!(actions[0], A::ClosePublisher(Closed::NoKeyframe));
}

#[test]
fn a_long_group_of_pictures_is_no_missing_key_frame() {
    let mut state = preparing();
    assert_eq!(state.handle(E::MediaStarted, 100), []);
    assert_eq!(state.handle(E::Tick, 40_000), [A::Checkpoint]);
}

#[test]
fn refused_media_closes_the_publisher_and_waits_for_a_better_one() {
    let mut state = live();
    assert_eq!(
        state.handle(E::MediaRefused, 1_000),
        [
            A::ClosePublisher(Closed::MediaRefused),
            A::FinishSegment,
            A::Checkpoint
        ]
    );
    assert_eq!(state.handle(E::CheckpointDone(DONE), 1_001), []);
    assert_eq!(state.ask(2_000), Ok(vec![A::Claim]));
}

#[test]
fn a_last_segment_cut_from_a_publisher_just_lost_is_kept_for_viewers() {
    let mut state = preparing();
    assert_eq!(
        state.handle(E::Unpublish, 1_000),
        [A::FinishSegment, A::EndPlaylists, A::Release]
    );
    assert_eq!(state.handle(E::SegmentCut, 1_000), []);
    assert_eq!(state.handle(E::ReleaseDone(DONE), 1_001), []);
    assert_eq!(state.deadline_ms(), Some(1_000 + LINGER_MS));
}

#[test]
fn a_stop_ends_what_is_live_and_takes_nobody_in() {
    let mut state = live();
    assert_eq!(
        state.handle(E::Shutdown, 1_000),
        [
            A::ClosePublisher(Closed::Shutdown),
            A::FinishSegment,
            A::EndPlaylists,
            A::Release
        ]
    );
    assert!(matches!(
        refused_now(&mut state),
        PublishRefusal::Unavailable(_)
    ));
    // One try: a stop does not wait for a store.
    let failed = E::ReleaseDone(WriteOutcome::Unavailable);
    assert_eq!(state.handle(failed, 1_001), [A::Stop]);

    let mut state = lost(0);
    assert_eq!(state.handle(E::Shutdown, 1), [A::EndPlaylists, A::Release]);
    assert_eq!(state.handle(E::ReleaseDone(DONE), 2), [A::Stop]);
}

#[test]
fn a_stop_during_a_claim_gives_the_stream_back() {
    let mut state = machine();
    assert_eq!(state.ask(0), Ok(vec![A::Claim]));
    assert_eq!(state.handle(E::Shutdown, 1), []);
    let actions = state.handle(E::ClaimDone(ClaimOutcome::Claimed), 2);
    assert_eq!(actions[0], A::Admit(EpochKind::Fresh));
    assert_eq!(actions[1], A::ClosePublisher(Closed::Shutdown));
    assert_eq!(actions.last(), Some(&A::Release));
    assert_eq!(state.handle(E::ReleaseDone(DONE), 3), [A::Stop]);
}

#[test]
fn what_is_owed_to_the_store_is_owed_until_it_took_it() {
    let failed = E::ReleaseDone(WriteOutcome::Unavailable);
    let mut state = live();
    assert_eq!(state.handle(E::Unpublish, 0)[2..], [A::Release]);
    assert_eq!(state.handle(failed.clone(), 3_000), []);
    assert_eq!(state.deadline_ms(), Some(8_000));
    assert_eq!(state.handle(E::Tick, 7_999), []);
    assert_eq!(state.handle(E::Tick, 8_000), [A::Release]);
    // What was cut is not kept for so long.
    assert_eq!(state.handle(failed, 59_999), []);
    assert_eq!(state.handle(E::Tick, 60_000), [A::DropMedia]);
    assert_eq!(state.handle(E::Tick, 64_999), [A::Release]);
    assert_eq!(state.handle(E::ReleaseDone(DONE), 65_000), [A::Forget]);
}

#[test]
fn who_stops_a_stream_is_answered_when_it_is_given_back() {
    let mut state = live();
    assert_eq!(
        state.handle(E::Stopped, 1_000),
        [
            A::ClosePublisher(Closed::Stopped),
            A::FinishSegment,
            A::EndPlaylists,
            A::Release
        ]
    );
    assert_eq!(state.handle(E::AskedToYield { silent_ms: 0 }, 1_000), []);
    let given = A::AnswerYield(Yield::Given { released: true });
    assert!(state.handle(E::ReleaseDone(DONE), 1_100).contains(&given));
}

#[test]
fn a_deleted_application_ends_what_is_live() {
    let mut state = live();
    assert_eq!(
        state.handle(E::AppDeleted, 1_000),
        [
            A::ClosePublisher(Closed::AppDeleted),
            A::FinishSegment,
            A::EndPlaylists,
            A::Release
        ]
    );
    let mut state = lost(0);
    assert_eq!(
        state.handle(E::AppDeleted, 1),
        [A::EndPlaylists, A::Release]
    );
}
