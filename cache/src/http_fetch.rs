//! Fetching over HTTP/1.1, on TCP or on a unix socket.
//!
//! Connections are kept ([`Pool`]); a kept one that dies before it has answered is replaced by a
//! new one, once: the origin closes idle connections whenever it likes, and a GET may be repeated
//! (RFC 9110 section 9.2.2).
//!
//! An origin has a number of fetches under way at most ([`Places`]): one that hangs must not use up
//! what all have together, or the streams of the others would stop with its own.
//!
//! Limits: [`HttpFetchOptions`]. Failures: [`FetchError`].

use crate::fetch::{Fetch, FetchBody, FetchError, FetchRequest, FetchResponse};
use crate::places::{Place, Places};
use crate::pool::{Connection, Pool};
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// What precedes a unix socket's path in an origin's address.
const UNIX_PREFIX: &str = "unix:";
/// How long a connection may take to be ready again after its last byte, ms.
const KEEP_TURN_MS: u64 = 100;

/// Limits of fetching.
#[derive(Clone, Copy, Debug)]
pub struct HttpFetchOptions {
    /// Time to get a connection, ms.
    pub connect_timeout_ms: u64,
    /// Time from the request to the head of the answer, ms.
    pub head_timeout_ms: u64,
    /// Time between two pieces of the body, ms.
    pub body_idle_timeout_ms: u64,
    /// Bytes of one body.
    pub response_bytes_max: u64,
    /// Fetches under way at one origin.
    pub fetches_per_origin_max: usize,
    /// Idle connections kept an origin.
    pub idle_per_origin_max: usize,
    /// How long an idle connection is kept, ms.
    pub idle_ms_max: u64,
}

impl Default for HttpFetchOptions {
    fn default() -> Self {
        Self {
            connect_timeout_ms: 2_000,
            head_timeout_ms: 5_000,
            body_idle_timeout_ms: 5_000,
            response_bytes_max: 64 << 20,
            fetches_per_origin_max: 256,
            idle_per_origin_max: 32,
            idle_ms_max: 15_000,
        }
    }
}

/// Headers that every request of an [`HttpFetch`] carries: how a node proves who asks.
pub trait RequestHeaders: Send + Sync + std::fmt::Debug {
    /// Adds them to a request that is about to be sent.
    fn add(&self, headers: &mut HeaderMap);
}

/// [`Fetch`] over HTTP/1.1.
#[derive(Debug)]
pub struct HttpFetch {
    pub(crate) options: HttpFetchOptions,
    pool: Arc<Pool>,
    pub(crate) places: Places,
    every: Option<Arc<dyn RequestHeaders>>,
}

impl HttpFetch {
    /// A fetcher with no connection yet.
    pub fn new(options: HttpFetchOptions) -> Self {
        let idle_max = Duration::from_millis(options.idle_ms_max);
        Self {
            options,
            pool: Arc::new(Pool::new(options.idle_per_origin_max, idle_max)),
            places: Places::new(options.fetches_per_origin_max),
            every: None,
        }
    }

    /// The same, with `headers` on each request.
    #[must_use]
    pub fn with_headers(mut self, headers: Arc<dyn RequestHeaders>) -> Self {
        self.every = Some(headers);
        self
    }

    pub(crate) async fn connect(&self, origin: &str) -> Result<Connection, FetchError> {
        let limit_ms = self.options.connect_timeout_ms;
        let failed = |error: &dyn std::error::Error| FetchError::Connect {
            origin: origin.to_owned(),
            reason: error.to_string(),
        };
        let connecting = async {
            if let Some(path) = origin.strip_prefix(UNIX_PREFIX) {
                let stream = UnixStream::connect(path).await.map_err(|e| failed(&e))?;
                handshake(stream).await.map_err(|e| failed(&e))
            } else if is_host_and_port(origin) {
                let stream = TcpStream::connect(origin).await.map_err(|e| failed(&e))?;
                // Not worth failing for: only speed is lost.
                let _ignored = stream.set_nodelay(true);
                handshake(stream).await.map_err(|e| failed(&e))
            } else {
                Err(FetchError::Address {
                    origin: origin.to_owned(),
                })
            }
        };
        timeout(Duration::from_millis(limit_ms), connecting)
            .await
            .unwrap_or_else(|_| {
                Err(FetchError::ConnectTimeout {
                    origin: origin.to_owned(),
                    limit_ms,
                })
            })
    }

    async fn send(
        &self,
        connection: &mut Connection,
        request: &FetchRequest,
    ) -> Result<Response<Incoming>, FetchError> {
        let mut message = Request::new(Full::default());
        *message.uri_mut() = uri(&request.origin, &request.target)?;
        *message.headers_mut() = request.headers.clone();
        self.exchange(connection, &request.origin, message).await
    }

    /// Sends a message whose Host and common headers are set here; returns with the head of the
    /// answer.
    pub(crate) async fn exchange(
        &self,
        connection: &mut Connection,
        origin: &str,
        mut message: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, FetchError> {
        let broken = |error: &dyn std::error::Error| FetchError::HeadBroken {
            origin: origin.to_owned(),
            reason: error.to_string(),
        };
        let host = host(origin).map_err(|e| broken(&e))?;
        message.headers_mut().insert(header::HOST, host);
        if let Some(every) = &self.every {
            every.add(message.headers_mut());
        }
        let limit_ms = self.options.head_timeout_ms;
        match timeout(
            Duration::from_millis(limit_ms),
            connection.send_request(message),
        )
        .await
        {
            Ok(answered) => answered.map_err(|e| broken(&e)),
            Err(_) => Err(FetchError::HeadTimeout {
                origin: origin.to_owned(),
                limit_ms,
            }),
        }
    }

    fn response(
        &self,
        origin: String,
        connection: Connection,
        response: Response<Incoming>,
        place: Place,
    ) -> Result<FetchResponse, FetchError> {
        let limit_bytes = self.options.response_bytes_max;
        let (head, body) = response.into_parts();
        let content_length = body.size_hint().exact();
        if content_length.is_some_and(|len| len > limit_bytes) {
            return Err(FetchError::TooLarge { limit_bytes });
        }
        Ok(FetchResponse {
            status: head.status,
            headers: head.headers,
            content_length,
            body: Box::new(HttpBody {
                body,
                origin,
                connection: Some(connection),
                pool: Arc::clone(&self.pool),
                left_bytes: limit_bytes,
                limit_bytes,
                idle_ms: self.options.body_idle_timeout_ms,
                _place: place,
            }),
        })
    }
}

#[async_trait]
impl Fetch for HttpFetch {
    async fn fetch(&self, request: FetchRequest) -> Result<FetchResponse, FetchError> {
        let place = self.places.take(&request.origin)?;
        if let Some(mut kept) = self.pool.take(&request.origin) {
            match self.send(&mut kept, &request).await {
                Ok(response) => return self.response(request.origin, kept, response, place),
                Err(FetchError::HeadBroken { .. }) => {
                    tracing::debug!(origin = request.origin, "kept connection was dead");
                }
                Err(error) => return Err(error),
            }
        }
        let mut fresh = self.connect(&request.origin).await?;
        let response = self.send(&mut fresh, &request).await?;
        self.response(request.origin, fresh, response, place)
    }
}

#[derive(Debug)]
struct HttpBody {
    body: Incoming,
    origin: String,
    connection: Option<Connection>,
    pool: Arc<Pool>,
    left_bytes: u64,
    limit_bytes: u64,
    idle_ms: u64,
    /// Given back with the last byte.
    _place: Place,
}

#[async_trait]
impl FetchBody for HttpBody {
    async fn next(&mut self) -> Option<Result<Bytes, FetchError>> {
        loop {
            let idle = Duration::from_millis(self.idle_ms);
            let Ok(frame) = timeout(idle, self.body.frame()).await else {
                return Some(Err(FetchError::BodyTimeout {
                    origin: self.origin.clone(),
                    limit_ms: self.idle_ms,
                }));
            };
            match frame {
                None => {
                    if let Some(connection) = self.connection.take() {
                        self.keep(connection);
                    }
                    return None;
                }
                Some(Err(error)) => {
                    return Some(Err(FetchError::BodyBroken {
                        origin: self.origin.clone(),
                        reason: error.to_string(),
                    }));
                }
                Some(Ok(frame)) => {
                    // Trailers are of no use to a cache (RFC 9110 section 6.5.1).
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    let Some(left) = self.left_bytes.checked_sub(data.len() as u64) else {
                        return Some(Err(FetchError::TooLarge {
                            limit_bytes: self.limit_bytes,
                        }));
                    };
                    self.left_bytes = left;
                    return Some(Ok(data));
                }
            }
        }
    }
}

impl HttpBody {
    /// The connection's task may need a turn after the last byte before the next request can be
    /// sent; nobody waits for that.
    fn keep(&self, mut connection: Connection) {
        if connection.is_ready() {
            self.pool.put(&self.origin, connection);
            return;
        }
        let (pool, origin) = (Arc::clone(&self.pool), self.origin.clone());
        tokio::spawn(async move {
            let turn = Duration::from_millis(KEEP_TURN_MS);
            if let Ok(Ok(())) = timeout(turn, connection.ready()).await {
                pool.put(&origin, connection);
            }
        });
    }
}

async fn handshake<S>(stream: S) -> Result<Connection, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        // What went wrong is told to the request; idle connections just end.
        if let Err(error) = connection.await {
            tracing::trace!(%error, "origin connection ended");
        }
    });
    Ok(sender)
}

/// Path and query as a request's target.
pub(crate) fn uri(origin: &str, target: &str) -> Result<http::Uri, FetchError> {
    target
        .parse()
        .map_err(|error: http::uri::InvalidUri| FetchError::HeadBroken {
            origin: origin.to_owned(),
            reason: error.to_string(),
        })
}

fn host(origin: &str) -> Result<HeaderValue, header::InvalidHeaderValue> {
    if origin.starts_with(UNIX_PREFIX) {
        Ok(HeaderValue::from_static("localhost"))
    } else {
        HeaderValue::from_str(origin)
    }
}

fn is_host_and_port(origin: &str) -> bool {
    origin
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}
