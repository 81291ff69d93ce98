//! Datagrams through the balancer: sessions, their ends, their bounds.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::UdpSocket;

use crate::tools::{Running, start, within};

/// Answers each datagram with its name, the sender's number and the datagram.
async fn echo(name: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let addr = socket.local_addr().unwrap();
    let senders = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&senders);
    tokio::spawn(async move {
        let mut known: Vec<SocketAddr> = Vec::new();
        let mut buffer = vec![0; 65_535];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let place = known.iter().position(|it| *it == from).unwrap_or_else(|| {
                known.push(from);
                known.len() - 1
            });
            count.store(known.len(), Ordering::SeqCst);
            let text = String::from_utf8_lossy(&buffer[..length]);
            let answer = format!("{name}{place} {text}");
            socket.send_to(answer.as_bytes(), from).await.unwrap();
        }
    });
    (addr, senders)
}

fn start_udp(upstreams: &str, extra: &str) -> Running {
    start(&format!(
        "stream {{ upstream u {{ {upstreams} }}
           server {{ listen 127.0.0.1:0 udp; proxy_pass u; {extra} }} }}"
    ))
}

async fn client(lb: &Running) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(lb.udp[0]).await.unwrap();
    socket
}

async fn ask(socket: &UdpSocket, text: &str) -> String {
    socket.send(text.as_bytes()).await.unwrap();
    let mut buffer = vec![0; 65_535];
    let length = within(socket.recv(&mut buffer)).await.unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[tokio::test]
async fn a_client_keeps_its_session_and_another_has_its_own() {
    let (one, _) = echo("a").await;
    let (two, _) = echo("b").await;
    let lb = start_udp(&format!("server {one}; server {two};"), "");
    let (first, second) = (client(&lb).await, client(&lb).await);
    for _ in 0..3 {
        assert_eq!(ask(&first, "x").await, "a0 x");
        assert_eq!(ask(&second, "y").await, "b0 y");
    }
    let big = "z".repeat(1472);
    assert_eq!(ask(&first, &big).await, format!("a0 {big}"));
    assert_eq!(lb.metric("weir_lb_connections", ""), 2.0);
}

#[tokio::test]
async fn sessions_end_by_answers_requests_and_silence() {
    let (addr, senders) = echo("a").await;
    let server = format!("server {addr};");
    // One answer ends it: the next datagram comes from another socket.
    let lb = start_udp(&server, "proxy_responses 1;");
    let socket = client(&lb).await;
    for place in 0..3 {
        lb.until("weir_lb_connections", "", 0.0).await;
        assert_eq!(ask(&socket, "x").await, format!("a{place} x"));
    }
    // Two datagrams make a session.
    let lb = start_udp(&server, "proxy_requests 2; proxy_responses 1;");
    let socket = client(&lb).await;
    for place in [3, 3, 4, 4] {
        assert_eq!(ask(&socket, "x").await, format!("a{place} x"));
    }
    let lb = start_udp(&server, "proxy_timeout 100ms;");
    let socket = client(&lb).await;
    assert_eq!(ask(&socket, "x").await, "a5 x");
    lb.until("weir_lb_connections", "", 0.0).await;
    assert_eq!(ask(&socket, "x").await, "a6 x");
    assert_eq!(senders.load(Ordering::SeqCst), 7);
}

#[tokio::test]
async fn values_rules_and_limits_hold_for_datagrams() {
    let lb = start(
        "stream { server { listen 127.0.0.1:0 udp; return '$protocol $remote_addr'; }
                  server { listen 127.0.0.1:0 udp; deny all; return x; } }",
    );
    let socket = client(&lb).await;
    assert_eq!(ask(&socket, "?").await, "UDP 127.0.0.1");
    let before = lb.metric("weir_lb_connections_total", "");
    let denied = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    denied.connect(lb.udp[1]).await.unwrap();
    denied.send(b"?").await.unwrap();
    // Asked after it, answered, and the other has begun nothing.
    assert_eq!(ask(&socket, "?").await, "UDP 127.0.0.1");
    let other = format!("udp:{}", lb.udp[1]);
    assert_eq!(lb.metric("weir_lb_connections_total", &other), 0.0);
    assert!(lb.metric("weir_lb_connections_total", "") > before);
}
