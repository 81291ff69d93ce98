//! What comes before a session: TLS, `ssl_preread`, the PROXY header; and where it sends it.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::certs::{Files, handshake};
use crate::tools::{closes, connect, exchange, read_until, start, start_http, within};

/// Says its name and what it hears first.
async fn named(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut first = [0; 1];
                let _ = stream.read_exact(&mut first).await;
                let text = format!("{name} {:02x}", first[0]);
                let _ = stream.write_all(text.as_bytes()).await;
            });
        }
    });
    addr
}

#[tokio::test]
async fn streams_end_tls_begin_it_and_read_ahead() {
    let files = Files::new("ours");
    files.sign("one.test");
    let (a, b) = (named("a").await, named("b").await);
    let lb = start(&format!(
        "stream {{
           map $ssl_preread_server_name $to {{ one.test u; two.test {b}; default none; }}
           upstream u {{ server {a}; }}
           server {{ listen 127.0.0.1:0 ssl; {} proxy_pass u; }}
           server {{ listen 127.0.0.1:0; ssl_preread on; proxy_pass $to; }}
           server {{ listen 127.0.0.1:0 ssl; {} return '$ssl_protocol $protocol $remote_addr'; }}
           server {{ listen 127.0.0.1:0 proxy_protocol; set_real_ip_from 127.0.0.0/8;
             return '$proxy_protocol_addr $remote_addr $proxy_protocol_server_port'; }}
           server {{ listen 127.0.0.1:0; deny 127.0.0.1; allow all; return x; }}
         }}",
        files.ssl("one.test"),
        files.ssl("one.test"),
    ));
    let client = files.client(None, &[]);
    let mut stream = handshake(lb.tcp[0], "one.test", &client).await.unwrap();
    stream.write_all(b"\x01").await.unwrap();
    let mut out = [0; 4];
    within(stream.read_exact(&mut out)).await.unwrap();
    assert_eq!(&out, b"a 01");
    // The hello is passed on as it came.
    for (name, wanted) in [("one.test", "a 16"), ("two.test", "b 16")] {
        let hello = client_hello(&client, name);
        let mut stream = connect(lb.tcp[1]).await;
        stream.write_all(&hello).await.unwrap();
        assert_eq!(read_until(&mut stream, " 16").await, wanted);
    }
    let mut stream = connect(lb.tcp[1]).await;
    stream.write_all(b"no TLS").await.unwrap();
    assert!(closes(&mut stream).await);
    let mut stream = handshake(lb.tcp[2], "one.test", &client).await.unwrap();
    let mut out = String::new();
    within(stream.read_to_string(&mut out)).await.unwrap();
    assert_eq!(out, "TLSv1.3 TCP 127.0.0.1");
    let got = exchange(lb.tcp[3], "PROXY TCP4 192.0.2.7 192.0.2.8 1 99\r\n").await;
    assert_eq!(got, "192.0.2.7 192.0.2.7 99");
    assert_eq!(exchange(lb.tcp[3], "GET / HTTP/1.0\r\n\r\n").await, "");
    assert!(closes(&mut connect(lb.tcp[4]).await).await);
    // The same server behind `proxy_ssl`.
    let front = start(&format!(
        "stream {{ server {{ listen 127.0.0.1:0; proxy_pass {}; proxy_ssl on; }} }}",
        lb.tcp[2]
    ));
    let mut stream = connect(front.tcp[0]).await;
    assert_eq!(read_until(&mut stream, "127").await[..11], *"TLSv1.3 TCP");
}

fn client_hello(config: &Arc<ClientConfig>, name: &str) -> Vec<u8> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = rustls::ClientConnection::new(Arc::clone(config), name).unwrap();
    let mut out = Vec::new();
    client.write_tls(&mut out).unwrap();
    out
}

#[tokio::test]
async fn a_proxy_header_says_who_the_client_is() {
    let lb = start_http(
        "server { listen 127.0.0.1:0 proxy_protocol; return 200 '$proxy_protocol_addr'; }",
    );
    let request = "GET / HTTP/1.0\r\n\r\n";
    let got = exchange(
        lb.http[0],
        format!("PROXY TCP4 192.0.2.7 192.0.2.8 1 99\r\n{request}"),
    );
    let got = got.await;
    assert!(got.ends_with("192.0.2.7"), "{got}");
    assert_eq!(exchange(lb.http[0], request).await, "");
}

#[tokio::test]
async fn sessions_have_the_variables_of_the_file() {
    let lb = start(
        "stream {
           map $remote_addr $net { ~^127\\.(?<second>[0-9]+)\\. 'net $1 $second'; default none; }
           map $named $named_net { default $net/$named; }
           geo $near { default far; 127.0.0.0/8 near; }
           split_clients $remote_addr $part { * all; }
           map $server_port $named { hostnames; default x; }
           server { listen 127.0.0.1:0; return '$named_net $net $near $part'; }
         }",
    );
    assert_eq!(exchange(lb.tcp[0], "").await, "net 0 0/x net 0 0 near all");
}
