//! Queries as MongoDB's filters. What a caller says is only ever a value, never an operator.

use super::convert::bson;
use crate::records::{Place, Query};
use mongodb::bson::{Bson, Document, doc};
use serde_json::Value;

/// The record at `place`.
pub(super) fn named(place: &Place) -> Document {
    let names = place.kind.key_fields().iter();
    let key = names.zip(&place.key);
    key.map(|(name, part)| ((*name).to_owned(), Bson::from(part.as_str())))
        .collect()
}

/// The records that `query` means.
pub(super) fn of(query: &Query) -> Document {
    let mut all: Vec<Document> = Vec::new();
    for (name, wanted) in &query.equals {
        let is = match wanted {
            Value::Array(any) => doc! { "$in": any.iter().map(bson).collect::<Vec<_>>() },
            one => doc! { "$eq": bson(one) },
        };
        all.push(doc! { *name: is });
    }
    if let Some((text, names)) = &query.contains
        && !text.is_empty()
    {
        let pattern = escaped(text);
        let any = names.iter();
        let any = any.map(|name| doc! { *name: { "$regex": &pattern, "$options": "i" } });
        all.push(match any.collect::<Vec<_>>() {
            none if none.is_empty() => doc! { "$expr": false },
            any => doc! { "$or": any },
        });
    }
    match all.is_empty() {
        true => Document::new(),
        false => doc! { "$and": all },
    }
}

/// A pattern that matches `text` alone.
fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c == '\0' {
            pattern.push_str("\\x00");
            continue;
        }
        if c.is_ascii() && !c.is_ascii_alphanumeric() {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Kind;
    use serde_json::json;

    #[test]
    fn values_stay_values() {
        let mut query = Query::all(Kind::User, None);
        assert_eq!(of(&query), doc! {});
        query.equals = vec![("email", json!({ "$ne": 1 })), ("n", json!([1, null]))];
        query.contains = Some(("a.*\0".to_owned(), &["email"]));
        let expected = doc! { "$and": [
            { "email": { "$eq": { "$ne": 1_i64 } } },
            { "n": { "$in": [1_i64, null] } },
            { "$or": [{ "email": { "$regex": "a\\.\\*\\x00", "$options": "i" } }] },
        ] };
        assert_eq!(of(&query), expected);
    }
}
