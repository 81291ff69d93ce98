//! The ladder of renditions (`encoderSettings`), as Ant Media's panel, API and files write it: a list
//! of objects, that list as text, or the older text `height,videoBitrate,audioBitrate,…`.

use serde_json::{Map, Value};

/// The most renditions of one ladder.
const RENDITIONS_MAX: usize = 20;
/// What it must have, and each in which bounds.
const NUMBERS: [(&str, i64); 3] = [
    ("height", 8_640),
    ("videoBitrate", 1_000_000_000),
    ("audioBitrate", 100_000_000),
];

pub(super) const EXPECTED: &str = "empty, or a JSON array of at most 20 objects with height \
    (pixels), videoBitrate and audioBitrate (bits a second), or these numbers with commas between \
    them";

/// The ladder as JSON text, empty for none; from a list or from text.
pub(super) fn of_json(value: &Value) -> Option<String> {
    let list = match value {
        Value::Array(list) => list.clone(),
        Value::String(text) => list_of(text)?,
        _ => return None,
    };
    let right = list.len() <= RENDITIONS_MAX && list.iter().all(is_rendition);
    let text = match list.is_empty() {
        true => String::new(),
        false => Value::Array(list).to_string(),
    };
    right.then_some(text)
}

/// The list of a ladder that [`of_json`] made.
pub(super) fn list_of(text: &str) -> Option<Vec<Value>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Vec::new());
    }
    if text.starts_with('[') {
        return serde_json::from_str(text).ok();
    }
    let numbers: Option<Vec<i64>> = text.split(',').map(|n| n.trim().parse().ok()).collect();
    let numbers = numbers.filter(|numbers| numbers.len() % NUMBERS.len() == 0)?;
    let renditions = numbers.chunks(NUMBERS.len()).map(|rendition| {
        let named = NUMBERS.iter().zip(rendition);
        let mut fields: Map<String, Value> = named
            .map(|((name, _), number)| ((*name).to_owned(), Value::from(*number)))
            .collect();
        fields.insert("forceEncode".to_owned(), Value::Bool(true));
        Value::Object(fields)
    });
    Some(renditions.collect())
}

fn is_rendition(value: &Value) -> bool {
    NUMBERS.iter().all(|(name, max)| {
        let number = value.get(name).and_then(Value::as_i64);
        number.is_some_and(|number| (0..=*max).contains(&number))
    })
}
