//! Media time: a count of ticks that carries its clock rate.

use std::num::NonZeroU32;

/// An instant on a stream's media timeline: `ticks` of a clock with `rate_hz` ticks a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp {
    ticks: i64,
    rate_hz: NonZeroU32,
}

impl Timestamp {
    /// A timestamp of `ticks` at `rate_hz`.
    pub const fn new(ticks: i64, rate_hz: NonZeroU32) -> Self {
        Self { ticks, rate_hz }
    }

    /// The count of ticks.
    pub const fn ticks(self) -> i64 {
        self.ticks
    }

    /// Ticks per second.
    pub const fn rate_hz(self) -> NonZeroU32 {
        self.rate_hz
    }
}
