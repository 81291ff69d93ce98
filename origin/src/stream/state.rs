//! The life of one stream as a pure machine: what happened and the time in, what to do out.
//!
//! ```text
//!            ask                 claimed            segment cut
//!   Idle ─────────▶ Claiming ─────────▶ Preparing ─────────▶ Live
//!    ▲  refused │     ▲  ▲                  │ lost, nothing    │ unpublish
//!    └──────────┘ ask │  │ ask              │ cut, unpublish   ▼
//!                   Grace └──────────────── Ended ◀────────────┤
//!                     │    grace is over      ▲                │ lost
//!                     └───────────────────────┘   Grace ◀──────┘
//! ```
//!
//! At most one store call runs at a time and none is waited for: a call is an action, its outcome
//! an event. So a store that hangs delays a claim and a checkpoint, and never a frame.
//!
//! Time is `now_ms`, milliseconds of a clock that never goes back, from any start.

use crate::ingest::PublishRefusal;
use crate::stream::event::{Action, ClaimOutcome, CloseReason, EpochKind, Event, WriteOutcome};

/// The times a stream lives by, ms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) publish_grace_ms: u64,
    pub(crate) ended_linger_ms: u64,
    pub(crate) first_keyframe_timeout_ms: u64,
    pub(crate) checkpoint_interval_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Claiming { from: Resting },
    Preparing,
    Live,
    Grace { until_ms: u64 },
    Ended { until_ms: u64 },
    Gone,
}

/// Phases without a publisher, from which one may be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resting {
    Idle,
    Grace { until_ms: u64 },
    Ended { until_ms: u64 },
}

impl From<Resting> for Phase {
    fn from(resting: Resting) -> Self {
        match resting {
            Resting::Idle => Self::Idle,
            Resting::Grace { until_ms } => Self::Grace { until_ms },
            Resting::Ended { until_ms } => Self::Ended { until_ms },
        }
    }
}

/// The machine.
#[derive(Debug)]
pub(crate) struct StreamState {
    limits: Limits,
    phase: Phase,
    /// Something can be served: ended or lost streams without any are forgotten at once.
    has_segments: bool,
    /// When the publisher must have sent something to start from; `None` once it has.
    keyframe_due_ms: Option<u64>,
    next_checkpoint_ms: u64,
    store_busy: bool,
    checkpoint_wanted: bool,
    /// When the release is due, if one is owed.
    release_at_ms: Option<u64>,
    stopping: bool,
}

impl StreamState {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            phase: Phase::Idle,
            has_segments: false,
            keyframe_due_ms: None,
            next_checkpoint_ms: 0,
            store_busy: false,
            checkpoint_wanted: false,
            release_at_ms: None,
            stopping: false,
        }
    }

    /// When [`Event::Tick`] is due, on the clock of `now_ms`.
    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        let phase_ms = match self.phase {
            Phase::Preparing | Phase::Live => self.keyframe_due_ms,
            Phase::Grace { until_ms } | Phase::Ended { until_ms } => Some(until_ms),
            Phase::Idle | Phase::Claiming { .. } | Phase::Gone => None,
        };
        let checkpoint_ms = self.writes_checkpoints().then_some(self.next_checkpoint_ms);
        let store_ms = checkpoint_ms
            .or(self.release_at_ms)
            .filter(|_| !self.store_busy);
        phase_ms.into_iter().chain(store_ms).min()
    }

    /// A publisher asks for the stream.
    ///
    /// # Errors
    /// Why it is turned away at once; whoever asked before it is not touched.
    pub(crate) fn ask(&mut self, now_ms: u64) -> Result<Vec<Action>, PublishRefusal> {
        if self.stopping || self.phase == Phase::Gone {
            return Err(PublishRefusal::Unavailable("the node is stopping".into()));
        }
        let from = match self.phase {
            Phase::Idle => Resting::Idle,
            Phase::Grace { until_ms } => Resting::Grace { until_ms },
            Phase::Ended { until_ms } => Resting::Ended { until_ms },
            _ => return Err(PublishRefusal::StreamIdInUse),
        };
        self.phase = Phase::Claiming { from };
        // The claim supersedes a release that is still owed.
        self.release_at_ms = None;
        let mut actions = Vec::new();
        self.next_store_call(now_ms, &mut actions);
        Ok(actions)
    }

    /// Takes one event in; the actions are to be done in their order.
    pub(crate) fn handle(&mut self, event: Event, now_ms: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::ClaimDone(outcome) => self.claim_done(outcome, now_ms, &mut actions),
            Event::CheckpointDone(outcome) => self.checkpoint_done(outcome, now_ms, &mut actions),
            Event::ReleaseDone(outcome) => self.release_done(outcome, now_ms),
            Event::MediaStarted => self.keyframe_due_ms = None,
            Event::SegmentCut => self.segment_cut(),
            Event::Unpublish => self.unpublish(now_ms, &mut actions),
            Event::ConnectionLost => self.lose_publisher(now_ms, &mut actions),
            Event::MediaRefused => self.close(CloseReason::MediaRefused, now_ms, &mut actions),
            Event::Tick => self.tick(now_ms, &mut actions),
            Event::Shutdown => self.shutdown(now_ms, &mut actions),
        }
        self.next_store_call(now_ms, &mut actions);
        self.retire(now_ms, &mut actions);
        actions
    }

    const fn publishing(&self) -> bool {
        matches!(self.phase, Phase::Preparing | Phase::Live)
    }

    const fn writes_checkpoints(&self) -> bool {
        self.publishing() || matches!(self.phase, Phase::Grace { .. })
    }

    fn claim_done(&mut self, outcome: ClaimOutcome, now_ms: u64, actions: &mut Vec<Action>) {
        self.store_busy = false;
        let Phase::Claiming { from } = self.phase else {
            return;
        };
        let kind = match (&outcome, from) {
            (ClaimOutcome::Claimed, Resting::Grace { .. }) => EpochKind::Resumed,
            (ClaimOutcome::Claimed, _) => EpochKind::Fresh,
            (ClaimOutcome::Unavailable, Resting::Grace { .. }) => EpochKind::Kept,
            _ => return self.claim_refused(&outcome, from, now_ms, actions),
        };
        if kind == EpochKind::Fresh {
            self.has_segments = false;
        }
        self.phase = Phase::Preparing;
        self.keyframe_due_ms = Some(now_ms.saturating_add(self.limits.first_keyframe_timeout_ms));
        self.schedule_checkpoint(now_ms);
        actions.push(Action::Admit(kind));
        if self.stopping {
            self.shutdown(now_ms, actions);
        }
    }

    fn claim_refused(
        &mut self,
        outcome: &ClaimOutcome,
        from: Resting,
        now_ms: u64,
        actions: &mut Vec<Action>,
    ) {
        let owned = *outcome == ClaimOutcome::OwnedElsewhere;
        actions.push(Action::RefuseAsker(if owned {
            PublishRefusal::StreamIdInUse
        } else {
            PublishRefusal::Unavailable("the store of streams cannot be used now; try again".into())
        }));
        self.phase = from.into();
        if owned && matches!(from, Resting::Grace { .. }) {
            self.give_way(now_ms, actions);
        }
        if self.stopping {
            self.shutdown(now_ms, actions);
        }
    }

    fn checkpoint_done(&mut self, outcome: WriteOutcome, now_ms: u64, actions: &mut Vec<Action>) {
        self.store_busy = false;
        if outcome != WriteOutcome::Fenced {
            return;
        }
        match self.phase {
            Phase::Preparing | Phase::Live => {
                actions.push(Action::ClosePublisher(CloseReason::Fenced));
                self.give_way(now_ms, actions);
            }
            Phase::Grace { .. } => self.give_way(now_ms, actions),
            Phase::Claiming {
                from: Resting::Grace { .. },
            } => {
                actions.push(Action::RefuseAsker(PublishRefusal::StreamIdInUse));
                self.give_way(now_ms, actions);
            }
            // The epoch was over anyway.
            _ => {}
        }
    }

    fn release_done(&mut self, outcome: WriteOutcome, now_ms: u64) {
        self.store_busy = false;
        // A claim that came meanwhile supersedes the release; a stop does not wait for a store.
        let again = outcome == WriteOutcome::Unavailable
            && matches!(self.phase, Phase::Ended { .. })
            && !self.stopping;
        if again {
            self.release_at_ms = Some(now_ms.saturating_add(self.limits.checkpoint_interval_ms));
        }
    }

    fn segment_cut(&mut self) {
        self.has_segments = true;
        if matches!(self.phase, Phase::Preparing) {
            self.phase = Phase::Live;
            self.checkpoint_wanted = true;
        }
    }

    fn unpublish(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        if self.publishing() {
            actions.push(Action::FinishSegment);
            self.end(now_ms, actions);
        }
    }

    fn close(&mut self, reason: CloseReason, now_ms: u64, actions: &mut Vec<Action>) {
        if self.publishing() {
            actions.push(Action::ClosePublisher(reason));
            self.lose_publisher(now_ms, actions);
        }
    }

    /// A publisher that went before anything was cut leaves nothing worth waiting for.
    fn lose_publisher(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
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

    fn end(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        actions.push(Action::EndPlaylists);
        self.release_at_ms = Some(now_ms);
        self.rest(now_ms);
    }

    fn give_way(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        actions.push(Action::WithdrawPlaylists);
        self.release_at_ms = None;
        self.rest(now_ms);
    }

    fn rest(&mut self, now_ms: u64) {
        self.checkpoint_wanted = false;
        self.phase = Phase::Ended {
            until_ms: now_ms.saturating_add(self.limits.ended_linger_ms),
        };
    }

    fn tick(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        match self.phase {
            Phase::Preparing | Phase::Live
                if self.keyframe_due_ms.is_some_and(|due_ms| now_ms >= due_ms) =>
            {
                self.close(CloseReason::NoKeyframe, now_ms, actions);
            }
            Phase::Grace { until_ms } if now_ms >= until_ms => self.end(now_ms, actions),
            _ => {}
        }
        if self.writes_checkpoints() && now_ms >= self.next_checkpoint_ms {
            self.checkpoint_wanted = true;
            self.schedule_checkpoint(now_ms);
        }
    }

    fn shutdown(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        self.stopping = true;
        match self.phase {
            Phase::Preparing | Phase::Live => {
                actions.push(Action::ClosePublisher(CloseReason::Shutdown));
                actions.push(Action::FinishSegment);
                self.end(now_ms, actions);
            }
            Phase::Grace { .. } => self.end(now_ms, actions),
            // A claim under way ends first; its outcome brings us back here.
            _ => {}
        }
    }

    fn schedule_checkpoint(&mut self, now_ms: u64) {
        self.next_checkpoint_ms = now_ms.saturating_add(self.limits.checkpoint_interval_ms);
    }

    /// Starts the most urgent store call, if none runs.
    fn next_store_call(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        if self.store_busy {
            return;
        }
        let claiming = matches!(self.phase, Phase::Claiming { .. });
        let call = if self.checkpoint_wanted {
            // Before a claim too: it tells the store where the timeline stopped.
            self.checkpoint_wanted = false;
            Action::Checkpoint
        } else if claiming {
            Action::Claim
        } else if self.release_at_ms.is_some_and(|at_ms| now_ms >= at_ms) {
            self.release_at_ms = None;
            Action::Release
        } else {
            return;
        };
        self.store_busy = true;
        actions.push(call);
    }

    /// Ends the task when nothing is left to do or to serve.
    fn retire(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        let owed = self.release_at_ms.is_some();
        let over = match self.phase {
            Phase::Idle => true,
            Phase::Ended { until_ms } if now_ms >= until_ms => true,
            Phase::Ended { .. } => !owed && (self.stopping || !self.has_segments),
            _ => false,
        };
        if over && !self.store_busy {
            self.phase = Phase::Gone;
            actions.push(if self.stopping {
                Action::Stop
            } else {
                Action::Forget
            });
        }
    }
}

#[cfg(test)]
mod tests;
