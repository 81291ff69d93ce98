//! One viewer's connection: request after request, with time limits around Pingora's session.
//!
//! Times: from accept (or, later, from a request's first byte) the head must be in within
//! `head_ms_max`; between requests the connection may idle `idle_ms_max`. When the node drains,
//! idle connections close at once and busy ones after their answer.
//!
//! Answers to what is no request: 400 (malformed, two Hosts, no Host), 405 (CONNECT), 408 (too slow), 414 (target
//! too long), 431 (head too large); each closes the connection. A cut-off head gets no answer.

use crate::answer::Reply;
use crate::edge::Edge;
use crate::wire::Watch;
use async_trait::async_trait;
use http::uri::Scheme;
use http::{Method, StatusCode, Version, header};
use pingora::ErrorType;
use pingora::apps::{HttpPersistentSettings, HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The address a request came from; an extension of the request that a
/// [`Fallback`](crate::Fallback) gets. Behind the load balancer it is the balancer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// Who asks, and over what.
#[derive(Clone, Copy)]
pub(crate) struct Viewer<'a> {
    pub(crate) peer: Peer,
    pub(crate) watch: &'a Watch,
}

/// A connection's part of the edge.
pub(crate) struct Connection {
    edge: Arc<Edge>,
    watch: Arc<Watch>,
    peer: Peer,
    drain: CancellationToken,
    http: HttpServerOptions,
    /// Nothing was asked on it yet.
    new: AtomicBool,
}

/// What came of waiting for a request.
enum HeadRead {
    Request,
    Refused(StatusCode),
    Closed,
}

impl Connection {
    pub(crate) fn new(
        edge: Arc<Edge>,
        watch: Arc<Watch>,
        peer: Peer,
        drain: CancellationToken,
    ) -> Self {
        let mut http = HttpServerOptions::default();
        http.keepalive_request_limit = Some(edge.options.requests_per_connection_max);
        Self {
            edge,
            watch,
            peer,
            drain,
            http,
            new: AtomicBool::new(true),
        }
    }

    async fn read_head(&self, session: &mut ServerSession) -> HeadRead {
        self.watch.begin_head();
        let read = tokio::select! {
            biased;
            read = session.read_request() => read,
            limit = self.head_limit() => return limit,
            () = self.drained_while_idle() => return HeadRead::Closed,
        };
        self.new.store(false, Ordering::Relaxed);
        self.watch.end_head();
        match read {
            Ok(true) => self.check(session),
            Ok(false) => HeadRead::Closed,
            Err(_) if self.watch.head_too_large() => {
                HeadRead::Refused(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
            }
            Err(error) if *error.etype() == ErrorType::InvalidHTTPHeader => {
                tracing::debug!(peer = %self.peer.0, %error, "malformed request");
                HeadRead::Refused(StatusCode::BAD_REQUEST)
            }
            Err(_) => HeadRead::Closed,
        }
    }

    /// What Pingora lets pass and we do not.
    fn check(&self, session: &ServerSession) -> HeadRead {
        let head = session.req_header();
        let target = head.raw_path();
        if target.len() > self.edge.options.target_bytes_max {
            return HeadRead::Refused(StatusCode::URI_TOO_LONG);
        }
        // No tunnels (RFC 9110 section 9.3.6): a server that is no proxy may refuse.
        if head.method == Method::CONNECT {
            return HeadRead::Refused(StatusCode::METHOD_NOT_ALLOWED);
        }
        // RFC 9112 section 3.2: exactly one Host in HTTP/1.1; more than one is refused already.
        let no_host = head.version == Version::HTTP_11 && !head.headers.contains_key(header::HOST);
        // RFC 9112 section 3.2: a path, `*`, or a whole http URL; `host:port` is for CONNECT only,
        // and a target without a slash would otherwise be read as one.
        let formed = match head.uri.scheme() {
            None => target.starts_with(b"/") || target == b"*",
            Some(scheme) => *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS,
        };
        if no_host || !head.raw_path_is_utf8() || !formed {
            return HeadRead::Refused(StatusCode::BAD_REQUEST);
        }
        HeadRead::Request
    }

    async fn head_limit(&self) -> HeadRead {
        let options = &self.edge.options;
        if !self.new.load(Ordering::Relaxed) {
            let idle_max = Duration::from_millis(options.idle_ms_max);
            if timeout(idle_max, self.watch.first_byte()).await.is_err() {
                return HeadRead::Closed;
            }
        }
        sleep(Duration::from_millis(options.head_ms_max)).await;
        if self.watch.has_begun() {
            HeadRead::Refused(StatusCode::REQUEST_TIMEOUT)
        } else {
            HeadRead::Closed
        }
    }

    async fn drained_while_idle(&self) {
        self.drain.cancelled().await;
        if self.watch.has_begun() {
            std::future::pending().await
        }
    }

    async fn refuse(&self, session: &mut ServerSession, status: StatusCode) {
        self.watch.linger();
        self.edge.metrics.refused(status);
        session.set_keepalive(None);
        // It is going away whether it takes the answer or not.
        let _sent = Reply::plain(status).send(session).await;
        session.shutdown().await;
    }
}

#[async_trait]
impl HttpServerApp for Connection {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        _shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        // The time limits are ours; Pingora's own would only end a connection earlier.
        session.set_keepalive(Some(0));
        session.set_read_timeout(None);
        session.set_pipelining_enabled(true);
        match self.read_head(&mut session).await {
            HeadRead::Request => {}
            HeadRead::Closed => return None,
            HeadRead::Refused(status) => {
                self.refuse(&mut session, status).await;
                return None;
            }
        }
        if self.drain.is_cancelled() {
            session.set_keepalive(None);
        }
        if !session.is_body_empty() {
            // Whatever is answered before the body was read closes; its sender shall see why.
            self.watch.linger();
        }
        let viewer = Viewer {
            peer: self.peer,
            watch: &self.watch,
        };
        self.watch.hold_back(true);
        if let Err(broken) = self.edge.answer(&mut session, viewer).await {
            tracing::debug!(peer = %self.peer.0, %broken, "answer broke off");
            session.shutdown().await;
            return None;
        }
        let settings = HttpPersistentSettings::for_session(&session);
        // An error here is the viewer's going away after its answer.
        let reusable = session.finish().await.ok()??;
        self.watch.settle();
        Some(ReusedHttpStream::from_reusable_stream(reusable, settings))
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.http)
    }
}
