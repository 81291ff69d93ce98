//! Media time: a count of ticks that carries its clock rate.
//!
//! A bare integer of "milliseconds or maybe 90 kHz" is how streams lose their lip-sync, so the
//! rate travels with the count. Comparison is by instant: 1000 ticks of 1 kHz equal 90 000 ticks
//! of 90 kHz. Conversions round to the nearest tick, halves towards the future, which keeps the
//! rounding of a stream independent of where its zero lies. Nothing wraps: what does not fit an
//! `i64` is `None`, or saturates where the name says so.

use std::cmp::Ordering;
use std::fmt;
use std::num::NonZeroU32;

/// Ticks per second of a millisecond clock (RTMP's).
pub const MILLISECONDS_HZ: NonZeroU32 = match NonZeroU32::new(1000) {
    Some(rate) => rate,
    None => NonZeroU32::MIN,
};

/// An instant on a stream's media timeline: `ticks` of a clock with `rate_hz` ticks a second.
#[derive(Clone, Copy, Debug)]
pub struct Timestamp {
    ticks: i64,
    rate_hz: NonZeroU32,
}

impl Timestamp {
    /// A timestamp of `ticks` at `rate_hz`.
    pub const fn new(ticks: i64, rate_hz: NonZeroU32) -> Self {
        Self { ticks, rate_hz }
    }

    /// A timestamp of `ms` milliseconds on a 1 kHz clock.
    pub const fn from_ms(ms: i64) -> Self {
        Self::new(ms, MILLISECONDS_HZ)
    }

    /// The count of ticks.
    pub const fn ticks(self) -> i64 {
        self.ticks
    }

    /// Ticks per second.
    pub const fn rate_hz(self) -> NonZeroU32 {
        self.rate_hz
    }

    /// Milliseconds, rounded to the nearest, halves up; saturates at the ends of `i64`.
    pub fn to_ms(self) -> i64 {
        let ms = scale(self.ticks, self.rate_hz, MILLISECONDS_HZ);
        i64::try_from(ms).unwrap_or(if ms < 0 { i64::MIN } else { i64::MAX })
    }

    /// Seconds, for human eyes and for playlists; not for arithmetic.
    pub fn to_seconds_f64(self) -> f64 {
        // Precise to the microsecond for a century; more is not promised.
        #[expect(clippy::cast_precision_loss, reason = "documented as inexact")]
        let ticks = self.ticks as f64;
        ticks / f64::from(self.rate_hz.get())
    }

    /// The same instant on a clock of `rate_hz`, rounded to the nearest tick, halves up.
    /// `None` when the count does not fit.
    pub fn rescale(self, rate_hz: NonZeroU32) -> Option<Self> {
        let ticks = scale(self.ticks, self.rate_hz, rate_hz);
        Some(Self::new(i64::try_from(ticks).ok()?, rate_hz))
    }

    /// Moved by `ticks` of its own clock.
    pub const fn checked_add_ticks(self, ticks: i64) -> Option<Self> {
        match self.ticks.checked_add(ticks) {
            Some(sum) => Some(Self::new(sum, self.rate_hz)),
            None => None,
        }
    }

    /// `self + span`, at `self`'s rate; `span` is rescaled when its rate differs.
    pub fn checked_add(self, span: Self) -> Option<Self> {
        self.checked_add_ticks(span.rescale(self.rate_hz)?.ticks)
    }

    /// The span from `earlier` to `self`, at `self`'s rate; negative when `earlier` is later.
    pub fn checked_sub(self, earlier: Self) -> Option<Self> {
        let earlier = earlier.rescale(self.rate_hz)?;
        Some(Self::new(
            self.ticks.checked_sub(earlier.ticks)?,
            self.rate_hz,
        ))
    }
}

/// `ticks` of `from` counted in `to`, nearest, halves up. Cannot overflow: 64 + 32 bits and a
/// doubling fit 128.
///
/// Rates that divide each other, as a frame's do several times on its way, need no 128-bit
/// division.
fn scale(ticks: i64, from: NonZeroU32, to: NonZeroU32) -> i128 {
    if to.get().is_multiple_of(from.get()) {
        return i128::from(ticks).saturating_mul(i128::from(to.get() / from));
    }
    if from.get().is_multiple_of(to.get()) {
        let divisor = i64::from(from.get() / to);
        if let Some(raised) = ticks.checked_add(divisor / 2) {
            return i128::from(raised.div_euclid(divisor));
        }
    }
    scale_any(ticks, from, to)
}

fn scale_any(ticks: i64, from: NonZeroU32, to: NonZeroU32) -> i128 {
    let from = i128::from(from.get());
    let doubled = i128::from(ticks)
        .saturating_mul(i128::from(to.get()))
        .saturating_mul(2)
        .saturating_add(from);
    doubled.div_euclid(from.saturating_mul(2))
}

impl PartialEq for Timestamp {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Timestamp {}

impl PartialOrd for Timestamp {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timestamp {
    fn cmp(&self, other: &Self) -> Ordering {
        let left = i128::from(self.ticks).saturating_mul(i128::from(other.rate_hz.get()));
        let right = i128::from(other.ticks).saturating_mul(i128::from(self.rate_hz.get()));
        left.cmp(&right)
    }
}

/// `ticks@rate`, exact: `2002@90000`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.ticks, self.rate_hz)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hz(rate: u32) -> NonZeroU32 {
        NonZeroU32::new(rate).unwrap()
    }

    #[test]
    fn rescaling_rounds_to_nearest_and_halves_up() {
        let at = |ticks, from, to| {
            Timestamp::new(ticks, hz(from))
                .rescale(hz(to))
                .unwrap()
                .ticks()
        };
        assert_eq!(at(33, 1000, 90_000), 2970);
        assert_eq!(at(1, 90_000, 1000), 0);
        assert_eq!(at(45, 90_000, 1000), 1);
        assert_eq!(at(44, 90_000, 1000), 0);
        assert_eq!(at(-45, 90_000, 1000), 0);
        assert_eq!(at(-46, 90_000, 1000), -1);
        assert_eq!(at(1024, 44_100, 1000), 23);
    }

    #[test]
    fn what_does_not_fit_is_none_or_saturates() {
        assert!(
            Timestamp::new(i64::MAX, hz(1))
                .rescale(hz(90_000))
                .is_none()
        );
        assert_eq!(Timestamp::new(i64::MAX, hz(1)).to_ms(), i64::MAX);
        assert_eq!(Timestamp::new(i64::MIN, hz(1)).to_ms(), i64::MIN);
        assert!(Timestamp::from_ms(i64::MAX).checked_add_ticks(1).is_none());
    }

    #[test]
    fn arithmetic_crosses_rates() {
        let second = Timestamp::new(90_000, hz(90_000));
        assert_eq!(second, Timestamp::from_ms(1000));
        let sum = second.checked_add(Timestamp::from_ms(500)).unwrap();
        assert_eq!((sum.ticks(), sum.rate_hz()), (135_000, hz(90_000)));
        let span = Timestamp::from_ms(250).checked_sub(second).unwrap();
        assert_eq!(span.to_ms(), -750);
        assert_eq!(sum.to_string(), "135000@90000");
    }

    proptest! {
        #[test]
        fn order_is_by_instant(a in any::<i64>(), b in any::<i64>(), r in 1u32.., s in 1u32..) {
            let (x, y) = (Timestamp::new(a, hz(r)), Timestamp::new(b, hz(s)));
            let exact = (i128::from(a) * i128::from(s)).cmp(&(i128::from(b) * i128::from(r)));
            prop_assert_eq!(x.cmp(&y), exact);
            prop_assert_eq!(y.cmp(&x), exact.reverse());
        }

        #[test]
        fn rescaling_errs_by_half_a_tick_at_most(t in -1_000_000_000_000i64..1_000_000_000_000,
                                                 r in 1u32..200_000, s in 1u32..200_000) {
            let out = Timestamp::new(t, hz(r)).rescale(hz(s)).unwrap();
            let err = (i128::from(out.ticks()) * i128::from(r) - i128::from(t) * i128::from(s)).abs();
            prop_assert!(err * 2 <= i128::from(r));
        }

        #[test]
        fn rates_that_divide_each_other_round_like_all(t in any::<i64>(), r in 1u32..200_000, k in 1u32..10_000) {
            for (from, to) in [(hz(r), hz(r * k)), (hz(r * k), hz(r))] {
                prop_assert_eq!(scale(t, from, to), scale_any(t, from, to));
            }
        }
    }
}
