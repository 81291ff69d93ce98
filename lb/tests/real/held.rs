//! Request bodies that are read whole before an upstream is chosen, and those that are not.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::tools::{
    Answer, Upstream, connect, dead_port, exchange, ok, read_until, start_http, within,
};

/// More than Pingora keeps for a second try.
const LARGE: usize = 3_000_000;

fn put(body: &[u8], more: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{more}\r\n");
    [head.as_bytes(), body].concat()
}

fn counted(servers: &str, extra: &str) -> crate::tools::Running {
    start_http(&format!(
        "upstream u {{ {servers} }}
         server {{ listen 127.0.0.1:0; client_max_body_size 10m; location / {{
           proxy_pass http://u; {extra} }} }}"
    ))
}

#[tokio::test]
async fn a_large_body_is_sent_again_to_the_next_peer() {
    let closes = Upstream::new(|_| Answer::SendAndClose(Vec::new())).await;
    let well = Upstream::new(|got| Answer::Send(ok(&got.body.len().to_string()))).await;
    let dir = tempfile::tempdir().unwrap();
    let lb = counted(
        &format!("server {}; server {} backup;", closes.addr, well.addr),
        &format!("client_body_temp_path {}/made/here;", dir.path().display()),
    );
    let body: Vec<u8> = (0..LARGE)
        .map(|at| u8::try_from(at % 251).unwrap())
        .collect();
    let got = exchange(lb.http[0], put(&body, "Connection: close\r\n")).await;
    assert!(got.ends_with(&format!("\r\n\r\n{LARGE}")), "{got}");
    assert_eq!((closes.hits(), well.hits()), (1, 1));
    assert!(closes.last().body == body && well.last().body == body);
    // The file never had a name, and its directory was made.
    let made = dir.path().join("made/here");
    assert_eq!(std::fs::read_dir(made).unwrap().count(), 0);
}

#[tokio::test]
async fn what_came_in_chunks_goes_on_with_its_length() {
    let up = Upstream::new(|got| Answer::Send(ok(&got.body.len().to_string()))).await;
    let lb = counted(&format!("server {};", up.addr), "");
    for size in [5_usize, 200_000] {
        let body = "x".repeat(size);
        let chunked = format!(
            "PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
             {size:x}\r\n{body}\r\n0\r\n\r\n"
        );
        let got = exchange(lb.http[0], chunked).await;
        assert!(got.ends_with(&format!("\r\n\r\n{size}")), "{got}");
        let last = up.last();
        assert_eq!(last.header("content-length"), Some(size.to_string()));
        assert_eq!(last.header("transfer-encoding"), None);
    }
}

/// What came early of the next request is not lost when a body was put into a file.
#[tokio::test]
async fn the_next_request_may_follow_at_once() {
    let up = Upstream::new(|got| Answer::Send(ok(&format!("<{}>", got.body.len())))).await;
    let lb = counted(&format!("server {};", up.addr), "");
    let one = put(&vec![b'x'; LARGE], "");
    let two = put(&vec![b'y'; 100_000], "");
    let three = put(b"z", "Connection: close\r\n");
    let got = exchange(lb.http[0], [one, two, three].concat()).await;
    let order = [format!("<{LARGE}>"), "<100000>".into(), "<1>".into()];
    let at: Vec<_> = order.iter().map(|it| got.find(it.as_str())).collect();
    assert!(at.iter().all(Option::is_some) && at.is_sorted(), "{got}");
    assert_eq!(got.matches("HTTP/1.1 200 ").count(), 3, "{got}");
}

#[tokio::test]
async fn a_slow_client_holds_no_upstream_unless_told_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    for (extra, early) in [("", false), ("proxy_request_buffering off;", true)] {
        let lb = counted(&format!("server {addr};"), extra);
        let mut client = connect(lb.http[0]).await;
        let head = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc";
        client.write_all(head.as_bytes()).await.unwrap();
        let accepted = if early {
            within(listener.accept()).await.unwrap()
        } else {
            // Whether the upstream is asked early shows in a figure that is set before.
            tokio::select! {
                _ = listener.accept() => panic!("asked before the body was whole"),
                () = tokio::time::sleep(std::time::Duration::from_millis(200)) => {}
            }
            client.write_all(b"def").await.unwrap();
            within(listener.accept()).await.unwrap()
        };
        let mut upstream = accepted.0;
        let wanted = if early {
            "\r\n\r\nabc"
        } else {
            "\r\n\r\nabcdef"
        };
        read_until(&mut upstream, wanted).await;
    }
}

#[tokio::test]
async fn variables_know_a_body_that_was_read() {
    let up = Upstream::named("ok").await;
    let lb = counted(
        &format!("server {};", up.addr),
        "proxy_set_header X-Body \"$request_body/$request_length\";",
    );
    let request = put(b"hello", "Connection: close\r\n");
    exchange(lb.http[0], &request).await;
    let wanted = format!("hello/{}", request.len());
    assert_eq!(up.last().header("x-body"), Some(wanted));
}

#[tokio::test]
async fn a_post_whose_bytes_have_left_is_not_sent_again_though_it_was_held() {
    let closes = Upstream::new(|_| Answer::SendAndClose(Vec::new())).await;
    let well = Upstream::named("well").await;
    let servers = format!("server {}; server {} backup;", closes.addr, well.addr);
    let post = |body: &[u8]| {
        let put = put(body, "Connection: close\r\n");
        [b"POST", put.get(3..).unwrap()].concat()
    };
    let body = vec![b'x'; LARGE];
    let lb = counted(&servers, "");
    let got = exchange(lb.http[0], post(&body)).await;
    assert!(got.starts_with("HTTP/1.1 502 "), "{got}");
    assert_eq!((closes.hits(), well.hits()), (1, 0));
    // Nothing has left for a peer that could not be connected to.
    let dead = dead_port().await;
    let lb = counted(&format!("server {dead}; server {} backup;", well.addr), "");
    let got = exchange(lb.http[0], post(&body)).await;
    assert!(got.ends_with("well"), "{got}");
    assert_eq!(well.last().body.len(), LARGE);
}
