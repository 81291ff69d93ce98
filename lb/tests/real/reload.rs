//! Another configuration over a balancer that serves.

use std::net::SocketAddr;

use prometheus::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use weir_conf::nginx::{Config, LoadOptions, load_text};
use weir_lb::LbOptions;

use crate::tools::{LIMIT, bind, within};

/// An address that nothing listens on: port 0 would be another one after each reload.
fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.81:0").unwrap();
    listener.local_addr().unwrap()
}

fn text(addr: SocketAddr, answer: &str) -> String {
    format!("http {{ server {{ listen {addr}; location / {{ return 200 {answer}; }} }} }}")
}

fn config(text: &str) -> Config {
    let text = format!("events {{}} {text}");
    let here = std::path::Path::new("");
    load_text(&text, "t.conf", here, &LoadOptions::default()).unwrap()
}

/// One request; the answer, whose body is three letters long.
async fn ask(stream: &mut TcpStream) -> String {
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let ended = |answer: &[u8]| answer.windows(4).rev().position(|it| it == b"\r\n\r\n") == Some(3);
    while !ended(&answer) {
        let read = within(stream.read_buf(&mut answer)).await.unwrap();
        assert!(read > 0, "closed without an answer");
    }
    String::from_utf8(answer).unwrap()
}

/// A client that waits between two requests loses none of them: its next is answered, under the
/// configuration it came to, and its connection ends with the answer.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_request_of_an_idle_connection_is_answered() {
    let addr = free_address();
    let bound = bind(&text(addr, "old"), LbOptions::default(), &Registry::new()).unwrap();
    let mut running = bound.start();
    let mut idle = TcpStream::connect(addr).await.unwrap();
    assert!(ask(&mut idle).await.ends_with("old"));
    running.reload(&config(&text(addr, "new"))).unwrap();
    for _ in 0..50 {
        let mut fresh = TcpStream::connect(addr).await.unwrap();
        assert!(ask(&mut fresh).await.ends_with("new"));
    }
    let last = ask(&mut idle).await;
    assert!(
        last.ends_with("old") && last.contains("Connection: close"),
        "{last}"
    );
    within(running.drain(LIMIT)).await;
    assert!(
        TcpStream::connect(addr).await.is_err(),
        "the address is let go"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_paused_waits_for_the_next_configuration() {
    let addr = free_address();
    let bound = bind(&text(addr, "old"), LbOptions::default(), &Registry::new()).unwrap();
    let mut running = bound.start();
    running.pause();
    // Whoever came before the pause took hold has its answer; the first who has none waits.
    let waiting = within(async {
        loop {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            let (sent, wait) = (ask(&mut stream), std::time::Duration::from_millis(100));
            if tokio::time::timeout(wait, sent).await.is_err() {
                return stream;
            }
        }
    })
    .await;
    running.reload(&config(&text(addr, "new"))).unwrap();
    let mut stream = waiting;
    let mut answer = Vec::new();
    while !answer.ends_with(b"new") {
        assert!(within(stream.read_buf(&mut answer)).await.unwrap() > 0);
    }
    within(running.end()).await;
}

/// What a cache keeps stays when its zone does, also if it is given another size.
#[tokio::test]
async fn a_cache_outlives_a_reload() {
    let up = crate::tools::Upstream::new(|_| {
        let headers = "Cache-Control: max-age=60\r\n";
        crate::tools::Answer::Send(crate::tools::answer("200 OK", headers, "kept"))
    })
    .await;
    let addr = free_address();
    let text = |path: &str, size: &str| {
        format!(
            "http {{ proxy_cache_path {path} keys_zone=z:1m max_size={size};
               server {{ listen {addr}; add_header X-Cache $upstream_cache_status;
                 location / {{ proxy_pass http://{}; proxy_cache z; }} }} }}",
            up.addr
        )
    };
    let first = text("/one", "1m");
    let bound = bind(&first, LbOptions::default(), &Registry::new()).unwrap();
    let mut running = bound.start();
    let cache = async || crate::tools::get(addr, "/").await;
    assert!(cache().await.contains("X-Cache: MISS"));
    for (path, size, wanted) in [
        ("/one", "1m", "HIT"),
        ("/one", "2m", "HIT"),
        ("/two", "2m", "MISS"),
    ] {
        running.reload(&config(&text(path, size))).unwrap();
        let got = within(async {
            loop {
                // The connection may have come to the old configuration, and been cut.
                let got = cache().await;
                if !got.is_empty() {
                    break got;
                }
            }
        })
        .await;
        assert!(
            got.contains(&format!("X-Cache: {wanted}")),
            "{path} {size}: {got}"
        );
    }
    assert_eq!(up.hits(), 2);
    running.drain(LIMIT).await;
}
