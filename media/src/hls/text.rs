//! The small print of playlists: checked text, durations, dates.

use super::HlsError;
use crate::time::Timestamp;
use std::num::NonZeroU32;

const MICROSECONDS_HZ: NonZeroU32 = match NonZeroU32::new(1_000_000) {
    Some(rate) => rate,
    None => NonZeroU32::MIN,
};

/// Text for between quotes (§4.2 quoted-string).
pub(super) fn quoted<'a>(field: &'static str, value: &'a str) -> Result<&'a str, HlsError> {
    if value.is_empty() || value.chars().any(|c| c == '"' || c.is_control()) {
        let value = value.to_owned();
        return Err(HlsError::BadText { field, value });
    }
    Ok(value)
}

/// A URI for a line of its own.
pub(super) fn uri_line(value: &str) -> Result<&str, HlsError> {
    if value.starts_with('#') || value.contains(char::is_whitespace) {
        let value = value.to_owned();
        let field = "URI";
        return Err(HlsError::BadText { field, value });
    }
    quoted("URI", value)
}

/// Seconds with six decimals; nothing negative.
pub(super) fn seconds(duration: Timestamp) -> String {
    let micros = duration
        .rescale(MICROSECONDS_HZ)
        .map_or(i64::MAX, Timestamp::ticks)
        .max(0);
    format!(
        "{}.{:06}",
        micros.div_euclid(1_000_000),
        micros.rem_euclid(1_000_000)
    )
}

/// `unix_ms` as ISO 8601 in UTC, `2026-01-31T23:59:59.999Z`; years outside 0000 to 9999 are
/// clamped into them, as playlists cannot say more.
pub fn format_date_time(unix_ms: i64) -> String {
    /// The first and last millisecond of those years.
    const RANGE: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;
    const DAY_MS: i64 = 86_400_000;
    let unix_ms = unix_ms.clamp(*RANGE.start(), *RANGE.end());
    let (year, month, day) = civil(unix_ms.div_euclid(DAY_MS));
    let ms = unix_ms.rem_euclid(DAY_MS);
    let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
    let (second, ms) = (ms / 1000 % 60, ms % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Year, month and day of a day counted from 1970-01-01 in the proleptic Gregorian calendar.
/// Counts in 400-year cycles of years that begin in March, which puts the leap day last.
fn civil(day: i64) -> (i64, i64, i64) {
    const CYCLE_DAYS: i64 = 146_097;
    /// From 0000-03-01 to 1970-01-01.
    const EPOCH_DAYS: i64 = 719_468;
    let day = day.saturating_add(EPOCH_DAYS);
    let (cycle, of_cycle) = (day.div_euclid(CYCLE_DAYS), day.rem_euclid(CYCLE_DAYS));
    let leap_days = (of_cycle / 1460)
        .saturating_sub(of_cycle / 36_524)
        .saturating_add(of_cycle / 146_096);
    let year = of_cycle.saturating_sub(leap_days) / 365;
    let before = (year.saturating_mul(365))
        .saturating_add(year / 4)
        .saturating_sub(year / 100);
    let of_year = of_cycle.saturating_sub(before);
    // Months from March: 31 30 31 30 31, thrice, is 153 days in five months.
    let month = of_year.saturating_mul(5).saturating_add(2) / 153;
    let of_month = of_year.saturating_sub(month.saturating_mul(153).saturating_add(2) / 5);
    let january = month >= 10;
    (
        year.saturating_add(cycle.saturating_mul(400))
            .saturating_add(i64::from(january)),
        if january {
            month.saturating_sub(9)
        } else {
            month.saturating_add(3)
        },
        of_month.saturating_add(1),
    )
}
