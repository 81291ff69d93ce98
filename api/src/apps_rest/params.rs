//! Values in paths and queries, as the OpenAPI document tells of them.

#![expect(
    dead_code,
    reason = "paths are read as tuples; these describe them in the OpenAPI document"
)]

use utoipa::IntoParams;

/// A stream.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct OfStream {
    /// The stream.
    id: String,
}

/// A subscriber.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct OfSubscriber {
    /// The stream.
    id: String,
    /// The subscriber.
    sid: String,
}

/// A search.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct OfSearch {
    /// Part of an id or a name.
    search: String,
}
