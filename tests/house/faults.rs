//! What breaks, and what users see of it.

use crate::support::encoder::Pattern;
use crate::support::hls::{MediaList, Recording};
use crate::support::{Encoder, Weir, get, request, wait_for};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// Bytes that no protocol here begins with, or begins with and never ends.
const HOSTILE: [&[u8]; 6] = [
    b"\x00",
    b"\xff\xfe\xfd\xfc\x00\x00\x00\x00garbage garbage garbage\r\n\r\n",
    b"\x03",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET /LiveApp/streams/x.m3u8 HTTP/1.1\r\nHost: ",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
];

#[test]
fn garbage_and_cut_off_bytes_on_every_port_harm_nobody() {
    let weir = Weir::start();
    let _encoder = Encoder::publish(&weir.rtmp("cam1"), &Pattern::default());
    weir.wait_live("cam1");
    for listener in [
        "lb http",
        "lb rtmp",
        "edge http",
        "origin http",
        "origin rtmp",
    ] {
        for bytes in HOSTILE {
            for cut in [1, bytes.len()] {
                let mut socket = TcpStream::connect(weir.address(listener)).unwrap();
                socket.write_all(&bytes[..cut]).unwrap();
                drop(socket);
            }
        }
        let mut noise = vec![0u8; 256 * 1024];
        let mut state = 0x2545_f491_u32;
        for byte in &mut noise {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = state.to_be_bytes()[0];
        }
        let mut socket = TcpStream::connect(weir.address(listener)).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let _ = socket.write_all(&noise);
        let _ = socket.read(&mut [0u8; 1024]);
    }
    let url = weir.url("/LiveApp/streams/cam1/video.m3u8");
    let before = MediaList::fetch(&url)
        .unwrap()
        .entries
        .last()
        .unwrap()
        .sequence;
    wait_for("the stream goes on", || {
        MediaList::fetch(&url).filter(|l| l.entries.last().is_some_and(|e| e.sequence > before))
    });
    assert!(
        !weir.log().iter().any(|l| l.contains("panicked")),
        "{:?}",
        weir.log()
    );
}

#[test]
fn slow_clients_are_closed_in_the_end() {
    let weir = Weir::builder()
        .set("rtmp.max_handshake_time", "1000")
        .start();
    for listener in ["lb http", "lb rtmp", "edge http", "origin http"] {
        let mut socket = TcpStream::connect(weir.address(listener)).unwrap();
        let start: &[u8] = if listener.ends_with("rtmp") {
            b"\x03"
        } else {
            b"GET / HT"
        };
        socket.write_all(start).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let mut answer = Vec::new();
        // Closed (with or without an answer), not left open for ever.
        let closed = socket.read_to_end(&mut answer);
        let reset = |e: &std::io::Error| e.kind() == std::io::ErrorKind::ConnectionReset;
        assert!(
            closed.as_ref().map_or_else(reset, |_| true),
            "{listener}: {closed:?}"
        );
    }
}

#[test]
fn killed_and_restarted_no_ghost_stays_live_and_numbers_run_on() {
    let mut weir = Weir::start();
    let first = Encoder::publish(&weir.rtmp("cam1"), &Pattern::default());
    weir.wait_live("cam1");
    let url = weir.url("/LiveApp/streams/cam1/video.m3u8");
    let before = wait_for("three segments", || {
        MediaList::fetch(&url).filter(|l| l.entries.len() >= 3)
    });
    weir.kill();
    drop(first);
    weir.restart();
    let record = request("GET", &weir.url("/LiveApp/rest/v2/broadcasts/cam1")).unwrap();
    let live = record.status == 200 && record.json()["status"] == "broadcasting";
    assert!(!live, "a ghost: {}", record.text());
    assert_eq!(
        get(&weir.url("/LiveApp/rest/v2/broadcasts/active-live-stream-count")).json()["number"],
        0
    );

    let _second = Encoder::publish(&weir.rtmp("cam1"), &Pattern::default());
    weir.wait_live("cam1");
    let after = MediaList::fetch(&url).unwrap();
    assert!(after.entries[0].sequence > before.entries.last().unwrap().sequence);
    let epoch = |url: &str| url.rsplit('/').nth(1).unwrap().parse::<u64>().unwrap();
    assert!(epoch(&after.entries[0].url) > epoch(&before.entries[0].url));
}

#[test]
fn an_encoder_that_stays_away_ends_its_stream_after_the_grace() {
    let weir = Weir::builder().set("publish.grace", "1").start();
    let encoder = Encoder::publish(&weir.rtmp("gone"), &Pattern::default());
    weir.wait_live("gone");
    let url = weir.url("/LiveApp/streams/gone/video.m3u8");
    encoder.kill();
    let recording = Recording::follow_to_end(&url);
    assert_eq!(recording.faults, Vec::<String>::new());
    wait_for("the record goes", || {
        request("GET", &weir.url("/LiveApp/rest/v2/broadcasts/gone"))
            .is_ok_and(|a| a.status == 404)
            .then_some(())
    });
}

#[test]
fn an_encoder_that_stalls_is_let_go() {
    let weir = Weir::builder()
        .set("rtmp.max_inactivity", "2000")
        .set("publish.grace", "1")
        .start();
    let encoder = Encoder::publish(&weir.rtmp("stall"), &Pattern::default());
    weir.wait_live("stall");
    encoder.freeze();
    weir.wait_log(&["stall", "publisher lost"]);
    Recording::follow_to_end(&weir.url("/LiveApp/streams/stall/video.m3u8"));
}
