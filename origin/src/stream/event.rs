//! What can happen to a stream, and what its machine may ask to be done.
//!
//! Every input of [`crate::stream::state::StreamState`] is an [`Event`], every output an
//! [`Action`]; the owner task does the actions and turns their outcomes into events again.

use crate::ingest::{Closed, PublishRefusal};

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The claim came back.
    ClaimDone(ClaimOutcome),
    /// A claim that was given up came back after all; whether it took the stream.
    LateClaimDone(bool),
    /// The node that has the stream was asked to yield it.
    OwnerAnswered(OwnerAnswer),
    /// The registration of a provisional epoch came back.
    AdoptDone(WriteOutcome),
    /// A checkpoint came back.
    CheckpointDone(WriteOutcome),
    /// A release came back.
    ReleaseDone(WriteOutcome),
    /// Another node has a publisher for the stream; ours, if any, has been silent for so long, ms.
    AskedToYield { silent_ms: u64 },
    /// Somebody has a newer epoch.
    Superseded,
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
    /// The application is no more.
    AppDeleted,
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
    /// The store is away: it did nothing.
    Away,
    /// No answer in time: it may have happened, or happen yet. The call goes on and ends as
    /// [`Event::LateClaimDone`].
    Unknown,
    /// The store will not, whoever asks; the words say why.
    Refused(String),
}

/// What the node that has the stream said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnerAnswer {
    /// It has ended its epoch, and the store knows.
    Yielded,
    /// Its publisher is sending.
    Publishing,
    /// No such node is known, it cannot be reached, or it does not know what it owns.
    Silent,
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
    /// Ask the node that has the stream to yield it; answer with [`Event::OwnerAnswered`].
    AskOwner,
    /// Register the epoch that began while the store was away; answer with [`Event::AdoptDone`].
    Adopt,
    /// Write record and timeline; answer with [`Event::CheckpointDone`].
    Checkpoint,
    /// Give the stream up in the store; answer with [`Event::ReleaseDone`].
    Release,
    /// Give back the epoch of a late claim that nobody wants any more; answer with
    /// [`Event::ReleaseDone`].
    GiveBack,
    /// Let the publisher that asked in.
    Admit(EpochKind),
    /// Turn the publisher that asked away.
    RefuseAsker(PublishRefusal),
    /// Make the connected publisher go.
    ClosePublisher(Closed),
    /// Cut what is open into a last segment of this epoch.
    FinishSegment,
    /// Write ENDLIST.
    EndPlaylists,
    /// Show the playlists no more: another node has the stream, or will have it.
    WithdrawPlaylists,
    /// Answer the nodes that asked this one to yield.
    AnswerYield(Yield),
    /// Drop what was cut; the task stays for what it owes the store.
    DropMedia,
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
    /// An epoch that this node chose, for the store is away; see [`crate::stream::provisional`].
    Provisional,
    /// The same, in the same playlist after a discontinuity.
    ProvisionalResumed,
}

/// What a node that asked for the stream is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Yield {
    /// The epoch has ended here.
    Given {
        /// And the store knows.
        released: bool,
    },
    /// The stream has its publisher here, and keeps it.
    Kept,
    /// This node does not have the stream.
    NotHeld,
}
