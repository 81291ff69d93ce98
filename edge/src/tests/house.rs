//! A directory and an edge on loopback before an origin, and a viewer who speaks raw HTTP.

use super::origin::Origin;
use crate::{Edge, EdgeOptions, Fallback, Peer};
use bytes::Bytes;
use prometheus::Registry;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use weir_cache::{HttpFetch, HttpFetchOptions};
use weir_cluster::directory::Options as DirectoryOptions;
use weir_cluster::{
    Broadcast, BroadcastStatus, Directory, ManualClock, Ownership, StoreError, StreamKey,
    StreamSource,
};

/// Nothing in these tests takes this long unless it hangs.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);
pub(super) const PLAYLIST: &str = "/live/streams/s/video.m3u8";
const NOW_MS: i64 = 1_763_800_000_000;
pub(super) const SEGMENT: &str = "/live/streams/s/7/v1.m4s";

/// What the directory asks: says what it is told to say.
#[derive(Debug, Default)]
pub(super) struct Signpost {
    /// `None`: it cannot answer.
    says: Mutex<Option<Option<String>>>,
    next: Mutex<Option<String>>,
    /// The epoch it names, less 7.
    pub(super) later: AtomicU64,
    pub(super) asked: AtomicUsize,
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

    /// What it says from the answer after the next on.
    pub(super) fn then_to(&self, origin: &str) {
        *self.next.lock().unwrap() = Some(origin.to_owned());
    }
}

#[async_trait::async_trait]
impl StreamSource for Signpost {
    async fn lookup(&self, key: &StreamKey) -> Result<Option<Broadcast>, StoreError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let said = self.says.lock().unwrap().clone();
        if let Some(next) = self.next.lock().unwrap().take() {
            self.to(&next);
        }
        let origin = said.ok_or(StoreError::Unavailable {
            operation: "lookup",
            reason: "no store in this test".to_owned(),
        })?;
        Ok(origin
            .filter(|_| key.id.as_str() != "unknown")
            .map(|origin| {
                let mut record = Broadcast::new(&key.id, NOW_MS);
                record.origin_adress = Some(origin);
                record.status = BroadcastStatus::Broadcasting;
                record.update_time = NOW_MS;
                record.owner = Some(Ownership {
                    node_id: "origin".to_owned(),
                    epoch: 7 + self.later.load(Ordering::SeqCst),
                    wall_clock_ms: NOW_MS,
                    ..Ownership::default()
                });
                record
            }))
    }
}

/// A directory that asks each time, so that tests need not wait for its memory to age.
fn directory(signpost: &Arc<Signpost>, clock: &ManualClock) -> Directory {
    let options = DirectoryOptions {
        // Not zero: the directory looks for changes once in this time.
        ttl: Duration::from_micros(1),
        negative_ttl: Duration::ZERO,
        refresh_min: Duration::ZERO,
        serve_while_asking: Duration::ZERO,
        ..DirectoryOptions::default()
    };
    Directory::spawn(
        Arc::clone(signpost) as Arc<dyn StreamSource>,
        Arc::new(clock.clone()),
        options,
        &Registry::new(),
        CancellationToken::new(),
    )
    .unwrap()
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
    pub(super) clock: ManualClock,
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
        let clock = ManualClock::at(NOW_MS);
        let mut options = EdgeOptions::default();
        change(&mut options);
        let edge = Edge::new(
            options,
            directory(&signpost, &clock),
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
            clock,
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
