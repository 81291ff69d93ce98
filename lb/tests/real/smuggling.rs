//! Requests hidden in others: each odd request is followed by a second one in the same bytes, and
//! no upstream may see what neither of the two says by itself.
//!
//! The sections are RFC 9112's unless another is named.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::tools::{Running, Upstream, connect, exchange, start_proxy, within};

/// What follows: a request of its own, to be answered or cut off, never to be joined to the first.
const SECOND: &str = "GET /second HTTP/1.1\r\nHost: second.test\r\nConnection: close\r\n\r\n";
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: hidden.test\r\n\r\n";

async fn pair() -> (Upstream, Running) {
    let up = Upstream::named("up").await;
    let lb = start_proxy(
        &[&up],
        "proxy_set_header Host $http_host; proxy_set_header Connection $http_connection;
         proxy_set_header Upgrade $http_upgrade;",
    );
    (up, lb)
}

/// Nothing reached the upstream that was hidden, and no header or body of it was mixed up.
fn check(up: &Upstream, odd: &str) {
    for got in up.got.lock().unwrap().iter() {
        let path = got.head.split(' ').nth(1).unwrap_or_default();
        assert!(matches!(path, "/" | "/second"), "{odd:?}: {}", got.head);
        let hosts = got
            .head
            .lines()
            .filter(|line| line.to_ascii_lowercase().starts_with("host:"));
        assert_eq!(hosts.count(), 1, "{odd:?}: {}", got.head);
        let lower = got.head.to_ascii_lowercase();
        let both = lower.contains("content-length:") && lower.contains("transfer-encoding:");
        assert!(!both, "{odd:?}: {}", got.head);
        let body = String::from_utf8_lossy(&got.body);
        assert!(!body.contains("/second"), "{odd:?}: {body}");
    }
}

/// Refused with this status, and the connection closed: what follows is not a request any more.
async fn refused(odd: &[(&str, &str)]) {
    for (head, status) in odd {
        let (up, lb) = pair().await;
        let all = format!("{head}\r\n\r\n{HIDDEN}{SECOND}");
        let answer = exchange(lb.http[0], all).await;
        let begins = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&begins), "{head:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{head:?}: {answer}");
        assert_eq!(up.hits(), 0, "{head:?}");
    }
}

/// Two lengths, or one in an odd form (6.3).
#[tokio::test]
async fn lengths_are_read_in_one_way() {
    refused(&[
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 46",
            "400",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 46, 46",
            "400",
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +46", "400"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x2e", "400"),
    ])
    .await;
}

/// Codings that are not the one, or told by HTTP/1.0 (6.1).
#[tokio::test]
async fn codings_are_read_in_one_way() {
    refused(&[
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0",
            "400",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0",
            "400",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0",
            "501",
        ),
        (
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0",
            "400",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0",
            "400",
        ),
    ])
    .await;
}

/// A line that goes on in the next (5.2), a space in a name (5.1), a CR alone (2.2), two hosts or
/// one that is none (3.2), a request line of four words (3).
#[tokio::test]
async fn lines_are_read_in_one_way() {
    refused(&[
        (
            "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n Content-Length: 46",
            "400",
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length\t: 46", "400"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nX: b\rContent-Length: 46",
            "400",
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b", "400"),
        ("GET / HTTP/1.1\r\nHost: a@b", "400"),
        ("GET / HTTP/1.1 HTTP/1.1\r\nHost: a", "400"),
    ])
    .await;
}

/// A length beside chunks: the length does not count and is not passed on, and the connection ends
/// with the answer (6.3). Chunks that are none end it too (7.1).
#[tokio::test]
async fn a_body_ends_where_its_chunks_do() {
    let length = HIDDEN.len() + 5;
    for odd in [
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"
        ),
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: {length}\r\n\r\n0\r\n\r\n{HIDDEN}"
        ),
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{HIDDEN}"),
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n{HIDDEN}"
        ),
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n{HIDDEN}"
        ),
    ] {
        let (up, lb) = pair().await;
        exchange(lb.http[0], format!("{odd}{SECOND}")).await;
        check(&up, &odd);
    }
}

/// A line may end without its CR (2.2): what was meant so is passed on in the usual form, and the
/// second request is one of its own.
#[tokio::test]
async fn bare_line_ends_are_made_whole() {
    let (up, lb) = pair().await;
    let odd = "POST / HTTP/1.1\nHost: a\nContent-Length: 3\n\nabc";
    let answer = exchange(lb.http[0], format!("{odd}{SECOND}")).await;
    assert_eq!(answer.matches("HTTP/1.1 200 ").count(), 2, "{answer}");
    check(&up, odd);
    let got = up.got.lock().unwrap().clone();
    assert_eq!(got[0].body, b"abc");
    assert!(got[0].head.contains("\r\n") && !got[0].head.replace("\r\n", "").contains('\n'));
}

/// A header named by `Connection` goes no further, and cannot take one away that frames the body
/// (RFC 9110 section 7.6.1).
#[tokio::test]
async fn framing_is_not_taken_away_by_connection() {
    let (up, lb) = pair().await;
    let odd = "POST / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Content-Length, X-A\r\n\
               Content-Length: 3\r\nX-A: b\r\n\r\nabc";
    exchange(lb.http[0], format!("{odd}{SECOND}")).await;
    check(&up, odd);
    let got = up.got.lock().unwrap().clone();
    assert_eq!(got[0].body, b"abc", "{got:?}");
    assert!(got.iter().all(|got| got.header("x-a").is_none()), "{got:?}");
}

/// An upgrade that the upstream does not take: what follows is a request, not a tunnel (RFC 9110
/// section 7.8).
#[tokio::test]
async fn an_upgrade_without_101_opens_no_tunnel() {
    for kind in ["websocket", "h2c", "TLS/1.0"] {
        let (up, lb) = pair().await;
        let odd = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {kind}\r\n\
             HTTP2-Settings: AAMAAABkAAQAAP__\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        let mut stream = connect(lb.http[0]).await;
        stream
            .write_all(format!("{odd}{SECOND}").as_bytes())
            .await
            .unwrap();
        let mut answer = Vec::new();
        within(stream.read_to_end(&mut answer)).await.unwrap();
        check(&up, &odd);
        // The second went through the balancer, which wrote its header, or nowhere.
        for got in up
            .got
            .lock()
            .unwrap()
            .iter()
            .filter(|got| got.head.starts_with("GET /second"))
        {
            assert_eq!(
                got.header("connection").as_deref(),
                Some("close"),
                "{kind}: {}",
                got.head
            );
        }
        if kind != "websocket" {
            assert!(
                up.got
                    .lock()
                    .unwrap()
                    .iter()
                    .all(|got| got.header("upgrade").is_none()),
                "{kind}"
            );
        }
    }
}

/// Names that many programs take for another are left out, unless the file keeps them.
#[tokio::test]
async fn headers_of_odd_names_are_left_out() {
    let up = Upstream::named("up").await;
    for (extra, kept) in [
        ("", [false, false]),
        ("underscores_in_headers on;", [true, false]),
        ("ignore_invalid_headers off;", [true, true]),
    ] {
        let lb = crate::tools::start_http(&format!(
            "{extra} server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://{}; }} }}",
            up.addr
        ));
        let odd =
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX_A: 1\r\nX.B: 2\r\nX-C: 3\r\n\r\n";
        exchange(lb.http[0], odd).await;
        let got = up.last();
        let has = ["x_a", "x.b"].map(|name| got.header(name).is_some());
        assert_eq!(
            (has, got.header("x-c").as_deref()),
            (kept, Some("3")),
            "{extra}"
        );
    }
}
