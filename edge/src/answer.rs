//! Heads and bodies on their way to a viewer.
//!
//! Answers this node makes up itself are [`Reply`]s: small, whole, with their length. Media bodies
//! come from the cache piece by piece ([`send_body`]).

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use weir_cache::{FetchError, Reader};

/// What the node calls itself.
const SERVER: HeaderValue = HeaderValue::from_static("weir");
/// Seconds a viewer shall wait after a 503.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");
/// Answers about what is not there may be kept this briefly downstream, too.
const NOT_THERE: HeaderValue = HeaderValue::from_static("max-age=1");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// An answer that cannot go on: the connection must end, so that it does not look whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The viewer went away, or took nothing for too long.
    #[error("viewer: {0}")]
    Viewer(#[from] Box<pingora::Error>),
    /// The origin broke off.
    #[error("origin: {0}")]
    Origin(#[from] FetchError),
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn new(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// A status and its name as text.
    pub(crate) fn plain(status: StatusCode) -> Self {
        let mut reply = Self::new(status);
        reply.body = Bytes::from_static(status.canonical_reason().unwrap_or("error").as_bytes());
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        reply.headers.insert(header::CONTENT_TYPE, text);
        reply
    }

    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Says how long to believe it: a 404 briefly, an error not at all.
    pub(crate) fn dated(self) -> Self {
        let gone = matches!(self.status, StatusCode::NOT_FOUND | StatusCode::GONE);
        let busy = self.status == StatusCode::SERVICE_UNAVAILABLE;
        let reply = self.with(
            header::CACHE_CONTROL,
            if gone { NOT_THERE } else { NO_STORE },
        );
        if busy {
            reply.with(header::RETRY_AFTER, RETRY_AFTER)
        } else {
            reply
        }
    }

    /// Sends it; Pingora leaves the body out for HEAD, 204 and 304.
    pub(crate) async fn send(mut self, session: &mut ServerSession) -> Result<(), Broken> {
        // RFC 9110 section 8.6: no length where there can be no body.
        if self.status != StatusCode::NO_CONTENT && self.status != StatusCode::NOT_MODIFIED {
            self.headers
                .entry(header::CONTENT_LENGTH)
                .or_insert_with(|| HeaderValue::from(self.body.len()));
        }
        send_head(session, self.status, self.headers).await?;
        session.write_response_body(self.body, true).await?;
        Ok(())
    }
}

/// Sends a head. Pingora adds Date and Connection.
pub(crate) async fn send_head(
    session: &mut ServerSession,
    status: StatusCode,
    mut headers: HeaderMap,
) -> Result<(), Broken> {
    headers.insert(header::SERVER, SERVER);
    let mut parts = http::Response::new(()).into_parts().0;
    parts.status = status;
    parts.headers = headers;
    session
        .write_response_header(Box::new(ResponseHeader::from(parts)))
        .await?;
    Ok(())
}

/// Sends what `reader` yields, as it comes. Returns the bytes sent.
pub(crate) async fn send_body(
    session: &mut ServerSession,
    reader: &mut Reader,
) -> Result<u64, Broken> {
    let mut sent_bytes = 0;
    while let Some(piece) = reader.next().await? {
        sent_bytes += piece.len() as u64;
        session.write_response_body(piece, false).await?;
    }
    Ok(sent_bytes)
}

/// Lets pages of any origin read what they play (the Fetch standard's CORS protocol).
pub(crate) fn allow_all(headers: &mut HeaderMap) {
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("Content-Length, Content-Range, Date, Age, ETag, Cache-Status"),
    );
}

/// The answer to a CORS preflight, with the methods and headers Ant Media allows.
pub(crate) fn preflight() -> Reply {
    let mut reply = Reply::new(StatusCode::NO_CONTENT)
        .with(
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET, POST, HEAD, OPTIONS, PUT, DELETE"),
        )
        .with(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static(
                "Accept, Origin, X-Requested-With, Access-Control-Request-Headers, Content-Type, \
                 Access-Control-Request-Method, Authorization, Range, If-None-Match",
            ),
        )
        .with(
            header::ACCESS_CONTROL_MAX_AGE,
            HeaderValue::from_static("86400"),
        );
    allow_all(&mut reply.headers);
    reply
}
