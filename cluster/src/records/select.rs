//! Which records a query means, and in which order: for stores that look for themselves.
//!
//! Pure. The rules are MongoDB's, so that all stores answer alike: a missing field equals `null`, a
//! field that is an array matches when one of its items does, values of different types sort by
//! type. Letters match whatever their case, by Unicode's simple mapping.

use super::{Fields, LIST_MAX, Order, Query};
use serde_json::Value;
use std::borrow::Borrow;
use std::cmp::Ordering;

/// The text to look for, folded once a query.
#[derive(Debug)]
pub(crate) struct Filter<'q> {
    query: &'q Query,
    text: Option<String>,
}

impl<'q> Filter<'q> {
    pub(crate) fn of(query: &'q Query) -> Self {
        let text = query.contains.as_ref().map(|(text, _)| folded(text));
        Self { query, text }
    }

    /// Whether every record matches.
    pub(crate) fn takes_all(&self) -> bool {
        self.query.equals.is_empty() && self.text.as_deref().is_none_or(str::is_empty)
    }

    pub(crate) fn matches(&self, fields: &Fields) -> bool {
        let mut equals = self.query.equals.iter();
        equals.all(|(name, wanted)| is(fields.get(*name), wanted)) && self.contains(fields)
    }

    fn contains(&self, fields: &Fields) -> bool {
        let (Some(text), Some((_, names))) = (&self.text, &self.query.contains) else {
            return true;
        };
        let has = |value: &Value| value.as_str().is_some_and(|s| folded(s).contains(text));
        text.is_empty()
            || names.iter().any(|name| match fields.get(*name) {
                Some(Value::Array(items)) => items.iter().any(has),
                Some(value) => has(value),
                None => false,
            })
    }
}

/// The page of `found` that the query asks for; `found` is in the order of the key.
pub(crate) fn page<T: Borrow<Fields>>(query: &Query, mut found: Vec<T>) -> Vec<T> {
    if let Some((name, order)) = query.sort {
        // Stable: ties stay in the order of the key.
        found.sort_by(|a, b| {
            let (a, b) = (a.borrow().get(name), b.borrow().get(name));
            let by_value = compare(a.unwrap_or(&Value::Null), b.unwrap_or(&Value::Null));
            match order {
                Order::Ascending => by_value,
                Order::Descending => by_value.reverse(),
            }
        });
    }
    let page = found.into_iter().skip(query.offset);
    page.take(query.size.min(LIST_MAX)).collect()
}

fn is(value: Option<&Value>, wanted: &Value) -> bool {
    match wanted {
        Value::Array(any) => any.iter().any(|wanted| is_one(value, wanted)),
        wanted => is_one(value, wanted),
    }
}

fn is_one(value: Option<&Value>, wanted: &Value) -> bool {
    let value = value.unwrap_or(&Value::Null);
    let same = |value: &Value| compare(value, wanted) == Ordering::Equal;
    match value {
        Value::Array(items) => items.iter().any(same) || same(value),
        value => same(value),
    }
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => {
                let (a, b) = (a.as_f64(), b.as_f64());
                a.unwrap_or(0.0).total_cmp(&b.unwrap_or(0.0))
            }
        },
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => {
            let items = a.iter().zip(b).map(|(a, b)| compare(a, b));
            let mut differ = items.filter(|order| order.is_ne());
            differ.next().unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (Value::Object(a), Value::Object(b)) => {
            let fields = a.iter().zip(b);
            let fields = fields.map(|((an, av), (bn, bv))| an.cmp(bn).then(compare(av, bv)));
            let mut differ = fields.filter(|order| order.is_ne());
            differ.next().unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        _ => rank(a).cmp(&rank(b)),
    }
}

/// MongoDB's order of types.
fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Number(_) => 1,
        Value::String(_) => 2,
        Value::Object(_) => 3,
        Value::Array(_) => 4,
        Value::Bool(_) => 5,
    }
}

fn folded(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Kind;
    use serde_json::json;

    fn fields(value: Value) -> Fields {
        match value {
            Value::Object(fields) => fields,
            other => panic!("{other}"),
        }
    }

    fn query() -> Query {
        Query::all(Kind::User, None)
    }

    #[test]
    fn equal_means_equal_and_nothing_else() {
        let record = fields(json!({ "a": 5, "tags": ["x", "y"], "o": { "$ne": 1 } }));
        let check = |name, value: Value| {
            let mut query = query();
            query.equals.push((name, value));
            Filter::of(&query).matches(&record)
        };
        assert!(check("a", json!(5)) && check("a", json!(5.0)) && check("a", json!([1, 5])));
        assert!(!check("a", json!("5")) && !check("a", json!({ "$ne": 1 })));
        assert!(check("tags", json!("x")) && check("none", json!(null)));
        assert!(check("o", json!({ "$ne": 1 })) && !check("a", json!([])));
    }

    #[test]
    fn text_is_found_whatever_its_case_and_never_a_pattern() {
        let record = fields(json!({ "n": "Größe.* (Ä)", "k": 5 }));
        let check = |text: &str| {
            let mut query = query();
            query.contains = Some((text.to_owned(), &["k", "n"]));
            Filter::of(&query).matches(&record)
        };
        assert!(check("größe.*") && check("(ä)") && check(""));
        assert!(!check(".*Ä") && !check("5"));
    }

    #[test]
    fn types_sort_as_in_mongodb_and_ties_keep_their_order() {
        let all = [json!(true), json!("a"), json!(2.5), json!(null), json!(-1)];
        let found: Vec<Fields> = all.map(|v| fields(json!({ "v": v }))).into();
        let mut asked = query();
        asked.sort = Some(("v", Order::Ascending));
        let sorted = page(&asked, found);
        let values: Vec<_> = sorted.iter().map(|f| f["v"].clone()).collect();
        assert_eq!(json!(values), json!([null, -1, 2.5, "a", true]));
    }
}
