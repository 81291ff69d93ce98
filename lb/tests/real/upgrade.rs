//! WebSockets go through; other upgrades do not.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::tools::{
    Upstream, closes, connect, exchange, read_until, start_http, start_proxy, within,
};

const HANDSHAKE: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

const PASS: &str =
    "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";";

/// Takes one WebSocket and sends back what it gets.
async fn echo() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let head = read_until(&mut stream, "\r\n\r\n").await.to_lowercase();
                assert!(head.contains("upgrade: websocket\r\n"), "{head}");
                assert!(head.contains("connection: upgrade\r\n"), "{head}");
                let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                              Connection: Upgrade\r\n\r\n";
                stream.write_all(answer.as_bytes()).await.unwrap();
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    stream.write_all(&buffer[..count]).await.unwrap();
                }
            });
        }
    });
    addr
}

#[tokio::test]
async fn a_websocket_echoes_through() {
    let lb = start_http(&format!(
        "map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
         server {{ listen 127.0.0.1:0; client_body_timeout 100ms;
           location / {{ proxy_pass http://{}; proxy_set_header Upgrade $http_upgrade;
             proxy_set_header Connection $connection_upgrade; }} }}",
        echo().await
    ));
    let mut stream = connect(lb.http[0]).await;
    stream.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    let answer = read_until(&mut stream, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    // Quiet for longer than a request's body may be: a WebSocket's right.
    tokio::time::sleep(Duration::from_millis(300)).await;
    for size in [1, 125, 70_000] {
        let frame = vec![0x81; size];
        let mut back = vec![0; size];
        within(async {
            let (mut read, mut write) = stream.split();
            let (sent, got) = tokio::join!(write.write_all(&frame), read.read_exact(&mut back));
            sent.unwrap();
            got.unwrap();
        })
        .await;
        assert_eq!(back, frame);
    }
    stream.shutdown().await.unwrap();
    assert!(closes(&mut stream).await);
    lb.until("weir_lb_peer_active", "", 0.0).await;
    assert_eq!(lb.metric("weir_lb_requests_total", "1xx"), 1.0);
}

#[tokio::test]
async fn a_websocket_that_is_quiet_too_long_is_closed() {
    let lb = start_http(&format!(
        "server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://{}; {PASS}
           proxy_read_timeout 300ms; }} }}",
        echo().await
    ));
    let mut stream = connect(lb.http[0]).await;
    stream.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    read_until(&mut stream, "\r\n\r\n").await;
    assert!(closes(&mut stream).await);
}

#[tokio::test]
async fn upgrades_are_passed_on_only_if_configured_and_only_websockets() {
    let up = Upstream::named("up").await;
    let close = HANDSHAKE.replace("Connection: Upgrade", "Connection: Upgrade, close");
    let lb = start_proxy(&[&up], "");
    exchange(lb.http[0], &close).await;
    assert_eq!(
        (up.last().header("upgrade"), up.last().header("connection")),
        (None, None)
    );
    let lb = start_proxy(&[&up], PASS);
    let h2c = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\
               Connection: Upgrade, HTTP2-Settings, close\r\n\r\n";
    assert!(exchange(lb.http[0], h2c).await.ends_with("up"));
    for gone in ["upgrade", "connection", "http2-settings"] {
        assert_eq!(up.last().header(gone), None, "{gone}");
    }
    // A plain request with `Connection "upgrade"` configured is a plain request.
    assert!(crate::tools::get(lb.http[0], "/").await.ends_with("up"));
    assert_eq!(up.last().header("connection"), None);
}

#[tokio::test]
async fn an_upstream_that_will_not_upgrade_answers_as_usual() {
    let up = Upstream::named("no").await;
    let lb = start_proxy(&[&up], PASS);
    let mut stream = connect(lb.http[0]).await;
    stream.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    let answer = read_until(&mut stream, "no").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
