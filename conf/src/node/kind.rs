//! Kinds of values: each reads text, says what it expected, and puts the value in its field.
//!
//! A kind carries the field's setter, so that a key's row in the table is the only place that
//! knows both. Reading is strict: digits only, one unit a key, no suffix where none is said.

use std::path::Path;

/// A value as written, and the folder that relative paths in it start from.
#[derive(Clone, Copy)]
pub(super) struct Written<'a> {
    /// Trimmed, except for secrets.
    pub(super) text: &'a str,
    /// The properties file's folder; empty for the environment.
    pub(super) base: &'a Path,
}

/// How text becomes a value of `T`'s.
pub(super) enum Kind<T: 'static> {
    /// `true` or `false`.
    Flag(fn(&mut T, bool)),
    /// A TCP port.
    Port(fn(&mut T, u16)),
    /// A whole number of something.
    Whole {
        min: u32,
        max: u32,
        /// Of what, in the plural.
        unit: &'static str,
        put: fn(&mut T, u32),
    },
    /// Seconds, with at most three decimals; kept in milliseconds.
    Seconds {
        min_ms: u64,
        max_ms: u64,
        put: fn(&mut T, u64),
    },
    /// Whole milliseconds, where Ant Media's key has that unit.
    Millis {
        min: u64,
        max: u64,
        put: fn(&mut T, u64),
    },
    /// Bytes, with `k`, `m` or `g` for powers of 1024, as nginx has them.
    Bytes {
        min: u64,
        max: u64,
        put: fn(&mut T, u64),
    },
    /// Anything else: `put` says false when the text is not `expected`.
    Other {
        /// In one or two words, for the table.
        name: &'static str,
        expected: &'static str,
        put: fn(&mut T, Written<'_>) -> bool,
    },
    /// As `Other`, and never shown.
    Hidden {
        name: &'static str,
        expected: &'static str,
        put: fn(&mut T, Written<'_>) -> bool,
    },
}

impl<T> Kind<T> {
    /// Reads `written` and puts the value; false when it is not what [`Kind::expected`] says.
    pub(super) fn set(&self, target: &mut T, written: Written<'_>) -> bool {
        let text = written.text;
        match self {
            Self::Flag(put) => flag(text).map(|v| put(target, v)),
            Self::Port(put) => whole(text)
                .and_then(|v| u16::try_from(v).ok())
                .map(|v| put(target, v)),
            Self::Whole { min, max, put, .. } => whole(text)
                .and_then(|v| u32::try_from(v).ok())
                .filter(|v| (min..=max).contains(&v))
                .map(|v| put(target, v)),
            Self::Seconds {
                min_ms,
                max_ms,
                put,
            } => seconds_ms(text)
                .filter(|v| (min_ms..=max_ms).contains(&v))
                .map(|v| put(target, v)),
            Self::Millis { min, max, put } => whole(text)
                .filter(|v| (min..=max).contains(&v))
                .map(|v| put(target, v)),
            Self::Bytes { min, max, put } => bytes(text)
                .filter(|v| (min..=max).contains(&v))
                .map(|v| put(target, v)),
            Self::Other { put, .. } | Self::Hidden { put, .. } => {
                put(target, written).then_some(())
            }
        }
        .is_some()
    }

    /// What would be right, with unit and range.
    pub(super) fn expected(&self) -> String {
        match self {
            Self::Flag(_) => "true or false".to_owned(),
            Self::Port(_) => "a port number from 1 to 65535, or 0 for any free one".to_owned(),
            Self::Whole { min, max, unit, .. } => {
                format!("a whole number of {unit} from {min} to {max}")
            }
            Self::Seconds { min_ms, max_ms, .. } => format!(
                "a number of seconds from {} to {}, without a unit",
                in_seconds(*min_ms),
                in_seconds(*max_ms)
            ),
            Self::Millis { min, max, .. } => {
                format!("a whole number of milliseconds from {min} to {max}, without a unit")
            }
            Self::Bytes { min, max, .. } => format!(
                "a number of bytes from {} to {}, perhaps with k, m or g",
                in_bytes(*min),
                in_bytes(*max)
            ),
            Self::Other { expected, .. } | Self::Hidden { expected, .. } => (*expected).to_owned(),
        }
    }

    /// The kind, and its unit and range where it has them, for the table of settings.
    pub(super) fn summary(&self) -> (&'static str, String) {
        match self {
            Self::Flag(_) => ("true or false", String::new()),
            Self::Port(_) => ("port", "0 to 65535".to_owned()),
            Self::Whole { min, max, unit, .. } => {
                ("whole number", format!("{min} to {max} {unit}"))
            }
            Self::Seconds { min_ms, max_ms, .. } => (
                "number",
                format!("{} to {} seconds", in_seconds(*min_ms), in_seconds(*max_ms)),
            ),
            Self::Millis { min, max, .. } => {
                ("whole number", format!("{min} to {max} milliseconds"))
            }
            Self::Bytes { min, max, .. } => (
                "size",
                format!("{} to {} bytes", in_bytes(*min), in_bytes(*max)),
            ),
            Self::Other { name, .. } | Self::Hidden { name, .. } => (name, String::new()),
        }
    }

    /// True when the value may be shown.
    pub(super) fn is_shown(&self) -> bool {
        !matches!(self, Self::Hidden { .. })
    }
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn whole(text: &str) -> Option<u64> {
    // `str::parse` would take a sign.
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn seconds_ms(text: &str) -> Option<u64> {
    const DECIMALS_MAX: usize = 3;
    let (seconds, decimals) = text.split_once('.').unwrap_or((text, "0"));
    if decimals.len() > DECIMALS_MAX {
        return None;
    }
    let ms = whole(&format!("{decimals:0<DECIMALS_MAX$}")).filter(|_| !decimals.is_empty())?;
    whole(seconds)?.checked_mul(1000)?.checked_add(ms)
}

fn bytes(text: &str) -> Option<u64> {
    let (digits, shift) = match text.as_bytes().last()? {
        b'k' | b'K' => (text.get(..text.len() - 1)?, 10),
        b'm' | b'M' => (text.get(..text.len() - 1)?, 20),
        b'g' | b'G' => (text.get(..text.len() - 1)?, 30),
        _ => (text, 0),
    };
    whole(digits)?.checked_mul(1 << shift)
}

fn in_seconds(ms: u64) -> String {
    let text = format!("{}.{:03}", ms / 1000, ms % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn in_bytes(bytes: u64) -> String {
    for (shift, suffix) in [(30, "g"), (20, "m"), (10, "k")] {
        if bytes > 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{suffix}", bytes >> shift);
        }
    }
    bytes.to_string()
}
