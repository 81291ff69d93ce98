//! Clients that are slow, broken or hostile.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::tools::{
    Upstream, closes, connect, exchange, get, read_until, start_http, start_proxy, start_with,
    within,
};

#[tokio::test]
async fn malformed_requests_are_refused_and_never_passed_on() {
    let up = Upstream::named("up").await;
    let lb = start_proxy(&[&up], "");
    for bad in [
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET /../x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nBad Header: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n folded: x\r\n\r\n",
        "\u{1}\u{2}\u{3}\r\n\r\n",
    ] {
        let answer = exchange(lb.http[0], bad).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{bad:?}: {answer:?}");
        // Whatever came after in the same bytes was not taken for a request.
        assert_eq!(
            answer.matches("HTTP/1.1 ").count(),
            1,
            "{bad:?}: {answer:?}"
        );
    }
    assert_eq!(up.hits(), 0);
    let answer = exchange(lb.http[0], "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer:?}");
    assert_eq!(up.hits(), 0);
}

/// What the next hop could read in another way than we do is not passed on.
#[tokio::test]
async fn ambiguous_framing_is_refused_as_nginx_does() {
    let up = Upstream::named("up").await;
    let lb = start_proxy(&[&up], "");
    for (framing, status) in [
        ("Content-Length: 3, 3\r\n", "400"),
        ("Content-Length: 3\r\nContent-Length: 3\r\n", "400"),
        ("Transfer-Encoding: gzip, chunked\r\n", "501"),
        (
            "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
            "501",
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "501",
        ),
    ] {
        let body = if status == "400" {
            "abc"
        } else {
            "3\r\nabc\r\n0\r\n\r\n"
        };
        let answer = exchange(
            lb.http[0],
            format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n{body}"),
        )
        .await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{framing:?}: {answer:?}"
        );
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer:?}");
    }
    assert_eq!(up.hits(), 0);
}

/// A second request hidden behind an ambiguous first one reaches nobody as a request.
#[tokio::test]
async fn nothing_is_smuggled_behind_two_lengths() {
    let up = Upstream::named("up").await;
    let lb = start_proxy(&[&up], "");
    let hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    let both = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\n\r\n{hidden}",
        5 + hidden.len()
    );
    let answer = exchange(lb.http[0], both).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    let got = up.got.lock().unwrap().clone();
    assert!(
        got.iter().all(|got| !got.head.contains("/hidden")),
        "{got:?}"
    );
}

#[tokio::test]
async fn headers_too_long_are_refused() {
    let up = Upstream::named("up").await;
    let lb = start_http(&format!(
        "server {{ listen 127.0.0.1:0; large_client_header_buffers 2 1k;
           location / {{ proxy_pass http://{}; }} }}",
        up.addr
    ));
    let with = |bytes: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: {}\r\n\r\n",
            "x".repeat(bytes)
        )
    };
    assert!(exchange(lb.http[0], with(1000)).await.ends_with("up"));
    let answer = exchange(lb.http[0], with(2100)).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    // Far beyond it nothing is read, let alone answered.
    assert_eq!(exchange(lb.http[0], with(1_000_000)).await, "");
    let many: String = (0..2000).map(|n| format!("X{n}: 1\r\n")).collect();
    let answer = exchange(
        lb.http[0],
        format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"),
    )
    .await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 400 "),
        "{answer}"
    );
    assert_eq!(up.hits(), 1);
}

#[tokio::test]
async fn a_header_that_trickles_is_cut_and_a_slow_one_in_time_is_not() {
    let up = Upstream::named("up").await;
    let lb = start_http(&format!(
        "server {{ listen 127.0.0.1:0; client_header_timeout 400ms;
           location / {{ proxy_pass http://{}; }} }}",
        up.addr
    ));
    let mut slow = connect(lb.http[0]).await;
    let trickle = async {
        slow.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
            .await
            .unwrap();
        // A byte now and then keeps Pingora's own timer, but not this one, from passing.
        while slow.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(trickle).await;
    // Saying nothing at all is no better.
    assert!(closes(&mut connect(lb.http[0]).await).await);
    // Nor is it on a connection that has served a request.
    let mut kept = connect(lb.http[0]).await;
    kept.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut kept, "up").await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    // Between requests it is keepalive_timeout that counts.
    kept.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    kept.write_all(b"\r\n").await.unwrap();
    read_until(&mut kept, "up").await;
    kept.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    assert!(closes(&mut kept).await);
    // Nobody else was disturbed.
    assert!(get(lb.http[0], "/").await.ends_with("up"));
    lb.until("weir_lb_connections", "", 0.0).await;
}

#[tokio::test]
async fn a_body_that_stops_coming_is_given_up() {
    let up = Upstream::named("up").await;
    let lb = start_proxy(&[&up], "client_body_timeout 200ms;");
    let mut stream = connect(lb.http[0]).await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = read_until(&mut stream, "</html>").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    lb.until("weir_lb_connections", "", 0.0).await;
    lb.until("weir_lb_peer_active", "", 0.0).await;
}

#[tokio::test]
async fn idle_connections_are_closed_after_their_time() {
    let up = Upstream::named("up").await;
    let lb = start_proxy(&[&up], "keepalive_timeout 1s;");
    let mut stream = connect(lb.http[0]).await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut stream, "up").await;
    assert!(closes(&mut stream).await);
    let lb = start_proxy(&[&up], "keepalive_timeout 0;");
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert!(
        exchange(lb.http[0], request)
            .await
            .contains("Connection: close")
    );
    let lb = start_http(&format!(
        "keepalive_requests 2; server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://{}; }} }}",
        up.addr
    ));
    let answers = exchange(lb.http[0], request.repeat(3)).await;
    assert_eq!(answers.matches("200 OK").count(), 2, "{answers}");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_at_once() {
    let up = Upstream::named("up").await;
    let text = format!(
        "http {{ server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://{}; }} }} }}",
        up.addr
    );
    let options = weir_lb::LbOptions {
        connections_max: 2,
        ..weir_lb::LbOptions::default()
    };
    let lb = start_with(&text, options, Duration::from_secs(5));
    let (one, two) = (connect(lb.http[0]).await, connect(lb.http[0]).await);
    lb.until("weir_lb_connections", "", 2.0).await;
    assert!(closes(&mut connect(lb.http[0]).await).await);
    assert_eq!(lb.metric("weir_lb_connections_refused_total", ""), 1.0);
    drop((one, two));
    lb.until("weir_lb_connections", "", 0.0).await;
    assert!(get(lb.http[0], "/").await.ends_with("up"));
}

#[tokio::test]
async fn a_flood_of_viewers_keeps_no_publisher_out() {
    let up = Upstream::named("up").await;
    let (upstream, listen) = (up.addr, "listen 127.0.0.1:0;");
    let text = format!(
        "http {{ server {{ {listen} location / {{ proxy_pass http://{upstream}; }} }} }}
         stream {{ upstream u {{ server {upstream}; }} server {{ {listen} proxy_pass u; }} }}"
    );
    let options = weir_lb::LbOptions {
        connections_max: 2,
        ..weir_lb::LbOptions::default()
    };
    let lb = start_with(&text, options, Duration::from_secs(5));
    let _held = (connect(lb.http[0]).await, connect(lb.http[0]).await);
    lb.until("weir_lb_connections", "", 2.0).await;
    assert!(closes(&mut connect(lb.http[0]).await).await);
    let mut publisher = connect(lb.tcp[0]).await;
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    publisher.write_all(request).await.unwrap();
    read_until(&mut publisher, "\r\n\r\nup").await;
}
