//! Publishers that come while the store is away, and what becomes of them when it is back.

use super::*;

const SILENT: E = E::OwnerAnswered(OwnerAnswer::Silent);

fn away() -> E {
    E::ClaimDone(ClaimOutcome::Away)
}

fn adopted(outcome: WriteOutcome) -> E {
    E::AdoptDone(outcome)
}

/// A machine whose publisher was let in at 0 without the store.
fn provisional() -> StreamState {
    let mut state = machine();
    assert_eq!(state.ask(0), Ok(vec![A::Claim]));
    assert_eq!(state.handle(away(), 0), [A::AskOwner]);
    assert_eq!(state.handle(SILENT, 0), [A::Admit(EpochKind::Provisional)]);
    state
}

#[test]
fn a_new_epoch_is_told_the_store_until_it_knows() {
    let mut state = provisional();
    assert!(state.unregistered());
    assert_eq!(state.handle(E::SegmentCut, 500), []);
    assert_eq!(state.deadline_ms(), Some(1_000));
    assert_eq!(state.handle(E::Tick, 1_000), [A::Adopt]);
    let failed = adopted(WriteOutcome::Unavailable);
    assert_eq!(state.handle(failed, 4_000), []);
    assert_eq!(state.handle(E::Tick, 5_000), [A::Adopt]);
    assert_eq!(state.handle(adopted(DONE), 5_010), [A::Checkpoint]);
    assert!(!state.unregistered());
}

#[test]
fn of_two_epochs_the_lower_gives_way() {
    let mut state = provisional();
    assert_eq!(state.handle(E::Tick, 1_000), [A::Adopt]);
    assert_eq!(
        state.handle(adopted(WriteOutcome::Fenced), 1_001),
        [
            A::ClosePublisher(Closed::TakenOver),
            A::WithdrawPlaylists,
            A::Forget
        ]
    );
}

#[test]
fn who_is_remembered_as_the_owner_is_asked_all_the_same() {
    let mut state = machine();
    assert_eq!(state.ask(0), Ok(vec![A::Claim]));
    assert_eq!(state.handle(away(), 0), [A::AskOwner]);
    assert_eq!(
        state.handle(E::OwnerAnswered(OwnerAnswer::Publishing), 10),
        [A::RefuseAsker(PublishRefusal::StreamIdInUse), A::Forget]
    );
    let mut state = machine();
    assert_eq!(state.ask(0), Ok(vec![A::Claim]));
    assert_eq!(state.handle(away(), 0), [A::AskOwner]);
    assert_eq!(
        state.handle(E::OwnerAnswered(OwnerAnswer::Yielded), 10),
        [A::Admit(EpochKind::Provisional)]
    );
}

#[test]
fn in_its_grace_a_publisher_comes_back_into_the_epoch_it_had() {
    let mut state = lost(0);
    assert_eq!(state.ask(1_000), Ok(vec![A::Claim]));
    assert_eq!(state.handle(away(), 1_001), [A::Admit(EpochKind::Kept)]);
    assert!(!state.unregistered());
}

#[test]
fn a_claim_that_hangs_is_outdone_and_waited_for() {
    for grace in [false, true] {
        let mut state = if grace { lost(0) } else { machine() };
        assert_eq!(state.ask(1_000), Ok(vec![A::Claim]));
        let unknown = state.handle(E::ClaimDone(ClaimOutcome::Unknown), 4_000);
        if grace {
            assert_eq!(unknown, [A::Admit(EpochKind::ProvisionalResumed)]);
        } else {
            assert_eq!(unknown, [A::AskOwner]);
            let admitted = state.handle(SILENT, 4_000);
            assert_eq!(admitted, [A::Admit(EpochKind::Provisional)]);
        }
        // Nothing is told the store before that call has ended: it would take the stream away.
        assert_eq!(state.handle(E::Tick, 9_000), []);
        assert_eq!(state.deadline_ms(), Some(4_000 + KEYFRAME_MS));
        assert_eq!(state.handle(E::LateClaimDone(true), 12_000), [A::Adopt]);
        assert_eq!(state.handle(adopted(DONE), 12_001), [A::Checkpoint]);
    }
}

#[test]
fn a_late_claim_that_nobody_wants_is_given_back() {
    let mut state = machine();
    assert_eq!(state.ask(0), Ok(vec![A::Claim]));
    let unknown = E::ClaimDone(ClaimOutcome::Unknown);
    assert_eq!(state.handle(unknown, 3_000), [A::AskOwner]);
    assert_eq!(
        state.handle(E::OwnerAnswered(OwnerAnswer::Publishing), 3_100),
        [A::RefuseAsker(PublishRefusal::StreamIdInUse)]
    );
    assert_eq!(state.handle(E::LateClaimDone(true), 9_000), [A::GiveBack]);
    assert_eq!(state.handle(E::ReleaseDone(DONE), 9_001), [A::Forget]);
}

#[test]
fn an_epoch_that_ended_unknown_to_the_store_is_told_and_then_released() {
    let mut state = provisional();
    assert_eq!(state.handle(E::SegmentCut, 100), []);
    let ended = state.handle(E::Unpublish, 200);
    assert_eq!(ended, [A::FinishSegment, A::EndPlaylists, A::Adopt]);
    let failed = adopted(WriteOutcome::Unavailable);
    assert_eq!(state.handle(failed, 3_200), []);
    assert_eq!(state.handle(E::Tick, 4_200), [A::Adopt]);
    assert_eq!(state.handle(adopted(DONE), 4_201), [A::Release]);
    assert_eq!(state.handle(E::ReleaseDone(DONE), 4_202), []);

    let mut state = provisional();
    assert_eq!(state.handle(E::SegmentCut, 100), []);
    assert_eq!(state.handle(E::Unpublish, 200).last(), Some(&A::Adopt));
    let fenced = adopted(WriteOutcome::Fenced);
    assert_eq!(state.handle(fenced, 201), []);
    assert_eq!(state.deadline_ms(), Some(200 + LINGER_MS));
}

#[test]
fn the_next_publisher_of_an_unknown_epoch_waits_until_the_store_was_told() {
    let mut state = provisional();
    assert_eq!(state.handle(E::SegmentCut, 100), []);
    assert_eq!(state.handle(E::ConnectionLost, 200), [A::FinishSegment]);
    assert_eq!(state.ask(300), Ok(vec![A::Adopt]));
    assert_eq!(state.handle(adopted(DONE), 301), [A::Checkpoint]);
    assert_eq!(state.handle(E::CheckpointDone(DONE), 302), [A::Claim]);

    // Or is let in as before, if it cannot be.
    let mut state = provisional();
    assert_eq!(state.handle(E::SegmentCut, 100), []);
    assert_eq!(state.handle(E::ConnectionLost, 200), [A::FinishSegment]);
    assert_eq!(state.ask(300), Ok(vec![A::Adopt]));
    assert_eq!(
        state.handle(adopted(WriteOutcome::Unavailable), 301),
        [A::Admit(EpochKind::Kept)]
    );
    assert!(state.unregistered());
}

#[test]
fn an_asker_that_is_refused_leaves_what_was_owed() {
    let mut state = live();
    assert_eq!(state.handle(E::Unpublish, 0)[2..], [A::Release]);
    let failed = E::ReleaseDone(WriteOutcome::Unavailable);
    assert_eq!(state.handle(failed, 1), []);
    assert_eq!(state.ask(2), Ok(vec![A::Claim]));
    let refused = E::ClaimDone(ClaimOutcome::Refused("full".into()));
    let actions = state.handle(refused, 3);
    assert!(matches!(
        actions[..],
        [A::RefuseAsker(PublishRefusal::Unavailable(_)), A::Release]
    ));
}
