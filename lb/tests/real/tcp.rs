//! The `stream` block: bytes both ways, the PROXY line, the next peer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::tools::{Running, closes, connect, dead_port, read_until, start, within};

/// Says its name, then echoes.
async fn echo(name: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                stream.write_all(name.as_bytes()).await.unwrap();
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
                let _ = write.shutdown().await;
            });
        }
    });
    (addr, count)
}

fn start_stream(servers: &str, extra: &str) -> Running {
    start(&format!(
        "stream {{ upstream u {{ least_conn; {servers} }}
           server {{ listen 127.0.0.1:0; proxy_pass u; {extra} }} }}"
    ))
}

#[tokio::test]
async fn bytes_go_both_ways_after_the_proxy_line() {
    let (addr, _) = echo("hi ").await;
    let lb = start_stream(&format!("server {addr};"), "proxy_protocol on;");
    let mut stream = connect(lb.tcp[0]).await;
    let client = stream.local_addr().unwrap();
    let line = format!(
        "PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n",
        client.port(),
        lb.tcp[0].port()
    );
    let got = read_until(&mut stream, "\r\n").await;
    assert_eq!(got, format!("hi {line}"));
    let sent: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let mut back = vec![0; sent.len()];
    within(async {
        let (mut read, mut write) = stream.split();
        let (a, b) = tokio::join!(write.write_all(&sent), read.read_exact(&mut back));
        a.unwrap();
        b.unwrap();
    })
    .await;
    assert!(back == sent);
    assert_eq!(lb.metric("weir_lb_connections", ""), 1.0);
    drop(stream);
    lb.until("weir_lb_connections", "", 0.0).await;
    lb.until("weir_lb_peer_active", "", 0.0).await;
    assert_eq!(lb.metric("weir_lb_bytes_total", "in"), 1_000_000.0);
}

#[tokio::test]
async fn the_emptiest_peer_gets_the_next_connection() {
    let ((one, ones), (two, twos)) = (echo("1").await, echo("2").await);
    let lb = start_stream(&format!("server {one}; server {two};"), "");
    let mut held = Vec::new();
    for count in 1..=3 {
        for _ in 0..2 {
            let mut stream = connect(lb.tcp[0]).await;
            stream.read_exact(&mut [0]).await.unwrap();
            held.push(stream);
        }
        assert_eq!(
            (ones.load(Ordering::SeqCst), twos.load(Ordering::SeqCst)),
            (count, count)
        );
    }
}

#[tokio::test]
async fn a_peer_that_cannot_be_reached_is_passed_over() {
    let (addr, _) = echo("up").await;
    let (dead, dead2) = (dead_port().await, dead_port().await);
    let lb = start_stream(
        &format!("server {dead}; server {dead2}; server {addr};"),
        "",
    );
    for _ in 0..6 {
        read_until(&mut connect(lb.tcp[0]).await, "up").await;
    }
    // Each was tried once and put out.
    assert_eq!(lb.metric("weir_lb_upstream_errors_total", "connect"), 2.0);
    assert_eq!(lb.metric("weir_lb_peer_ejections_total", ""), 2.0);
    let lb = start_stream(&format!("server {dead}; server {dead2};"), "");
    assert!(closes(&mut connect(lb.tcp[0]).await).await);
    let lb = start_stream(
        &format!("server {dead}; server {addr} backup;"),
        "proxy_next_upstream off;",
    );
    assert!(closes(&mut connect(lb.tcp[0]).await).await);
    read_until(&mut connect(lb.tcp[0]).await, "up").await;
}

#[tokio::test]
async fn an_end_on_one_side_leaves_the_other_its_answer() {
    let (addr, _) = echo("").await;
    for half_close in ["on", "off"] {
        let lb = start_stream(
            &format!("server {addr};"),
            &format!("proxy_half_close {half_close};"),
        );
        let mut stream = connect(lb.tcp[0]).await;
        stream.write_all(b"question").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        within(stream.read_to_string(&mut answer)).await.unwrap();
        assert_eq!(answer, "question");
    }
}

#[tokio::test]
async fn silence_is_bounded() {
    let (addr, _) = echo("hello").await;
    let lb = start_stream(&format!("server {addr};"), "proxy_timeout 200ms;");
    let mut stream = connect(lb.tcp[0]).await;
    read_until(&mut stream, "hello").await;
    assert!(closes(&mut stream).await);
    lb.until("weir_lb_connections", "", 0.0).await;
}

#[tokio::test]
async fn tcp_checks_take_a_dead_peer_out_before_a_client_meets_it() {
    let (addr, _) = echo("up").await;
    let dead = dead_port().await;
    let lb = start_stream(
        &format!("server {dead} max_fails=0; server {addr};"),
        "health_check interval=20ms fails=2;",
    );
    lb.until("weir_lb_peer_healthy", &dead.to_string(), 0.0)
        .await;
    for _ in 0..4 {
        read_until(&mut connect(lb.tcp[0]).await, "up").await;
    }
    assert_eq!(lb.metric("weir_lb_upstream_errors_total", ""), 0.0);
}
