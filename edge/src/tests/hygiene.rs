//! What is no request, and what asks for too much.

use super::house::{Answer, House, PLAYLIST, SEGMENT, read_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn status_of(house: &House, request: &[u8]) -> u16 {
    let answer = Answer::parse(&house.raw(request).await);
    assert_eq!(answer.header("connection"), "close");
    answer.status
}

#[tokio::test]
async fn malformed_requests_are_400_and_close() {
    let house = House::build(|_| ()).await;
    for request in [
        &b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 tls client hello\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET live HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET ?x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET ftp://a/x HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let status = status_of(&house, request).await;
        assert_eq!(status, 400, "{}", String::from_utf8_lossy(request));
    }
    let tunnel = b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n";
    assert_eq!(status_of(&house, tunnel).await, 405);
    let length_and_chunked = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let raw = house.raw(length_and_chunked).await;
    let answers = String::from_utf8_lossy(&raw).matches("HTTP/1.1 ").count();
    assert_eq!(
        answers, 1,
        "no second request may hide in the first one's body"
    );
}

#[tokio::test]
async fn too_long_and_too_large_have_their_own_answers() {
    let house = House::build(|o| o.head_bytes_max = 16 << 10).await;
    let target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9 << 10));
    assert_eq!(status_of(&house, target.as_bytes()).await, 414);
    let head = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(64 << 10)
    );
    assert_eq!(status_of(&house, head.as_bytes()).await, 431);
    let announced = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n";
    assert_eq!(status_of(&house, announced).await, 413);
    let mut chunked = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..20 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.extend_from_slice(&vec![b'x'; 1 << 16]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(status_of(&house, &chunked).await, 413);
}

#[tokio::test]
async fn what_is_not_media_reaches_the_fallback_whole() {
    let house = House::build(|_| ()).await;
    let body = "x".repeat(1 << 20);
    let request = format!(
        "PUT /live/rest/v2/a?b=c HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = Answer::parse(&house.raw(request.as_bytes()).await);
    assert_eq!((answer.status, answer.header("x-echo")), (200, "yes"));
    assert_eq!(
        answer.header("transfer-encoding"),
        "",
        "framing is not the fallback's"
    );
    assert!(answer.is_whole() && answer.text() == format!("PUT /live/rest/v2/a?b=c {body}"));
    let chunked = b"POST /p HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert_eq!(
        Answer::parse(&house.raw(chunked).await).text(),
        "POST /p abcde"
    );
    let head = house.ask("HEAD", "/live/play.html", &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test]
async fn who_expects_100_gets_it_before_the_body_is_sent() {
    let house = House::build(|_| ()).await;
    let mut stream = house.connect().await;
    let head = b"POST /p HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    stream.write_all(head).await.unwrap();
    read_until(&mut stream, "100 Continue\r\n\r\n").await;
    stream.write_all(b"ok").await.unwrap();
    read_until(&mut stream, "POST /p ok").await;
}

#[tokio::test]
async fn a_head_in_single_bytes_is_a_request_and_a_cut_one_is_nothing() {
    let house = House::build(|_| ()).await;
    let request = format!("GET {PLAYLIST} HTTP/1.1\r\nHost: e\r\nConnection: close\r\n\r\n");
    let mut stream = house.connect().await;
    stream.set_nodelay(true).unwrap();
    for byte in request.as_bytes() {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    read_until(&mut stream, "#EXTM3U").await;
    for cut in 1..request.len() {
        let mut stream = house.connect().await;
        stream.write_all(&request.as_bytes()[..cut]).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        let rest = String::from_utf8_lossy(&rest);
        assert!(
            rest.is_empty() || rest.starts_with("HTTP/1.1 400"),
            "{cut}: {rest}"
        );
    }
    assert_eq!(house.get(SEGMENT).await.status, 200, "the edge goes on");
}

#[tokio::test]
async fn random_bytes_do_no_harm() {
    let house = House::build(|_| ()).await;
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for length in 0..200 {
        let noise: Vec<u8> = (0..length)
            .map(|_| {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                seed.to_le_bytes()[0]
            })
            .collect();
        let mut stream = house.connect().await;
        stream.write_all(&noise).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        // A reset is as good an answer as any.
        let _ = tokio::time::timeout(super::house::DEADLINE, stream.read_to_end(&mut rest))
            .await
            .unwrap();
    }
    assert_eq!(house.get(SEGMENT).await.status, 200);
}
