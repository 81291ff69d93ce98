//! A viewer's HTTP connection: one, kept alive, requests one after another.
//!
//! A connection that the server ended between two requests (idle, draining) is made again and the
//! request repeated once, as browsers do; that is counted and no error. hyper watches lengths: a
//! body that ends before its Content-Length is a broken connection, not a short file.

use crate::fault::{Fault, Kind};
use crate::tally::Tally;
use crate::target::connect;
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use url::Url;

/// Longest body taken, bytes.
const BODY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A client of one host.
pub(super) struct Client {
    addresses: Arc<[SocketAddr]>,
    host: HeaderValue,
    /// Time for connecting, asking and the whole answer.
    limit: Duration,
    tally: Arc<Tally>,
    connection: Option<SendRequest<Empty<Bytes>>>,
    connected_before: bool,
}

/// A whole answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Body,
    /// Request to last byte.
    pub(super) taken: Duration,
}

/// A body as it came.
#[derive(Default)]
pub(super) struct Body {
    parts: Vec<Bytes>,
    pub(super) length: usize,
    checksum: crc32fast::Hasher,
}

impl Body {
    /// All of it in one piece.
    pub(super) fn joined(&self) -> Bytes {
        match self.parts.as_slice() {
            [] => Bytes::new(),
            [one] => one.clone(),
            parts => parts.concat().into(),
        }
    }

    /// Length and CRC-32: enough to tell contents of one URL apart.
    pub(super) fn fingerprint(&self) -> (usize, u32) {
        (self.length, self.checksum.clone().finalize())
    }

    fn push(&mut self, part: Bytes) {
        self.length += part.len();
        self.checksum.update(&part);
        self.parts.push(part);
    }
}

impl Client {
    /// A client that connects when it first asks.
    pub(super) fn new(
        addresses: Arc<[SocketAddr]>,
        host: HeaderValue,
        limit: Duration,
        tally: Arc<Tally>,
    ) -> Self {
        Self {
            addresses,
            host,
            limit,
            tally,
            connection: None,
            connected_before: false,
        }
    }

    /// GET of a URL of this host, whatever its status.
    pub(super) async fn get(&mut self, url: &Url) -> Result<Answer, Fault> {
        let asked = Instant::now();
        let limit = self.limit;
        let done = timeout(limit, self.exchange(url)).await;
        if !matches!(done, Ok(Ok(_))) {
            self.connection = None;
        }
        let (status, body) = done.map_err(|_| {
            let text = format!("no whole answer within {} s", limit.as_secs());
            Fault::new(Kind::HttpTimeout, text)
        })??;
        self.tally.viewed_bytes.add(body.length as u64);
        Ok(Answer {
            status,
            body,
            taken: asked.elapsed(),
        })
    }

    async fn exchange(&mut self, url: &Url) -> Result<(StatusCode, Body), Fault> {
        let reused = self.connection.is_some();
        let response = match self.send(url).await {
            Err(Refusal { retry: true, .. }) if reused => {
                self.connection = None;
                self.send(url).await
            }
            sent => sent,
        };
        let mut response = response.map_err(|refusal| refusal.fault)?;
        let mut body = Body::default();
        while let Some(frame) = response.frame().await {
            let frame = frame.map_err(|e| {
                let text = format!(
                    "cut short after {} bytes of body: {}",
                    body.length,
                    chain(&e)
                );
                Fault::new(Kind::HttpBroken, text)
            })?;
            if let Ok(part) = frame.into_data() {
                body.push(part);
            }
            if body.length > BODY_BYTES_MAX {
                let text = format!("a body of more than {BODY_BYTES_MAX} bytes");
                return Err(Fault::new(Kind::HttpBroken, text));
            }
        }
        Ok((response.status(), body))
    }

    /// Asks; gives the answer's head.
    async fn send(&mut self, url: &Url) -> Result<http::Response<hyper::body::Incoming>, Refusal> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let broken = |e: hyper::Error| Refusal {
            retry: e.is_canceled() || e.is_closed() || e.is_incomplete_message(),
            fault: Fault::new(Kind::HttpBroken, chain(&e)),
        };
        connection.ready().await.map_err(broken)?;
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let request = Request::get(path)
            .header(header::HOST, &self.host)
            .header(
                header::USER_AGENT,
                concat!("weir-load/", env!("CARGO_PKG_VERSION")),
            )
            .body(Empty::new())
            .map_err(|e| Refusal {
                retry: false,
                fault: Fault::new(Kind::PlaylistUnreadable, format!("URL {url}: {e}")),
            })?;
        let response = connection.send_request(request).await.map_err(broken)?;
        self.connection = Some(connection);
        Ok(response)
    }

    async fn connect(&mut self) -> Result<SendRequest<Empty<Bytes>>, Refusal> {
        let unreachable = |text: String| Refusal {
            retry: false,
            fault: Fault::new(Kind::HttpUnreachable, text),
        };
        let stream = connect(&self.addresses)
            .await
            .map_err(|e| unreachable(e.to_string()))?;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|e| unreachable(e.to_string()))?;
        // Ends with the sender; its error is the request's.
        tokio::spawn(connection);
        self.tally
            .viewer_reconnects
            .add(u64::from(self.connected_before));
        self.connected_before = true;
        Ok(sender)
    }
}

/// Why there is no answer.
struct Refusal {
    /// Whether the connection ended before a byte of the answer came.
    retry: bool,
    fault: Fault,
}

/// An error with its causes, which hyper leaves out of its own words.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
