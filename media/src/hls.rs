//! HLS playlists (RFC 8216bis): plain structs in, text out.
//!
//! What a playlist says is the caller's business; how it is said is decided here: tags in a fixed
//! order, durations with six decimals, dates in UTC with milliseconds. Text that goes into a line or
//! a quoted attribute is checked, so that a stream's name can never forge a tag. The version is 7
//! (fMP4), or 8 when `EXT-X-GAP` is used.

mod media;
mod multivariant;
#[cfg(test)]
mod tests;
mod text;

pub use media::{MediaPlaylist, MediaSegment};
pub use multivariant::{AudioRendition, MultivariantPlaylist, Variant};
pub use text::format_date_time;

use crate::time::Timestamp;

/// Why a playlist cannot be written. Always the caller's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HlsError {
    /// Text that cannot stand where it should: empty, a quote or control character in it, or a URI
    /// that starts with `#`.
    #[error("{field} cannot be written: {value:?}")]
    BadText {
        /// Attribute or tag.
        field: &'static str,
        /// The text.
        value: String,
    },
    /// A segment whose duration, rounded, exceeds the target duration (§4.4.3.1).
    #[error("segment {uri} lasts longer than the target duration of {target_duration_s} s")]
    TargetDuration {
        /// The segment's URI.
        uri: String,
        /// What was announced.
        target_duration_s: u32,
    },
    /// A variant without bandwidth or codecs, or one whose audio group is not defined.
    #[error("variant {uri}: {problem}")]
    Variant {
        /// The variant's URI.
        uri: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// The target duration that a segment of this duration asks for: whole seconds, rounded up, at
/// least 1. Announce the largest so far; it must never shrink (§4.4.3.1).
pub fn target_duration_s(longest: Timestamp) -> u32 {
    let rate = i128::from(longest.rate_hz().get());
    let ticks = i128::from(longest.ticks().max(1));
    let seconds = ticks
        .saturating_add(rate)
        .saturating_sub(1)
        .div_euclid(rate);
    u32::try_from(seconds).unwrap_or(u32::MAX).max(1)
}
