//! Retry budgets, peers that answer badly in a row, and what a `match` wants of a check.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::AsyncWriteExt;

use crate::tools::{Answer, Upstream, answer, connect, get, ok, read_until, start_http};

fn with(upstream: &str, location: &str) -> crate::tools::Running {
    start_http(&format!(
        "upstream u {{ {upstream} }}
         server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://u; {location} }} }}"
    ))
}

#[tokio::test]
async fn a_spent_budget_makes_no_further_try() {
    let sick = Upstream::new(|_| Answer::Send(answer("503 Sick", "", "sick"))).await;
    let hung = Upstream::new(|_| Answer::Hang).await;
    let servers = format!(
        "server {} max_fails=0; server {} backup;",
        sick.addr, hung.addr
    );
    let lb = with(
        &format!("{servers} weir_retry_budget 0% min=1;"),
        "proxy_next_upstream error http_503;",
    );
    // One further try hangs, and is all that may be under way.
    let mut first = connect(lb.http[0]).await;
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    first.write_all(request).await.unwrap();
    lb.until("weir_lb_upstream_retries_total", "u", 1.0).await;
    lb.until("weir_lb_peer_active", &hung.addr.to_string(), 1.0)
        .await;
    let got = get(lb.http[0], "/").await;
    assert!(
        got.starts_with("HTTP/1.1 503 ") && got.ends_with("sick"),
        "{got}"
    );
    assert_eq!(
        lb.metric("weir_lb_upstream_retries_refused_total", "u"),
        1.0
    );
    assert_eq!(hung.hits(), 1);
    // It ends, and there is room again.
    drop(first);
    lb.until("weir_lb_peer_active", "", 0.0).await;
    let mut third = connect(lb.http[0]).await;
    third.write_all(request).await.unwrap();
    lb.until("weir_lb_upstream_retries_total", "u", 2.0).await;
}

#[tokio::test]
async fn a_peer_that_answers_500_in_a_row_is_left_out() {
    let ill = Arc::new(AtomicBool::new(true));
    let flag = Arc::clone(&ill);
    let sick = Upstream::new(move |_| match flag.load(Ordering::SeqCst) {
        true => Answer::Send(answer("500 Sick", "", "sick")),
        false => Answer::Send(ok("better")),
    })
    .await;
    let well = Upstream::named("well").await;
    let lb = with(
        &format!(
            "server {}; server {}; weir_outlier_ejection consecutive=3 time=200ms;",
            sick.addr, well.addr
        ),
        "",
    );
    let mut seen = Vec::new();
    for _ in 0..20 {
        seen.push(get(lb.http[0], "/").await.ends_with("sick"));
    }
    let bad = seen.iter().filter(|sick| **sick).count();
    assert!((3..20).contains(&bad), "{seen:?}");
    assert!(lb.metric("weir_lb_peer_ejections_total", &sick.addr.to_string()) >= 1.0);
    // It comes back by itself.
    ill.store(false, Ordering::SeqCst);
    crate::tools::within(async { while !get(lb.http[0], "/").await.ends_with("better") {} }).await;
}

#[tokio::test]
async fn a_check_passes_if_the_answer_is_as_the_match_says() {
    let fit = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&fit);
    let up = Upstream::new(move |got| {
        if !got.head.starts_with("GET /live ") {
            return Answer::Send(ok("served"));
        }
        let body = match flag.load(Ordering::SeqCst) {
            true => "all is well",
            false => "warming",
        };
        Answer::SendAndClose(answer("200 OK", "X-Role: edge\r\n", body))
    })
    .await;
    let lb = start_http(&format!(
        "match fit {{ status 200-299; header X-Role = edge; header ! X-Ill; body ~ \"is well$\"; }}
         upstream u {{ server {}; }}
         server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://u;
           health_check mandatory interval=20ms jitter=5ms uri=/live match=fit; }} }}",
        up.addr
    ));
    // Mandatory: ill from the start.
    assert!(get(lb.http[0], "/").await.starts_with("HTTP/1.1 502 "));
    fit.store(true, Ordering::SeqCst);
    lb.until("weir_lb_peer_healthy", "u", 1.0).await;
    assert!(get(lb.http[0], "/").await.ends_with("served"));
}

/// Answers that break in every way a peer can break them; each time the next peer is asked, and
/// when all are dead and one is back, it serves.
#[tokio::test]
async fn broken_peers_are_passed_over() {
    let (well, dead) = (
        Upstream::named("well").await,
        crate::tools::dead_port().await,
    );
    let broken: [(&str, &[u8]); 4] = [
        ("closes", b""),
        ("half a header", b"HTTP/1.1 200 OK\r\nContent-Le"),
        ("garbage", b"\x00\xff\x00 what is this\r\n\r\n"),
        ("no status", b"HTTP/1.1 abc\r\n\r\n"),
    ];
    for (name, bytes) in broken {
        let peer = Upstream::new(move |_| Answer::SendAndClose(bytes.to_vec())).await;
        let lb = with(
            &format!("server {}; server {} backup;", peer.addr, well.addr),
            "proxy_next_upstream error timeout invalid_header;",
        );
        let got = get(lb.http[0], "/").await;
        assert!(got.ends_with("well") && peer.hits() == 1, "{name}: {got}");
    }
    // A reset in the middle of an answer is never made whole.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let lb = with(&format!("server {};", listener.local_addr().unwrap()), "");
    let client = tokio::spawn({
        let at = lb.http[0];
        async move { get(at, "/").await }
    });
    let (mut peer, _) = crate::tools::within(listener.accept()).await.unwrap();
    read_until(&mut peer, "\r\n\r\n").await;
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
    peer.write_all(half).await.unwrap();
    peer.set_zero_linger().unwrap();
    drop(peer);
    assert!(!client.await.unwrap().contains("whole"));
    // All dead, and back.
    let lb = with(&format!("server {dead} max_fails=0;"), "");
    assert!(get(lb.http[0], "/").await.starts_with("HTTP/1.1 502 "));
    let _back = Upstream::at(dead, |_| Answer::Send(ok("back"))).await;
    assert!(get(lb.http[0], "/").await.ends_with("back"));
}
