//! A stream between two nodes: the one that asks, and the one that is asked.

use super::*;

fn yielded(released: bool) -> A {
    A::AnswerYield(Yield::Given { released })
}

fn asked(silent_ms: u64) -> E {
    E::AskedToYield { silent_ms }
}

/// A machine whose publisher was told at 0 that another node has the stream.
fn asking() -> StreamState {
    let mut state = machine();
    assert_eq!(state.ask(0), Ok(vec![A::Claim]));
    let owned = E::ClaimDone(ClaimOutcome::OwnedElsewhere);
    assert_eq!(state.handle(owned, 0), [A::AskOwner]);
    state
}

#[test]
fn a_stream_that_is_yielded_is_claimed_at_once() {
    let mut state = asking();
    let yielded = E::OwnerAnswered(OwnerAnswer::Yielded);
    assert_eq!(state.handle(yielded, 100), [A::Claim]);
    let claimed = E::ClaimDone(ClaimOutcome::Claimed);
    assert_eq!(state.handle(claimed, 110), [A::Admit(EpochKind::Fresh)]);
}

#[test]
fn a_stream_whose_publisher_is_sending_is_in_use() {
    let mut state = asking();
    assert_eq!(
        state.handle(E::OwnerAnswered(OwnerAnswer::Publishing), 100),
        [A::RefuseAsker(PublishRefusal::StreamIdInUse), A::Forget]
    );
}

#[test]
fn a_node_that_does_not_answer_is_waited_for_until_its_lease_lapses() {
    let mut state = asking();
    let (silent, owned) = (
        E::OwnerAnswered(OwnerAnswer::Silent),
        E::ClaimDone(ClaimOutcome::OwnedElsewhere),
    );
    for now_ms in (0..3_000).step_by(500) {
        assert_eq!(state.handle(silent.clone(), now_ms), []);
        assert_eq!(state.deadline_ms(), Some(now_ms + 500));
        assert_eq!(state.handle(E::Tick, now_ms + 499), []);
        assert_eq!(state.handle(E::Tick, now_ms + 500), [A::Claim]);
        assert_eq!(state.handle(owned.clone(), now_ms + 500), [A::AskOwner]);
    }
    assert_eq!(state.handle(silent, 3_000), []);
    assert_eq!(state.handle(E::Tick, 3_500), [A::Claim]);
    let claimed = E::ClaimDone(ClaimOutcome::Claimed);
    assert_eq!(state.handle(claimed, 3_500), [A::Admit(EpochKind::Fresh)]);
}

#[test]
fn a_publisher_is_not_held_for_ever() {
    for answer in [OwnerAnswer::Silent, OwnerAnswer::Yielded] {
        let mut state = asking();
        assert_eq!(
            state.handle(E::OwnerAnswered(answer), TAKEOVER_MS),
            [A::RefuseAsker(PublishRefusal::OwnerSilent), A::Forget]
        );
    }
}

#[test]
fn a_second_asker_is_turned_away_while_the_first_is_held() {
    let mut state = asking();
    assert_eq!(refused_now(&mut state), PublishRefusal::StreamIdInUse);
}

#[test]
fn a_stop_holds_no_asker() {
    let mut state = asking();
    let actions = state.handle(E::Shutdown, 1);
    assert!(matches!(
        actions[..],
        [A::RefuseAsker(PublishRefusal::Unavailable(_)), A::Stop]
    ));
}

#[test]
fn in_its_grace_a_stream_is_yielded_once_the_store_knows() {
    let mut state = lost(0);
    assert_eq!(
        state.handle(asked(1_000), 1_000),
        [A::WithdrawPlaylists, A::Release]
    );
    assert_eq!(state.handle(E::ReleaseDone(DONE), 1_010), [yielded(true)]);
    // Whoever asks again is told the same, and what was cut stays for those who are behind.
    assert_eq!(state.handle(asked(2_000), 2_000), [yielded(true)]);
    assert_eq!(state.deadline_ms(), Some(1_000 + LINGER_MS));
}

#[test]
fn a_silent_publisher_is_closed_and_its_last_segment_cut() {
    let mut state = live();
    assert_eq!(
        state.handle(asked(SILENCE_MS - 1), 4_000),
        [A::AnswerYield(Yield::Kept)]
    );
    assert_eq!(
        state.handle(asked(SILENCE_MS), 4_001),
        [
            A::ClosePublisher(Closed::Silent),
            A::FinishSegment,
            A::WithdrawPlaylists,
            A::Release
        ]
    );
    // Another that asks meanwhile waits for the same.
    assert_eq!(state.handle(asked(5_000), 4_002), []);
    assert_eq!(state.handle(E::ReleaseDone(DONE), 4_003), [yielded(true)]);
}

#[test]
fn a_yield_does_not_wait_for_a_store_that_is_away() {
    let mut state = lost(0);
    assert_eq!(state.handle(asked(1), 1).last(), Some(&A::Release));
    let failed = E::ReleaseDone(WriteOutcome::Unavailable);
    assert_eq!(state.handle(failed, 3_001), [yielded(false)]);
    assert_eq!(state.handle(E::Tick, 8_001), [A::Release]);
}

#[test]
fn who_is_coming_in_is_not_passed_over_for_another_node() {
    let mut state = lost(0);
    assert_eq!(state.ask(1), Ok(vec![A::Claim]));
    assert_eq!(state.handle(asked(1), 2), [A::AnswerYield(Yield::Kept)]);

    let mut state = lost(0);
    assert_eq!(state.handle(asked(1), 1).last(), Some(&A::Release));
    assert_eq!(state.ask(2), Ok(vec![A::AnswerYield(Yield::Kept)]));
}

#[test]
fn a_newer_epoch_elsewhere_stops_this_one_at_once() {
    let mut state = live();
    assert_eq!(
        state.handle(E::Superseded, 1_000),
        [A::ClosePublisher(Closed::TakenOver), A::WithdrawPlaylists]
    );
    assert_eq!(state.handle(E::Superseded, 1_001), []);
    let mut state = lost(0);
    assert_eq!(state.handle(E::Superseded, 1), [A::WithdrawPlaylists]);
}

#[test]
fn a_grace_that_another_node_ended_is_no_reason_to_refuse() {
    let mut state = lost(0);
    assert_eq!(state.ask(1_000), Ok(vec![A::Claim]));
    assert_eq!(
        state.handle(E::ClaimDone(ClaimOutcome::OwnedElsewhere), 1_001),
        [A::WithdrawPlaylists, A::AskOwner]
    );
    let yielded = E::OwnerAnswered(OwnerAnswer::Yielded);
    assert_eq!(state.handle(yielded, 1_100), [A::Claim]);
    let claimed = E::ClaimDone(ClaimOutcome::Claimed);
    assert_eq!(state.handle(claimed, 1_101), [A::Admit(EpochKind::Fresh)]);
}
