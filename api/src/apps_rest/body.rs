//! JSON bodies: bounded, and their faults told in words.

use super::shape::ITEMS_MAX;
use crate::error::ApiError;
use axum::body::{self, Bytes};
use axum::extract::{FromRequest, Request};
use http_body_util::LengthLimitError;
use serde_json::Value;
use std::error::Error as _;
use weir_cluster::Fields;

/// The longest body, bytes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// A JSON object; no body is an empty one.
pub(crate) struct Body(pub(crate) Fields);

/// A list of JSON objects.
pub(crate) struct Items(pub(crate) Vec<Fields>);

/// A list of texts; no body is an empty one.
pub(crate) struct Texts(pub(crate) Vec<String>);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        match json(request).await? {
            None | Some(Value::Null) => Ok(Self(Fields::new())),
            Some(value) => object("the body", value).map(Self),
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for Items {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let items = list(json(request).await?)?;
        let objects = items.into_iter().enumerate();
        let objects = objects.map(|(at, item)| object(&format!("[{at}]"), item));
        objects.collect::<Result<_, _>>().map(Self)
    }
}

impl<S: Send + Sync> FromRequest<S> for Texts {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let Some(value) = json(request).await? else {
            return Ok(Self(Vec::new()));
        };
        let items = list(Some(value))?;
        let texts = items.into_iter().enumerate().map(|(at, item)| match item {
            Value::String(text) => Ok(text),
            other => Err(misfit(&format!("[{at}]"), &other, "a text")),
        });
        texts.collect::<Result<_, _>>().map(Self)
    }
}

/// A body, whole.
///
/// # Errors
/// When it is longer than [`BODY_BYTES_MAX`], or broke off.
pub(crate) async fn read(body: body::Body) -> Result<Bytes, ApiError> {
    body::to_bytes(body, BODY_BYTES_MAX).await.map_err(|error| {
        if error.source().is_some_and(|e| e.is::<LengthLimitError>()) {
            ApiError::TooLong {
                max: BODY_BYTES_MAX,
            }
        } else {
            ApiError::Invalid(format!("the body broke off: {error}"))
        }
    })
}

/// The body as JSON, `None` when there is none.
async fn json(request: Request) -> Result<Option<Value>, ApiError> {
    let bytes = read(request.into_body()).await?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let value = serde_json::from_slice(&bytes);
    value.map_err(|error| ApiError::Invalid(format!("the body is no JSON: {error}")))
}

fn list(value: Option<Value>) -> Result<Vec<Value>, ApiError> {
    match value.unwrap_or(Value::Null) {
        Value::Array(items) if items.len() <= ITEMS_MAX => Ok(items),
        other => {
            let expected = format!("a list of at most {ITEMS_MAX}");
            Err(misfit("the body", &other, &expected))
        }
    }
}

fn object(at: &str, value: Value) -> Result<Fields, ApiError> {
    match value {
        Value::Object(fields) => Ok(fields),
        other => Err(misfit(at, &other, "an object")),
    }
}

fn misfit(at: &str, value: &Value, expected: &str) -> ApiError {
    let found = match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(_) => "true or false".to_owned(),
        Value::Number(_) => "a number".to_owned(),
        Value::String(_) => "a text".to_owned(),
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(_) => "an object".to_owned(),
    };
    ApiError::Invalid(format!("{at}: {found} was given; it must be {expected}"))
}
