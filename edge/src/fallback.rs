//! What is not media: read whole, handed on, answered whole.

use crate::answer::{Broken, Reply};
use crate::connection::Peer;
use crate::edge::Edge;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, header};
use pingora::protocols::http::ServerSession;
use std::time::Duration;
use tokio::time::timeout;

/// Answers requests for anything but media: REST, pages, metrics.
#[async_trait]
pub trait Fallback: Send + Sync {
    /// Answers one request. Its body is whole and within `request_body_bytes_max`; its extensions
    /// hold the [`Peer`].
    async fn handle(&self, request: http::Request<Bytes>) -> http::Response<Bytes>;
}

impl Edge {
    pub(crate) async fn fall_back(
        &self,
        session: &mut ServerSession,
        peer: Peer,
    ) -> Result<(), Broken> {
        let reply = match self.read_body(session).await? {
            Ok(body) => {
                let answer = self.fallback.handle(request(session, body, peer)).await;
                reply(answer, session.req_header().method == Method::HEAD)
            }
            Err(status) => {
                session.set_keepalive(None);
                Reply::plain(status)
            }
        };
        self.metrics.request("other", reply.status, "none");
        self.metrics.sent_bytes.inc_by(reply.body.len() as u64);
        reply.send(session).await
    }

    /// The inner error is the status to refuse with.
    async fn read_body(
        &self,
        session: &mut ServerSession,
    ) -> Result<Result<Bytes, StatusCode>, Broken> {
        if session.is_body_empty() {
            return Ok(Ok(Bytes::new()));
        }
        let max_bytes = self.options.request_body_bytes_max;
        let announced = session
            .get_header(header::CONTENT_LENGTH)
            .and_then(|v| v.to_str().ok()?.trim().parse::<usize>().ok());
        if announced.is_some_and(|len| len > max_bytes) {
            return Ok(Err(StatusCode::PAYLOAD_TOO_LARGE));
        }
        let expects = session
            .get_header(header::EXPECT)
            .is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        if expects {
            session.write_continue_response().await?;
        }
        let reading = async {
            let mut body = BytesMut::new();
            while let Some(piece) = session.read_request_body().await? {
                if body.len() + piece.len() > max_bytes {
                    return Ok(Err(StatusCode::PAYLOAD_TOO_LARGE));
                }
                body.extend_from_slice(&piece);
            }
            Ok(Ok(body.freeze()))
        };
        timeout(Duration::from_millis(self.options.body_ms_max), reading)
            .await
            .unwrap_or(Ok(Err(StatusCode::REQUEST_TIMEOUT)))
    }
}

fn request(session: &ServerSession, body: Bytes, peer: Peer) -> http::Request<Bytes> {
    let head = session.req_header();
    let mut request = http::Request::new(body);
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = head.uri.clone();
    *request.version_mut() = head.version;
    *request.headers_mut() = head.headers.clone();
    request.extensions_mut().insert(peer);
    request
}

fn reply(answer: http::Response<Bytes>, head_only: bool) -> Reply {
    let (parts, body) = answer.into_parts();
    // A 1xx is no final answer, and 101 would hand over the connection.
    let status = if parts.status.is_informational() {
        StatusCode::BAD_GATEWAY
    } else {
        parts.status
    };
    let mut headers: HeaderMap = parts.headers;
    // The framing is this connection's, not the fallback's.
    headers.remove(header::CONNECTION);
    headers.remove(header::TRANSFER_ENCODING);
    if !head_only {
        headers.remove(header::CONTENT_LENGTH);
    }
    Reply {
        status,
        headers,
        body,
    }
}
