//! Readers of what encoders say about their coding: decoder configurations and the FLV/RTMP tag
//! bodies that carry them.
//!
//! All are total functions of a byte slice: any bytes give a value or a [`CodecError`] that names
//! the field and the offset; none panics, loops or allocates beyond a small multiple of its input.

pub mod aac;
mod bits;
pub mod flv;
pub mod h264;

/// Why a decoder configuration or access unit cannot be read. Always the encoder's fault; the same
/// bytes will fail again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The bytes end inside a field.
    #[error("ends inside {field} at byte {offset}")]
    Truncated {
        /// Specification name of the field.
        field: &'static str,
        /// Offset of the field, bytes from the start of the record (of the unescaped payload
        /// for H.264 parameter sets).
        offset: usize,
    },
    /// A field has a value that the specification or this house does not allow.
    #[error("{field} = {value} is not allowed (byte {offset})")]
    Invalid {
        /// Specification name of the field.
        field: &'static str,
        /// What it said.
        value: u64,
        /// Offset, as above.
        offset: usize,
    },
    /// Well-formed, but not something this house can carry.
    #[error("{what} {value} is not supported")]
    Unsupported {
        /// What kind of thing.
        what: &'static str,
        /// Which one.
        value: u64,
    },
}
