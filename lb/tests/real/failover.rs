//! Peers that fail: who is asked next, and who must not be.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::tools::{
    Answer, Upstream, answer, connect, dead_port, exchange, get, ok, read_until, start_http,
    start_proxy, within,
};

/// One of two peers dies while clients ask as fast as they can: no client notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_killed_while_in_use_costs_no_request() {
    let (one, two) = (Upstream::named("one").await, Upstream::named("two").await);
    let lb = start_proxy(&[&one, &two], "proxy_connect_timeout 1s;");
    let addr = lb.http[0];
    let (stop, done) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut clients = Vec::new();
    for _ in 0..8 {
        let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
        clients.push(tokio::spawn(async move {
            let mut stream = connect(addr).await;
            while !stop.load(Ordering::SeqCst) {
                stream
                    .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    .await
                    .unwrap();
                let answer = read_until(&mut stream, "\r\n\r\n").await;
                assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
                if !answer.ends_with("one") && !answer.ends_with("two") {
                    read_until(&mut stream, "o").await;
                }
                done.fetch_add(1, Ordering::SeqCst);
            }
        }));
    }
    let reach = async |count: usize| {
        within(async {
            while done.load(Ordering::SeqCst) < count {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
    };
    reach(400).await;
    assert!(one.hits() > 0 && two.hits() > 0);
    one.kill();
    reach(done.load(Ordering::SeqCst) + 800).await;
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        within(client).await.expect("no request failed");
    }
    assert_eq!(lb.metric("weir_lb_requests_total", "5xx"), 0.0);
    assert!(lb.metric("weir_lb_peer_ejections_total", &one.addr.to_string()) >= 1.0);
}

const POST: &str =
    "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc";

#[tokio::test]
async fn a_post_whose_bytes_have_left_is_never_sent_again() {
    let close = || Upstream::new(|_| Answer::SendAndClose(Vec::new()));
    let (one, two) = (close().await, close().await);
    let lb = start_proxy(&[&one, &two], "");
    let answer = exchange(lb.http[0], POST).await;
    assert!(
        answer.starts_with("HTTP/1.1 502 ") && answer.contains("502 Bad Gateway"),
        "{answer}"
    );
    assert_eq!(one.hits() + two.hits(), 1);
    // A GET may be: it is tried on the peer that is left, and then there is none.
    let answer = get(lb.http[0], "/").await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert_eq!(one.hits() + two.hits(), 2);
    // PUT and DELETE are idempotent too (RFC 9110 section 9.2.2).
    let lb = start_proxy(&[&one, &two], "");
    exchange(
        lb.http[0],
        "DELETE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert_eq!((one.hits(), two.hits()), (2, 2));
}

#[tokio::test]
async fn a_post_that_reached_nobody_goes_to_the_next_peer() {
    let up = Upstream::new(|got| Answer::Send(ok(&String::from_utf8_lossy(&got.body)))).await;
    let dead = dead_port().await;
    let lb = start_http(&format!(
        "upstream u {{ server {dead}; server {}; }}
         server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://u;
            add_header X-A $upstream_addr; }} }}",
        up.addr
    ));
    let answer = exchange(lb.http[0], POST).await;
    assert!(answer.ends_with("\r\n\r\nabc"), "{answer}");
    assert!(
        answer.contains(&format!("X-A: {dead}, {}\r\n", up.addr)),
        "{answer}"
    );
    assert_eq!(lb.metric("weir_lb_upstream_errors_total", "connect"), 1.0);
    assert_eq!(lb.metric("weir_lb_upstream_retries_total", "u"), 1.0);
    // It was put out: the next one does not even try it.
    exchange(lb.http[0], POST).await;
    assert_eq!(lb.metric("weir_lb_upstream_errors_total", "connect"), 1.0);
}

#[tokio::test]
async fn tries_and_kinds_are_what_the_configuration_says() {
    let close = || Upstream::new(|_| Answer::SendAndClose(Vec::new()));
    let (one, two, three) = (close().await, close().await, close().await);
    let hits = || one.hits() + two.hits() + three.hits();
    let lb = start_proxy(&[&one, &two, &three], "proxy_next_upstream_tries 2;");
    get(lb.http[0], "/").await;
    assert_eq!(hits(), 2);
    let lb = start_proxy(&[&one, &two, &three], "proxy_next_upstream off;");
    get(lb.http[0], "/").await;
    assert_eq!(hits(), 3);
    let lb = start_proxy(
        &[&one, &two, &three],
        "proxy_next_upstream error non_idempotent;",
    );
    exchange(lb.http[0], POST).await;
    assert_eq!(hits(), 6);
    let lb = start_proxy(&[&one, &two, &three], "proxy_next_upstream timeout;");
    get(lb.http[0], "/").await;
    assert_eq!(hits(), 7);
}

#[tokio::test]
async fn a_peer_that_does_not_answer_in_time_is_left() {
    let hung = Upstream::new(|_| Answer::Hang).await;
    let up = Upstream::named("up").await;
    let lb = start_http(&format!(
        "upstream u {{ server {}; server {} backup; }}
         server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://u; proxy_read_timeout 200ms; }}
           location /alone {{ proxy_pass http://{}; proxy_read_timeout 100ms; }} }}",
        hung.addr, up.addr, hung.addr
    ));
    assert!(get(lb.http[0], "/").await.ends_with("up"));
    assert_eq!(lb.metric("weir_lb_upstream_errors_total", "timeout"), 1.0);
    let answer = get(lb.http[0], "/alone").await;
    assert!(answer.starts_with("HTTP/1.1 504 ") && answer.contains("504 Gateway Time-out"));
}

#[tokio::test]
async fn statuses_can_send_a_request_on() {
    let busy = || Upstream::new(|_| Answer::Send(answer("503 Busy", "X-From: busy\r\n", "busy")));
    let (one, two) = (busy().await, busy().await);
    let up = Upstream::named("up").await;
    let lb = start_http(&format!(
        "upstream u {{ server {}; server {}; server {} backup; }}
         upstream v {{ server {}; server {}; }}
         server {{ listen 127.0.0.1:0; proxy_next_upstream error http_503;
           add_header X-S $upstream_status always;
           location / {{ proxy_pass http://u; }} location /v {{ proxy_pass http://v; }} }}",
        one.addr, two.addr, up.addr, one.addr, two.addr
    ));
    let answer = get(lb.http[0], "/").await;
    assert!(
        answer.ends_with("up") && answer.contains("X-S: 503, 503, 200\r\n"),
        "{answer}"
    );
    // The last peer's answer is the client's, whatever it is.
    let answer = get(lb.http[0], "/v").await;
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.contains("X-From: busy"),
        "{answer}"
    );
    // A POST is not sent twice for it.
    let before = one.hits() + two.hits();
    let post = POST.replace("POST /", "POST /v");
    let answer = exchange(lb.http[0], post).await;
    assert!(answer.starts_with("HTTP/1.1 50"), "{answer}");
    assert!(one.hits() + two.hits() <= before + 1);
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_a_bad_gateway() {
    let junk = Upstream::new(|_| Answer::SendAndClose(b"SSH-2.0-x\r\n\r\n".to_vec())).await;
    let lb = start_proxy(&[&junk], "");
    let answer = get(lb.http[0], "/").await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert_eq!(lb.metric("weir_lb_upstream_errors_total", "invalid"), 1.0);
    let up = Upstream::named("up").await;
    let lb = start_http(&format!(
        "upstream u {{ server {}; server {} backup; }} server {{ listen 127.0.0.1:0;
           location / {{ proxy_pass http://u; proxy_next_upstream invalid_header; }} }}",
        junk.addr, up.addr
    ));
    assert!(get(lb.http[0], "/").await.ends_with("up"));
}

#[tokio::test]
async fn all_peers_gone_is_a_502_and_back_is_back() {
    let addr = dead_port().await;
    let lb = start_http(&format!(
        "upstream u {{ server {addr} fail_timeout=1ms; server {} fail_timeout=1ms; }}
         server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://u; }} }}",
        dead_port().await
    ));
    let answer = get(lb.http[0], "/").await;
    assert!(
        answer.starts_with("HTTP/1.1 502 ") && answer.contains("502 Bad Gateway"),
        "{answer}"
    );
    let _up = Upstream::at(addr, |_| Answer::Send(ok("back"))).await;
    within(async { while !get(lb.http[0], "/").await.ends_with("back") {} }).await;
}

/// A connection that the upstream closes after each answer, without saying so, is no failure.
#[tokio::test]
async fn a_kept_connection_that_is_gone_is_replaced() {
    let up = Upstream::new(|_| Answer::SendAndClose(ok("once"))).await;
    let lb = start_proxy(&[&up], "");
    let mut stream = connect(lb.http[0]).await;
    for _ in 0..50 {
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        let answer = read_until(&mut stream, "once").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert_eq!(lb.metric("weir_lb_requests_total", "2xx"), 50.0);
}

#[tokio::test]
async fn a_client_that_leaves_gives_its_peer_back() {
    let hung = Upstream::new(|_| Answer::Hang).await;
    let lb = start_proxy(&[&hung], "");
    let mut stream = connect(lb.http[0]).await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    lb.until("weir_lb_peer_active", "", 1.0).await;
    drop(stream);
    lb.until("weir_lb_peer_active", "", 0.0).await;
    lb.until("weir_lb_requests_total", "closed", 1.0).await;
    assert_eq!(lb.metric("weir_lb_upstream_errors_total", ""), 0.0);
}
