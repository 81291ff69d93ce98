//! `proxy_cache`: what is kept, for whom, how long, and what is fetched for how many.
//!
//! An answer with `X-Accel-Expires: @1` is kept and past its time at once: no test waits for one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncWriteExt as _;
use tokio::sync::Semaphore;

use crate::tools::{
    Answer, Running, Upstream, answer, connect, exchange, get, ok, read_until, start_http, within,
};
use crate::upstreams::Got;

/// A balancer with one cache before this upstream, and a header that says what the cache did.
pub(crate) fn start(up: &Upstream, extra: &str) -> Running {
    start_http(&format!(
        "proxy_cache_path /nowhere levels=1:2 keys_zone=z:1m max_size=10m;
         server {{ listen 127.0.0.1:0; add_header X-Cache $upstream_cache_status always;
           location / {{ proxy_pass http://{}; proxy_cache z; {extra} }} }}",
        up.addr
    ))
}

/// Answers each request with these headers, and its number as the body.
pub(crate) async fn counting(
    headers: impl Fn(usize) -> String + Send + Sync + 'static,
) -> Upstream {
    let count = AtomicUsize::new(0);
    Upstream::new(move |_| {
        let n = count.fetch_add(1, Ordering::SeqCst) + 1;
        Answer::Send(answer("200 OK", &headers(n), &format!("body {n}")))
    })
    .await
}

pub(crate) async fn ask(addr: SocketAddr, path: &str, headers: &str) -> String {
    let text = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n");
    exchange(addr, text).await
}

#[track_caller]
pub(crate) fn check(got: &str, status: &str, cache: &str, body: &str) {
    let marks = [format!(" {status} "), format!("X-Cache: {cache}\r\n")];
    let good = marks.iter().all(|mark| got.contains(mark.as_str())) && got.ends_with(body);
    assert!(good, "wanted {status} {cache} {body:?}: {got}");
}

#[tokio::test]
async fn a_second_request_is_a_hit() {
    let up = counting(|_| "Cache-Control: max-age=60\r\nX-Own: a\r\n".to_owned()).await;
    let lb = start(&up, "");
    check(&get(lb.http[0], "/a").await, "200", "MISS", "body 1");
    let hit = get(lb.http[0], "/a").await;
    check(&hit, "200", "HIT", "body 1");
    assert!(hit.contains("X-Own: a\r\n") && hit.contains("Content-Length: 6\r\n"));
    let head = "HEAD /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let head = exchange(lb.http[0], head).await;
    check(&head, "200", "HIT", "\r\n\r\n");
    assert!(head.contains("Content-Length: 6\r\n"), "{head}");
    check(&get(lb.http[0], "/b").await, "200", "MISS", "body 2");
    assert_eq!(up.hits(), 2);
    assert_eq!(lb.metric("weir_lb_cache_requests_total", "HIT"), 2.0);
    lb.until("weir_lb_cache_objects", "z", 2.0).await;
    assert!(lb.metric("weir_lb_cache_stored_bytes", "z") > 12.0);
}

#[tokio::test]
async fn what_an_answer_says_of_itself_outranks_the_file() {
    let up = Upstream::new(|got: &Got| {
        let control = match got.head.split(' ').nth(1) {
            Some("/live.m3u8") => "Cache-Control: no-cache\r\n",
            Some("/old") => "X-Accel-Expires: @1\r\n",
            Some("/cookie") => "Set-Cookie: a=b\r\n",
            _ => "",
        };
        Answer::Send(answer("200 OK", control, "x"))
    })
    .await;
    let lb = start(&up, "proxy_cache_valid 200 60s;");
    for (path, second) in [
        ("/live.m3u8", "MISS"),
        ("/old", "EXPIRED"),
        ("/cookie", "MISS"),
        ("/plain", "HIT"),
    ] {
        check(&get(lb.http[0], path).await, "200", "MISS", "x");
        check(&get(lb.http[0], path).await, "200", second, "x");
    }
    assert_eq!(up.hits(), 7);
}

#[tokio::test]
async fn a_lock_lets_one_fetch_and_all_read_while_it_fills() {
    let go = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&go);
    let up = Upstream::new(move |_| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nCache-Control: max-age=60\r\n\r\n";
        let pieces = vec![format!("{head}one").into_bytes(), b"two".to_vec()];
        Answer::Pieces(pieces, Arc::clone(&gate))
    })
    .await;
    let lb = start(&up, "proxy_cache_lock on;");
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = connect(lb.http[0]).await;
        let request = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
        client.write_all(request).await.unwrap();
        clients.push(client);
    }
    go.add_permits(1);
    let mut statuses = Vec::new();
    for client in &mut clients {
        let got = read_until(client, "\r\n\r\none").await;
        let status = got.lines().find_map(|line| line.strip_prefix("X-Cache: "));
        statuses.push(status.unwrap().to_owned());
    }
    go.add_permits(1);
    for client in &mut clients {
        read_until(client, "two").await;
    }
    statuses.sort();
    assert_eq!(
        (statuses[0].as_str(), statuses[19].as_str()),
        ("HIT", "MISS")
    );
    assert_eq!(statuses[18], "HIT");
    assert_eq!(up.hits(), 1);
}

#[tokio::test]
async fn without_a_lock_each_fetches() {
    let go = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&go);
    let up = Upstream::new(move |_| {
        Answer::Pieces(
            vec![answer("200 OK", "X-Accel-Expires: 60\r\n", "x")],
            Arc::clone(&gate),
        )
    })
    .await;
    let lb = start(&up, "");
    let addr = lb.http[0];
    let both = async { tokio::join!(get(addr, "/a"), get(addr, "/a")) };
    let open = async {
        while up.hits() < 2 {
            tokio::task::yield_now().await;
        }
        go.add_permits(2);
    };
    let ((first, second), ()) = within(async { tokio::join!(both, open) }).await;
    check(&first, "200", "MISS", "x");
    check(&second, "200", "MISS", "x");
    check(&get(addr, "/a").await, "200", "HIT", "x");
}

#[tokio::test]
async fn a_bypass_fetches_anew_and_no_cache_keeps_nothing() {
    let up = counting(|_| "Cache-Control: max-age=60\r\n".to_owned()).await;
    let lb = start(
        &up,
        "proxy_cache_key $uri; proxy_cache_bypass $http_x_new; proxy_no_cache $http_x_not;",
    );
    let addr = lb.http[0];
    check(
        &ask(addr, "/a", "X-Not: 1\r\n").await,
        "200",
        "MISS",
        "body 1",
    );
    check(
        &ask(addr, "/a", "X-Not: 0\r\n").await,
        "200",
        "MISS",
        "body 2",
    );
    check(&ask(addr, "/a?other", "").await, "200", "HIT", "body 2");
    check(
        &ask(addr, "/a", "X-New: yes\r\n").await,
        "200",
        "BYPASS",
        "body 3",
    );
    check(
        &ask(addr, "/a", "X-New: 0\r\n").await,
        "200",
        "HIT",
        "body 3",
    );
}

#[tokio::test]
async fn variants_are_kept_apart() {
    let up = Upstream::new(|got: &Got| {
        let language = got.header("accept-language").unwrap_or_default();
        let headers = "Vary: Accept-Language\r\nCache-Control: max-age=60\r\n";
        Answer::Send(answer("200 OK", headers, &language))
    })
    .await;
    let lb = start(&up, "");
    for cache in ["MISS", "HIT"] {
        for language in ["de", "en"] {
            let header = format!("Accept-Language: {language}\r\n");
            check(
                &ask(lb.http[0], "/a", &header).await,
                "200",
                cache,
                language,
            );
        }
    }
}

#[tokio::test]
async fn parts_and_conditions_are_answered_from_the_cache() {
    let tags = "ETag: \"t\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    let up = Upstream::new(move |got: &Got| {
        assert_eq!(
            (got.header("range"), got.header("if-none-match")),
            (None, None)
        );
        let headers = format!("Accept-Ranges: bytes\r\nCache-Control: max-age=60\r\n{tags}");
        Answer::Send(answer("200 OK", &headers, "0123456789"))
    })
    .await;
    let lb = start(&up, "");
    let addr = lb.http[0];
    check(
        &ask(addr, "/a", "Range: bytes=2-3\r\n").await,
        "206",
        "MISS",
        "\r\n\r\n23",
    );
    let part = ask(addr, "/a", "Range: bytes=-2\r\n").await;
    check(&part, "206", "HIT", "\r\n\r\n89");
    assert!(part.contains("Content-Range: bytes 8-9/10\r\n"), "{part}");
    assert!(part.contains("Content-Length: 2\r\n"), "{part}");
    let parts = ask(addr, "/a", "Range: bytes=0-0,5-6\r\n").await;
    let (head, body) = parts.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("multipart/byteranges; boundary="), "{head}");
    assert!(
        head.contains(&format!("Content-Length: {}\r\n", body.len())),
        "{head}"
    );
    assert!(
        body.contains("Content-Range: bytes 5-6/10\r\n\r\n56\r\n--"),
        "{body}"
    );
    let beyond = ask(addr, "/a", "Range: bytes=10-\r\n").await;
    assert!(beyond.contains(" 416 ") && beyond.contains("Content-Range: bytes */10\r\n"));
    for same in [
        "If-None-Match: \"t\"\r\n",
        "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
    ] {
        let same = ask(addr, "/a", same).await;
        check(&same, "304", "HIT", "\r\n\r\n");
        assert!(
            same.contains("ETag: \"t\"\r\n") && !same.contains("Content-Length"),
            "{same}"
        );
    }
    let other = ask(addr, "/a", "If-None-Match: \"u\"\r\n").await;
    check(&other, "200", "HIT", "0123456789");
    assert!(
        ask(addr, "/a", "If-Match: \"u\"\r\n")
            .await
            .contains(" 412 ")
    );
    assert_eq!(up.hits(), 1);
}

#[tokio::test]
async fn other_methods_and_wishes_pass_by() {
    let up = Upstream::new(|got: &Got| {
        let body = String::from_utf8_lossy(&got.body).into_owned();
        let text = format!("{}:{body}", got.head.split(' ').next().unwrap());
        Answer::Send(answer("200 OK", "Cache-Control: max-age=60\r\n", &text))
    })
    .await;
    let lb = start(&up, "proxy_cache_min_uses 2;");
    let posting = start(
        &up,
        "proxy_cache_methods POST; proxy_cache_key $request_method$uri;",
    );
    let post = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
    let got = exchange(lb.http[0], post).await;
    assert!(
        got.ends_with("POST:hi") && !got.contains("X-Cache"),
        "{got}"
    );
    check(
        &exchange(posting.http[0], post).await,
        "200",
        "MISS",
        "POST:hi",
    );
    check(
        &exchange(posting.http[0], post).await,
        "200",
        "HIT",
        "POST:hi",
    );
    for cache in ["MISS", "MISS", "HIT"] {
        check(&get(lb.http[0], "/b").await, "200", cache, "GET:");
    }
    assert_eq!(up.hits(), 4);
}

#[tokio::test]
async fn a_zone_may_be_named_by_the_request() {
    let up = Upstream::new(|_| Answer::Send(ok("x"))).await;
    let lb = start_http(&format!(
        "proxy_cache_path /nowhere keys_zone=z:1m;
         server {{ listen 127.0.0.1:0; add_header X-Cache $upstream_cache_status always;
           location / {{ proxy_pass http://{}; proxy_cache $arg_z; proxy_cache_valid 1m; }} }}",
        up.addr
    ));
    check(&get(lb.http[0], "/?z=z").await, "200", "MISS", "x");
    check(&get(lb.http[0], "/?z=z").await, "200", "HIT", "x");
    assert!(get(lb.http[0], "/?z=other").await.contains(" 500 "));
    let none = get(lb.http[0], "/").await;
    assert!(none.ends_with('x') && !none.contains("X-Cache"), "{none}");
}

/// An answer of a byte a second would take a quarter of an hour: what it begins with is not held.
#[tokio::test]
async fn a_slow_answer_begins_at_once() {
    let up = Upstream::new(|_| {
        let headers = "Cache-Control: max-age=60\r\n";
        Answer::Send(answer("200 OK", headers, &"x".repeat(1000)))
    })
    .await;
    let lb = start(
        &up,
        "proxy_cache_key $uri; if ($arg_slow) { set $limit_rate 1; }",
    );
    assert!(get(lb.http[0], "/a").await.contains("X-Cache: MISS"));
    let mut client = connect(lb.http[0]).await;
    let request = b"GET /a?slow=1 HTTP/1.1\r\nHost: a\r\n\r\n";
    client.write_all(request).await.unwrap();
    let got = read_until(&mut client, "\r\n\r\nx").await;
    assert!(got.contains("X-Cache: HIT"), "{got}");
}
