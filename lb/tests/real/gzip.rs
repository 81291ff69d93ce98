//! Answers compressed on their way, and made plain.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::tools::{Answer, Upstream, answer, connect, start_http, within};

/// The head of an answer and its body, chunks put together.
async fn ask(addr: SocketAddr, request: &str) -> (String, Vec<u8>) {
    let mut stream = connect(addr).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    within(stream.read_to_end(&mut all)).await.unwrap();
    let end = all.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(all[..end + 2].to_vec()).unwrap();
    let mut rest = &all[end + 4..];
    if rest.is_empty() || !head.contains("Transfer-Encoding: chunked\r\n") {
        return (head, rest.to_vec());
    }
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|it| it == b"\r\n").unwrap();
        let size = std::str::from_utf8(&rest[..line]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        body.extend_from_slice(&rest[line + 2..line + 2 + size]);
        rest = &rest[line + 4 + size..];
        if size == 0 {
            assert!(rest.is_empty(), "nothing comes after the end");
            return (head, body);
        }
    }
}

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n")
}

const TAKES: &str = "Accept-Encoding: br, gzip\r\n";

fn plain(coded: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    flate2::read::MultiGzDecoder::new(coded)
        .read_to_end(&mut out)
        .unwrap();
    out
}

fn coded(text: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(text).unwrap();
    out.finish().unwrap()
}

#[tokio::test]
async fn answers_are_compressed_for_who_takes_it() {
    let body = "0123456789".repeat(20_000);
    let sent = body.clone();
    let up = Upstream::new(move |got| {
        let kind = if got.head.starts_with("GET /image") {
            "image/png"
        } else {
            "text/html; charset=x"
        };
        let headers = format!("Content-Type: {kind}\r\nETag: \"a\"\r\nAccept-Ranges: bytes\r\n");
        Answer::Send(answer("200 OK", &headers, &sent))
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.html"), &body).unwrap();
    std::fs::write(dir.path().join("short.html"), "short").unwrap();
    let lb = start_http(&format!(
        "server {{ listen 127.0.0.1:0; gzip on; gzip_vary on; gzip_disable odd; root {};
           location / {{ proxy_pass http://{}; }} location ~ html {{ }} }}",
        dir.path().display(),
        up.addr
    ));
    let addr = lb.http[0];
    for path in ["/", "/a.html"] {
        let (head, got) = ask(addr, &get(path, TAKES)).await;
        assert!(head.contains("Content-Encoding: gzip\r\n"), "{head}");
        assert!(
            head.contains("Vary: Accept-Encoding\r\n") && head.contains("ETag: W/\""),
            "{head}"
        );
        assert!(
            !head.contains("Content-Length") && !head.contains("Accept-Ranges"),
            "{head}"
        );
        assert!(got.len() < body.len() / 10);
        assert_eq!(plain(&got), body.as_bytes());
        let (head, got) = ask(addr, &get(path, "")).await;
        assert!(
            !head.contains("Content-Encoding") && head.contains("Vary:"),
            "{head}"
        );
        assert_eq!(got, body.as_bytes());
    }
    let plain_ones = [
        ("/image", TAKES.to_owned()),
        ("/short.html", TAKES.to_owned()),
        ("/", format!("{TAKES}Via: 1.1 somebody\r\n")),
        ("/", format!("{TAKES}User-Agent: an odd one\r\n")),
        ("/", "Accept-Encoding: gzip;q=0\r\n".to_owned()),
    ];
    for (path, headers) in plain_ones {
        let (head, _) = ask(addr, &get(path, &headers)).await;
        assert!(
            !head.contains("Content-Encoding"),
            "{path} {headers}: {head}"
        );
    }
    let old = format!("GET / HTTP/1.0\r\n{TAKES}\r\n");
    assert!(!ask(addr, &old).await.0.contains("Content-Encoding"));
    // HEAD is answered with the header of a GET, and nothing after it.
    let (head, got) = ask(addr, &get("/a.html", TAKES).replacen("GET", "HEAD", 1)).await;
    assert!(
        head.contains("Content-Encoding: gzip\r\n") && got.is_empty(),
        "{head}"
    );
}

#[tokio::test]
async fn what_is_compressed_is_made_plain_for_who_does_not_take_it() {
    let body = b"0123456789".repeat(5000);
    let zipped = coded(&body);
    let sent = zipped.clone();
    let up = Upstream::new(move |_| {
        let length = sent.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n"
        );
        Answer::Send([head.as_bytes(), &sent].concat())
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f.gz"), &zipped).unwrap();
    let lb = start_http(&format!(
        "server {{ listen 127.0.0.1:0; root {};
           location / {{ gunzip on; proxy_pass http://{}; }}
           location /f {{ gzip_static on; }}
           location = /always {{ alias {}/f; gzip_static always; gunzip on; }} }}",
        dir.path().display(),
        up.addr,
        dir.path().display()
    ));
    let addr = lb.http[0];
    for path in ["/", "/f", "/always"] {
        let (head, got) = ask(addr, &get(path, TAKES)).await;
        assert!(
            head.contains("Content-Encoding: gzip\r\n") && got == zipped,
            "{path}: {head}"
        );
    }
    for path in ["/", "/always"] {
        let (head, got) = ask(addr, &get(path, "")).await;
        assert!(
            !head.contains("Content-Encoding") && got == body,
            "{path}: {head}"
        );
        // Without chunks its end is the connection's.
        let (head, got) = ask(addr, &format!("GET {path} HTTP/1.0\r\n\r\n")).await;
        assert!(!head.contains("chunked") && got == body, "{path}: {head}");
    }
    assert!(
        ask(addr, &get("/f", ""))
            .await
            .0
            .starts_with("HTTP/1.1 404 ")
    );
}
