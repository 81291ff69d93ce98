//! How a stream leaves its publisher, and how it leaves this node.

use super::{Phase, Step, StreamState};
use crate::ingest::{Closed, PublishRefusal};
use crate::stream::event::{Action, WriteOutcome, Yield};

impl StreamState {
    pub(super) fn unpublish(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        if self.publishing() {
            actions.push(Action::FinishSegment);
            self.end(now_ms, actions);
        }
    }

    pub(super) fn no_keyframe(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        self.close(Closed::NoKeyframe, now_ms, actions);
    }

    pub(super) fn media_refused(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        self.close(Closed::MediaRefused, now_ms, actions);
    }

    fn close(&mut self, reason: Closed, now_ms: u64, actions: &mut Vec<Action>) {
        if self.publishing() {
            actions.push(Action::ClosePublisher(reason));
            self.lose_publisher(now_ms, actions);
        }
    }

    /// A publisher that went before anything was cut leaves nothing worth waiting for.
    pub(super) fn lose_publisher(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        if !self.publishing() {
            return;
        }
        actions.push(Action::FinishSegment);
        if self.has_segments {
            self.phase = Phase::Grace {
                until_ms: now_ms.saturating_add(self.limits.publish_grace_ms),
            };
            self.checkpoint_wanted = true;
        } else {
            self.end(now_ms, actions);
        }
    }

    pub(super) fn end(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        actions.push(Action::EndPlaylists);
        self.owe_release(now_ms);
        self.rest(now_ms);
    }

    /// Another node has a publisher for the stream, and this one's yields unless it is at work.
    pub(super) fn asked_to_yield(
        &mut self,
        silent_ms: u64,
        now_ms: u64,
        actions: &mut Vec<Action>,
    ) {
        match self.phase {
            Phase::Preparing | Phase::Live if silent_ms >= self.limits.yield_silence_ms => {
                actions.push(Action::ClosePublisher(Closed::Silent));
                actions.push(Action::FinishSegment);
                self.hand_over(now_ms, actions);
            }
            Phase::Grace { .. } => self.hand_over(now_ms, actions),
            Phase::Ended { .. } if self.release_at_ms.is_some() => {
                self.release_at_ms = Some(now_ms);
                self.adopt_at_ms = self.adopt_at_ms.map(|_| now_ms);
                self.yielding = true;
            }
            Phase::Ended { .. } if self.store_busy => self.yielding = true,
            Phase::Ended { .. } => {
                let released = true;
                actions.push(Action::AnswerYield(Yield::Given { released }));
            }
            Phase::Preparing | Phase::Live | Phase::Claiming { .. } => {
                actions.push(Action::AnswerYield(Yield::Kept));
            }
            Phase::Idle | Phase::Gone => actions.push(Action::AnswerYield(Yield::NotHeld)),
        }
    }

    pub(super) fn release_done(
        &mut self,
        outcome: WriteOutcome,
        now_ms: u64,
        actions: &mut Vec<Action>,
    ) {
        self.store_busy = false;
        // A claim that came meanwhile supersedes the release; a stop does not wait for a store.
        if outcome != WriteOutcome::Unavailable {
            self.owes = false;
            return;
        }
        if self.owes && matches!(self.phase, Phase::Ended { .. }) && !self.stopping {
            self.release_at_ms = Some(now_ms.saturating_add(self.limits.checkpoint_interval_ms));
        }
        self.answer_yield(Yield::Given { released: false }, actions);
    }

    pub(super) fn app_deleted(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        match self.phase {
            Phase::Preparing | Phase::Live => {
                actions.push(Action::ClosePublisher(Closed::AppDeleted));
                actions.push(Action::FinishSegment);
                self.end(now_ms, actions);
            }
            Phase::Grace { .. } => self.end(now_ms, actions),
            // Who is on the way in was asked for its application before; the next is refused.
            _ => {}
        }
    }

    pub(super) fn shutdown(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        self.stopping = true;
        match self.phase {
            Phase::Preparing | Phase::Live => {
                actions.push(Action::ClosePublisher(Closed::Shutdown));
                actions.push(Action::FinishSegment);
                self.end(now_ms, actions);
            }
            Phase::Grace { .. } => self.end(now_ms, actions),
            // A question to the store ends first; its outcome brings us back here.
            Phase::Claiming { step, .. } if step != Step::Store => {
                let why = "the node is stopping".to_owned();
                self.refuse_asker(PublishRefusal::Unavailable(why), now_ms, actions);
            }
            _ => {}
        }
    }

    /// Gives way to a newer epoch: nothing of this one is shown as live any more.
    pub(super) fn give_way(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        actions.push(Action::WithdrawPlaylists);
        self.owes = false;
        self.release_at_ms = None;
        self.adopt_at_ms = None;
        self.rest(now_ms);
    }

    pub(super) fn answer_yield(&mut self, answer: Yield, actions: &mut Vec<Action>) {
        if std::mem::take(&mut self.yielding) {
            actions.push(Action::AnswerYield(answer));
        }
    }

    fn hand_over(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        actions.push(Action::WithdrawPlaylists);
        self.owe_release(now_ms);
        self.yielding = true;
        self.rest(now_ms);
    }

    fn owe_release(&mut self, now_ms: u64) {
        self.owes = true;
        self.release_at_ms = Some(now_ms);
        self.adopt_at_ms = self.adopt_at_ms.map(|_| now_ms);
    }

    fn rest(&mut self, now_ms: u64) {
        self.checkpoint_wanted = false;
        self.phase = Phase::Ended {
            until_ms: now_ms.saturating_add(self.limits.ended_linger_ms),
        };
    }
}
