//! What a setting's value may be: reads text and JSON, says what it expected.
//!
//! A value is kept as the JSON that Ant Media sends: some of its numbers are text there (`hlsTime`).
//! Reading is kind about the type (`"2"`, `2` and `2.0` are all two) and strict about the bounds.

use super::ladder;
use serde_json::{Number, Value};

/// The most bytes of one text.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// True or false.
    Flag,
    /// A whole number.
    Whole {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
        /// Of what.
        unit: &'static str,
        /// Whether Ant Media has it as text.
        as_text: bool,
    },
    /// A number.
    Decimal {
        /// The least.
        min: f64,
        /// The greatest.
        max: f64,
        /// Of what.
        unit: &'static str,
        /// Whether Ant Media has it as text.
        as_text: bool,
    },
    /// Any text.
    Text,
    /// Any text, never shown in logs and errors.
    Secret,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A JSON object.
    Object,
    /// The ladder of renditions, as text: a JSON array, or Ant Media's older `height,video,audio,…`.
    Ladder,
}

pub(super) const fn flag() -> Kind {
    Kind::Flag
}

pub(super) const fn whole(min: i64, max: i64, unit: &'static str) -> Kind {
    let as_text = false;
    Kind::Whole {
        min,
        max,
        unit,
        as_text,
    }
}

pub(super) const fn text_whole(min: i64, max: i64, unit: &'static str) -> Kind {
    let as_text = true;
    Kind::Whole {
        min,
        max,
        unit,
        as_text,
    }
}

pub(super) const fn decimal(min: f64, max: f64, unit: &'static str) -> Kind {
    let as_text = false;
    Kind::Decimal {
        min,
        max,
        unit,
        as_text,
    }
}

pub(super) const fn text_decimal(min: f64, max: f64, unit: &'static str) -> Kind {
    let as_text = true;
    Kind::Decimal {
        min,
        max,
        unit,
        as_text,
    }
}

pub(super) const fn text() -> Kind {
    Kind::Text
}

pub(super) const fn secret() -> Kind {
    Kind::Secret
}

pub(super) const fn one_of(names: &'static [&'static str]) -> Kind {
    Kind::OneOf(names)
}

pub(super) const fn object() -> Kind {
    Kind::Object
}

pub(super) const fn ladder() -> Kind {
    Kind::Ladder
}

impl Kind {
    /// The value in what a properties file says; `None` when it is not what [`Kind::expected`] says.
    pub(super) fn of_text(self, text: &str) -> Option<Value> {
        match self {
            Self::Object => self.of_json(&serde_json::from_str(text).ok()?),
            _ => self.of_json(&Value::from(text)),
        }
    }

    /// The value in what JSON says.
    pub(super) fn of_json(self, value: &Value) -> Option<Value> {
        match self {
            Self::Flag => match value {
                Value::Bool(_) => Some(value.clone()),
                Value::String(text) if text == "true" => Some(Value::Bool(true)),
                Value::String(text) if text == "false" => Some(Value::Bool(false)),
                _ => None,
            },
            Self::Whole {
                min, max, as_text, ..
            } => {
                let number = to_whole(value).filter(|n| (min..=max).contains(n))?;
                Some(match as_text {
                    true => Value::from(number.to_string()),
                    false => Value::from(number),
                })
            }
            Self::Decimal {
                min, max, as_text, ..
            } => {
                let number = to_decimal(value).filter(|n| (min..=max).contains(n))?;
                Some(match as_text {
                    true => Value::from(number.to_string()),
                    false => Value::Number(Number::from_f64(number)?),
                })
            }
            Self::Text | Self::Secret => match value {
                Value::String(text) if text.len() <= TEXT_BYTES_MAX => Some(value.clone()),
                Value::Number(number) => Some(Value::from(number.to_string())),
                _ => None,
            },
            Self::OneOf(names) => {
                let text = value.as_str().map(str::trim)?;
                names.contains(&text).then(|| Value::from(text))
            }
            Self::Object => value.is_object().then(|| value.clone()),
            Self::Ladder => ladder::of_json(value).map(Value::from),
        }
    }

    /// What would be right, with unit and range.
    #[must_use]
    pub fn expected(self) -> String {
        match self {
            Self::Flag => "true or false".to_owned(),
            Self::Whole { min, max, unit, .. } => {
                let of = if unit.starts_with('(') { "" } else { "of " };
                format!("a whole number {of}{unit} from {min} to {max}")
            }
            Self::Decimal { min, max, unit, .. } => {
                format!("a number of {unit} from {min} to {max}, without a unit")
            }
            Self::Text | Self::Secret => format!("text of at most {TEXT_BYTES_MAX} bytes"),
            Self::OneOf(names) => {
                let names: Vec<_> = names.iter().map(|name| format!("{name:?}")).collect();
                format!("one of {}", names.join(", "))
            }
            Self::Object => "a JSON object".to_owned(),
            Self::Ladder => ladder::EXPECTED.to_owned(),
        }
    }

    /// Whether a value may stand in logs and errors.
    #[must_use]
    pub const fn is_shown(self) -> bool {
        !matches!(self, Self::Secret)
    }

    /// Whether nothing between the quotes is a value, not the lack of one.
    pub(super) fn takes_empty(self) -> bool {
        match self {
            Self::Text | Self::Secret | Self::Ladder => true,
            Self::OneOf(names) => names.contains(&""),
            _ => false,
        }
    }
}

/// A whole number, written as any.
pub(super) fn to_whole(value: &Value) -> Option<i64> {
    /// Up to this, every whole number is a float.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            let float = number.as_f64()?;
            let exact = float.fract() == 0.0 && float.abs() <= EXACT_MAX;
            exact.then(|| format!("{float:.0}").parse().ok())?
        }),
        Value::String(text) => {
            let text = text.trim();
            // `parse` would take a plus sign.
            (!text.starts_with('+')).then(|| text.parse().ok())?
        }
        _ => None,
    }
}

/// A number, written as any.
pub(super) fn to_decimal(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => {
            let text = text.trim();
            // `parse` would take "inf", "nan" and exponents.
            let plain = |b: u8| b.is_ascii_digit() || b == b'.' || b == b'-';
            text.bytes().all(plain).then(|| text.parse().ok())?
        }
        _ => None,
    };
    number.filter(|number| number.is_finite())
}
