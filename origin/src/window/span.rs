//! Media spans in the window's own units.

use std::num::NonZeroU32;

use weir_media::Timestamp;

pub(super) const MICROSECONDS_HZ: NonZeroU32 = match NonZeroU32::new(1_000_000) {
    Some(rate) => rate,
    None => NonZeroU32::MIN,
};

/// A duration in µs, 0 when it cannot be one.
pub(super) fn micros(span: Timestamp) -> u64 {
    let us = span.rescale(MICROSECONDS_HZ).map_or(0, Timestamp::ticks);
    u64::try_from(us).unwrap_or(0)
}
