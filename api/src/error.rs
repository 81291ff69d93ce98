//! Why a request was not answered with what it asked for, as status and as Ant Media's `Result` JSON.

use crate::apps_rest::Misfit;
use crate::wire::ResultJson;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use weir_cluster::AppName;

/// How long a client should wait after a 503, seconds.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("1");

/// Why a request failed.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The client's fault: a value that cannot be.
    #[error("{0}")]
    Invalid(String),
    /// The client's fault, or a node configured otherwise.
    #[error("no such application here; this node has {}", names(apps))]
    NoSuchApp { apps: Vec<AppName> },
    /// Nothing by that name.
    #[error("{0}")]
    NotFound(String),
    /// A path of Ant Media's API that this version does not have.
    #[error("{method} {path} is not part of this version")]
    NotBuilt { method: http::Method, path: String },
    /// A known path, another method.
    #[error("{method} is not answered at {path} in this version")]
    Method { method: http::Method, path: String },
    /// A body beyond what is read.
    #[error("the body is longer than {max} bytes")]
    TooLong { max: usize },
    /// Another node's: it took the request and did not answer.
    #[error("the {whose} {host} did not answer ({reason}); it may have done what was asked")]
    Elsewhere {
        whose: &'static str,
        host: String,
        reason: String,
    },
    /// Ours, and nothing the client can mend.
    #[error("{0}")]
    Internal(String),
    /// Ours: the store does not answer. Worth a retry.
    #[error("the cluster's store does not answer: {0}")]
    Store(String),
    /// Ours: no room for more.
    #[error("{0}")]
    Full(String),
    /// Ours: too much at once. Worth a retry.
    #[error("too many requests at once")]
    Busy,
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::NoSuchApp { .. } | Self::NotFound(_) | Self::NotBuilt { .. } => {
                StatusCode::NOT_FOUND
            }
            Self::TooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Elsewhere { .. } => StatusCode::BAD_GATEWAY,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
            Self::Store(_) | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        if let Self::Store(reason) = &self {
            tracing::warn!(reason, "request answered with 503: store does not answer");
        }
        let mut response = (status, ResultJson::failed(self.to_string())).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, RETRY_AFTER_S);
        }
        response
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        Self::Invalid(rejection.body_text())
    }
}

impl From<Misfit> for ApiError {
    fn from(misfit: Misfit) -> Self {
        Self::Invalid(misfit.to_string())
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::Invalid(rejection.body_text())
    }
}

fn names(apps: &[AppName]) -> String {
    let names: Vec<_> = apps.iter().map(AppName::as_str).collect();
    names.join(", ")
}
