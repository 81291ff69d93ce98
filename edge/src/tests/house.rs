//! An origin, a directory and an edge on loopback, and a viewer who speaks raw HTTP.

use crate::{Edge, EdgeOptions, Fallback, Locate, LocateError, Located, Peer};
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use prometheus::Registry;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use weir_cache::{HttpFetch, HttpFetchOptions};
use weir_cluster::StreamKey;

/// Nothing in these tests takes this long unless it hangs.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);
pub(super) const PLAYLIST: &str = "/live/streams/s/video.m3u8";
pub(super) const SEGMENT: &str = "/live/streams/s/7/v1.m4s";

/// A real HTTP server whose answers are set path by path.
#[derive(Clone, Default)]
pub(super) struct Origin {
    pub(super) address: String,
    objects: Arc<Mutex<HashMap<String, Object>>>,
    stop: CancellationToken,
}

#[derive(Default)]
struct Object {
    asked: usize,
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    steered: Option<mpsc::Receiver<Bytes>>,
}

impl Origin {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = Self {
            address: listener.local_addr().unwrap().to_string(),
            ..Self::default()
        };
        let router = axum::Router::new()
            .fallback(answer)
            .with_state(origin.clone());
        let stop = origin.stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = axum::serve(listener, router) => {}
                () = stop.cancelled() => {}
            }
        });
        origin.playlist("#EXTM3U\n1");
        origin.segment(SEGMENT, b"0123456789");
        origin
    }

    pub(super) fn playlist(&self, text: &str) {
        let headers = [
            ("cache-control", "max-age=1"),
            ("content-type", "application/vnd.apple.mpegurl"),
        ];
        self.set(PLAYLIST, 200, &headers, text.as_bytes());
    }

    pub(super) fn segment(&self, path: &str, body: &[u8]) {
        let headers = [
            ("cache-control", "max-age=3600, immutable"),
            ("content-type", "video/iso.segment"),
        ];
        self.set(path, 200, &headers, body);
    }

    pub(super) fn set(
        &self,
        path: &str,
        status: u16,
        headers: &[(&'static str, &str)],
        body: &[u8],
    ) {
        let mut objects = self.objects.lock().unwrap();
        let object = objects.entry(path.to_owned()).or_default();
        object.status = status;
        object.headers = headers.iter().map(|(n, v)| (*n, (*v).to_owned())).collect();
        object.body = body.to_vec();
    }

    /// The next request for `path` is answered with what is sent to the channel.
    pub(super) fn steer(&self, path: &str, len: Option<usize>) -> mpsc::Sender<Bytes> {
        let (pieces, steered) = mpsc::channel(8);
        self.segment(path, b"");
        let mut objects = self.objects.lock().unwrap();
        let object = objects.entry(path.to_owned()).or_default();
        object.steered = Some(steered);
        if let Some(len) = len {
            object.headers.push(("content-length", len.to_string()));
        }
        pieces
    }

    pub(super) fn asked(&self, path: &str) -> usize {
        self.objects
            .lock()
            .unwrap()
            .get(path)
            .map_or(0, |o| o.asked)
    }
}

async fn answer(State(origin): State<Origin>, request: axum::extract::Request) -> Response {
    let mut objects = origin.objects.lock().unwrap();
    let object = objects.entry(request.uri().to_string()).or_default();
    object.asked += 1;
    let status = if object.status == 0 {
        404
    } else {
        object.status
    };
    let mut response = Response::builder().status(status);
    for (name, value) in &object.headers {
        response = response.header(*name, value);
    }
    let body = match object.steered.take() {
        None => Body::from(object.body.clone()),
        Some(steered) => Body::from_stream(futures::stream::unfold(steered, |mut steered| async {
            let piece = steered.recv().await?;
            // An empty piece stands for an origin that breaks off.
            let whole = if piece.is_empty() {
                Err("broke off")
            } else {
                Ok(piece)
            };
            Some((whole, steered))
        })),
    };
    response.body(body).unwrap()
}

/// A directory that says what it is told to.
#[derive(Debug, Default)]
pub(super) struct Signpost {
    /// `None`: it cannot answer.
    says: Mutex<Option<Option<String>>>,
    after_invalidation: Mutex<Option<String>>,
    pub(super) asked: AtomicUsize,
    pub(super) invalidated: AtomicUsize,
}

impl Signpost {
    pub(super) fn to(&self, origin: &str) {
        *self.says.lock().unwrap() = Some(Some(origin.to_owned()));
    }

    pub(super) fn knows_nothing(&self) {
        *self.says.lock().unwrap() = Some(None);
    }

    pub(super) fn is_away(&self) {
        *self.says.lock().unwrap() = None;
    }

    pub(super) fn once_invalidated(&self, origin: &str) {
        *self.after_invalidation.lock().unwrap() = Some(origin.to_owned());
    }
}

#[async_trait::async_trait]
impl Locate for Signpost {
    async fn locate(&self, key: &StreamKey) -> Result<Option<Located>, LocateError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let said = self.says.lock().unwrap().clone();
        let reason = "the store is away".to_owned();
        let origin = said.ok_or(LocateError { reason })?;
        Ok(origin
            .filter(|_| key.id.as_str() != "unknown")
            .map(|origin_adress| Located { origin_adress }))
    }

    async fn invalidate(&self, _key: &StreamKey) {
        self.invalidated.fetch_add(1, Ordering::SeqCst);
        if let Some(origin) = self.after_invalidation.lock().unwrap().take() {
            self.to(&origin);
        }
    }
}

/// Answers with what it was asked.
pub(super) struct Echo;

#[async_trait::async_trait]
impl Fallback for Echo {
    async fn handle(&self, request: http::Request<Bytes>) -> http::Response<Bytes> {
        let peer = request.extensions().get::<Peer>().unwrap();
        assert!(peer.0.ip().is_loopback());
        let text = format!("{} {} ", request.method(), request.uri());
        let body = [text.as_bytes(), request.body()].concat();
        http::Response::builder()
            .header("transfer-encoding", "chunked")
            .header("x-echo", "yes")
            .body(Bytes::from(body))
            .unwrap()
    }
}

/// All of it, running.
pub(super) struct House {
    pub(super) origin: Origin,
    pub(super) signpost: Arc<Signpost>,
    pub(super) edge: Arc<Edge>,
    pub(super) address: SocketAddr,
    pub(super) shutdown: CancellationToken,
    pub(super) served: JoinHandle<crate::Drained>,
}

impl House {
    pub(super) async fn build(change: impl FnOnce(&mut EdgeOptions)) -> Self {
        let origin = Origin::start().await;
        let signpost = Arc::new(Signpost::default());
        signpost.to(&origin.address);
        let mut options = EdgeOptions::default();
        change(&mut options);
        let edge = Edge::new(
            options,
            Arc::clone(&signpost) as Arc<dyn Locate>,
            Arc::new(HttpFetch::new(HttpFetchOptions::default())),
            Arc::new(Echo),
            &Registry::new(),
        )
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(Arc::clone(&edge).serve(listener, shutdown.clone()));
        Self {
            origin,
            signpost,
            edge,
            address,
            shutdown,
            served,
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[]).await
    }

    /// One request on a connection of its own.
    pub(super) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        Answer::parse(&self.raw(request.as_bytes()).await)
    }

    /// Sends bytes, reads until the edge closes.
    pub(super) async fn raw(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = self.connect().await;
        stream.write_all(request).await.unwrap();
        let mut all = Vec::new();
        timeout(DEADLINE, stream.read_to_end(&mut all))
            .await
            .unwrap_or_else(|_| {
                panic!(
                    "not closed: {} -> {}",
                    String::from_utf8_lossy(request),
                    String::from_utf8_lossy(&all)
                )
            })
            .unwrap();
        all
    }

    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// The playlist in the cache is past its lifetime: as if its second had gone by.
    pub(super) fn outdate(&self, path: &str) {
        assert!(self.edge.purge(path));
    }
}

/// A parsed answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HashMap<String, String>,
    /// As on the wire after the head.
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn parse(raw: &[u8]) -> Self {
        let text = String::from_utf8_lossy(raw);
        let split = text
            .find("\r\n\r\n")
            .unwrap_or_else(|| panic!("no head in {text:?}"));
        let mut lines = text[..split].split("\r\n");
        let status_line = lines.next().unwrap();
        let status = status_line[9..12].parse().unwrap();
        let headers = lines
            .map(|line| {
                let (name, value) = line.split_once(": ").unwrap();
                (name.to_ascii_lowercase(), value.to_owned())
            })
            .collect();
        Self {
            status,
            headers,
            body: raw[split + 4..].to_vec(),
        }
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Body bytes as announced.
    pub(super) fn is_whole(&self) -> bool {
        if self.header("transfer-encoding") == "chunked" {
            self.body.ends_with(b"0\r\n\r\n")
        } else {
            self.header("content-length") == self.body.len().to_string()
        }
    }
}

/// Reads until `wanted` has come, and returns all that came.
pub(super) async fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut all = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&all).contains(wanted) {
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).await.unwrap();
            assert!(
                read > 0,
                "closed before {wanted:?}: {}",
                String::from_utf8_lossy(&all)
            );
            all.extend_from_slice(&buffer[..read]);
        }
    };
    let in_time = timeout(DEADLINE, reading).await.is_ok();
    assert!(in_time, "{wanted:?} never came");
    String::from_utf8_lossy(&all).into_owned()
}

/// Waits for a condition up to the deadline.
pub(super) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waited = timeout(DEADLINE, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain for: {what}");
}
