//! What can be wrong, by kind: the vocabulary of the judge, the report and its readers.

use serde::Serialize;

/// A kind of error. Its name in reports is its own in `snake_case`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// No connection for a publisher.
    PublishUnreachable,
    /// The server said no.
    PublishRefused,
    /// A publish ended that should have gone on.
    PublishLost,
    /// Frames could not be sent in time: the server did not take them.
    PublishBehind,
    /// No connection for a viewer.
    HttpUnreachable,
    /// No whole answer in time.
    HttpTimeout,
    /// A connection broke, or an answer ended before its Content-Length.
    HttpBroken,
    /// A stream that is published did not play in time.
    NeverPlayed,
    /// A playlist was answered with another status than 200.
    PlaylistStatus,
    /// A playlist that makes no sense.
    PlaylistUnreadable,
    /// A media sequence number, or the list, went back.
    SequenceBack,
    /// Segments left the list before a viewer who polls as he should saw them.
    SequenceGap,
    /// An entry says something else than it did before.
    EntryChanged,
    /// The same URI stands for two segments.
    SegmentRepeated,
    /// EXT-X-DISCONTINUITY-SEQUENCE does not count what left the list.
    DiscontinuitySequence,
    /// EXTINF above the target duration, or a target duration that shrank.
    TargetDuration,
    /// A listed segment that is said to be missing (EXT-X-GAP).
    Gap,
    /// No new segment for more than three target durations.
    Stalled,
    /// EXT-X-ENDLIST while the stream is being published.
    EndedEarly,
    /// A listed segment or initialization section was answered with another status than 200.
    SegmentStatus,
    /// A segment whose boxes cannot be read.
    SegmentUnreadable,
    /// One URL, two contents.
    SegmentChanged,
    /// EXTINF is not what the segment's samples last.
    Extinf,
    /// A segment does not begin where the one before it ended, and says no discontinuity.
    Timing,
}

impl Kind {
    /// What it means, for a report's reader.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::PublishUnreachable => "a publisher got no connection",
            Self::PublishRefused => "a publish was refused",
            Self::PublishLost => "a publish was cut off",
            Self::PublishBehind => "the server did not take frames in time",
            Self::HttpUnreachable => "a viewer got no connection",
            Self::HttpTimeout => "a request had no whole answer in time",
            Self::HttpBroken => "a connection broke, or an answer was cut short",
            Self::NeverPlayed => "a published stream did not play in time",
            Self::PlaylistStatus => "a playlist was answered with an error",
            Self::PlaylistUnreadable => "a playlist makes no sense",
            Self::SequenceBack => "a playlist went back",
            Self::SequenceGap => "sequence numbers were left out",
            Self::EntryChanged => "a playlist's entry changed",
            Self::SegmentRepeated => "a playlist lists the same segment twice",
            Self::DiscontinuitySequence => "the discontinuity sequence is wrong",
            Self::TargetDuration => "the target duration is wrong",
            Self::Gap => "a segment is listed as missing",
            Self::Stalled => "no new segment for over three target durations",
            Self::EndedEarly => "a stream that is being published ended",
            Self::SegmentStatus => "a listed segment was answered with an error",
            Self::SegmentUnreadable => "a segment cannot be read",
            Self::SegmentChanged => "a segment's URL has two contents",
            Self::Extinf => "EXTINF is not what the segment lasts",
            Self::Timing => "a segment does not follow the one before it",
        }
    }
}

/// One thing found wrong.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    /// What was found and what was expected.
    pub(crate) detail: String,
}

impl Fault {
    /// A fault of this kind.
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }
}
