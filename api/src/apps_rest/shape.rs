//! What the fields of a JSON object may hold, as tables: one line a field says its name, its shape, its default and
//! who sets it. Bodies are checked against a table, answers are filled up from it, and the OpenAPI document is
//! written from it, so that the three cannot drift apart.
//!
//! Limits: texts [`TEXT_BYTES_MAX`] bytes, lists [`ITEMS_MAX`] items; a body as a whole is bounded where it is read.

use serde_json::{Map, Value};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, Schema, Type};
use weir_cluster::Fields;

/// The longest text in a field, bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 64 * 1024;
/// The longest list in a field.
pub(crate) const ITEMS_MAX: usize = 250;
/// The most fields that no table knows, kept of one body.
const UNKNOWN_MAX: usize = 64;
/// The longest name of such a field, bytes.
const UNKNOWN_NAME_BYTES_MAX: usize = 64;
/// How deep the value of such a field may nest.
const UNKNOWN_DEPTH_MAX: usize = 8;

/// One field.
#[derive(Debug)]
pub(crate) struct Field {
    /// On the wire and in the store.
    pub(crate) name: &'static str,
    /// What it may hold, besides null.
    pub(crate) shape: Shape,
    /// What a record without it is answered with.
    pub(crate) default: Fallback,
    /// Who sets it.
    pub(crate) by: By,
}

/// What a field may hold.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Any text.
    Text,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// True or false.
    Flag,
    /// A whole number, this or greater.
    Whole(i64),
    /// A whole number from a range.
    Within(i64, i64),
    /// Any number.
    Number,
    /// An object.
    Object(&'static [Field]),
    /// A list of objects.
    Items(&'static [Field]),
}

/// A default.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fallback {
    Null,
    Flag(bool),
    Whole(i64),
    Zero,
    Text(&'static str),
}

/// Who sets a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// The client, whenever it likes.
    Client,
    /// The client, when the record is made.
    Birth,
    /// This server. What a client sends is passed over, as in Ant Media: clients send back what they were given.
    Server,
}

/// What is wrong with a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {found} was given; it must be {expected}")]
pub(crate) struct Misfit {
    /// Path of the field: `endPointList[2].endpointUrl`.
    pub(crate) field: String,
    pub(crate) found: String,
    pub(crate) expected: String,
}

impl Fallback {
    pub(crate) fn value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Flag(flag) => flag.into(),
            Self::Whole(number) => number.into(),
            Self::Zero => 0.0.into(),
            Self::Text(text) => text.into(),
        }
    }
}

impl Shape {
    /// Whether `value` fits; null is nobody's business here.
    pub(crate) fn check(&self, field: &str, value: &Value) -> Result<(), Misfit> {
        let misfit = || Misfit {
            field: field.to_owned(),
            found: shown(value),
            expected: self.words(),
        };
        let fits = match self {
            Self::Text => value.as_str().is_some_and(|t| t.len() <= TEXT_BYTES_MAX),
            Self::OneOf(names) => value.as_str().is_some_and(|t| names.contains(&t)),
            Self::Flag => value.is_boolean(),
            Self::Whole(min) => value.as_i64().is_some_and(|n| n >= *min),
            Self::Within(min, max) => value.as_i64().is_some_and(|n| (*min..=*max).contains(&n)),
            Self::Number => value.as_f64().is_some_and(f64::is_finite),
            Self::Object(table) => {
                let object = value.as_object().ok_or_else(misfit)?;
                return check_all(table, field, object);
            }
            Self::Items(table) => {
                let items = value.as_array().ok_or_else(misfit)?;
                for (index, item) in items.iter().enumerate().take(ITEMS_MAX) {
                    let at = format!("{field}[{index}]");
                    Self::Object(table).check(&at, item)?;
                }
                items.len() <= ITEMS_MAX
            }
        };
        if fits { Ok(()) } else { Err(misfit()) }
    }

    fn words(&self) -> String {
        match self {
            Self::Text => format!("a text of at most {TEXT_BYTES_MAX} bytes"),
            Self::OneOf(names) => format!("one of {}", names.join(", ")),
            Self::Flag => "true or false".to_owned(),
            Self::Whole(min) => format!("a whole number, {min} or more"),
            Self::Within(min, max) => format!("a whole number from {min} to {max}"),
            Self::Number => "a number".to_owned(),
            Self::Object(_) => "an object".to_owned(),
            Self::Items(_) => format!("a list of at most {ITEMS_MAX} objects"),
        }
    }

    fn schema(&self, default: Fallback) -> Schema {
        let or_null = |kind: Type| -> utoipa::openapi::schema::SchemaType {
            if matches!(default, Fallback::Null) {
                [kind, Type::Null].into_iter().collect()
            } else {
                kind.into()
            }
        };
        let object = ObjectBuilder::new().default(Some(default.value()));
        let object = match self {
            Self::Text => object.schema_type(or_null(Type::String)),
            Self::OneOf(names) => {
                let null = matches!(default, Fallback::Null).then_some(Value::Null);
                let names = names.iter().map(|name| Value::from(*name)).chain(null);
                object
                    .schema_type(or_null(Type::String))
                    .enum_values(Some(names))
            }
            Self::Flag => object.schema_type(or_null(Type::Boolean)),
            Self::Whole(min) => object
                .schema_type(or_null(Type::Integer))
                .minimum(Some(*min)),
            Self::Within(min, max) => object
                .schema_type(or_null(Type::Integer))
                .minimum(Some(*min))
                .maximum(Some(*max)),
            Self::Number => object.schema_type(or_null(Type::Number)),
            Self::Object(table) => return nullable(schema(table, Purpose::Part)),
            Self::Items(table) => {
                let items = ArrayBuilder::new()
                    .schema_type(
                        [Type::Array, Type::Null]
                            .into_iter()
                            .collect::<utoipa::openapi::schema::SchemaType>(),
                    )
                    .items(RefOr::T(schema(table, Purpose::Part)))
                    .max_items(Some(ITEMS_MAX));
                return Schema::Array(items.build());
            }
        };
        Schema::Object(object.build())
    }
}

fn nullable(schema: Schema) -> Schema {
    match schema {
        Schema::Object(mut object) => {
            object.schema_type = [Type::Object, Type::Null].into_iter().collect();
            Schema::Object(object)
        }
        other => other,
    }
}

/// Checks every field of an object that a table knows.
fn check_all(table: &[Field], path: &str, object: &Map<String, Value>) -> Result<(), Misfit> {
    for field in table {
        let value = object.get(field.name).filter(|value| !value.is_null());
        if let Some(value) = value {
            let at = format!("{path}.{}", field.name);
            field.shape.check(&at, value)?;
        }
    }
    Ok(())
}

/// What `body` says that these may set; nulls say nothing, and the rest is passed over.
///
/// # Errors
/// [`Misfit`] names the first field that cannot be.
pub(crate) fn given(table: &[Field], body: &Fields, by: &[By]) -> Result<Fields, Misfit> {
    let mut set = Fields::new();
    for field in table.iter().filter(|field| by.contains(&field.by)) {
        if let Some(value) = body.get(field.name).filter(|value| !value.is_null()) {
            field.shape.check(field.name, value)?;
            set.insert(field.name.to_owned(), value.clone());
        }
    }
    Ok(set)
}

/// A record as it is answered: every field of the table, from the record where it fits, else the default.
pub(crate) fn filled(table: &[Field], record: &Fields) -> Fields {
    let value = |field: &Field| {
        let stored = record.get(field.name).filter(|value| !value.is_null());
        let good = stored.filter(|value| field.shape.check("", value).is_ok());
        good.cloned().unwrap_or_else(|| field.default.value())
    };
    table
        .iter()
        .map(|f| (f.name.to_owned(), value(f)))
        .collect()
}

/// Fields that no table knows and that may be kept: another version's. Bounded, and named and shaped so that every
/// store takes them.
pub(crate) fn unknown<'a>(
    known: impl Fn(&str) -> bool + 'a,
    object: &'a Fields,
) -> impl Iterator<Item = (String, Value)> + 'a {
    let keep = move |(name, value): &(&String, &Value)| {
        !known(name) && named_well(name) && !value.is_null() && plain(value, UNKNOWN_DEPTH_MAX)
    };
    let kept = object.iter().filter(keep).take(UNKNOWN_MAX);
    kept.map(|(name, value)| (name.clone(), value.clone()))
}

fn named_well(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.len() <= UNKNOWN_NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(good)
}

fn plain(value: &Value, depth: usize) -> bool {
    match value {
        Value::Null | Value::Bool(_) => true,
        Value::Number(number) => number.is_i64() || number.is_f64(),
        Value::String(text) => text.len() <= TEXT_BYTES_MAX,
        Value::Array(items) => {
            depth > 0 && items.len() <= ITEMS_MAX && items.iter().all(|item| plain(item, depth - 1))
        }
        Value::Object(object) => {
            depth > 0
                && object.len() <= ITEMS_MAX
                && object
                    .iter()
                    .all(|(name, item)| named_well(name) && plain(item, depth - 1))
        }
    }
}

/// What a schema is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// An answer: every field is there.
    Answer,
    /// A body: what the client may set, no field is required.
    Body,
    /// A part of either.
    Part,
}

/// A table as OpenAPI.
pub(crate) fn schema(table: &[Field], purpose: Purpose) -> Schema {
    let mut object =
        ObjectBuilder::new().additional_properties(Some(AdditionalProperties::FreeForm(true)));
    for field in table {
        if purpose == Purpose::Body && field.by == By::Server {
            continue;
        }
        let default = if purpose == Purpose::Answer {
            field.default
        } else {
            Fallback::Null
        };
        object = object.property(field.name, field.shape.schema(default));
        if purpose == Purpose::Answer {
            object = object.required(field.name);
        }
    }
    Schema::Object(object.build())
}

/// Gives a type the schema of a table.
macro_rules! described {
    ($type:ident, $table:ident, $purpose:ident) => {
        impl utoipa::PartialSchema for $type {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                let purpose = $crate::apps_rest::shape::Purpose::$purpose;
                utoipa::openapi::RefOr::T($crate::apps_rest::shape::schema($table, purpose))
            }
        }

        impl utoipa::ToSchema for $type {}
    };
}
pub(crate) use described;

/// A value in a message: short.
fn shown(value: &Value) -> String {
    const SHOWN_CHARS: usize = 40;
    match value {
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) if text.chars().count() > SHOWN_CHARS => {
            format!("a text of {} bytes", text.len())
        }
        other => other.to_string(),
    }
}
