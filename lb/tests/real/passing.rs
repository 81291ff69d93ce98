//! How a request is passed on and what becomes of the answer's header.

use crate::tools::{Upstream, answer, exchange, get, start_http};
use crate::upstreams::Answer;

/// One server whose one location passes everything to the upstream.
fn one(upstream: &Upstream, extra: &str) -> crate::tools::Running {
    start_http(&format!(
        "server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://{}; {extra} }} }}",
        upstream.addr
    ))
}

fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nX-Own: 1\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn a_url_with_variables_goes_where_it_comes_to() {
    let (u, bare) = (
        Upstream::named("group").await,
        Upstream::named("bare").await,
    );
    let lb = start_http(&format!(
        "upstream u {{ server {}; }}
         server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://$arg_b; }}
           location /u {{ proxy_pass http:/$uri; }} }}",
        u.addr
    ));
    let at = lb.http[0];
    assert!(get(at, "/?b=u").await.ends_with("group"));
    assert_eq!(u.last().head.lines().next(), Some("GET /?b=u HTTP/1.1"));
    assert!(get(at, "/x?b=u/y").await.ends_with("group"));
    assert_eq!(u.last().head.lines().next(), Some("GET /y HTTP/1.1"));
    assert_eq!(u.last().header("host").as_deref(), Some("u"));
    assert!(get(at, "/u").await.ends_with("group"));
    let path = format!("/?b={}", bare.addr);
    assert!(get(at, &path).await.ends_with("bare"));
    assert_eq!(bare.last().header("host"), Some(bare.addr.to_string()));
    for (path, status) in [("/?b=nowhere", 502), ("/?b=h:x", 500), ("/", 500)] {
        let answer = get(at, path).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{path}: {answer}"
        );
    }
    // What a client names never becomes a label.
    let families = lb.registry.gather();
    let text = format!("{families:?}");
    assert!(!text.contains(&bare.addr.to_string()) && !text.contains("nowhere"));
}

#[tokio::test]
async fn method_headers_and_body_are_what_the_configuration_says() {
    let upstream = Upstream::named("ok").await;
    let at = one(&upstream, "proxy_method PUT; proxy_set_body \"<$uri>\";").http[0];
    let lb = one(&upstream, "proxy_method PUT; proxy_set_body \"<$uri>\";");
    assert_ne!(at, lb.http[0]);
    for request in [post("/a", "body"), "GET /a HTTP/1.0\r\n\r\n".to_owned()] {
        let got = exchange(lb.http[0], request).await;
        assert!(got.ends_with("ok"), "{got}");
        let last = upstream.last();
        assert!(last.head.starts_with("PUT /a HTTP/1.1"), "{}", last.head);
        assert_eq!(last.body, b"</a>");
    }
    let lb = one(
        &upstream,
        "proxy_pass_request_headers off; proxy_pass_request_body off;",
    );
    assert!(
        exchange(lb.http[0], post("/", "body"))
            .await
            .ends_with("ok")
    );
    let last = upstream.last();
    assert_eq!((last.header("x-own"), last.body.len()), (None, 0));
    assert_eq!(last.header("content-length").as_deref(), Some("0"));
    let lb = one(
        &upstream,
        "proxy_http_version 1.0; proxy_bind 127.0.0.1; proxy_socket_keepalive on;",
    );
    assert!(
        exchange(lb.http[0], post("/", "body"))
            .await
            .ends_with("ok")
    );
    assert!(upstream.last().head.starts_with("POST / HTTP/1.0"));
    assert_eq!(
        upstream.last().header("connection").as_deref(),
        Some("close")
    );
}

#[tokio::test]
async fn what_is_hidden_and_what_is_passed() {
    let headers = "Server: theirs\r\nDate: then\r\nX-Pad: x\r\nX-Accel-Charset: y\r\nX-A: 1\r\n\
                   Expires: foo\r\nExpires: bar\r\n";
    let upstream = Upstream::new(move |_| Answer::Send(answer("200 OK", headers, "b"))).await;
    let lb = one(&upstream, "proxy_hide_header X-A;");
    let got = get(lb.http[0], "/").await;
    for hidden in ["theirs", "then", "X-Pad", "X-Accel", "X-A:", "bar"] {
        assert!(!got.contains(hidden), "{hidden}: {got}");
    }
    assert!(
        got.contains("Server: weir\r\n") && got.contains("Date: "),
        "{got}"
    );
    assert!(got.contains("Expires: foo\r\n"), "{got}");
    let lb = one(
        &upstream,
        "proxy_pass_header Server; proxy_pass_header X-Pad;",
    );
    let got = get(lb.http[0], "/").await;
    assert!(
        got.contains("Server: theirs\r\n") && got.contains("X-Pad: x"),
        "{got}"
    );
}

#[tokio::test]
async fn locations_and_cookies_are_rewritten() {
    let headers = "Location: http://back/one/x\r\nRefresh: 5; url=http://back/one/y\r\n\
                   Set-Cookie: a=1; Domain=.Back; Path=/one/; HttpOnly\r\nSet-Cookie: b=2\r\n";
    let upstream = Upstream::new(move |_| Answer::Send(answer("302 Found", headers, ""))).await;
    let lb = one(
        &upstream,
        "proxy_redirect http://back/one/ http://$host/two/;
         proxy_cookie_domain back front; proxy_cookie_path /one/ /two/;
         proxy_cookie_flags a nohttponly secure samesite=lax;",
    );
    let got = get(lb.http[0], "/").await;
    for line in [
        "Location: http://test/two/x\r\n",
        "Refresh: 5; url=http://test/two/y\r\n",
        "Set-Cookie: a=1; Domain=.front; Path=/two/; Secure; SameSite=Lax\r\n",
        "Set-Cookie: b=2\r\n",
    ] {
        assert!(got.contains(line), "{line} in {got}");
    }
    let lb = one(&upstream, "proxy_redirect off;");
    assert!(
        get(lb.http[0], "/")
            .await
            .contains("Location: http://back/one/x\r\n")
    );
}

#[tokio::test]
async fn an_answer_that_can_be_read_in_two_ways_is_a_bad_gateway() {
    for bad in [
        "Content-Length: foo\r\n",
        "Content-Length: 0\r\nContent-Length: 0\r\n",
        "Transfer-Encoding: foo\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{bad}\r\n0\r\n\r\n").into_bytes();
        let upstream = Upstream::new(move |_| Answer::SendAndClose(bytes.clone())).await;
        let lb = one(&upstream, "");
        let got = get(lb.http[0], "/").await;
        assert!(got.starts_with("HTTP/1.1 502 "), "{bad}: {got}");
    }
}

#[tokio::test]
async fn tries_are_told_with_their_times() {
    let (dead, well) = (
        crate::tools::dead_port().await,
        Upstream::named("well").await,
    );
    let lb = start_http(&format!(
        "upstream u {{ server {dead}; server {}; }}
         server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://u;
           add_header X-Addr $upstream_addr; add_header X-Status $upstream_status;
           add_header X-Times $upstream_connect_time/$upstream_header_time/$upstream_response_time;
         }} }}",
        well.addr
    ));
    let got = get(lb.http[0], "/").await;
    assert!(
        got.contains(&format!("X-Addr: {dead}, {}\r\n", well.addr)),
        "{got}"
    );
    assert!(got.contains("X-Status: 502, 200\r\n"), "{got}");
    let times = got.lines().find_map(|line| line.strip_prefix("X-Times: "));
    let times: Vec<&str> = times.unwrap().split('/').collect();
    assert!(
        times[0].starts_with("-, 0.") && times[1].starts_with("-, 0."),
        "{times:?}"
    );
    assert!(times[2].ends_with(", -"), "{times:?}");
}

#[tokio::test]
async fn an_answer_may_send_the_request_elsewhere_inside() {
    let upstream = Upstream::new(|got| {
        let sent_on = "X-Accel-Redirect: /inside?x=1\r\n";
        Answer::Send(match got.head.starts_with("GET /inside") {
            true => answer("200 OK", "", "inner"),
            false => answer("200 OK", sent_on, "outer"),
        })
    })
    .await;
    let addr = upstream.addr;
    let lb = start_http(&format!(
        "server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://{addr}; }}
           location /as-is {{ proxy_pass http://{addr}; proxy_ignore_headers X-Accel-Redirect; }}
           location /inside {{ internal; proxy_pass http://{addr}; }} }}"
    ));
    let got = get(lb.http[0], "/").await;
    assert!(
        got.starts_with("HTTP/1.1 200 ") && got.ends_with("inner"),
        "{got}"
    );
    assert_eq!(
        upstream.last().head.lines().next(),
        Some("GET /inside?x=1 HTTP/1.1")
    );
    assert!(get(lb.http[0], "/as-is").await.ends_with("outer"));
    assert!(
        get(lb.http[0], "/inside")
            .await
            .starts_with("HTTP/1.1 404 ")
    );
}
