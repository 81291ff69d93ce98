//! What becomes of an answer's header: expressions and variables in what rewrites it, headers that
//! go along when it is given up, addresses and rates that a request makes.

use crate::tools::{Answer, Upstream, answer, exchange, get, start_http};

async fn upstream(headers: &'static str) -> Upstream {
    Upstream::new(move |_| Answer::Send(answer("302 Found", headers, ""))).await
}

#[tokio::test]
async fn expressions_take_the_place_of_the_whole() {
    let back = upstream(
        "Location: http://back/one/x\r\nSet-Cookie: a=1; Domain=www.back.com; Path=/one/x\r\n\
         Set-Cookie: FooBar=2; SameSite=Lax;HttpOnly\r\nSet-Cookie: c=3;Path=/as-it-was\r\n",
    )
    .await;
    let lb = start_http(&format!(
        "server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://{};
           proxy_redirect ~^http://back/(?<kept>[^/]+)/(.*)$ /$kept-$2;
           proxy_cookie_domain ~^www\\.(.+)\\.com$ $1.org;
           proxy_cookie_path ~*^/ONE/(.*)$ /$1;
           proxy_cookie_flags ~bar $arg_flag nosamesite; }} }}",
        back.addr
    ));
    let got = get(lb.http[0], "/?flag=secure").await;
    for line in [
        "Set-Cookie: a=1; Domain=back.org; Path=/x\r\n",
        "Set-Cookie: FooBar=2; HttpOnly; Secure\r\n",
        // Nothing was to be changed, not even a space.
        "Set-Cookie: c=3;Path=/as-it-was\r\n",
    ] {
        assert!(got.contains(line), "{line} in {got}");
    }
    let port = lb.http[0].port();
    assert!(
        got.contains(&format!("Location: http://test:{port}/one-x\r\n")),
        "{got}"
    );
    // A word that is none is left out.
    let got = get(lb.http[0], "/?flag=nonsense").await;
    assert!(got.contains("Set-Cookie: FooBar=2; HttpOnly\r\n"), "{got}");
}

#[tokio::test]
async fn some_headers_of_an_answer_go_along_when_it_is_given_up() {
    let back = Upstream::new(|got| {
        let to = got.head.split_once("to=").map(|it| it.1);
        let to = to.and_then(|it| it.split(' ').next()).unwrap_or_default();
        let headers = format!(
            "X-Accel-Redirect: {to}\r\nContent-Type: text/own\r\nSet-Cookie: a=1\r\n\
             Cache-Control: no-store\r\nX-Other: 1\r\n"
        );
        Answer::Send(answer("200 OK", &headers, "outer"))
    })
    .await;
    let lb = start_http(&format!(
        "server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://{}; }}
           location /in {{ return 200 \"$request_method $uri $args\"; }} }}",
        back.addr
    ));
    let post = "POST /?to=/in/a%20b?c HTTP/1.0\r\nHost: a\r\n\r\n";
    let got = exchange(lb.http[0], post).await;
    assert!(got.ends_with("\r\n\r\nGET /in/a b c"), "{got}");
    for line in [
        "Content-Type: text/own",
        "Set-Cookie: a=1",
        "Cache-Control: no-store",
    ] {
        assert!(got.contains(&format!("{line}\r\n")), "{line} in {got}");
    }
    assert!(!got.contains("X-Other"), "{got}");
    for bad in ["..", "/in/..", "/in/.%2e/x"] {
        let got = get(lb.http[0], &format!("/?to={bad}")).await;
        assert!(got.starts_with("HTTP/1.1 404 "), "{bad}: {got}");
    }
}

#[tokio::test]
async fn a_connection_comes_from_the_address_that_a_request_makes() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let lb = start_http(&format!(
        "server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://{addr};
           proxy_bind $arg_b; proxy_read_timeout 5s; }} }}"
    ));
    for (given, wanted) in [("127.0.0.3", "127.0.0.3"), ("nonsense", "127.0.0.1")] {
        let path = format!("/?b={given}");
        let client = tokio::spawn({
            let at = lb.http[0];
            async move { get(at, &path).await }
        });
        let (stream, from) = crate::tools::within(listener.accept()).await.unwrap();
        drop(stream);
        assert_eq!(from.ip().to_string(), wanted);
        assert!(client.await.unwrap().starts_with("HTTP/1.1 502 "));
    }
}

#[tokio::test]
async fn a_whole_url_in_the_request_line_goes_before_host() {
    let back = Upstream::named("ok").await;
    let lb = start_http(&format!(
        "server {{ listen 127.0.0.1:0; return 404; }}
         server {{ listen 127.0.0.1:0; server_name b.test;
           location / {{ proxy_pass http://{}; proxy_set_header X-Seen $host$request_uri; }} }}",
        back.addr
    ));
    let at = lb.http[1];
    let request = "GET http://b.test:81/x?y HTTP/1.1\r\nHost: a.test\r\nA: 1\r\n\
                   Connection: close\r\n\r\n";
    assert!(exchange(at, request).await.ends_with("ok"));
    assert_eq!(back.last().header("x-seen").as_deref(), Some("b.test/x?y"));
    assert_eq!(back.last().header("a").as_deref(), Some("1"));
}
