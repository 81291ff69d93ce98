//! Pictures a second as a playlist announces them, measured from segments.
//!
//! Timestamps of RTMP are whole milliseconds, so a measure is near a broadcast rate and not on it:
//! a rate within half a percent of a common one is that one. Rates are thousandths of a picture a
//! second (RFC 8216bis, 4.4.6.2: FRAME-RATE is rounded to three decimals).

const US_PER_S: u64 = 1_000_000;
const MILLI: u64 = 1_000;
/// Rates that encoders mean, in thousandths.
const COMMON_MILLI: [u64; 14] = [
    10_000, 12_000, 15_000, 20_000, 23_976, 24_000, 25_000, 29_970, 30_000, 48_000, 50_000, 59_940,
    60_000, 120_000,
];
/// How near a common rate is near, as a divisor of it.
const NEAR_DIVISOR: u64 = 200;
/// A measure that differs less from what is announced changes nothing, as a divisor of it.
const SAME_DIVISOR: u64 = 20;
/// Shorter pieces say too little, µs.
const SHORT_US: u64 = US_PER_S / 2;

/// The measure of one video track.
#[derive(Debug, Default)]
pub(super) struct FrameRate {
    announced_milli: Option<u64>,
}

impl FrameRate {
    /// Counts one segment.
    pub(super) fn add(&mut self, pictures: u32, duration_us: u64) {
        let known = self.announced_milli.is_some();
        if pictures == 0 || duration_us == 0 || (known && duration_us < SHORT_US) {
            return;
        }
        let measured = u64::from(pictures)
            .saturating_mul(US_PER_S)
            .saturating_mul(MILLI)
            / duration_us;
        let near =
            |announced: u64, divisor: u64| measured.abs_diff(announced) <= announced / divisor;
        if self
            .announced_milli
            .is_some_and(|rate| near(rate, SAME_DIVISOR))
        {
            return;
        }
        let common = COMMON_MILLI
            .into_iter()
            .filter(|rate| near(*rate, NEAR_DIVISOR))
            .min_by_key(|rate| measured.abs_diff(*rate));
        self.announced_milli = Some(common.unwrap_or(measured));
    }

    /// Thousandths of a picture a second, once a segment was measured.
    pub(super) fn milli(&self) -> Option<u32> {
        self.announced_milli
            .and_then(|rate| u32::try_from(rate).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measure_takes_the_common_rate_it_is_near() {
        for (pictures, duration_us, milli) in [
            (60, 2_000_000, 30_000),
            (60, 2_002_000, 29_970),
            (60, 2_001_000, 29_970),
            (48, 2_002_000, 23_976),
            (50, 1_999_000, 25_000),
            (200, 2_000_000, 100_000),
            (14, 2_000_000, 7_000),
        ] {
            let mut rate = FrameRate::default();
            rate.add(pictures, duration_us);
            assert_eq!(rate.milli(), Some(milli), "{pictures} in {duration_us} µs");
        }
    }

    #[test]
    fn jitter_does_not_change_what_is_announced() {
        let mut rate = FrameRate::default();
        rate.add(60, 2_000_000);
        rate.add(59, 2_000_000);
        assert_eq!(rate.milli(), Some(30_000));
        rate.add(50, 2_000_000);
        assert_eq!(rate.milli(), Some(25_000));
    }
}
