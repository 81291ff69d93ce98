//! Origins for tests: one that is steered step by step, and one that answers raw bytes.

use crate::{Ask, Cache, CacheOptions, Fetch, FetchRequest, HttpFetch, HttpFetchOptions, Key};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use prometheus::Registry;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// Nothing in these tests takes this long unless it hangs.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

/// What a path answers, and how often it was asked for.
#[derive(Clone, Default)]
pub(super) struct Origin {
    pub(super) address: String,
    state: Arc<Mutex<HashMap<String, Entry>>>,
}

#[derive(Default)]
struct Entry {
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
            .route("/{name}", get(answer))
            .with_state(origin.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        origin
    }

    pub(super) fn set(&self, path: &str, status: u16, cache_control: &str, body: &[u8]) {
        let mut state = self.state.lock().unwrap();
        let entry = state.entry(path.to_owned()).or_default();
        entry.status = status;
        entry.headers = vec![("cache-control", cache_control.to_owned())];
        entry.body = body.to_vec();
    }

    /// The next request for `path` is answered with what is sent to the channel.
    pub(super) fn steer(&self, path: &str, len: Option<usize>) -> mpsc::Sender<Bytes> {
        let (pieces, steered) = mpsc::channel(8);
        self.set(path, 200, "max-age=3600, immutable", b"");
        let mut state = self.state.lock().unwrap();
        let entry = state.entry(path.to_owned()).or_default();
        entry.steered = Some(steered);
        if let Some(len) = len {
            entry.headers.push(("content-length", len.to_string()));
        }
        pieces
    }

    pub(super) fn asked(&self, path: &str) -> usize {
        self.state.lock().unwrap().get(path).map_or(0, |e| e.asked)
    }
}

async fn answer(State(origin): State<Origin>, Path(name): Path<String>) -> Response {
    let mut state = origin.state.lock().unwrap();
    let entry = state.entry(format!("/{name}")).or_default();
    entry.asked += 1;
    let mut response =
        Response::builder().status(if entry.status == 0 { 404 } else { entry.status });
    for (name, value) in &entry.headers {
        response = response.header(*name, value);
    }
    let body = match entry.steered.take() {
        None => Body::from(entry.body.clone()),
        Some(steered) => Body::from_stream(futures::stream::unfold(steered, |mut steered| async {
            let piece = steered.recv().await?;
            Some((Ok::<_, std::convert::Infallible>(piece), steered))
        })),
    };
    response.body(body).unwrap()
}

/// Answers each connection's first request with the next of `answers`, then closes.
pub(super) async fn raw_origin(answers: Vec<&'static [u8]>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let mut got = 0;
            while !request[..got].ends_with(b"\r\n\r\n") {
                got += stream.read(&mut request[got..]).await.unwrap();
            }
            stream.write_all(answer).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    address
}

pub(super) fn small_cache(change: impl FnOnce(&mut CacheOptions)) -> Arc<Cache> {
    let mut options = CacheOptions {
        store_bytes_max: 1 << 20,
        object_bytes_max: 256 << 10,
        ..CacheOptions::default()
    };
    change(&mut options);
    Cache::new(options, &Registry::new()).unwrap()
}

pub(super) fn ask(path: &str) -> Ask {
    Ask {
        key: Key::from_path(path),
        ttl_override_ms: None,
        stale_if_error_override_ms: None,
        negative_ttl_override_ms: None,
        whole: false,
    }
}

/// A cache, an origin's address and a fetcher between them.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) cache: Arc<Cache>,
    pub(super) fetch: Arc<HttpFetch>,
    pub(super) origin: String,
}

impl Pair {
    pub(super) fn new(cache: Arc<Cache>, origin: &str) -> Self {
        Self {
            cache,
            fetch: Arc::new(HttpFetch::new(HttpFetchOptions::default())),
            origin: origin.to_owned(),
        }
    }

    pub(super) async fn get(&self, ask: Ask) -> Result<crate::Answer, crate::FetchError> {
        let request = FetchRequest {
            origin: self.origin.clone(),
            target: ask.key.as_str().to_owned(),
            headers: http::HeaderMap::new(),
        };
        let fetch = Arc::clone(&self.fetch);
        let open = move || async move { fetch.fetch(request).await };
        tokio::time::timeout(DEADLINE, self.cache.get(ask, open))
            .await
            .unwrap()
    }
}

pub(super) async fn read(answer: &crate::Answer) -> Result<Vec<u8>, crate::FetchError> {
    let mut reader = answer.reader(0, None);
    let mut all = Vec::new();
    while let Some(piece) = tokio::time::timeout(DEADLINE, reader.next())
        .await
        .unwrap()?
    {
        all.extend_from_slice(&piece);
    }
    Ok(all)
}

/// Waits for a condition, turn by turn, up to the deadline.
pub(super) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(DEADLINE, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain for: {what}");
}
