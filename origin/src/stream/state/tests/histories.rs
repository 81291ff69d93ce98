//! The machine under histories nobody thought of.

use super::*;
use proptest::prelude::*;

/// What a fuzzed world does next, how long after, and how calls under way come out.
fn arbitrary_step() -> impl Strategy<Value = (u8, u64, u8)> {
    (0_u8..13, 0_u64..20_000, 0_u8..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Whatever happens in whatever order: one store call at a time, admissions only to who
    /// asked, everybody who asks is answered, and after everything has stopped the machine comes
    /// to its end by ticks alone.
    #[test]
    fn any_history_keeps_the_rules_and_comes_to_an_end(
        steps in proptest::collection::vec(arbitrary_step(), 0..80),
    ) {
        let mut world = World {
            state: machine(),
            call: None,
            late: false,
            owner_asked: false,
            asked: false,
            yielding: false,
            over: false,
            now_ms: 0,
        };
        world.ask();
        for (step, by_ms, outcome) in steps {
            world.now_ms += by_ms;
            world.step(step, outcome);
        }
        for _ in 0..1_000 {
            if world.over {
                prop_assert!(!world.asked, "an asker without an answer");
                prop_assert!(!world.yielding, "a node without an answer");
                return Ok(());
            }
            world.now_ms = world.state.deadline_ms().unwrap_or(world.now_ms).max(world.now_ms);
            for step in [0, 9, 5, 3] {
                world.step(step, 0);
            }
        }
        prop_assert!(false, "never came to an end: {:?}", world.state);
    }
}

struct World {
    state: StreamState,
    call: Option<Action>,
    /// A claim that was given up is under way.
    late: bool,
    owner_asked: bool,
    asked: bool,
    yielding: bool,
    over: bool,
    now_ms: u64,
}

impl World {
    fn ask(&mut self) {
        if let Ok(actions) = self.state.ask(self.now_ms) {
            assert!(!self.asked, "two askers at once");
            self.asked = true;
            self.take(actions);
        }
    }

    fn step(&mut self, step: u8, outcome: u8) {
        if self.over {
            return;
        }
        let event = match step {
            0 => return self.answer(outcome),
            1 => return self.ask(),
            2 => E::SegmentCut,
            8 => E::MediaStarted,
            3 => E::ConnectionLost,
            4 => E::Unpublish,
            6 => E::MediaRefused,
            7 if outcome == 0 => E::Shutdown,
            9 if std::mem::take(&mut self.owner_asked) => E::OwnerAnswered(match outcome {
                0 | 1 => OwnerAnswer::Yielded,
                2 => OwnerAnswer::Publishing,
                _ => OwnerAnswer::Silent,
            }),
            10 => {
                self.yielding = true;
                E::AskedToYield {
                    silent_ms: u64::from(outcome) * 1_000,
                }
            }
            11 if outcome < 2 => E::Superseded,
            12 if outcome == 0 => E::AppDeleted,
            _ => E::Tick,
        };
        self.handle(event);
    }

    fn answer(&mut self, outcome: u8) {
        let write = match outcome {
            0 | 1 => DONE,
            2 | 3 => WriteOutcome::Unavailable,
            _ => WriteOutcome::Fenced,
        };
        let event = match self.call.take() {
            Some(A::Claim) if !self.late => E::ClaimDone(match outcome {
                0 => ClaimOutcome::Claimed,
                1 => ClaimOutcome::OwnedElsewhere,
                2 => ClaimOutcome::Away,
                3 => {
                    (self.call, self.late) = (Some(A::Claim), true);
                    ClaimOutcome::Unknown
                }
                _ => ClaimOutcome::Refused(String::new()),
            }),
            Some(A::Claim) => {
                self.late = false;
                E::LateClaimDone(outcome < 2)
            }
            Some(A::Adopt) => E::AdoptDone(write),
            Some(A::Checkpoint) => E::CheckpointDone(write),
            Some(A::Release | A::GiveBack) => E::ReleaseDone(write),
            _ => return,
        };
        self.handle(event);
    }

    fn handle(&mut self, event: Event) {
        let actions = self.state.handle(event, self.now_ms);
        self.take(actions);
    }

    fn take(&mut self, actions: Vec<Action>) {
        for action in actions {
            assert!(!self.over, "{action:?} after the end");
            match action {
                A::Claim | A::Adopt | A::Checkpoint | A::Release | A::GiveBack => {
                    assert_eq!(self.call, None, "{action:?} while another call runs");
                    self.call = Some(action);
                }
                A::AskOwner => self.owner_asked = true,
                A::AnswerYield(_) => {
                    assert!(self.yielding, "{action:?} with no node asking");
                    self.yielding = false;
                }
                A::Admit(_) | A::RefuseAsker(_) => {
                    assert!(self.asked, "{action:?} with nobody asking");
                    self.asked = false;
                }
                A::Forget | A::Stop => self.over = true,
                _ => {}
            }
        }
    }
}
