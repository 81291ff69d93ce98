//! Every setting, by what it changes for a user.

use crate::support::encoder::Pattern;
use crate::support::hls::MediaList;
use crate::support::weir::Builder;
use crate::support::{Encoder, Weir, get, request, wait_for};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

fn live(builder: Builder, id: &str) -> (Weir, Encoder) {
    let weir = builder.start();
    let encoder = Encoder::publish(&weir.rtmp(id), &Pattern::default());
    weir.wait_live(id);
    (weir, encoder)
}

fn video(weir: &Weir, id: &str) -> String {
    weir.url(&format!("/LiveApp/streams/{id}/video.m3u8"))
}

/// The list once it has `count` segments.
fn list_of(weir: &Weir, id: &str, count: usize) -> MediaList {
    let url = video(weir, id);
    wait_for(&format!("{count} segments"), || {
        MediaList::fetch(&url).filter(|l| l.entries.len() >= count)
    })
}

#[test]
fn hls_time_and_list_size_shape_the_playlist() {
    let builder = Weir::builder()
        .set("hls.time", "4")
        .set("hls.list.size", "3");
    let (weir, _encoder) = live(builder, "a");
    let list = list_of(&weir, "a", 3);
    for entry in &list.entries {
        assert!((3.5..4.5).contains(&entry.duration_s), "{entry:?}");
    }
    let first = list.entries[0].sequence;
    let later = wait_for("the list moves on", || {
        MediaList::fetch(&video(&weir, "a")).filter(|l| l.entries[0].sequence > first)
    });
    assert_eq!(later.entries.len(), 3);
}

#[test]
fn an_applications_own_hls_time_outranks_the_nodes() {
    let builder = Weir::builder()
        .set("hls.time", "4")
        .set("app.LiveApp.hlsTime", "1");
    let (weir, _encoder) = live(builder, "a");
    for entry in &list_of(&weir, "a", 2).entries {
        assert!((0.8..1.3).contains(&entry.duration_s), "{entry:?}");
    }
}

#[test]
fn node_id_and_ip_are_what_the_cluster_lists() {
    let weir = Weir::builder()
        .set("cluster.node.id", "node-7")
        .set("cluster.node.ip", "127.0.0.7")
        .start();
    let nodes = wait_for("a node", || {
        let json = get(&weir.url("/LiveApp/rest/v2/cluster/nodes/0/10")).json();
        json.as_array().filter(|a| !a.is_empty()).cloned()
    });
    assert_eq!(
        (&nodes[0]["id"], &nodes[0]["ip"]),
        (&"node-7".into(), &"127.0.0.7".into())
    );
}

#[test]
fn a_node_id_is_made_once_and_kept() {
    let mut weir = Weir::start();
    let id = |weir: &Weir| {
        wait_for("a node", || {
            let json = get(&weir.url("/LiveApp/rest/v2/cluster/nodes/0/10")).json();
            json[0]["id"].as_str().map(str::to_owned)
        })
    };
    let before = id(&weir);
    weir.kill();
    weir.restart();
    assert_eq!(id(&weir), before);
}

#[test]
fn server_mode_chooses_the_roles_and_apps_the_applications() {
    let weir = Weir::builder()
        .set("server.mode", "edge,origin")
        .set("apps", "Studio")
        .start();
    let url = weir.rtmp("x").replace("LiveApp", "Studio");
    let _encoder = Encoder::publish(&url, &Pattern::default());
    let list = weir.url("/Studio/streams/x/video.m3u8");
    wait_for("live in Studio", || MediaList::fetch(&list));
    let mut refused = Encoder::publish(&weir.rtmp("x"), &Pattern::default());
    assert!(!refused.wait(Duration::from_secs(30)).success());
    weir.wait_log(&["refused", "LiveApp"]);
}

#[test]
fn cluster_enabled_false_forgets_the_list_of_origins() {
    let origin = Weir::builder().role("origin").start();
    let _encoder = Encoder::publish(&origin.rtmp("far"), &Pattern::default());
    let settings = |enabled: &str| {
        Weir::builder()
            .set("server.mode", "all")
            .set("cluster.origin.nodes", origin.address("origin http"))
            .set("cluster.enabled", enabled)
            .start()
    };
    let joined = settings("true");
    joined.wait_live("far");
    let alone = settings("false");
    assert_eq!(get(&video(&alone, "far")).status, 404);
}

#[test]
fn http_max_connections_bounds_the_doors() {
    let weir = Weir::builder().set("http.max.connections", "3").start();
    for door in ["lb http", "edge http"] {
        let hold = || {
            let mut socket = TcpStream::connect(weir.address(door)).unwrap();
            socket
                .set_read_timeout(Some(Duration::from_secs(10)))
                .unwrap();
            socket
                .write_all(b"GET /rest/v2/version HTTP/1.1\r\nHost: x\r\n\r\n")
                .unwrap();
            let mut answer = [0u8; 4096];
            let got = socket.read(&mut answer).unwrap_or(0);
            (socket, String::from_utf8_lossy(&answer[..got]).into_owned())
        };
        let mut held = Vec::new();
        // The balancer's health check may hold one of the edge's places.
        let refused = (0..6).map(|_| hold()).any(|(socket, answer)| {
            held.push(socket);
            answer.is_empty() || answer.starts_with("HTTP/1.1 503")
        });
        assert!(refused, "{door}: the fourth connection was served");
    }
}

#[test]
fn rtmp_places_are_shared_among_addresses() {
    let hold = |weir: &Weir| {
        let mut socket = TcpStream::connect(weir.address("origin rtmp")).unwrap();
        let limit = Some(Duration::from_secs(10));
        socket.set_read_timeout(limit).unwrap();
        socket.write_all(&[3; 1537]).unwrap();
        let mut answer = [0u8; 1];
        let served = socket.read(&mut answer).is_ok_and(|got| got == 1);
        (socket, served)
    };
    for (limit, served) in [("2", 2), ("0", 4)] {
        let weir = Weir::builder()
            .role("origin")
            .set("rtmp.max.connections.per.address", limit)
            .start();
        let held: Vec<_> = (0..4).map(|_| hold(&weir)).collect();
        let count = held.iter().filter(|(_, served)| *served).count();
        assert_eq!(count, served, "limit {limit}");
    }
}

#[test]
fn without_cache_every_request_reaches_the_origin() {
    for (enabled, expected) in [("true", 1.0), ("false", 5.0)] {
        let (weir, _encoder) = live(Weir::builder().set("cache.enabled", enabled), "a");
        let segment = list_of(&weir, "a", 1).entries[0].url.clone();
        let before = weir.metric("weir_origin_objects_total", &["segment"]);
        for _ in 0..5 {
            assert_eq!(get(&segment).status, 200);
        }
        let fetched = weir.metric("weir_origin_objects_total", &["segment"]) - before;
        assert!(
            (fetched - expected).abs() < 0.5,
            "cache.enabled={enabled}: {fetched}"
        );
    }
}

#[test]
fn cache_ttl_is_how_long_an_edge_keeps_a_playlist() {
    let (weir, encoder) = live(Weir::builder().set("cache.ttl", "60"), "a");
    let kept = get(&video(&weir, "a")).text();
    // The origin has moved on; the edge has not been told to look.
    let origin = format!(
        "http://{}/LiveApp/streams/a/video.m3u8",
        weir.address("origin http")
    );
    wait_for("the origin's list moves on", || {
        (get(&origin).text() != kept).then_some(())
    });
    assert_eq!(get(&video(&weir, "a")).text(), kept);
    drop(encoder);
}

#[test]
fn without_metadata_cache_the_store_is_asked_each_time() {
    for (enabled, asked) in [("true", false), ("false", true)] {
        let builder = Weir::builder()
            .set("cache.enabled", "false")
            .set("metadata.cache.enabled", enabled);
        let (weir, _encoder) = live(builder, "a");
        let queries = || {
            weir.metric(
                "weir_cluster_store_query_seconds_count",
                &["operation=\"broadcast\""],
            )
        };
        let before = queries();
        for _ in 0..20 {
            assert_eq!(get(&video(&weir, "a")).status, 200);
        }
        let after = queries() - before;
        assert_eq!(
            after >= 19.5,
            asked,
            "metadata.cache.enabled={enabled}: {after} queries"
        );
    }
}

#[test]
fn an_ended_stream_lingers_as_long_as_told() {
    let weir = Weir::builder()
        .set("hls.ended.linger", "2")
        .set("publish.grace", "0")
        .start();
    let pattern = Pattern {
        seconds: Some(4),
        ..Pattern::default()
    };
    let mut encoder = Encoder::publish(&weir.rtmp("a"), &pattern);
    weir.wait_live("a");
    assert!(encoder.wait(Duration::from_secs(30)).success());
    wait_for("ENDLIST", || {
        MediaList::fetch(&video(&weir, "a")).filter(|l| l.ended)
    });
    wait_for("404", || {
        request("GET", &video(&weir, "a"))
            .is_ok_and(|a| a.status == 404)
            .then_some(())
    });
}

#[test]
fn encoder_settings_are_kept_and_said_to_wait_for_the_transcoder() {
    let weir = Weir::builder()
        .set("encoder.thread.count", "4")
        .set("encoder.gpu.enabled", "true")
        .start();
    weir.wait_log(&["encoder.thread.count", "transcoder"]);
    weir.wait_log(&["encoder.gpu.enabled", "transcoder"]);
}

#[test]
fn the_log_speaks_json_when_asked() {
    let weir = Weir::builder()
        .set("log.format", "json")
        .set("log.level", "debug")
        .start();
    let line = weir.wait_log(&["\"level\""]);
    assert!(
        serde_json::from_str::<serde_json::Value>(&line).is_ok(),
        "{line}"
    );
}

#[test]
fn an_unedited_file_of_ant_media_starts_a_node() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("red5.properties");
    let text = "server.name=\nserver.licence_key=\nhttp.host=127.0.0.1\nhttp.port=0\n\
                http.max_threads=300\nrtmp.host=127.0.0.1\nrtmp.port=0\nnodeGroup=default\n\
                server.heartbeatEnabled=true\nlogLevel=INFO\nrtmp.io_threads=8\n";
    std::fs::write(&file, text).unwrap();
    let weir = Weir::builder().config(&file).start();
    assert_eq!(get(&weir.url("/rest/v2/liveness")).status, 200);
    weir.wait_log(&["no meaning here", "server.licence_key", "http.max_threads"]);
}
