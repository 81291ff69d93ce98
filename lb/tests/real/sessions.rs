//! What a session of `stream` can be told: who serves it, what it is handed to, its pace.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};

use crate::certs::{Files, handshake};
use crate::tools::{connect, exchange, read_until, start, within};

/// Says who it takes its client for, and ends.
async fn who() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, from) = listener.accept().await.unwrap();
            let text = format!("{} at {}", from.ip(), addr.port());
            stream.write_all(text.as_bytes()).await.unwrap();
        }
    });
    addr
}

/// Ports that were free a moment ago, one after another.
fn free_ports(count: u16) -> u16 {
    loop {
        let first = fastrand::u16(20_000..50_000);
        let bind = |port| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        if (first..first + count).all(|port| bind(port).is_ok()) {
            return first;
        }
    }
}

#[tokio::test]
async fn variables_are_set_in_order_and_known_by_name() {
    let lb = start(
        "stream { map 0 $a { default first; }
           server { listen 127.0.0.1:0; return '$a:$b'; set $b $a; set $a second; }
           server { listen 127.0.0.1:0; return '$b $bytes_sent $protocol $status'; } }",
    );
    assert_eq!(exchange(lb.tcp[0], "").await, "second:first");
    assert_eq!(exchange(lb.tcp[1], "").await, " 0 TCP 000");
}

#[tokio::test]
async fn a_key_leads_to_one_peer_and_none_to_all() {
    let (one, two) = (who().await, who().await);
    let lb = start(&format!(
        "stream {{
           upstream key {{ hash $remote_addr consistent; server {one}; server {two}; }}
           upstream none {{ hash $proxy_protocol_addr; server {one}; server {two}; }}
           server {{ listen 127.0.0.1:0; proxy_pass key; proxy_bind 127.0.0.9; }}
           server {{ listen 127.0.0.1:0; proxy_pass none; }} }}"
    ));
    let mut keyed = Vec::new();
    let mut any = Vec::new();
    for _ in 0..6 {
        keyed.push(exchange(lb.tcp[0], "").await);
        any.push(exchange(lb.tcp[1], "").await);
    }
    keyed.dedup();
    assert_eq!(keyed.len(), 1, "{keyed:?}");
    assert!(keyed[0].starts_with("127.0.0.9 at "), "{keyed:?}");
    any.sort();
    any.dedup();
    assert_eq!(any.len(), 2, "{any:?}");
}

#[tokio::test]
async fn servers_of_one_address_are_told_apart_by_name() {
    let port = free_ports(1);
    let files = Files::new("ours");
    files.sign("one.test");
    files.sign("two.test");
    let lb = start(&format!(
        "stream {{
           server {{ listen 127.0.0.1:{port} ssl; {} return '$server_name of all'; }}
           server {{ listen 127.0.0.1:{port}; server_name two.test; {} return '$server_name'; }}
           server {{ listen 127.0.0.1:{port}; server_name ~^(?<part>[a-z]+)\\.three$;
             return 'part $part'; }} }}",
        files.ssl("one.test"),
        files.ssl("two.test"),
    ));
    assert_eq!(lb.tcp.len(), 1);
    for (name, trusted, wanted) in [
        ("one.test", true, " of all"),
        ("two.test", true, "two.test"),
        ("x.three", false, "part x"),
    ] {
        let client = files.client(None, &[]);
        let made = handshake(lb.tcp[0], name, &client).await;
        // A server without a certificate has the first one's, which is for another name.
        assert_eq!(made.is_ok(), trusted, "{name}");
        if let Ok(mut stream) = made {
            let mut out = String::new();
            within(stream.read_to_string(&mut out)).await.unwrap();
            assert_eq!(out, wanted);
        }
    }
}

#[tokio::test]
async fn a_connection_is_passed_to_who_listens_elsewhere() {
    let port = free_ports(2);
    let (web, tls) = (port, port + 1);
    let files = Files::new("ours");
    files.sign("one.test");
    let lb = start(&format!(
        "stream {{
           map $ssl_preread_server_name $to {{ one.test 127.0.0.1:{tls}; default 127.0.0.1:{web}; }}
           server {{ listen 127.0.0.1:0; ssl_preread on; pass $to; }}
           server {{ listen 127.0.0.1:0 ssl; {0} pass 127.0.0.1:{web}; }}
           server {{ listen 127.0.0.1:0; pass 127.0.0.1:1; }} }}
         http {{ server {{ listen 127.0.0.1:{web}; listen 127.0.0.1:{tls} ssl; {0}
           return 200 '$remote_addr $server_port $scheme'; }} }}",
        files.ssl("one.test"),
    ));
    let request = "GET / HTTP/1.0\r\n\r\n";
    let got = exchange(lb.tcp[0], request).await;
    let port = lb.tcp[0].port();
    assert!(got.ends_with(&format!("127.0.0.1 {port} http")), "{got}");
    let client = files.client(None, &[]);
    for (place, scheme) in [(0, "https"), (1, "http")] {
        let mut stream = handshake(lb.tcp[place], "one.test", &client).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut out = String::new();
        let _ = within(stream.read_to_string(&mut out)).await;
        assert!(out.ends_with(&format!(" {scheme}")), "{out}");
    }
    assert_eq!(exchange(lb.tcp[2], request).await, "");
}

#[tokio::test]
async fn every_port_of_a_range_is_served() {
    let port = free_ports(3);
    let lb = start(&format!(
        "stream {{ server {{ listen 127.0.0.1:{port}-{}; return $server_port; }} }}",
        port + 2
    ));
    assert_eq!(lb.tcp.len(), 3);
    for addr in &lb.tcp {
        assert_eq!(exchange(*addr, "").await, addr.port().to_string());
    }
}

#[tokio::test]
async fn datagrams_are_answered_from_where_they_came_to() {
    let lb = start("stream { server { listen 0 udp; return '$server_addr'; } }");
    for to in ["127.0.0.2", "127.0.0.3"] {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let to: Ipv4Addr = to.parse().unwrap();
        // A connected socket takes answers from there alone.
        socket.connect((to, lb.udp[0].port())).await.unwrap();
        socket.send(b"x").await.unwrap();
        let mut buffer = [0; 100];
        let length = within(socket.recv(&mut buffer)).await.unwrap();
        assert_eq!(&buffer[..length], to.to_string().as_bytes());
    }
}

#[tokio::test]
async fn a_hello_that_ends_half_way_ends_the_session() {
    let upstream = who().await;
    let lb = start(&format!(
        "stream {{ server {{ listen 127.0.0.1:0; ssl_preread on; proxy_pass {upstream}; }} }}"
    ));
    let files = Files::new("ours");
    let config = files.client(None, &[]);
    let name = ServerName::try_from("one.test").unwrap();
    let mut client = rustls::ClientConnection::new(Arc::clone(&config), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    let mut stream = connect(lb.tcp[0]).await;
    stream.write_all(&hello[..20]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut out = Vec::new();
    within(stream.read_to_end(&mut out)).await.unwrap();
    assert!(out.is_empty());
    let mut stream = connect(lb.tcp[0]).await;
    stream.write_all(&hello).await.unwrap();
    let port = upstream.port().to_string();
    assert!(read_until(&mut stream, &port).await.starts_with("127."));
}
