//! Ranges of whole and of filling objects.

use super::house::{Answer, House, SEGMENT, read_until};
use bytes::Bytes;
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn the_matrix() {
    let house = House::build(|_| ()).await;
    for (range, status, content_range, body) in [
        ("bytes=0-3", 206, "bytes 0-3/10", "0123"),
        ("bytes=8-", 206, "bytes 8-9/10", "89"),
        ("bytes=-4", 206, "bytes 6-9/10", "6789"),
        ("bytes=4-400", 206, "bytes 4-9/10", "456789"),
        ("bytes=10-", 416, "bytes */10", "Range Not Satisfiable"),
        ("bytes=-0", 416, "bytes */10", "Range Not Satisfiable"),
        ("bytes=4-1", 200, "", "0123456789"),
        ("lines=1-2", 200, "", "0123456789"),
        ("bytes=0-,0-", 200, "", "0123456789"),
    ] {
        // The first is a miss, the others are hits: no difference.
        let answer = house.ask("GET", SEGMENT, &[("Range", range)]).await;
        assert_eq!(answer.status, status, "{range}");
        assert_eq!(answer.header("content-range"), content_range, "{range}");
        assert_eq!(answer.text(), body, "{range}");
        assert!(answer.is_whole());
    }
}

#[tokio::test]
async fn several_parts_are_a_multipart_of_the_length_it_says() {
    let house = House::build(|_| ()).await;
    let answer = house
        .ask("GET", SEGMENT, &[("Range", "bytes=0-1,8-9")])
        .await;
    assert_eq!(answer.status, 206);
    assert!(answer.is_whole(), "{answer:?}");
    let boundary = answer
        .header("content-type")
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap();
    let part = |range: &str, body: &str| {
        format!(
            "\r\n--{boundary}\r\nContent-Type: video/iso.segment\r\nContent-Range: bytes {range}/10\r\n\r\n{body}"
        )
    };
    let expected = format!(
        "{}{}\r\n--{boundary}--\r\n",
        part("0-1", "01"),
        part("8-9", "89")
    );
    assert_eq!(answer.text(), expected);
}

#[tokio::test]
async fn if_range_needs_the_same_tag() {
    let house = House::build(|_| ()).await;
    for (tag, status) in [
        ("\"7-v1.m4s\"", 206),
        ("W/\"7-v1.m4s\"", 200),
        ("\"other\"", 200),
        ("Sun, 22 Nov 2026 12:00:00 GMT", 200),
    ] {
        let asked = [("Range", "bytes=0-0"), ("If-Range", tag)];
        assert_eq!(
            house.ask("GET", SEGMENT, &asked).await.status,
            status,
            "{tag}"
        );
    }
}

#[tokio::test]
async fn a_range_of_a_filling_object_comes_when_its_bytes_are_there() {
    let house = House::build(|_| ()).await;
    let path = "/live/streams/s/7/v9.m4s";
    let pieces = house.origin.steer(path, Some(10));
    let mut stream = house.connect().await;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: e\r\nRange: bytes=2-4\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    pieces.send(Bytes::from_static(b"01234")).await.unwrap();
    let text = read_until(&mut stream, "\r\n\r\n234").await;
    assert_eq!(
        Answer::parse(text.as_bytes()).header("content-range"),
        "bytes 2-4/10"
    );
    // Of unknown length: "the last two" can be told only at the end.
    let path = "/live/streams/s/7/v10.m4s";
    let pieces = house.origin.steer(path, None);
    let mut stream = house.connect().await;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: e\r\nRange: bytes=-2\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    pieces.send(Bytes::from_static(b"01234")).await.unwrap();
    drop(pieces);
    let text = read_until(&mut stream, "\r\n\r\n34").await;
    assert_eq!(
        Answer::parse(text.as_bytes()).header("content-range"),
        "bytes 3-4/5"
    );
}
