//! The short way of plain requests: who takes it, what it carries, and that the long way goes on
//! where it cannot.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::tools::{
    Answer, Upstream, connect, dead_port, exchange, get, ok, read_until, start_http, start_proxy,
    within,
};

const SHORT: &str = "weir_lb_plain_requests_total";

#[tokio::test]
async fn plain_requests_take_it_and_no_others() {
    let up = Upstream::named("ok").await;
    let lb = start_http(&format!(
        "map $http_upgrade $c {{ default upgrade; '' close; }}
         server {{ listen 127.0.0.1:0;
           proxy_set_header Connection $c; proxy_set_header X-Real $remote_addr;
           location / {{ proxy_pass http://{0}; }}
           location /r/ {{ rewrite ^/r(/.*) $1 break; proxy_pass http://{0}; }}
           location /p/ {{ proxy_pass http://{0}/q/; add_header X-Method $request_method; }} }}",
        up.addr
    ));
    let at = lb.http[0];
    for (path, taken, seen) in [
        ("/a?b", 1.0, "GET /a?b "),
        ("/p/x?y", 2.0, "GET /q/x?y "),
        // Rewritten, escaped, not normal.
        ("/r/x", 2.0, "GET /x "),
        ("/a%20b", 2.0, "GET /a%20b "),
        ("//a", 2.0, "GET //a "),
    ] {
        let answer = get(at, path).await;
        assert!(answer.ends_with("\r\n\r\nok"), "{path}: {answer}");
        assert_eq!(answer.contains("X-Method: GET"), path.starts_with("/p"));
        assert_eq!(lb.metric(SHORT, ""), taken, "{path}");
        assert!(up.last().head.starts_with(seen), "{}", up.last().head);
        assert_eq!(up.last().header("x-real").as_deref(), Some("127.0.0.1"));
        assert_eq!(up.last().header("connection").as_deref(), Some("close"));
    }
    let post = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";
    assert!(exchange(at, post).await.ends_with("ok"));
    let old = "GET / HTTP/1.0\r\nHost: a\r\n\r\n";
    assert!(exchange(at, old).await.ends_with("ok"));
    assert_eq!(lb.metric(SHORT, ""), 2.0);
    assert_eq!(lb.metric("weir_lb_requests_total", "2xx"), 7.0);
}

/// Requests of all kinds in one write: answered in order, each by the way that is its own.
#[tokio::test]
async fn pipelined_requests_change_ways_and_keep_their_order() {
    let up = Upstream::new(|got| {
        let what = got.head.split(' ').nth(1).unwrap_or_default().to_owned();
        Answer::Send(ok(&format!("[{what} {}]", got.body.len())))
    })
    .await;
    let lb = start_proxy(&[&up], "");
    let mut client = connect(lb.http[0]).await;
    let all = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\
               OPTIONS /2 HTTP/1.1\r\nHost: a\r\n\r\n\
               GET /3 HTTP/1.1\r\nHost: a\r\n\r\n\
               DELETE /4 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n\
               GET /5 HTTP/1.1\r\nHost: a\r\n\r\n\
               POST /6 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
               GET /7 HTTP/1.1\r\nHost: a\r\n\r\n\
               GET /8 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    client.write_all(all.as_bytes()).await.unwrap();
    let mut text = String::new();
    within(client.read_to_string(&mut text)).await.unwrap();
    let bodies: Vec<&str> = text
        .split("\r\n\r\n")
        .skip(1)
        .map(|part| part.split("HTTP/1.1 ").next().unwrap_or_default())
        .collect();
    let wanted = [
        "[/1 0]", "[/2 0]", "[/3 0]", "[/4 0]", "[/5 0]", "[/6 3]", "[/7 0]", "[/8 0]",
    ];
    assert_eq!(bodies, wanted);
    // What follows a body is Pingora's: bytes of it may have come with the body.
    assert_eq!(lb.metric(SHORT, ""), 3.0);
}

#[tokio::test]
async fn answers_of_every_framing_come_whole() {
    let big = "x".repeat(300_000);
    let whole = big.clone();
    let up = Upstream::new(move |got| {
        let path = got.head.split(' ').nth(1).unwrap_or_default();
        let head = got.head.starts_with("HEAD");
        match path {
            "/chunked" => {
                let chunk = format!("{:x};e=1\r\n{whole}\r\n", whole.len());
                let text = format!(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}2\r\nok\r\n0\r\nX: y\r\n\r\n"
                );
                Answer::Send(text.into_bytes())
            }
            "/end" => Answer::SendAndClose(format!("HTTP/1.1 200 OK\r\n\r\n{whole}ok").into_bytes()),
            "/early" => {
                Answer::Send([b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", &ok("ok")[..]].concat())
            }
            "/none" => Answer::Send(b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n".to_vec()),
            _ if head => Answer::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n".to_vec()),
            _ => Answer::Send(ok(&format!("{whole}ok"))),
        }
    })
    .await;
    let lb = start_http(&format!(
        "upstream u {{ server {}; keepalive 4; }}
         server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://u; proxy_http_version 1.1; }} }}",
        up.addr
    ));
    let mut client = connect(lb.http[0]).await;
    for round in 0..3 {
        for path in ["/chunked", "/length", "/end", "/early"] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
            client.write_all(request.as_bytes()).await.unwrap();
            let chunked = matches!(path, "/chunked" | "/end");
            let mark = if chunked { "0\r\n\r\n" } else { "ok" };
            let answer = read_until(&mut client, mark).await;
            let count = answer.matches('x').count();
            let wanted = if path == "/early" { 0 } else { big.len() };
            assert_eq!(count, wanted, "{path} in round {round}");
            assert_eq!(answer.contains("Transfer-Encoding: chunked"), chunked);
            assert!(!answer.contains("103 Early"), "{path}");
        }
        for (line, mark) in [("HEAD /h", "\r\n\r\n"), ("GET /none", "\r\n\r\n")] {
            let request = format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n");
            client.write_all(request.as_bytes()).await.unwrap();
            let answer = read_until(&mut client, mark).await;
            assert!(answer.ends_with(mark), "{line}: {answer}");
        }
    }
    assert_eq!(lb.metric(SHORT, ""), 18.0);
    assert_eq!(lb.metric("weir_lb_upstream_errors_total", ""), 0.0);
}

#[tokio::test]
async fn a_try_that_fails_goes_on_the_long_way() {
    let ill = Upstream::new(|_| {
        let text = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy";
        Answer::Send(text.as_bytes().to_vec())
    })
    .await;
    let (cut, well) = (
        Upstream::new(|_| Answer::SendAndClose(Vec::new())).await,
        Upstream::named("well").await,
    );
    let dead = dead_port().await;
    let lb = start_http(&format!(
        "upstream u {{ server {}; server {} max_fails=0; server {dead}; server {}; }}
         server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://u;
           proxy_next_upstream error timeout http_503; add_header X-Tried $upstream_addr; }} }}",
        ill.addr, cut.addr, well.addr
    ));
    for _ in 0..8 {
        let answer = get(lb.http[0], "/").await;
        assert!(answer.ends_with("\r\n\r\nwell"), "{answer}");
        let tried = answer.lines().find(|line| line.starts_with("X-Tried"));
        assert!(tried.unwrap().ends_with(&well.addr.to_string()), "{answer}");
    }
    assert!(lb.metric("weir_lb_upstream_retries_total", "") >= 3.0);
    assert!(ill.hits() > 0 && cut.hits() > 0);
    // With nobody to go on to, the client hears of it.
    let alone = start_proxy(&[&cut], "");
    let answer = get(alone.http[0], "/").await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert_eq!(alone.metric("weir_lb_upstream_errors_total", "broken"), 1.0);
    assert_eq!(alone.metric("weir_lb_requests_total", "5xx"), 1.0);
}

#[tokio::test]
async fn an_answer_that_breaks_off_ends_the_connection() {
    let up = Upstream::new(|got| {
        let text = match got.head.split(' ').nth(1) {
            Some("/chunk") => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
        };
        Answer::SendAndClose(text.as_bytes().to_vec())
    })
    .await;
    let lb = start_proxy(&[&up], "");
    for path in ["/", "/chunk"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = exchange(lb.http[0], request).await;
        assert!(answer.contains("hel"), "{answer}");
        assert!(!answer.ends_with("0\r\n\r\n"), "it looks whole: {answer}");
    }
    assert_eq!(lb.metric("weir_lb_upstream_errors_total", "broken"), 2.0);
}

#[tokio::test]
async fn a_client_that_leaves_is_not_waited_for() {
    let up = Upstream::new(|_| Answer::Hang).await;
    let lb = start_proxy(&[&up], "");
    let mut client = connect(lb.http[0]).await;
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    lb.until("weir_lb_peer_active", "", 1.0).await;
    drop(client);
    lb.until("weir_lb_peer_active", "", 0.0).await;
    assert_eq!(lb.metric("weir_lb_upstream_errors_total", ""), 0.0);
}

/// What tells the balancer what to do is the long way's: one request is asked for twice, then the
/// location keeps to that way.
#[tokio::test]
async fn a_location_whose_upstream_steers_leaves_it() {
    let up = Upstream::new(|_| {
        let text = "HTTP/1.1 200 OK\r\nX-Accel-Redirect: /in/a\r\nContent-Length: 0\r\n\r\n";
        Answer::Send(text.as_bytes().to_vec())
    })
    .await;
    let lb = start_http(&format!(
        "server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://{}; }}
           location /in/ {{ internal; return 200 inner; }} }}",
        up.addr
    ));
    for hits in [2, 3, 4] {
        assert!(get(lb.http[0], "/").await.ends_with("inner"));
        assert_eq!(up.hits(), hits);
    }
}
