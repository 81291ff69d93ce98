//! The machine under histories nobody thought of.

use super::*;
use proptest::prelude::*;

/// What a fuzzed world does next; outcomes are given only to calls under way.
fn arbitrary_step() -> impl Strategy<Value = (u8, u64)> {
    (0_u8..9, 0_u64..20_000)
}

proptest! {
    /// Whatever happens in whatever order: one store call at a time, admissions only to who
    /// asked, and after everything has stopped the machine comes to its end by ticks alone.
    #[test]
    fn any_history_keeps_the_rules_and_comes_to_an_end(
        steps in proptest::collection::vec(arbitrary_step(), 0..60),
        outcome in 0_u8..4,
    ) {
        let mut world = World { state: machine(), call: None, asked: false, over: false, now_ms: 0 };
        world.ask();
        for (step, by_ms) in steps {
            world.now_ms += by_ms;
            world.step(step, outcome);
        }
        for _ in 0..1_000 {
            if world.over {
                return Ok(());
            }
            world.now_ms = world.state.deadline_ms().unwrap_or(world.now_ms).max(world.now_ms);
            world.step(0, 0);
            world.step(5, 0);
            world.step(3, 0);
        }
        prop_assert!(false, "never came to an end: {:?}", world.state);
    }
}

struct World {
    state: StreamState,
    call: Option<Action>,
    asked: bool,
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
            _ => E::Tick,
        };
        let actions = self.state.handle(event, self.now_ms);
        self.take(actions);
    }

    fn answer(&mut self, outcome: u8) {
        let write = [DONE, DONE, WriteOutcome::Unavailable, WriteOutcome::Fenced];
        let write = write[usize::from(outcome)];
        let event = match self.call.take() {
            Some(A::Claim) => E::ClaimDone(match outcome {
                0 | 1 => ClaimOutcome::Claimed,
                2 => ClaimOutcome::Unavailable,
                _ => ClaimOutcome::OwnedElsewhere,
            }),
            Some(A::Checkpoint) => E::CheckpointDone(write),
            Some(A::Release) => E::ReleaseDone(write),
            _ => return,
        };
        let actions = self.state.handle(event, self.now_ms);
        self.take(actions);
    }

    fn take(&mut self, actions: Vec<Action>) {
        for action in actions {
            assert!(!self.over, "{action:?} after the end");
            match action {
                A::Claim | A::Checkpoint | A::Release => {
                    assert_eq!(self.call, None, "{action:?} while another call runs");
                    self.call = Some(action);
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
