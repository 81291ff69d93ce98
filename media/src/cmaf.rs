//! CMAF (ISO/IEC 23000-19): initialization segments and media segments of one track each.
//!
//! Both tracks' times lie on one timeline and say when a sample is decoded (`tfdt`, durations) and
//! how much later it is presented (composition offsets). There is no edit list: browsers and
//! players disagree on them. Decode times are not moved to make offsets negative either, though
//! that would start every segment's `tfdt` at its presentation: FFmpeg's demuxer then presents
//! pictures of a fragmented file too late by the most negative offset. Offsets that are negative by
//! the encoder's own doing are written as such (`trun` version 1, brand `cmf2`).
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
