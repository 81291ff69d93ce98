//! Path and query values, whose faults are told in JSON.

use crate::error::ApiError;
use axum::extract::{FromRequestParts, Path, Query};
use http::request::Parts;
use serde::de::DeserializeOwned;

/// The most records in one answer, as in Ant Media's data store.
pub const LIST_SIZE_MAX: usize = weir_cluster::records::LIST_MAX;

/// Values from the path.
pub(crate) struct UrlPath<T>(pub(crate) T);

/// Values from the query.
pub(crate) struct UrlQuery<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for UrlPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(value) = Path::from_request_parts(parts, state).await?;
        Ok(Self(value))
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for UrlQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(value) = Query::from_request_parts(parts, state).await?;
        Ok(Self(value))
    }
}

/// A window on a list, as it is in a path.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(
    dead_code,
    reason = "only its description is used, in the OpenAPI document"
)]
pub(crate) struct PageParams {
    /// Records to skip.
    offset: u32,
    /// Records wanted; at most 250 are given.
    size: u32,
}

/// A window on a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// Records skipped.
    pub(crate) offset: usize,
    /// Records given at most; never above [`LIST_SIZE_MAX`].
    pub(crate) size: usize,
}

impl Page {
    /// The first window.
    pub(crate) const FIRST: Self = Self {
        offset: 0,
        size: LIST_SIZE_MAX,
    };

    /// Reads `{offset}/{size}`; a size above the limit is the limit, as in Ant Media.
    pub(crate) fn parse(offset: &str, size: &str) -> Result<Self, ApiError> {
        Ok(Self {
            offset: count("offset", "records to skip", offset)?,
            size: count("size", "records wanted", size)?.min(LIST_SIZE_MAX),
        })
    }
}

fn count(name: &str, meaning: &str, text: &str) -> Result<usize, ApiError> {
    let shown: String = text.chars().take(32).collect();
    text.parse().map_err(|_| {
        ApiError::Invalid(format!(
            "{name} is {shown:?}: it must be the number of {meaning}, 0 or more"
        ))
    })
}
