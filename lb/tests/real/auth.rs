//! Who may come in because another place says so.

use crate::tools::{Answer, Upstream, answer, exchange, get, start_http};

/// Answers `/auth` with the status that the client's `X-Want` says, anything else with its name.
async fn judge() -> Upstream {
    Upstream::new(|got| {
        let status = got.header("x-want").unwrap_or_else(|| "401 No".to_owned());
        Answer::Send(answer(
            &status,
            "X-User: somebody\r\nWWW-Authenticate: a\r\nWWW-Authenticate: b\r\n",
            "a body that nobody gets",
        ))
    })
    .await
}

fn asked(path: &str, want: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nX-Want: {want}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn another_place_says_who_may_come_in() {
    let (judge, up) = (judge().await, Upstream::named("inside").await);
    let lb = start_http(&format!(
        "server {{ listen 127.0.0.1:0; auth_request /auth; auth_request_set $user $upstream_http_x_user;
           location / {{ proxy_pass http://{}; proxy_set_header X-User $user; }}
           location = /auth {{ internal; proxy_pass http://{}; }}
           location /off {{ auth_request off; return 200 $user.; }}
           location /here {{ auth_request /no; proxy_pass http://{}; }}
           location = /no {{ return 403; }}
           location /slow {{ auth_delay 1ms; proxy_pass http://{}; }} }}",
        up.addr, judge.addr, up.addr, up.addr
    ));
    let ask =
        async |path: &str, want: &str| exchange(lb.http[0], asked(path, want, "the body")).await;
    let passed = ask("/a?b", "204 No Content").await;
    assert!(passed.ends_with("inside"), "{passed}");
    // Asked without the body and as a GET, for its own path; the request itself goes on whole.
    let head = judge.last().head;
    assert!(head.starts_with("GET /auth HTTP/1.1\r\n"), "{head}");
    assert_eq!(judge.last().header("content-length"), None);
    assert!(up.last().head.starts_with("POST /a?b HTTP/1.1\r\n"));
    assert_eq!(up.last().body, b"the body");
    assert_eq!(up.last().header("x-user").as_deref(), Some("somebody"));
    let refused = ask("/", "401 No").await;
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    assert!(
        refused.contains("WWW-Authenticate: a\r\n") && refused.contains("WWW-Authenticate: b\r\n")
    );
    assert!(!refused.contains("nobody gets"), "{refused}");
    assert!(ask("/", "403 No").await.starts_with("HTTP/1.1 403 "));
    assert!(ask("/", "302 Elsewhere").await.starts_with("HTTP/1.1 500 "));
    assert!(ask("/slow", "401 No").await.starts_with("HTTP/1.1 401 "));
    assert!(
        ask("/here", "204 No Content")
            .await
            .starts_with("HTTP/1.1 403 ")
    );
    assert_eq!(up.hits(), 1);
    assert!(ask("/off", "403 No").await.ends_with("\r\n\r\n."));
    // From outside nobody reaches it.
    assert!(get(lb.http[0], "/auth").await.starts_with("HTTP/1.1 404 "));
}

#[tokio::test]
async fn any_of_the_rules_may_let_in() {
    let (judge, up) = (judge().await, Upstream::named("inside").await);
    let lb = start_http(&format!(
        "server {{ listen 127.0.0.1:0; satisfy any; auth_request /auth;
           location / {{ allow all; proxy_pass http://{0}; }}
           location /deny {{ deny all; proxy_pass http://{0}; }}
           location /user {{ auth_basic x; auth_basic_user_file none; proxy_pass http://{0}; }}
           location = /auth {{ proxy_pass http://{1}; }} }}",
        up.addr, judge.addr
    ));
    let ask = async |path: &str, want: &str| {
        let answer = exchange(lb.http[0], asked(path, want, "")).await;
        answer.get(9..12).unwrap_or_default().to_owned()
    };
    assert_eq!(ask("/", "401 No").await, "200");
    assert_eq!(judge.hits(), 0);
    assert_eq!(ask("/deny", "200 OK").await, "200");
    assert_eq!(ask("/deny", "401 No").await, "401");
    assert_eq!(ask("/deny", "403 No").await, "403");
    assert_eq!(ask("/user", "200 OK").await, "200");
    assert_eq!(ask("/user", "403 No").await, "401");
}

/// An error's page that asks too: the request goes on to another upstream after it.
#[tokio::test]
async fn an_errors_page_asks_as_well() {
    let (judge, up) = (judge().await, Upstream::named("instead").await);
    let broken = Upstream::new(|_| Answer::Send(answer("404 Not Found", "", ""))).await;
    let lb = start_http(&format!(
        "server {{ listen 127.0.0.1:0;
           location / {{ proxy_pass http://{}; proxy_intercept_errors on; error_page 404 = /instead; }}
           location = /instead {{ auth_request /auth; proxy_pass http://{}; }}
           location = /auth {{ proxy_pass http://{}; }} }}",
        broken.addr, up.addr, judge.addr
    ));
    let passed = exchange(lb.http[0], asked("/", "200 OK", "")).await;
    assert!(
        passed.starts_with("HTTP/1.1 200 ") && passed.ends_with("instead"),
        "{passed}"
    );
    let refused = exchange(lb.http[0], asked("/", "403 No", "")).await;
    assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
}
