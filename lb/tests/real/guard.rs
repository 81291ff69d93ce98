//! What holds for a client before it is served.

use tokio::io::AsyncWriteExt as _;

use crate::tools::{Answer, Upstream, answer, connect, exchange, get, start_http, within};

fn asked(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n")
}

#[tokio::test]
async fn a_believed_proxy_says_who_the_client_is() {
    let up = Upstream::named("x").await;
    let lb = start_http(&format!(
        "server {{ listen 127.0.0.1:0; set_real_ip_from 127.0.0.0/8; real_ip_header X-Forwarded-For;
           real_ip_recursive on; allow 192.0.2.7; deny all;
           proxy_set_header X-Real \"$remote_addr|$remote_port|$realip_remote_addr\";
           location / {{ proxy_pass http://{0}; }} }}
         server {{ listen 127.0.0.1:0; allow 192.0.2.7; deny all;
           location / {{ proxy_pass http://{0}; }}
           location /in {{ set_real_ip_from 127.0.0.1; proxy_pass http://{0}; }} }}",
        up.addr
    ));
    let asks =
        |place: usize, path: &str, headers: &str| exchange(lb.http[place], asked(path, headers));
    let told = "X-Forwarded-For: 8.8.8.8, 192.0.2.7:81, 127.0.0.3\r\n";
    assert!(asks(0, "/", told).await.starts_with("HTTP/1.1 200 "));
    let real = up.last().header("x-real");
    assert_eq!(real.as_deref(), Some("192.0.2.7|81|127.0.0.1"));
    assert!(get(lb.http[0], "/").await.starts_with("HTTP/1.1 403 "));
    // A location's own word counts before its rules; elsewhere nobody is believed.
    let told = "X-Real-IP: 192.0.2.7\r\n";
    assert!(asks(1, "/", told).await.starts_with("HTTP/1.1 403 "));
    assert!(asks(1, "/in", told).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_proxy_header_says_who_the_client_is() {
    let lb = start_http(
        "server { listen 127.0.0.1:0 proxy_protocol; set_real_ip_from 127.0.0.1;
           real_ip_header proxy_protocol; return 200 $remote_addr:$remote_port; }",
    );
    let header = "PROXY TCP4 192.0.2.9 192.0.2.10 4711 80\r\n";
    let answer = exchange(lb.http[0], format!("{header}{}", asked("/", ""))).await;
    assert!(answer.ends_with("192.0.2.9:4711"), "{answer}");
}

#[tokio::test]
async fn requests_beyond_the_rate_are_refused_or_wait() {
    let lb = start_http(
        "limit_req_zone $arg_k zone=z:1m rate=1r/m;
         limit_req_zone $arg_k zone=slow:1m rate=2r/s;
         add_header X-Status $limit_req_status always;
         server { listen 127.0.0.1:0; root /nonexistent; error_page 404 =200 /ok;
           location = /ok { internal; return 200 ok; }
           location / { limit_req zone=z; limit_req_status 429; }
           location /dry { limit_req zone=z burst=1; limit_req_dry_run on; }
           location /waits { limit_req zone=slow burst=50; } }",
    );
    let ask = async |path: &str| {
        let answer = get(lb.http[0], path).await;
        let status = answer.get(9..12).unwrap_or_default().to_owned();
        let header = answer
            .lines()
            .find_map(|line| line.strip_prefix("X-Status: "));
        (status, header.unwrap_or("-").to_owned())
    };
    let is = |status: &str, header: &str| (status.to_owned(), header.to_owned());
    assert_eq!(ask("/?k=a").await, is("200", "PASSED"));
    assert_eq!(ask("/?k=a").await, is("429", "REJECTED"));
    assert_eq!(ask("/?k=b").await, is("200", "PASSED"));
    // Without a key nothing is counted.
    assert_eq!(ask("/").await, is("200", "-"));
    assert_eq!(ask("/").await, is("200", "-"));
    assert_eq!(ask("/dry?k=a").await, is("200", "DELAYED_DRY_RUN"));
    assert_eq!(ask("/dry?k=a").await, is("200", "REJECTED_DRY_RUN"));
    let all = (0..4).map(|_| get(lb.http[0], "/waits?k=c"));
    let all: Vec<_> = all.map(|work| tokio::spawn(work)).collect();
    let mut waited = 0;
    for work in all {
        let answer = work.await.unwrap();
        assert!(answer.ends_with("ok"), "{answer}");
        waited += usize::from(answer.contains("X-Status: DELAYED\r\n"));
    }
    assert!(waited > 0, "four at once are more than two a second");
}

#[tokio::test]
async fn so_many_requests_of_a_key_are_in_hand() {
    let up = Upstream::new(|_| Answer::Hang).await;
    let lb = start_http(&format!(
        "limit_conn_zone $arg_k zone=z:1m;
         server {{ listen 127.0.0.1:0; root /nonexistent;
           location / {{ limit_conn z 1; proxy_pass http://{}; }}
           location /files {{ limit_conn z 1; limit_conn_status 429; }} }}",
        up.addr
    ));
    let mut first = connect(lb.http[0]).await;
    first
        .write_all(asked("/?k=a", "").as_bytes())
        .await
        .unwrap();
    within(async {
        while up.hits() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(get(lb.http[0], "/?k=a").await.starts_with("HTTP/1.1 503 "));
    assert!(
        get(lb.http[0], "/files?k=a")
            .await
            .starts_with("HTTP/1.1 429 ")
    );
    assert!(
        get(lb.http[0], "/files?k=b")
            .await
            .starts_with("HTTP/1.1 404 ")
    );
    drop(first);
    within(async {
        while !get(lb.http[0], "/files?k=a")
            .await
            .starts_with("HTTP/1.1 404 ")
        {}
    })
    .await;
}

#[tokio::test]
async fn an_answer_of_a_rate_comes_whole() {
    let body = "x".repeat(6000);
    let sent = body.clone();
    let up = Upstream::new(move |_| {
        Answer::Send(answer("200 OK", "X-Accel-Limit-Rate: 5000\r\n", &sent))
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), &body).unwrap();
    let lb = start_http(&format!(
        "server {{ listen 127.0.0.1:0; root {}; limit_rate 5k; limit_rate_after 100;
           location / {{ proxy_pass http://{}; }} location /file {{ }}
           location /set {{ set $limit_rate 4k; return 200 $limit_rate; }} }}",
        dir.path().display(),
        up.addr
    ));
    assert!(get(lb.http[0], "/set").await.ends_with("\r\n\r\n4096"));
    for path in ["/", "/file"] {
        assert!(get(lb.http[0], path).await.ends_with(&body), "{path}");
    }
}
