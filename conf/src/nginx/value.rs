//! nginx's value syntax: times, sizes, numbers, flags.
//!
//! Units out: milliseconds and bytes. Every number is checked for overflow. `None` means that
//! the text is not of that form; the caller words the fault.

/// nginx's time (`30`, `1h30m`, `500ms`) in milliseconds; a number without unit is seconds.
///
/// Units must come from long to short, each once, as nginx wants them.
pub(super) fn time_ms(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 8] = [
        ("y", 365 * DAY_MS),
        ("M", 30 * DAY_MS),
        ("w", 7 * DAY_MS),
        ("d", DAY_MS),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
        ("ms", 1),
    ];
    const DAY_MS: u64 = 86_400_000;
    let mut rest = text;
    let mut total_ms = 0_u64;
    let mut next_unit = 0;
    if text.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let value: u64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?.trim_start_matches(' ');
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = rest.get(..letters)?;
        rest = rest.get(letters..)?.trim_start_matches(' ');
        // A bare number is seconds and must come last.
        let unit = if unit.is_empty() { "s" } else { unit };
        let index = UNITS.iter().position(|(name, _)| *name == unit)?;
        if index < next_unit || (letters == 0 && !rest.is_empty()) {
            return None;
        }
        next_unit = index + 1;
        let (_, unit_ms) = UNITS.get(index)?;
        total_ms = total_ms.checked_add(value.checked_mul(*unit_ms)?)?;
    }
    // nginx keeps times in a signed 32-bit count of milliseconds or seconds; keep well inside i64.
    (total_ms <= 100 * 365 * DAY_MS).then_some(total_ms)
}

/// nginx's size (`8k`, `1m`, `2g`, `512`) in bytes.
#[must_use]
pub fn size_bytes(text: &str) -> Option<u64> {
    let (digits, factor) = match text.as_bytes().last()? {
        b'k' | b'K' => (text.get(..text.len() - 1)?, 1 << 10),
        b'm' | b'M' => (text.get(..text.len() - 1)?, 1 << 20),
        b'g' | b'G' => (text.get(..text.len() - 1)?, 1 << 30),
        _ => (text, 1),
    };
    number::<u64>(digits)?
        .checked_mul(factor)
        .filter(|bytes| *bytes <= i64::MAX as u64)
}

/// A plain decimal number: digits alone.
pub(super) fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// `on` or `off`, in any case.
pub(super) fn flag(text: &str) -> bool {
    text.eq_ignore_ascii_case("on")
}
