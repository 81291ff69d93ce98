//! CMAF (ISO/IEC 23000-19): initialization segments and media segments of one track each.
//!
//! Decode times are given moved so that a key frame decodes when it is presented, and composition
//! offsets may be negative (`trun` version 1, brand `cmf2`); there is no edit list. hls.js places
//! what it loads by `tfdt` and knows no edit lists: were decode times left where the encoder put
//! them, or mended by an edit list, it would leave a hole as long as the reordering delay at the
//! start and at every discontinuity, and playback would stumble there. The price: FFmpeg's demuxer
//! presents such pictures too late, by the most negative offset (a picture or two). Browsers do not.
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
