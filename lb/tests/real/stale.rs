//! `proxy_cache`: answers past their time, and failures.

use crate::caching::{ask, check, counting, start};
use crate::tools::{Answer, Upstream, answer, get, within};
use crate::upstreams::Got;

#[tokio::test]
async fn an_old_answer_stands_in_where_the_file_says_so() {
    let up = Upstream::new(|got: &Got| match got.header("x-fail") {
        None => Answer::Send(answer("200 OK", "X-Accel-Expires: @1\r\n", "old")),
        Some(_) => Answer::Send(answer("503 No", "", "no")),
    })
    .await;
    let stale = start(&up, "proxy_cache_use_stale error http_503;");
    let plain = start(&up, "");
    for lb in [&stale, &plain] {
        check(&get(lb.http[0], "/a").await, "200", "MISS", "old");
    }
    check(
        &ask(stale.http[0], "/a", "X-Fail: 1\r\n").await,
        "200",
        "STALE",
        "old",
    );
    check(
        &ask(plain.http[0], "/a", "X-Fail: 1\r\n").await,
        "503",
        "EXPIRED",
        "no",
    );
    up.kill();
    check(&get(stale.http[0], "/a").await, "200", "STALE", "old");
    assert!(get(plain.http[0], "/a").await.contains(" 502 "));
    assert!(get(stale.http[0], "/b").await.contains(" 502 "));
}

#[tokio::test]
async fn an_old_answer_is_given_while_a_new_one_is_fetched() {
    let up = counting(|n| match n {
        1 => "X-Accel-Expires: @1\r\n".to_owned(),
        _ => "X-Accel-Expires: 60\r\n".to_owned(),
    })
    .await;
    let lb = start(
        &up,
        "proxy_cache_use_stale updating; proxy_cache_background_update on;",
    );
    check(&get(lb.http[0], "/a").await, "200", "MISS", "body 1");
    check(&get(lb.http[0], "/a").await, "200", "STALE", "body 1");
    within(async {
        while !get(lb.http[0], "/a").await.contains("X-Cache: HIT\r\n") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    check(&get(lb.http[0], "/a").await, "200", "HIT", "body 2");
    assert_eq!(up.hits(), 2);
}

#[tokio::test]
async fn an_upstream_is_asked_whether_an_old_answer_holds() {
    let up = Upstream::new(|got: &Got| match got.header("if-none-match") {
        None => Answer::Send(answer(
            "200 OK",
            "ETag: \"t\"\r\nX-Accel-Expires: @1\r\n",
            "body",
        )),
        Some(tag) => {
            assert_eq!(tag, "\"t\"");
            let head = "HTTP/1.1 304 Not Modified\r\nX-Accel-Expires: 60\r\n\r\n";
            Answer::Send(head.as_bytes().to_vec())
        }
    })
    .await;
    let lb = start(&up, "proxy_cache_revalidate on;");
    for cache in ["MISS", "REVALIDATED", "HIT"] {
        check(&get(lb.http[0], "/a").await, "200", cache, "body");
    }
    assert_eq!(up.hits(), 2);
}

#[tokio::test]
async fn what_broke_off_is_not_kept() {
    let up = Upstream::new(|_| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nCache-Control: max-age=60\r\n\r\n";
        Answer::SendAndClose(format!("{head}some").into_bytes())
    })
    .await;
    let lb = start(&up, "");
    for hits in 1..=2 {
        check(&get(lb.http[0], "/a").await, "200", "MISS", "some");
        assert_eq!(up.hits(), hits);
    }
    assert_eq!(lb.metric("weir_lb_cache_objects", "z"), 0.0);
}

#[tokio::test]
async fn errors_are_kept_and_have_their_pages() {
    let up = Upstream::new(|_| Answer::Send(answer("404 Not Found", "", "none"))).await;
    let lb = start(
        &up,
        "proxy_cache_valid 404 502 60s; proxy_intercept_errors on; error_page 404 /page;
         location = /page { return 200 page; }",
    );
    for _ in 0..2 {
        let got = get(lb.http[0], "/a").await;
        assert!(got.contains(" 404 ") && got.ends_with("page"), "{got}");
    }
    assert_eq!(up.hits(), 1);
    up.kill();
    check(&get(lb.http[0], "/b").await, "502", "MISS", "</html>\r\n");
    check(&get(lb.http[0], "/b").await, "502", "HIT", "</html>\r\n");
}
