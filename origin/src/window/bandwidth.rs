//! What a variant announces as its bandwidth: the peak of the segments so far.
//!
//! RFC 8216bis, 4.4.6.2: BANDWIDTH is the largest rate of any stretch of segments that lasts
//! between half and one and a half target durations. Single segments are such stretches, except
//! short ones, which are left out once a longer one was seen. What is announced has headroom, so
//! that it changes seldom: a live stream's peak is not known before its end. Bits a second.

const BITS_PER_BYTE: u64 = 8;
const US_PER_S: u64 = 1_000_000;
/// Shorter segments say little about the rate, µs.
const SHORT_US: u64 = US_PER_S / 2;
/// Announced above the peak, as a divisor of it: a tenth.
const HEADROOM_DIVISOR: u64 = 10;

/// The measure of one variant.
#[derive(Debug, Default)]
pub(super) struct Bandwidth {
    peak_bps: u64,
    announced_bps: u64,
    bytes: u64,
    duration_us: u64,
    only_short: bool,
}

impl Bandwidth {
    /// Counts one segment, all its tracks together.
    pub(super) fn add(&mut self, bytes: usize, duration_us: u64) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let short = duration_us < SHORT_US;
        if short && self.peak_bps > 0 && !self.only_short {
            return;
        }
        if !short && self.only_short {
            *self = Self::default();
        }
        self.only_short = short;
        self.bytes = self.bytes.saturating_add(bytes);
        self.duration_us = self.duration_us.saturating_add(duration_us);
        self.peak_bps = self.peak_bps.max(rate_bps(bytes, duration_us));
        if self.peak_bps > self.announced_bps {
            self.announced_bps = self
                .peak_bps
                .saturating_add(self.peak_bps / HEADROOM_DIVISOR);
        }
    }

    /// For BANDWIDTH; at least 1.
    pub(super) fn announced_bps(&self) -> u64 {
        self.announced_bps.max(1)
    }

    /// For AVERAGE-BANDWIDTH; at least 1.
    pub(super) fn average_bps(&self) -> u64 {
        rate_bps(self.bytes, self.duration_us).max(1)
    }
}

fn rate_bps(bytes: u64, duration_us: u64) -> u64 {
    bytes.saturating_mul(BITS_PER_BYTE).saturating_mul(US_PER_S) / duration_us.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_announced_rate_holds_until_the_peak_passes_it() {
        let mut bandwidth = Bandwidth::default();
        bandwidth.add(250_000, 2_000_000);
        assert_eq!(bandwidth.announced_bps(), 1_100_000);
        bandwidth.add(270_000, 2_000_000);
        assert_eq!(bandwidth.announced_bps(), 1_100_000);
        bandwidth.add(300_000, 2_000_000);
        assert_eq!(bandwidth.announced_bps(), 1_320_000);
        assert_eq!(bandwidth.average_bps(), 1_093_333);
    }

    #[test]
    fn a_short_segment_counts_only_while_there_is_no_other() {
        let mut bandwidth = Bandwidth::default();
        bandwidth.add(100_000, 40_000);
        assert_eq!(bandwidth.announced_bps(), 22_000_000);
        bandwidth.add(250_000, 2_000_000);
        bandwidth.add(100_000, 40_000);
        assert_eq!(bandwidth.announced_bps(), 1_100_000);
    }
}
