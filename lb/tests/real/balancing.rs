//! What a request says of its peer: a key, an address, a cookie; and how long connections last.

use std::collections::HashSet;

use crate::tools::{Upstream, exchange, get, ok, start_http};
use crate::upstreams::Answer;

async fn three() -> [Upstream; 3] {
    [
        Upstream::named("one").await,
        Upstream::named("two").await,
        Upstream::named("six").await,
    ]
}

fn servers(all: &[Upstream]) -> String {
    all.iter()
        .map(|it| format!("server {};", it.addr))
        .collect()
}

#[tokio::test]
async fn a_key_always_meets_the_same_peer() {
    let all = three().await;
    for method in ["hash $arg_k", "hash $arg_k consistent"] {
        let lb = start_http(&format!(
            "upstream u {{ {method}; {} }}
             server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://u; }} }}",
            servers(&all)
        ));
        let mut seen = HashSet::new();
        for key in 0..30 {
            let path = format!("/?k={key}");
            let bodies = [get(lb.http[0], &path).await, get(lb.http[0], &path).await];
            let bodies = bodies.map(|answer| answer.rsplit("\r\n").next().unwrap().to_owned());
            assert_eq!(bodies[0], bodies[1], "{method}");
            seen.insert(bodies[0].clone());
        }
        assert_eq!(seen.len(), 3, "{method}");
    }
}

#[tokio::test]
async fn an_address_always_meets_the_same_peer() {
    let all = three().await;
    let lb = start_http(&format!(
        "upstream u {{ ip_hash; {} }}
         server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://u; }} }}",
        servers(&all)
    ));
    for _ in 0..9 {
        get(lb.http[0], "/").await;
    }
    let mut hits: Vec<usize> = all.iter().map(Upstream::hits).collect();
    hits.sort_unstable();
    assert_eq!(hits, [0, 0, 9]);
}

#[tokio::test]
async fn a_client_sticks_by_its_cookie() {
    let all = three().await;
    let lb = start_http(&format!(
        "upstream u {{ {} sticky cookie srv path=/ httponly samesite=lax; }}
         server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://u; }} }}",
        servers(&all)
    ));
    let first = get(lb.http[0], "/").await;
    let cookie = first
        .lines()
        .find_map(|line| line.strip_prefix("Set-Cookie: "));
    let cookie = cookie.expect("a cookie");
    assert!(
        cookie.ends_with("; path=/; samesite=lax; httponly"),
        "{cookie}"
    );
    let pair = cookie.split(';').next().unwrap();
    let body = first.rsplit("\r\n").next().unwrap().to_owned();
    for _ in 0..5 {
        let request = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nCookie: x=1; {pair}\r\nConnection: close\r\n\r\n"
        );
        let answer = exchange(lb.http[0], request.as_bytes()).await;
        assert!(answer.ends_with(&body), "{answer}");
    }
    // It dies: its clients go elsewhere and are told.
    all.iter().find(|it| it.hits() == 6).unwrap().kill();
    let request =
        format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {pair}\r\nConnection: close\r\n\r\n");
    let answer = exchange(lb.http[0], request.as_bytes()).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && !answer.contains(pair),
        "{answer}"
    );
}

#[tokio::test]
async fn a_kept_connection_carries_only_so_many_requests() {
    let upstream =
        Upstream::new(|got| Answer::Send(ok(&got.header("connection").unwrap_or_default()))).await;
    let lb = start_http(&format!(
        "upstream u {{ server {}; keepalive 4; keepalive_requests 3; }}
         server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://u;
             proxy_set_header Connection ''; }} }}",
        upstream.addr
    ));
    let mut ends = Vec::new();
    for _ in 0..6 {
        ends.push(get(lb.http[0], "/").await.ends_with("close"));
    }
    assert_eq!(ends, [false, false, true, false, false, true]);
}
