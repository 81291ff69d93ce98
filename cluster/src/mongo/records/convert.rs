//! Records to documents and back.
//!
//! A record's values go in as what they are, never as extended JSON: `{"$oid": …}` from a caller is
//! an object with an odd name. Out comes what JSON can say; MongoDB's other types become
//! numbers (dates, in ms since the Unix epoch) or text.

use crate::records::Fields;
use mongodb::bson::{Bson, Document};
use serde_json::{Number, Value};

/// The document of `fields`. Whole numbers are 64 bits wide, as Ant Media's `long`.
pub(in crate::mongo) fn to_document(fields: &Fields) -> Document {
    let pairs = fields.iter();
    pairs
        .map(|(name, value)| (name.clone(), bson(value)))
        .collect()
}

/// The fields of `document`.
pub(in crate::mongo) fn fields_of(document: Document) -> Fields {
    let pairs = document.into_iter();
    pairs.map(|(name, value)| (name, json(value))).collect()
}

pub(super) fn bson(value: &Value) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Bool(flag) => Bson::Boolean(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Bson::Int64(whole),
            None => Bson::Double(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Bson::String(text.clone()),
        Value::Array(items) => Bson::Array(items.iter().map(bson).collect()),
        Value::Object(fields) => Bson::Document(to_document(fields)),
    }
}

fn json(value: Bson) -> Value {
    match value {
        Bson::Null | Bson::Undefined => Value::Null,
        Bson::Boolean(flag) => Value::Bool(flag),
        Bson::Int32(number) => Value::from(number),
        Bson::Int64(number) => Value::from(number),
        Bson::Double(number) => Number::from_f64(number).map_or(Value::Null, Value::Number),
        Bson::Decimal128(number) => {
            let number = number.to_string();
            let known = number.parse().ok().and_then(Number::from_f64);
            known.map_or(Value::String(number), Value::Number)
        }
        Bson::String(text) | Bson::Symbol(text) => Value::String(text),
        Bson::DateTime(time) => Value::from(time.timestamp_millis()),
        Bson::ObjectId(id) => Value::String(id.to_hex()),
        Bson::Array(items) => Value::Array(items.into_iter().map(json).collect()),
        Bson::Document(document) => Value::Object(fields_of(document)),
        other => Value::String(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mongodb::bson::{DateTime, Decimal128, doc, oid::ObjectId};
    use serde_json::json;

    #[test]
    fn every_number_is_read() {
        let decimal: Decimal128 = "12.5".parse().unwrap();
        let document = doc! {
            "a": 1_i32, "b": 1_i64 << 40, "c": 2.5, "d": decimal, "e": f64::NAN,
            "f": DateTime::from_millis(7), "g": ObjectId::from_bytes([1; 12]),
        };
        let expected = json!({
            "a": 1, "b": 1_u64 << 40, "c": 2.5, "d": 12.5, "e": null, "f": 7,
            "g": "010101010101010101010101",
        });
        assert_eq!(Value::Object(fields_of(document)), expected);
    }

    #[test]
    fn nothing_a_caller_says_becomes_another_type() {
        let value =
            json!({ "$oid": "010101010101010101010101", "n": u64::MAX, "x": [{ "$date": 1 }] });
        let Bson::Document(document) = bson(&value) else {
            panic!("a document")
        };
        assert_eq!(document.get_str("$oid").unwrap().len(), 24);
        assert!(matches!(document.get("n"), Some(Bson::Double(_))));
        assert_eq!(json(Bson::Document(document))["x"], value["x"]);
    }
}
