//! The life of one stream as a pure machine: what happened and the time in, what to do out.
//!
//! ```text
//!            ask                 let in             segment cut
//!   Idle ─────────▶ Claiming ─────────▶ Preparing ─────────▶ Live
//!    ▲  refused │     ▲  ▲                  │ lost, nothing    │ unpublish
//!    └──────────┘ ask │  │ ask              │ cut, unpublish   ▼
//!                   Grace └──────────────── Ended ◀────────────┤
//!                     │    grace is over      ▲                │ lost
//!                     └───────────────────────┘   Grace ◀──────┘
//! ```
//!
//! Claiming is more than one question where another node has the stream, or the store is away; see
//! [`claiming`]. What makes a stream leave its publisher or this node is in [`leaving`].
//!
//! At most one store call runs at a time and none is waited for: a call is an action, its outcome
//! an event. So a store that hangs delays a claim and a checkpoint, and never a frame. An epoch
//! that the store does not know yet ([`StreamState::unregistered`]) is registered before anything
//! else is written of it, and what is owed to the store is owed until it took it.
//!
//! Time is `now_ms`, milliseconds of a clock that never goes back, from any start.

mod claiming;
mod leaving;

use crate::ingest::PublishRefusal;
use crate::stream::event::{Action, EpochKind, Event, WriteOutcome, Yield};

/// The times a stream lives by, ms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) publish_grace_ms: u64,
    pub(crate) ended_linger_ms: u64,
    pub(crate) first_keyframe_timeout_ms: u64,
    pub(crate) checkpoint_interval_ms: u64,
    pub(crate) takeover_timeout_ms: u64,
    pub(crate) yield_silence_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Claiming {
        from: Resting,
        step: Step,
        give_up_ms: u64,
    },
    Preparing,
    Live,
    Grace {
        until_ms: u64,
    },
    Ended {
        until_ms: u64,
    },
    Gone,
}

/// Phases without a publisher, from which one may be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resting {
    Idle,
    Grace { until_ms: u64 },
    Ended { until_ms: u64 },
}

/// Whom a claim waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The store.
    Store,
    /// The node that has the stream; the store said so, or, when it is away, what is remembered.
    Owner { away: bool },
    /// The end of the lease of a node that cannot be reached: the store is asked again then.
    Lease { again_ms: u64 },
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
    /// The store was not told yet that the epoch has ended.
    owes: bool,
    /// When the release is due, if one is owed and nothing supersedes it.
    release_at_ms: Option<u64>,
    /// When the registration of a provisional epoch is due, if the store does not know it yet.
    adopt_at_ms: Option<u64>,
    /// A late claim's epoch is to be given back.
    give_back: bool,
    /// Other nodes wait for the release.
    yielding: bool,
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
            owes: false,
            release_at_ms: None,
            adopt_at_ms: None,
            give_back: false,
            yielding: false,
            stopping: false,
        }
    }

    /// When [`Event::Tick`] is due, on the clock of `now_ms`.
    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        let phase_ms = match self.phase {
            Phase::Preparing | Phase::Live => self.keyframe_due_ms,
            Phase::Grace { until_ms } => Some(until_ms),
            Phase::Ended { until_ms } => self.has_segments.then_some(until_ms),
            Phase::Claiming {
                step: Step::Lease { again_ms },
                ..
            } => Some(again_ms),
            Phase::Idle | Phase::Claiming { .. } | Phase::Gone => None,
        };
        let checkpoint_ms = self.writes_checkpoints().then_some(self.next_checkpoint_ms);
        let store_ms = match self.adopt_at_ms {
            Some(at_ms) => self.has_epoch().then_some(at_ms),
            None => checkpoint_ms.or(self.release_at_ms),
        };
        let store_ms = store_ms.filter(|_| !self.store_busy);
        phase_ms.into_iter().chain(store_ms).min()
    }

    /// Whether the store does not know the present epoch yet.
    #[cfg(test)]
    pub(crate) const fn unregistered(&self) -> bool {
        self.adopt_at_ms.is_some()
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
        self.phase = Phase::Claiming {
            from,
            step: Step::Store,
            give_up_ms: now_ms.saturating_add(self.limits.takeover_timeout_ms),
        };
        // The claim supersedes a release that is still owed. An epoch that the store does not know
        // yet is told it first, so that the claim's is greater.
        self.release_at_ms = None;
        self.adopt_at_ms = self.adopt_at_ms.map(|_| now_ms);
        let mut actions = Vec::new();
        self.answer_yield(Yield::Kept, &mut actions);
        self.next_store_call(now_ms, &mut actions);
        Ok(actions)
    }

    /// Takes one event in; the actions are to be done in their order.
    pub(crate) fn handle(&mut self, event: Event, now_ms: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        let out = &mut actions;
        match event {
            Event::ClaimDone(outcome) => self.claim_done(outcome, now_ms, out),
            Event::LateClaimDone(taken) => self.late_claim_done(taken, now_ms),
            Event::OwnerAnswered(answer) => self.owner_answered(answer, now_ms, out),
            Event::AdoptDone(outcome) => self.adopt_done(outcome, now_ms, out),
            Event::CheckpointDone(outcome) => self.checkpoint_done(outcome, now_ms, out),
            Event::ReleaseDone(outcome) => self.release_done(outcome, now_ms, out),
            Event::AskedToYield { silent_ms } => self.asked_to_yield(silent_ms, now_ms, out),
            Event::Superseded => self.superseded(now_ms, out),
            Event::MediaStarted => self.keyframe_due_ms = None,
            Event::SegmentCut => self.segment_cut(),
            Event::Unpublish => self.unpublish(now_ms, out),
            Event::ConnectionLost => self.lose_publisher(now_ms, out),
            Event::MediaRefused => self.media_refused(now_ms, out),
            Event::AppDeleted => self.app_deleted(now_ms, out),
            Event::Tick => self.tick(now_ms, out),
            Event::Shutdown => self.shutdown(now_ms, out),
        }
        self.next_store_call(now_ms, out);
        if !self.store_busy && self.release_at_ms.is_none() {
            // What they wait for is done.
            self.answer_yield(Yield::Given { released: true }, out);
        }
        self.retire(now_ms, out);
        actions
    }

    const fn publishing(&self) -> bool {
        matches!(self.phase, Phase::Preparing | Phase::Live)
    }

    /// An epoch of this node's that the store should know of.
    const fn has_epoch(&self) -> bool {
        self.writes_checkpoints() || self.release_at_ms.is_some()
    }

    const fn writes_checkpoints(&self) -> bool {
        self.publishing() || matches!(self.phase, Phase::Grace { .. })
    }

    fn let_in(&mut self, kind: EpochKind, now_ms: u64, actions: &mut Vec<Action>) {
        if matches!(kind, EpochKind::Fresh | EpochKind::Provisional) {
            self.has_segments = false;
        }
        match kind {
            EpochKind::Fresh | EpochKind::Resumed => self.adopt_at_ms = None,
            EpochKind::Provisional | EpochKind::ProvisionalResumed => self.adopt_soon(now_ms),
            EpochKind::Kept => {}
        }
        if kind != EpochKind::Kept {
            self.owes = false;
        }
        self.phase = Phase::Preparing;
        self.keyframe_due_ms = Some(now_ms.saturating_add(self.limits.first_keyframe_timeout_ms));
        self.schedule_checkpoint(now_ms);
        actions.push(Action::Admit(kind));
        if self.stopping {
            self.shutdown(now_ms, actions);
        }
    }

    fn checkpoint_done(&mut self, outcome: WriteOutcome, now_ms: u64, actions: &mut Vec<Action>) {
        self.store_busy = false;
        if outcome == WriteOutcome::Fenced {
            self.superseded(now_ms, actions);
        }
    }

    fn segment_cut(&mut self) {
        self.has_segments = true;
        if matches!(self.phase, Phase::Preparing) {
            self.phase = Phase::Live;
            self.checkpoint_wanted = true;
        }
    }

    fn tick(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        match self.phase {
            Phase::Preparing | Phase::Live
                if self.keyframe_due_ms.is_some_and(|due_ms| now_ms >= due_ms) =>
            {
                self.no_keyframe(now_ms, actions);
            }
            Phase::Grace { until_ms } if now_ms >= until_ms => self.end(now_ms, actions),
            Phase::Ended { until_ms }
                if now_ms >= until_ms
                    && self.has_segments
                    && (self.release_at_ms.is_some() || self.store_busy) =>
            {
                // Only what is owed to the store keeps the task.
                self.has_segments = false;
                actions.push(Action::DropMedia);
            }
            Phase::Claiming {
                from,
                step: Step::Lease { again_ms },
                give_up_ms,
            } if now_ms >= again_ms => {
                let step = Step::Store;
                self.phase = Phase::Claiming {
                    from,
                    step,
                    give_up_ms,
                };
            }
            _ => {}
        }
        if self.writes_checkpoints() && now_ms >= self.next_checkpoint_ms {
            self.checkpoint_wanted = true;
            self.schedule_checkpoint(now_ms);
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
        let claiming = matches!(
            self.phase,
            Phase::Claiming {
                step: Step::Store,
                ..
            }
        );
        let call = if self.give_back {
            self.give_back = false;
            Action::GiveBack
        } else if let Some(at_ms) = self.adopt_at_ms {
            // Nothing else can be written of an epoch that the store does not know.
            if now_ms < at_ms || !(claiming || self.has_epoch()) {
                return;
            }
            Action::Adopt
        } else if self.checkpoint_wanted {
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
            Phase::Ended { until_ms } => {
                !owed && (self.stopping || !self.has_segments || now_ms >= until_ms)
            }
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
