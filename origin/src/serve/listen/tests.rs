//! The listener on real sockets: what it serves, what it cuts off, how it ends.

use std::time::Duration;

use axum::Extension;
use axum::routing::get;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::metrics::Metrics;

/// Long enough for any step here on a loaded machine.
const DEADLINE: Duration = Duration::from_secs(20);

struct Server {
    address: SocketAddr,
    shutdown: CancellationToken,
    metrics: ConnectionMetrics,
    task: JoinHandle<()>,
}

async fn server(router: Router, limits: HttpLimits) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let metrics = Metrics::register(&prometheus::Registry::new())
        .unwrap()
        .connections;
    let task = tokio::spawn(serve_http(
        HttpListener::Tcp(listener),
        router,
        shutdown.clone(),
        metrics.clone(),
        limits,
    ));
    Server {
        address,
        shutdown,
        metrics,
        task,
    }
}

fn hello() -> Router {
    let peer = |Extension(peer): Extension<Peer>| async move { format!("hello {peer}") };
    Router::new().route("/", get(peer))
}

async fn ask(mut socket: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = socket.read_to_end(&mut answer);
    tokio::time::timeout(DEADLINE, read).await.unwrap().unwrap();
    String::from_utf8(answer).unwrap()
}

const GET: &str = "GET / HTTP/1.1\r\nHost: o\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn a_request_is_answered_and_knows_its_peer() {
    let server = server(hello(), HttpLimits::default()).await;
    let socket = TcpStream::connect(server.address).await.unwrap();
    let local = socket.local_addr().unwrap();
    let answer = ask(socket, GET).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with(&format!("hello {local}")), "{answer}");
    assert_eq!(server.metrics.accepted.get(), 1);
}

#[tokio::test]
async fn a_unix_socket_serves_alike() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("origin.sock");
    let listener = HttpListener::Unix(UnixListener::bind(&path).unwrap());
    let metrics = Metrics::register(&prometheus::Registry::new())
        .unwrap()
        .connections;
    let shutdown = CancellationToken::new();
    let limits = HttpLimits::default();
    let task = tokio::spawn(serve_http(
        listener,
        hello(),
        shutdown.clone(),
        metrics,
        limits,
    ));
    let answer = ask(UnixStream::connect(&path).await.unwrap(), GET).await;
    assert!(answer.ends_with("hello unix"), "{answer}");
    shutdown.cancel();
    tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap();
}

#[tokio::test]
async fn garbage_and_heads_too_long_or_too_slow_cost_their_connection_only() {
    let limits = HttpLimits {
        header_timeout_ms: 50,
        ..HttpLimits::default()
    };
    let server = server(hello(), limits).await;
    let long = format!(
        "GET /{} HTTP/1.1\r\n\r\n",
        "x".repeat(2 * HTTP_HEAD_BYTES_MAX)
    );
    for (request, status) in [
        ("\x16\x03\x01garbage\r\n\r\n".to_owned(), "HTTP/1.1 400"),
        (long, "HTTP/1.1 4"),
        ("GET / HTTP/1.1\r\nHost: o\r\nX-Slow:".to_owned(), ""),
        (String::new(), ""),
    ] {
        let socket = TcpStream::connect(server.address).await.unwrap();
        let (mut reader, mut writer) = socket.into_split();
        // The server may hang up while a long head is still being sent.
        let _ = writer.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let read = reader.read_to_end(&mut answer);
        let _ = tokio::time::timeout(DEADLINE, read).await.unwrap();
        assert!(
            answer.starts_with(status.as_bytes()),
            "{request:.20} {answer:?}"
        );
    }
    let answer = ask(TcpStream::connect(server.address).await.unwrap(), GET).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_cut_off() {
    let body = bytes::Bytes::from(vec![0; 64 << 20]);
    let router = Router::new().route("/", get(|| async move { body }));
    let limits = HttpLimits {
        write_stall_timeout_ms: 50,
        ..HttpLimits::default()
    };
    let server = server(router, limits).await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(GET.as_bytes()).await.unwrap();
    let cut_off = async {
        while server.metrics.failed.get() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, cut_off).await.unwrap();
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_their_turn() {
    let limits = HttpLimits {
        connections_max: 1,
        ..HttpLimits::default()
    };
    let server = server(hello(), limits).await;
    let first = TcpStream::connect(server.address).await.unwrap();
    let second = TcpStream::connect(server.address).await.unwrap();
    let second = tokio::spawn(ask(second, GET));
    assert!(ask(first, GET).await.starts_with("HTTP/1.1 200"));
    assert!(second.await.unwrap().starts_with("HTTP/1.1 200"));
    assert!(server.metrics.open.get() <= 1);
}

#[tokio::test]
async fn a_stop_lets_the_request_under_way_end_and_takes_no_other() {
    let (started, has_started) = oneshot::channel::<()>();
    let (go, wait) = oneshot::channel::<()>();
    let gate = Arc::new(std::sync::Mutex::new(Some((started, wait))));
    let slow = move || async move {
        let (started, wait) = gate.lock().unwrap().take().unwrap();
        started.send(()).unwrap();
        wait.await.unwrap();
        "done"
    };
    let server = server(Router::new().route("/", get(slow)), HttpLimits::default()).await;
    let idle = TcpStream::connect(server.address).await.unwrap();
    let under_way = TcpStream::connect(server.address).await.unwrap();
    let answer = tokio::spawn(ask(under_way, GET));
    has_started.await.unwrap();
    server.shutdown.cancel();
    let refused = async {
        while TcpStream::connect(server.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, refused).await.unwrap();
    go.send(()).unwrap();
    assert!(answer.await.unwrap().ends_with("done"));
    drop(idle);
    tokio::time::timeout(DEADLINE, server.task)
        .await
        .unwrap()
        .unwrap();
}
