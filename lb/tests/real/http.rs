//! What a request becomes on its way, and an answer on its own.

use crate::tools::{Answer, Upstream, answer, exchange, get, ok, start_http, start_proxy};

#[tokio::test]
async fn headers_say_who_the_client_is() {
    let up = Upstream::named("hello").await;
    let lb = start_proxy(
        &[&up],
        "proxy_set_header Host $http_host; proxy_set_header X-Real-IP $remote_addr;
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
         proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Gone '';
         proxy_set_header X-All '${request_method} $host $arg_b $cookie_c $server_port';",
    );
    let answer = exchange(
        lb.http[0],
        "GET /a%20b?a=1&b=2 HTTP/1.1\r\nHost: Name.test:81\r\nX-Forwarded-For: 1.2.3.4\r\n\
         X-Gone: x\r\nCookie: x=y; c=z\r\nConnection: close, X-Hop\r\nX-Hop: x\r\n\
         Keep-Alive: 5\r\nTE: trailers\r\n\r\n",
    )
    .await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("hello"),
        "{answer}"
    );
    let got = up.last();
    assert!(
        got.head.starts_with("GET /a%20b?a=1&b=2 HTTP/1.1\r\n"),
        "{}",
        got.head
    );
    assert_eq!(got.header("host").as_deref(), Some("Name.test:81"));
    assert_eq!(got.header("x-real-ip").as_deref(), Some("127.0.0.1"));
    assert_eq!(
        got.header("x-forwarded-for").as_deref(),
        Some("1.2.3.4, 127.0.0.1")
    );
    assert_eq!(got.header("x-forwarded-proto").as_deref(), Some("http"));
    let all = format!("GET name.test 2 z {}", lb.http[0].port());
    assert_eq!(got.header("x-all"), Some(all));
    for gone in ["x-gone", "x-hop", "keep-alive", "te", "connection"] {
        assert_eq!(got.header(gone), None, "{gone}");
    }
}

#[tokio::test]
async fn host_is_the_upstreams_name_unless_said_otherwise() {
    let up = Upstream::named("x").await;
    let lb = start_proxy(&[&up], "");
    get(lb.http[0], "/").await;
    assert_eq!(up.last().header("host").as_deref(), Some("u"));
    // A request line with an authority goes on without it.
    exchange(
        lb.http[0],
        "GET http://q.test/p?x HTTP/1.1\r\nHost: q.test\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(
        up.last().head.starts_with("GET /p?x HTTP/1.1\r\n"),
        "{}",
        up.last().head
    );
    assert_eq!(up.last().header("host").as_deref(), Some("u"));
}

#[tokio::test]
async fn paths_are_replaced_and_redirects_put_back() {
    let up = Upstream::new(|got| {
        let host = got.header("host").unwrap();
        Answer::Send(answer(
            "302 Found",
            &format!("Location: http://{host}/in/next\r\n"),
            "",
        ))
    })
    .await;
    let addr = up.addr;
    let lb = start_http(&format!(
        "server {{ listen 127.0.0.1:0;
           location /out/ {{ proxy_pass http://{addr}/in/; }}
           location = /one {{ proxy_pass http://{addr}/other; }}
           location /same {{ proxy_pass http://{addr}; }}
           location /off {{ proxy_pass http://{addr}; proxy_redirect off; }} }}"
    ));
    let own = format!("http://test:{}", lb.http[0].port());
    let location = |answer: String| {
        let line = answer
            .lines()
            .find_map(|line| line.strip_prefix("Location: "))
            .expect(&answer);
        line.to_owned()
    };
    assert_eq!(
        location(get(lb.http[0], "/out/a/../b%20c?d").await),
        format!("{own}/out/next")
    );
    assert!(
        up.last().head.starts_with("GET /in/b%20c?d HTTP"),
        "{}",
        up.last().head
    );
    get(lb.http[0], "/one?x").await;
    assert!(
        up.last().head.starts_with("GET /other?x HTTP"),
        "{}",
        up.last().head
    );
    assert_eq!(
        location(get(lb.http[0], "/same//./x").await),
        format!("{own}/in/next")
    );
    assert!(
        up.last().head.starts_with("GET /same//./x HTTP"),
        "{}",
        up.last().head
    );
    assert_eq!(
        location(get(lb.http[0], "/off").await),
        format!("http://{addr}/in/next")
    );
    // Only /out/ is passed on.
    let answer = get(lb.http[0], "/out?q").await;
    assert!(answer.starts_with("HTTP/1.1 301 "), "{answer}");
    assert_eq!(
        location(answer),
        format!("http://test:{}/out/?q", lb.http[0].port())
    );
    let answer = get(lb.http[0], "/none").await;
    assert!(
        answer.starts_with("HTTP/1.1 404 ") && answer.contains("404 Not Found"),
        "{answer}"
    );
}

#[tokio::test]
async fn servers_are_chosen_by_name() {
    let lb = start_http(
        "server { listen 127.0.0.1:0; listen unix:/tmp/weir-test-names.sock; server_name a.test;
           location / { return 200 a; } }",
    );
    let lb2 = start_http(&format!(
        "default_type application/json; add_header X-H '$host' always;
         server {{ listen 127.0.0.1:{0}; location / {{ return 200 default; }} }}
         server {{ listen 127.0.0.1:{0}; server_name b.test *.c.test;
            location / {{ return 200 $server_name; }}
            location /r {{ return 301 /to; }} location /n {{ return 204; }}
            location /x {{ return 404; }} location /q {{ return 444; }} }}",
        crate::tools::dead_port().await.port()
    ));
    let ask = async |host: &str, path: &str| {
        exchange(
            lb2.http[0],
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        )
        .await
    };
    assert!(get(lb.http[0], "/").await.ends_with("\r\n\r\na"));
    assert!(ask("zzz", "/").await.ends_with("default"));
    let answer = ask("B.test:9", "/").await;
    assert!(answer.ends_with("\r\n\r\nb.test"), "{answer}");
    assert!(
        answer.contains("Content-Type: application/json\r\n"),
        "{answer}"
    );
    assert!(answer.contains("X-H: b.test\r\n"), "{answer}");
    assert!(ask("x.c.test", "/").await.ends_with("b.test"));
    let answer = ask("b.test", "/r").await;
    let port = lb2.http[0].port();
    assert!(
        answer.contains(&format!("Location: http://b.test:{port}/to\r\n")),
        "{answer}"
    );
    let answer = ask("b.test", "/n").await;
    assert!(
        answer.starts_with("HTTP/1.1 204 ") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
    assert!(
        !answer.to_lowercase().contains("content-length"),
        "{answer}"
    );
    let answer = ask("b.test", "/x").await;
    assert!(
        answer.contains("404 Not Found") && answer.contains("X-H: b.test"),
        "{answer}"
    );
    assert_eq!(ask("b.test", "/q").await, "");
}

#[tokio::test]
async fn headers_are_added_and_hidden() {
    let up = Upstream::new(|got| {
        let status = if got.head.contains("/bad") {
            "500 Bad"
        } else {
            "200 OK"
        };
        Answer::Send(answer(status, "X-Secret: 1\r\nX-Keep: 1\r\n", ""))
    })
    .await;
    let lb = start_proxy(
        &[&up],
        "proxy_hide_header X-Secret; add_header X-Up $upstream_addr; add_header X-S \"$status\\n\" always;
         add_header X-None $arg_none;",
    );
    let good = get(lb.http[0], "/").await;
    assert!(good.contains(&format!("X-Up: {}\r\n", up.addr)), "{good}");
    assert!(
        good.contains("X-S: 200\r\n") && good.contains("X-Keep: 1"),
        "{good}"
    );
    assert!(
        !good.contains("X-Secret") && !good.contains("X-None"),
        "{good}"
    );
    // By the long way just so.
    let long = get(lb.http[0], "//").await;
    assert!(long.contains("X-S: 200\r\n"), "{long}");
    let bad = get(lb.http[0], "/bad").await;
    assert!(
        !bad.contains("X-Up") && bad.contains("X-S: 500\r\n"),
        "{bad}"
    );
}

#[tokio::test]
async fn head_and_old_clients() {
    let up = Upstream::new(|got| {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".to_vec();
        Answer::Send(if got.head.starts_with("HEAD") {
            head
        } else {
            ok("12345")
        })
    })
    .await;
    let lb = start_proxy(&[&up], "");
    let answer = exchange(
        lb.http[0],
        "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(
        answer.contains("Content-Length: 5\r\n") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
    // HTTP/1.0 needs no Host and is closed after the answer.
    let answer = exchange(lb.http[0], "GET / HTTP/1.0\r\n\r\n").await;
    assert!(answer.ends_with("12345"), "{answer}");
}

#[tokio::test]
async fn requests_one_after_another_and_all_at_once_share_a_connection() {
    let up = Upstream::new(|got| Answer::Send(ok(got.head.split(' ').nth(1).unwrap()))).await;
    let lb = start_proxy(&[&up], "");
    let one = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let last = "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let all = exchange(
        lb.http[0],
        [one("/1"), one("/2"), one("/3"), last.to_owned()].concat(),
    );
    let all = all.await;
    let bodies: Vec<&str> = all
        .split("\r\n\r\n")
        .skip(1)
        .map(|it| it.split("HTTP/1.1").next().unwrap())
        .collect();
    assert_eq!(bodies, ["/1", "/2", "/3", "/last"]);
    assert_eq!(lb.metric("weir_lb_connections_total", ""), 1.0);
    assert_eq!(lb.metric("weir_lb_requests_total", "2xx"), 4.0);
}

#[tokio::test]
async fn sockets_may_be_unix_ones() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let dir = tempfile::tempdir().unwrap();
    let (front, back) = (dir.path().join("front.sock"), dir.path().join("back.sock"));
    let listener = tokio::net::UnixListener::bind(&back).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 1024];
        let count = stream.read(&mut buffer).await.unwrap();
        let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
        let from = text
            .lines()
            .find(|line| line.starts_with("X-From"))
            .unwrap();
        stream.write_all(&ok(from)).await.unwrap();
    });
    // A file left by a process that was killed is no hindrance.
    drop(std::os::unix::net::UnixListener::bind(&front).unwrap());
    let lb = start_http(&format!(
        "server {{ listen unix:{}; location / {{ proxy_pass http://unix:{};
           proxy_set_header X-From $remote_addr; }} }}",
        front.display(),
        back.display()
    ));
    let mut client = tokio::net::UnixStream::connect(&front).await.unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("X-From: unix:"), "{answer}");
    lb.stop().await;
    assert!(!front.exists());
}
