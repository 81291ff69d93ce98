//! The one way by which objects come from an origin.
//!
//! [`Fetch`] is what a transport implements: ask for a path, give back status, headers and a body
//! that arrives in pieces. A misses' retry rules ask [`FetchError`] whose fault it was and whether
//! the same request may be sent again.

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

/// A GET for one object.
#[derive(Clone, Debug)]
pub struct FetchRequest {
    /// Where: `host:port`, or `unix:` and a socket's path.
    pub origin: String,
    /// Path and query, as they go on the request line.
    pub target: String,
    /// Further request headers; Host is set by the transport.
    pub headers: HeaderMap,
}

/// The head of an answer, and its body to come.
#[derive(Debug)]
pub struct FetchResponse {
    /// Status, 200 to 599.
    pub status: StatusCode,
    /// End-to-end headers; hop-by-hop ones are dropped when the answer is stored.
    pub headers: HeaderMap,
    /// The body's length if it was announced, bytes.
    pub content_length: Option<u64>,
    /// The body.
    pub body: Box<dyn FetchBody>,
}

/// A body that arrives in pieces.
#[async_trait]
pub trait FetchBody: Send + std::fmt::Debug {
    /// The next piece, `None` after the last. An implementation that sees the body break off
    /// (fewer bytes than announced, no last chunk) must return an error, not `None`.
    ///
    /// Dropping the body before its end gives the fetch up.
    async fn next(&mut self) -> Option<Result<Bytes, FetchError>>;
}

/// A body of no bytes.
#[derive(Clone, Copy, Debug)]
pub struct EmptyBody;

#[async_trait]
impl FetchBody for EmptyBody {
    async fn next(&mut self) -> Option<Result<Bytes, FetchError>> {
        None
    }
}

/// A transport to origins.
#[async_trait]
pub trait Fetch: Send + Sync + std::fmt::Debug {
    /// Sends a GET and returns as soon as the head is there.
    ///
    /// # Errors
    /// [`FetchError`], when no head came.
    async fn fetch(&self, request: FetchRequest) -> Result<FetchResponse, FetchError>;
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The origin, or the way to it.
    Origin,
    /// This node: a limit of its own, or a mistake.
    Ours,
    /// Whoever should have told where the origin is.
    Directory,
}

/// Why an object could not be had. Cloned to everybody who waited for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The origin's address cannot be read.
    #[error("origin address {origin:?} is neither host:port nor unix:/path")]
    Address {
        /// The address.
        origin: String,
    },
    /// No connection.
    #[error("cannot connect to origin {origin}: {reason}")]
    Connect {
        /// The address.
        origin: String,
        /// What the system said.
        reason: String,
    },
    /// No connection in time.
    #[error("origin {origin} did not accept a connection within {limit_ms} ms")]
    ConnectTimeout {
        /// The address.
        origin: String,
        /// The limit.
        limit_ms: u64,
    },
    /// No head in time.
    #[error("origin {origin} sent no answer within {limit_ms} ms")]
    HeadTimeout {
        /// The address.
        origin: String,
        /// The limit.
        limit_ms: u64,
    },
    /// The body stood still.
    #[error("origin {origin} sent no body byte for {limit_ms} ms")]
    BodyTimeout {
        /// The address.
        origin: String,
        /// The limit.
        limit_ms: u64,
    },
    /// The connection ended, or spoke no HTTP, before the head was whole.
    #[error("origin {origin} broke off before its answer: {reason}")]
    HeadBroken {
        /// The address.
        origin: String,
        /// What was seen.
        reason: String,
    },
    /// The connection ended inside the body.
    #[error("origin {origin} broke off inside the body: {reason}")]
    BodyBroken {
        /// The address.
        origin: String,
        /// What was seen.
        reason: String,
    },
    /// More bytes than one object may have.
    #[error("the object is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// Nobody could say where the origin is.
    #[error("no route to an origin: {reason}")]
    NoRoute {
        /// Why.
        reason: String,
    },
    /// A limit of this node was reached.
    #[error("busy: {limit} {what} at once")]
    Busy {
        /// Of what there are too many.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// Waited longer for somebody else's fetch than is allowed.
    #[error("the answer took longer than {limit_ms} ms")]
    WaitTimeout {
        /// The limit.
        limit_ms: u64,
    },
    /// The fetch was given up because nobody waited for it any more, or the node shuts down.
    #[error("the fetch was given up")]
    Abandoned,
}

impl FetchError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::NoRoute { .. } => Fault::Directory,
            Self::Busy { .. } | Self::Abandoned => Fault::Ours,
            _ => Fault::Origin,
        }
    }

    /// Whether asking again, perhaps elsewhere, can help. True only when no byte of an answer had
    /// come, so that nobody has seen a part of it.
    pub fn retryable(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. } | Self::ConnectTimeout { .. } | Self::HeadBroken { .. }
        )
    }

    /// What to answer a viewer (RFC 9110 section 15.6).
    pub fn status(&self) -> StatusCode {
        match self {
            Self::ConnectTimeout { .. }
            | Self::HeadTimeout { .. }
            | Self::BodyTimeout { .. }
            | Self::WaitTimeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::NoRoute { .. } | Self::Busy { .. } | Self::Abandoned => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// A short name for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Address { .. } => "error_address",
            Self::Connect { .. } => "error_connect",
            Self::ConnectTimeout { .. } => "error_connect_timeout",
            Self::HeadTimeout { .. } => "error_head_timeout",
            Self::BodyTimeout { .. } => "error_body_timeout",
            Self::HeadBroken { .. } => "error_head_broken",
            Self::BodyBroken { .. } => "error_body_broken",
            Self::TooLarge { .. } => "error_too_large",
            Self::NoRoute { .. } => "error_no_route",
            Self::Busy { .. } => "error_busy",
            Self::WaitTimeout { .. } => "error_wait_timeout",
            Self::Abandoned => "error_abandoned",
        }
    }
}
