//! What can happen to a stream, and what its machine may ask to be done.
//!
//! Every input of [`crate::stream::state::StreamState`] is an [`Event`], every output an
//! [`Action`]; the owner task does the actions and turns their outcomes into events again.

use crate::ingest::PublishRefusal;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The claim came back.
    ClaimDone(ClaimOutcome),
    /// A checkpoint came back.
    CheckpointDone(WriteOutcome),
    /// A release came back.
    ReleaseDone(WriteOutcome),
    /// The publisher sent something a decoder can start from.
    MediaStarted,
    /// The packager cut a segment.
    SegmentCut,
    /// The encoder said that it is done.
    Unpublish,
    /// The publisher's connection went away.
    ConnectionLost,
    /// The packager cannot work with what the encoder sends.
    MediaRefused,
    /// Time passed; see [`StreamState::deadline_ms`].
    Tick,
    /// The node stops.
    Shutdown,
}

/// What the store said to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClaimOutcome {
    /// A new epoch is ours.
    Claimed,
    /// A live node other than this one owns the stream.
    OwnedElsewhere,
    /// The store said that it did nothing.
    Unavailable,
    /// No answer in time: it may have happened, or happen yet.
    Unknown,
}

/// What the store said to a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteOutcome {
    /// Written.
    Done,
    /// Another owner has a newer epoch.
    Fenced,
    /// No answer, or not a usable one.
    Unavailable,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Ask the store for a new epoch; answer with [`Event::ClaimDone`].
    Claim,
    /// Write record and timeline; answer with [`Event::CheckpointDone`].
    Checkpoint,
    /// Give the stream up in the store; answer with [`Event::ReleaseDone`].
    Release,
    /// Let the publisher that asked in.
    Admit(EpochKind),
    /// Turn the publisher that asked away.
    RefuseAsker(PublishRefusal),
    /// Make the connected publisher go.
    ClosePublisher(CloseReason),
    /// Cut what is open into a last segment of this epoch.
    FinishSegment,
    /// Write ENDLIST.
    EndPlaylists,
    /// Answer 404 for the playlists: another node has the stream.
    WithdrawPlaylists,
    /// The task's work is over; drop the stream from the node's list.
    Forget,
    /// The task's work is over; what it made stays served until the process ends.
    Stop,
}

/// What an admitted publisher goes on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EpochKind {
    /// The epoch just claimed, after an end: what was listed before is no part of it.
    Fresh,
    /// The epoch just claimed, in the same playlist after a discontinuity.
    Resumed,
    /// The epoch it had, in the same playlist after a discontinuity: the store cannot be reached
    /// and nobody else can have been given the stream while this node's epoch is the newest; if
    /// somebody was, the next checkpoint is fenced.
    Kept,
}

/// Why the origin closes a publisher; the metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseReason {
    NoKeyframe,
    MediaRefused,
    Fenced,
    Shutdown,
}

impl CloseReason {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::NoKeyframe => "no_keyframe",
            Self::MediaRefused => "media_refused",
            Self::Fenced => "fenced",
            Self::Shutdown => "shutdown",
        }
    }
}
