//! What a call may name: the same rules for every store, checked before it is asked.
//!
//! Values come from REST, scripts and encoders. A name that would mean something to a database (a
//! leading `$`, a dot, a NUL) is refused here, so that no store has to think of it again.
//! Fields that are the store's own are left out of what callers write.

use super::{Fields, Kind, Place, Query};
use crate::store::StoreError;
use serde_json::Value;

/// The longest part of a key, bytes.
pub const KEY_BYTES_MAX: usize = 1_024;
/// The longest name of a field, bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// The most bytes of one record, as JSON.
pub const RECORD_BYTES_MAX: usize = 256 * 1024;
/// The deepest a record nests.
pub const DEPTH_MAX: usize = 32;
/// The longest text that is looked for, bytes.
pub const CONTAINS_BYTES_MAX: usize = 1_024;
/// The most values one field is compared with.
pub const ANY_OF_MAX: usize = 1_000;

/// Fields of a broadcast that only the owner's calls write.
const OF_THE_STORE: [&str; 3] = ["owner", "weirCheckpoint", "weirOrigin"];

/// Checks that `place` names one record.
pub(crate) fn place(place: &Place) -> Result<(), StoreError> {
    let fields = place.kind.key_fields();
    if fields.is_empty() {
        return invalid("place", format!("{:?} has no name", place.kind));
    }
    if place.key.len() != fields.len() {
        return invalid("place", format!("{:?} is named by {fields:?}", place.kind));
    }
    for (name, part) in fields.iter().zip(&place.key) {
        if part.is_empty() || part.len() > KEY_BYTES_MAX || part.contains('\0') {
            return invalid(name, format!("expected 1 to {KEY_BYTES_MAX} bytes, no NUL"));
        }
    }
    app(place.kind, place.app.is_some())
}

/// Checks that an application is named where there must be one, and only there.
pub(crate) fn app(kind: Kind, given: bool) -> Result<(), StoreError> {
    match (kind.is_of_cluster(), given) {
        (true, true) => invalid("app", format!("{kind:?} belongs to no application")),
        (false, false) => invalid("app", format!("{kind:?} belongs to an application")),
        _ => Ok(()),
    }
}

/// Checks that records of `kind` are added without a name.
pub(crate) fn appended(kind: Kind) -> Result<(), StoreError> {
    if kind.key_fields().is_empty() {
        return Ok(());
    }
    invalid("append", format!("{kind:?} has a name; insert it"))
}

/// What of `fields` a caller may write at `place`: without the key and what is the store's own.
pub(crate) fn writable(kind: Kind, mut fields: Fields) -> Result<Fields, StoreError> {
    fields.remove("_id");
    fields.remove("_t");
    for name in kind.key_fields() {
        fields.remove(*name);
    }
    if kind == Kind::Broadcast {
        for name in OF_THE_STORE {
            fields.remove(name);
        }
    }
    if fields.keys().any(|n| n.starts_with('$') || n.contains('.')) {
        return invalid("field", "a name has a leading $ or a dot".to_owned());
    }
    size(&fields)?;
    Ok(fields)
}

/// Checks that a record is not too large.
pub(crate) fn size(fields: &Fields) -> Result<(), StoreError> {
    let mut bytes = 2;
    for (name, value) in fields {
        check_name(name)?;
        bytes += name.len() + 4 + measure(value, 1)?;
    }
    if bytes <= RECORD_BYTES_MAX {
        return Ok(());
    }
    let rule = format!("expected at most {RECORD_BYTES_MAX} bytes");
    invalid("record", rule)
}

/// Checks a query.
pub(crate) fn query(query: &Query) -> Result<(), StoreError> {
    app(query.kind, query.app.is_some())?;
    for (name, value) in &query.equals {
        if let Value::Array(any) = value
            && any.len() > ANY_OF_MAX
        {
            return invalid(name, format!("more than {ANY_OF_MAX} values to compare"));
        }
        measure(value, 1)?;
    }
    match &query.contains {
        Some((text, _)) if text.len() > CONTAINS_BYTES_MAX => {
            let rule = format!("expected at most {CONTAINS_BYTES_MAX} bytes to look for");
            invalid("search", rule)
        }
        _ => Ok(()),
    }
}

fn check_name(name: &str) -> Result<(), StoreError> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains('\0') {
        let rule = format!("a name is not 1 to {NAME_BYTES_MAX} bytes without NUL");
        return invalid("field", rule);
    }
    Ok(())
}

/// Bytes of `value` as JSON, about; refuses what is too deep or names what no store can hold.
fn measure(value: &Value, depth: usize) -> Result<usize, StoreError> {
    if depth > DEPTH_MAX {
        return invalid("field", format!("nested deeper than {DEPTH_MAX}"));
    }
    Ok(match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => 20,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => {
            let mut bytes = 2;
            for item in items {
                bytes += 1 + measure(item, depth + 1)?;
            }
            bytes
        }
        Value::Object(fields) => {
            let mut bytes = 2;
            for (name, value) in fields {
                check_name(name)?;
                bytes += name.len() + 4 + measure(value, depth + 1)?;
            }
            bytes
        }
    })
}

fn invalid<T>(what: &str, reason: String) -> Result<T, StoreError> {
    Err(StoreError::Invalid {
        what: what.to_owned(),
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::AppName;
    use serde_json::json;

    fn fields(value: Value) -> Fields {
        match value {
            Value::Object(fields) => fields,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_place_names_one_record() {
        let app = AppName::parse("live").unwrap();
        place(&Place::in_app(Kind::Subscriber, &app, ["s", "u"])).unwrap();
        place(&Place::of_cluster(Kind::User, "a@b")).unwrap();
        for bad in [
            Place::in_app(Kind::Subscriber, &app, ["s"]),
            Place::in_app(Kind::Token, &app, [""]),
            Place::in_app(Kind::Token, &app, ["a\0b"]),
            Place::in_app(Kind::User, &app, ["a@b"]),
            Place::of_cluster(Kind::Vod, "v"),
            Place::in_app(Kind::ConnectionEvent, &app, []),
        ] {
            let error = place(&bad).unwrap_err();
            assert!(matches!(error, StoreError::Invalid { .. }), "{bad:?}");
        }
    }

    #[test]
    fn keys_and_the_stores_own_fields_are_left_out() {
        let given = json!({ "streamId": "x", "owner": 1, "weirCheckpoint": 2, "_id": 3, "a": 4 });
        let kept = writable(Kind::Broadcast, fields(given)).unwrap();
        assert_eq!(Value::Object(kept), json!({ "a": 4 }));
    }

    #[test]
    fn names_that_mean_something_to_a_database_are_refused() {
        for name in ["$set", "a.b", "", "a\0b"] {
            let given = Fields::from_iter([(name.to_owned(), json!(1))]);
            let error = writable(Kind::Vod, given).unwrap_err();
            assert!(matches!(error, StoreError::Invalid { .. }), "{name:?}");
        }
        let mut deep = json!(1);
        for _ in 0..DEPTH_MAX {
            deep = json!([deep]);
        }
        assert!(writable(Kind::Vod, fields(json!({ "a": deep }))).is_err());
        let long = "x".repeat(RECORD_BYTES_MAX);
        let error = writable(Kind::Vod, fields(json!({ "a": long }))).unwrap_err();
        assert!(matches!(error, StoreError::Invalid { .. }), "{error}");
    }
}
