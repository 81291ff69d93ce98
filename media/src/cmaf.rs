//! CMAF (ISO/IEC 23000-19): initialization segments and media segments of one track each.
//!
//! Time on the wire is composition time from the first sample on: decode times are moved forward
//! so that a segment's `tfdt` is the presentation time of the key frame it starts with, and
//! composition offsets may be negative (`trun` version 1, brand `cmf2`). No edit list is needed
//! then, and a player that aligns tracks by `tfdt` and one that aligns them by presentation time
//! both keep lips in sync. The caller (see [`crate::segment`]) gives samples moved that way.
//!
//! Bytes that come out are complete files: `ftyp`+`moov`, or `styp`+`moof`+`mdat`.

mod init;
mod media;
#[cfg(test)]
mod tests;

pub use init::init_segment;
pub use media::{Sample, media_segment};

/// Track id in every file: there is one track a file.
const TRACK_ID: u32 = 1;

/// Why a segment cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CmafError {
    /// The track's parameters do not parse. The encoder's fault.
    #[error("codec parameters: {0}")]
    Codec(#[from] crate::codec::CodecError),
    /// Sizes or counts beyond what the boxes can say (4 GiB, 2^32 samples, 65 535 pixels).
    /// The encoder's fault; limits elsewhere keep it from happening.
    #[error("{0} does not fit its box")]
    TooLarge(&'static str),
    /// A segment without samples was asked for. Our fault.
    #[error("a segment needs a sample")]
    Empty,
    /// The box writer refused. Our fault.
    #[error("box writer: {0}")]
    Boxes(#[from] mp4_atom::Error),
}
