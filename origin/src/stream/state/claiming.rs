//! How a publisher comes to be let in: the store's word, the present owner's, or neither.
//!
//! - The store gives the epoch: let in.
//! - The store says that another node has the stream: that node is asked to yield. It does when it
//!   has no publisher, or a silent one; then the store is asked again. When its publisher is
//!   sending, the asker is refused. When it cannot be reached, the store is asked again each
//!   [`CLAIM_AGAIN_MS`] until its lease has lapsed, for [`Limits::takeover_timeout_ms`] at most.
//! - The store is away: whoever is remembered as the owner is asked all the same; unless its
//!   publisher is sending, the asker is let in with a provisional epoch, which is registered with
//!   the store as soon as it answers. There the higher epoch wins, and the other publisher is told.
//!
//! [`Limits::takeover_timeout_ms`]: super::Limits

use super::{Phase, Resting, Step, StreamState};
use crate::ingest::{Closed, PublishRefusal};
use crate::stream::event::{Action, ClaimOutcome, EpochKind, OwnerAnswer, WriteOutcome, Yield};

/// How soon the store is asked again whether a node's lease has lapsed, ms.
pub(super) const CLAIM_AGAIN_MS: u64 = 500;
/// How soon the store is told again of a provisional epoch, ms.
pub(super) const ADOPT_AGAIN_MS: u64 = 1_000;

impl StreamState {
    pub(super) fn claim_done(
        &mut self,
        outcome: ClaimOutcome,
        now_ms: u64,
        actions: &mut Vec<Action>,
    ) {
        // A claim without an answer is still under way.
        self.store_busy = outcome == ClaimOutcome::Unknown;
        let Phase::Claiming { from, .. } = self.phase else {
            return;
        };
        match (outcome, from) {
            (ClaimOutcome::Claimed, Resting::Grace { .. }) => {
                self.let_in(EpochKind::Resumed, now_ms, actions);
            }
            (ClaimOutcome::Claimed, _) => self.let_in(EpochKind::Fresh, now_ms, actions),
            (ClaimOutcome::OwnedElsewhere, _) => {
                if matches!(from, Resting::Grace { .. }) {
                    // What this node was waiting to go on with is another's now.
                    actions.push(Action::WithdrawPlaylists);
                    self.checkpoint_wanted = false;
                    self.rest_in(self.ended_at(now_ms));
                }
                self.ask_owner(false, now_ms, actions);
            }
            (ClaimOutcome::Away, Resting::Grace { .. }) => {
                self.let_in(EpochKind::Kept, now_ms, actions);
            }
            // A late claim would take the epoch away that is kept, so a greater one is begun.
            (ClaimOutcome::Unknown, Resting::Grace { .. }) => {
                self.let_in(EpochKind::ProvisionalResumed, now_ms, actions);
            }
            (ClaimOutcome::Away | ClaimOutcome::Unknown, _) => {
                self.ask_owner(true, now_ms, actions);
            }
            (ClaimOutcome::Refused(why), _) => {
                self.refuse_asker(PublishRefusal::Unavailable(why), now_ms, actions);
            }
        }
    }

    pub(super) fn owner_answered(
        &mut self,
        answer: OwnerAnswer,
        now_ms: u64,
        actions: &mut Vec<Action>,
    ) {
        let Phase::Claiming {
            from,
            step: Step::Owner { away },
            give_up_ms,
        } = self.phase
        else {
            return;
        };
        let step = match answer {
            OwnerAnswer::Publishing => {
                return self.refuse_asker(PublishRefusal::StreamIdInUse, now_ms, actions);
            }
            _ if away => return self.let_in(EpochKind::Provisional, now_ms, actions),
            OwnerAnswer::Yielded if now_ms < give_up_ms => Step::Store,
            OwnerAnswer::Silent if now_ms < give_up_ms => Step::Lease {
                again_ms: now_ms.saturating_add(CLAIM_AGAIN_MS),
            },
            _ => return self.refuse_asker(PublishRefusal::OwnerSilent, now_ms, actions),
        };
        self.phase = Phase::Claiming {
            from,
            step,
            give_up_ms,
        };
    }

    /// A claim that was given up has ended. Where a provisional epoch was begun meanwhile, that
    /// one is greater and is registered over it; else nobody wants it any more.
    pub(super) fn late_claim_done(&mut self, taken: bool, now_ms: u64) {
        self.store_busy = false;
        if self.adopt_at_ms.is_some() {
            self.adopt_at_ms = Some(now_ms);
        } else {
            self.give_back = taken;
        }
    }

    pub(super) fn adopt_done(
        &mut self,
        outcome: WriteOutcome,
        now_ms: u64,
        actions: &mut Vec<Action>,
    ) {
        self.store_busy = false;
        match outcome {
            WriteOutcome::Done => {
                self.adopt_at_ms = None;
                self.checkpoint_wanted |= self.writes_checkpoints();
            }
            WriteOutcome::Fenced => {
                self.adopt_at_ms = None;
                // An epoch that has ended is simply over.
                (self.owes, self.release_at_ms) = (false, None);
                self.superseded(now_ms, actions);
            }
            WriteOutcome::Unavailable => {
                self.adopt_soon(now_ms);
                self.answer_yield(Yield::Given { released: false }, actions);
                if self.stopping {
                    self.release_at_ms = None;
                }
                if matches!(self.phase, Phase::Claiming { step, .. } if step == Step::Store) {
                    // The store is as far away as it would be for the claim.
                    self.claim_done(ClaimOutcome::Away, now_ms, actions);
                }
            }
        }
    }

    pub(super) fn adopt_soon(&mut self, now_ms: u64) {
        self.adopt_at_ms = Some(now_ms.saturating_add(ADOPT_AGAIN_MS));
    }

    /// Somebody has a newer epoch: whoever is here or on the way in gives way.
    pub(super) fn superseded(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        match self.phase {
            Phase::Preparing | Phase::Live => {
                actions.push(Action::ClosePublisher(Closed::TakenOver));
                self.give_way(now_ms, actions);
            }
            Phase::Grace { .. } => self.give_way(now_ms, actions),
            Phase::Claiming {
                from: Resting::Grace { .. },
                ..
            } => {
                // The asker stays: it may yet be given the stream by whoever has it.
                actions.push(Action::WithdrawPlaylists);
                self.checkpoint_wanted = false;
                self.adopt_at_ms = None;
                self.rest_in(self.ended_at(now_ms));
            }
            // The epoch was over anyway.
            _ => {}
        }
    }

    /// Ends a claim with a no.
    pub(super) fn refuse_asker(
        &mut self,
        refusal: PublishRefusal,
        now_ms: u64,
        actions: &mut Vec<Action>,
    ) {
        let Phase::Claiming { from, .. } = self.phase else {
            return;
        };
        actions.push(Action::RefuseAsker(refusal));
        self.phase = from.into();
        if self.owes {
            self.release_at_ms = Some(now_ms);
        }
        if self.stopping {
            self.shutdown(now_ms, actions);
        }
    }

    fn ask_owner(&mut self, away: bool, now_ms: u64, actions: &mut Vec<Action>) {
        let Phase::Claiming {
            from, give_up_ms, ..
        } = self.phase
        else {
            return;
        };
        if self.stopping {
            let why = "the node is stopping".to_owned();
            return self.refuse_asker(PublishRefusal::Unavailable(why), now_ms, actions);
        }
        self.phase = Phase::Claiming {
            from,
            step: Step::Owner { away },
            give_up_ms,
        };
        actions.push(Action::AskOwner);
    }

    const fn ended_at(&self, now_ms: u64) -> Resting {
        Resting::Ended {
            until_ms: now_ms.saturating_add(self.limits.ended_linger_ms),
        }
    }

    /// What a claim falls back to when it fails.
    const fn rest_in(&mut self, resting: Resting) {
        if let Phase::Claiming { from, .. } = &mut self.phase {
            *from = resting;
        }
    }
}
