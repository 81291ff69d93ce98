//! Bodies: streamed both ways, bounded, cut off.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use crate::tools::{Answer, Upstream, connect, exchange, get, ok, read_until, start_proxy, within};

fn post(body: &str) -> String {
    let length = body.len();
    format!(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn request_bodies_arrive_whole_however_they_are_framed() {
    let up = Upstream::new(|got| Answer::Send(ok(&got.body.len().to_string()))).await;
    let lb = start_proxy(&[&up], "client_max_body_size 10m;");
    let big = "x".repeat(3_000_000);
    assert!(
        exchange(lb.http[0], post(&big))
            .await
            .ends_with("\r\n\r\n3000000")
    );
    assert!(up.last().body.iter().all(|byte| *byte == b'x'));
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
                   Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    assert!(exchange(lb.http[0], chunked).await.ends_with("\r\n\r\n11"));
    assert_eq!(up.last().body, b"hello world");
}

#[tokio::test]
async fn a_client_that_waits_for_continue_gets_it() {
    let up = Upstream::new(|got| {
        assert_eq!(got.body, b"hello");
        Answer::Send(ok("done"))
    })
    .await;
    let lb = start_proxy(&[&up], "");
    let mut stream = connect(lb.http[0]).await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = read_until(&mut stream, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 100 Continue"), "{answer}");
    stream.write_all(b"hello").await.unwrap();
    read_until(&mut stream, "done").await;
}

#[tokio::test]
async fn bodies_too_large_are_refused() {
    let up = Upstream::new(|got| Answer::Send(ok(&got.body.len().to_string()))).await;
    let lb = start_proxy(&[&up], "client_max_body_size 1k;");
    assert!(
        exchange(lb.http[0], post(&"x".repeat(1024)))
            .await
            .contains(" 200 ")
    );
    let answer = exchange(lb.http[0], post(&"x".repeat(1025))).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("413 Request Entity Too Large"), "{answer}");
    assert_eq!(up.hits(), 1);
    // Chunked bodies are counted as they come.
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
    let chunked = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
         {chunk}{chunk}0\r\n\r\n"
    );
    let answer = exchange(lb.http[0], chunked).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(up.hits(), 1, "the upstream never saw a whole request");
    lb.until("weir_lb_peer_active", "", 0.0).await;
}

/// Each piece reaches the client before the next one exists, whatever the framing.
#[tokio::test]
async fn answers_leave_as_they_come() {
    let pieces: [&[&str]; 3] = [
        &["HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", "abc", "def"],
        &[
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "3\r\nabc\r\n",
            "3\r\ndef\r\n0\r\n\r\n",
        ],
        &["HTTP/1.1 200 OK\r\n\r\n", "abc", "def"],
    ];
    for pieces in pieces {
        let go = Arc::new(Semaphore::new(0));
        let gate = Arc::clone(&go);
        let up = Upstream::new(move |_| {
            let pieces = pieces.iter().map(|it| it.as_bytes().to_vec()).collect();
            Answer::Pieces(pieces, Arc::clone(&gate))
        })
        .await;
        let lb = start_proxy(&[&up], "");
        let mut stream = connect(lb.http[0]).await;
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        go.add_permits(1);
        read_until(&mut stream, "200 OK").await;
        go.add_permits(1);
        read_until(&mut stream, "abc").await;
        go.add_permits(1);
        read_until(&mut stream, "def").await;
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_made_whole() {
    let up = Upstream::new(|_| {
        Answer::SendAndClose(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf".to_vec())
    })
    .await;
    let other = Upstream::named("other").await;
    let lb = start_proxy(&[&up, &other], "");
    let answers = [get(lb.http[0], "/").await, get(lb.http[0], "/").await];
    let half = answers.iter().find(|answer| answer.ends_with("half"));
    assert!(
        half.is_some_and(|answer| answer.contains("Content-Length: 10")),
        "{answers:?}"
    );
    // The peer stays in: the next request will tell.
    assert_eq!(lb.metric("weir_lb_peer_ejections_total", ""), 0.0);
    lb.until("weir_lb_peer_active", "", 0.0).await;
}

#[tokio::test]
async fn a_reader_that_stops_reading_stops_the_upstream() {
    let up = Upstream::new(|_| {
        let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n".to_vec();
        answer.resize(200_000_000, b'x');
        Answer::Send(answer)
    })
    .await;
    let lb = start_proxy(&[&up], "");
    let mut stream = connect(lb.http[0]).await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut stream, "200 OK").await;
    // The balancer holds a few buffers and the sockets theirs; not the 200 MB.
    let mut taken = 0.0;
    within(async {
        loop {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            let now = lb.metric("weir_lb_bytes_total", "out");
            if now == taken && now > 0.0 {
                break;
            }
            taken = now;
        }
    })
    .await;
    assert!(taken < 50_000_000.0, "{taken}");
    let mut buffer = vec![0; 1 << 20];
    assert!(within(stream.read(&mut buffer)).await.unwrap() > 0);
    drop(stream);
    lb.until("weir_lb_connections", "", 0.0).await;
    lb.until("weir_lb_peer_active", "", 0.0).await;
}
