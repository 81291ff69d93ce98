//! The HTTP transport: kept connections, unix sockets, silence, bad addresses.

use super::origin::{Origin, raw_origin};
use crate::{
    Fetch, FetchError, FetchRequest, FetchResponse, HttpFetch, HttpFetchOptions, RequestHeaders,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};

fn request(origin: &str) -> FetchRequest {
    FetchRequest {
        origin: origin.to_owned(),
        target: "/a".to_owned(),
        headers: http::HeaderMap::new(),
    }
}

fn impatient() -> HttpFetch {
    HttpFetch::new(HttpFetchOptions {
        head_timeout_ms: 50,
        body_idle_timeout_ms: 50,
        response_bytes_max: 16,
        ..HttpFetchOptions::default()
    })
}

async fn drain(mut response: FetchResponse) -> Result<Vec<u8>, FetchError> {
    let mut all = Vec::new();
    while let Some(piece) = response.body.next().await {
        all.extend_from_slice(&piece?);
    }
    Ok(all)
}

/// Serves `per_connection` requests on each connection, then closes it without a word.
async fn closing_origin(per_connection: usize) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                for _ in 0..per_connection {
                    if stream.read(&mut buffer).await.unwrap_or(0) == 0 {
                        return;
                    }
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                    stream.write_all(answer).await.unwrap();
                }
                // Reads one more request and answers it by closing.
                let _ = stream.read(&mut buffer).await;
            });
        }
    });
    (address, connections)
}

#[tokio::test]
async fn a_connection_is_kept_and_one_that_died_is_replaced_once() {
    let (address, connections) = closing_origin(2).await;
    let fetch = HttpFetch::new(HttpFetchOptions::default());
    for (n, expected) in [(0, 1), (1, 1), (2, 2), (3, 2), (4, 3)] {
        let body = drain(fetch.fetch(request(&address)).await.unwrap())
            .await
            .unwrap();
        assert_eq!(body, b"ok");
        assert_eq!(connections.load(Ordering::SeqCst), expected, "request {n}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_fresh_connection_that_dies_is_not_tried_again() {
    let (address, connections) = closing_origin(0).await;
    let fetch = HttpFetch::new(HttpFetchOptions::default());
    let error = fetch.fetch(request(&address)).await.unwrap_err();
    assert!(matches!(error, FetchError::HeadBroken { .. }) && error.retryable());
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn unix_sockets_are_reached_by_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("origin.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let router = axum::Router::new().route("/a", axum::routing::get(|| async { "over unix" }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let fetch = HttpFetch::new(HttpFetchOptions::default());
    let origin = format!("unix:{}", path.display());
    let response = fetch.fetch(request(&origin)).await.unwrap();
    assert_eq!(response.content_length, Some(9));
    assert_eq!(drain(response).await.unwrap(), b"over unix");
}

#[tokio::test]
async fn silence_before_and_inside_the_answer_has_an_end() {
    let origin = Origin::start().await;
    let silent = origin.steer("/a", Some(10));
    let response = impatient().fetch(request(&origin.address)).await.unwrap();
    let error = drain(response).await.unwrap_err();
    assert!(matches!(error, FetchError::BodyTimeout { .. }), "{error}");
    drop(silent);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let error = impatient().fetch(request(&address)).await.unwrap_err();
    assert!(matches!(error, FetchError::HeadTimeout { .. }), "{error}");
    assert_eq!(error.status(), http::StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn nobody_there_nonsense_and_too_much_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap().to_string();
    drop(listener);
    let refused = impatient().fetch(request(&closed)).await.unwrap_err();
    assert!(matches!(refused, FetchError::Connect { .. }) && refused.retryable());
    for bad in ["", "nowhere", "host:", ":80", "host:99999"] {
        let error = impatient().fetch(request(bad)).await.unwrap_err();
        assert!(
            matches!(error, FetchError::Address { .. }),
            "{bad:?}: {error}"
        );
    }
    let garbage = raw_origin(vec![b"220 smtp ready\r\n\r\n"]).await;
    let error = impatient().fetch(request(&garbage)).await.unwrap_err();
    assert!(matches!(error, FetchError::HeadBroken { .. }), "{error}");
    let large = raw_origin(vec![b"HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n"]).await;
    let error = impatient().fetch(request(&large)).await.unwrap_err();
    assert_eq!(error, FetchError::TooLarge { limit_bytes: 16 });
}

#[tokio::test]
async fn an_origin_that_hangs_uses_up_no_places_of_another() {
    let fetch = Arc::new(HttpFetch::new(HttpFetchOptions {
        fetches_per_origin_max: 2,
        ..HttpFetchOptions::default()
    }));
    // The kernel takes connections for it; nobody answers them.
    let hangs = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hung = hangs.local_addr().unwrap().to_string();
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let (fetch, request) = (Arc::clone(&fetch), request(&hung));
            tokio::spawn(async move { fetch.fetch(request).await.map(drop) })
        })
        .collect();
    let _both = (hangs.accept().await.unwrap(), hangs.accept().await.unwrap());
    let refused = fetch.fetch(request(&hung)).await.map(drop).unwrap_err();
    assert!(matches!(refused, FetchError::Busy { limit: 2, .. }));

    let (well, _) = closing_origin(9).await;
    let held = fetch.fetch(request(&well)).await.unwrap();
    let also = fetch.fetch(request(&well)).await.unwrap();
    let refused = fetch.fetch(request(&well)).await.map(drop);
    assert!(refused.is_err(), "a body being read has its place");
    assert_eq!(drain(held).await.unwrap(), b"ok");
    assert_eq!(drain(also).await.unwrap(), b"ok");
    let again = fetch.fetch(request(&well)).await.unwrap();
    assert_eq!(drain(again).await.unwrap(), b"ok");
    for task in &waiting {
        task.abort();
    }
}

#[derive(Debug)]
struct Badge;

impl RequestHeaders for Badge {
    fn add(&self, headers: &mut http::HeaderMap) {
        headers.insert("x-badge", http::HeaderValue::from_static("ours"));
    }
}

async fn echo(request: axum::extract::Request) -> String {
    let badge = request.headers().get("x-badge");
    let badge = badge
        .map_or("none", |value| value.to_str().unwrap())
        .to_owned();
    let method = request.method().clone();
    let body = axum::body::to_bytes(request.into_body(), 100)
        .await
        .unwrap();
    format!("{method} {badge} {}", String::from_utf8_lossy(&body))
}

#[tokio::test]
async fn fetches_and_calls_carry_the_headers_of_all_and_calls_their_body() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = listener.local_addr().unwrap().to_string();
    let router = axum::Router::new().route("/a", axum::routing::any(echo));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let fetch = HttpFetch::new(HttpFetchOptions::default()).with_headers(Arc::new(Badge));
    // The second comes over the connection that was kept.
    for _ in 0..2 {
        let response = fetch.fetch(request(&origin)).await.unwrap();
        assert_eq!(drain(response).await.unwrap(), b"GET ours ");
    }
    let post = || {
        let body = bytes::Bytes::from_static(b"hello");
        http::Request::post("/a").body(body).unwrap()
    };
    let answer = fetch.call(&origin, post(), 100).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(&answer.body()[..], b"POST ours hello");
    let long = fetch.call(&origin, post(), 10).await.unwrap_err();
    assert!(matches!(long, FetchError::BodyBroken { .. }), "{long}");
}
