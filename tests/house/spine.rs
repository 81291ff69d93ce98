//! One live stream through the whole house: RTMP in at the load balancer, HLS out at it.

use crate::support::encoder::Pattern;
use crate::support::hls::{self, MediaList, Recording};
use crate::support::{Encoder, PATIENCE, Weir, get, request, wait_for};
use std::time::Duration;

#[test]
fn a_stream_published_over_rtmp_is_watched_over_hls() {
    let weir = Weir::start();
    let pattern = Pattern {
        seconds: Some(12),
        ..Pattern::default()
    };
    let mut encoder = Encoder::publish(&weir.rtmp("cam1"), &pattern);
    weir.wait_live("cam1");

    let multivariant = get(&weir.url("/LiveApp/streams/cam1.m3u8"));
    assert_eq!(multivariant.status, 200);
    assert_eq!(
        multivariant.header("content-type"),
        "application/vnd.apple.mpegurl"
    );
    assert_eq!(multivariant.header("access-control-allow-origin"), "*");
    let text = multivariant.text();
    assert!(text.contains("RESOLUTION=320x180"), "{text}");
    assert!(
        text.contains("mp4a.40.2") && text.contains("avc1."),
        "{text}"
    );
    assert!(
        text.contains("cam1/video.m3u8") && text.contains("cam1/audio.m3u8"),
        "{text}"
    );

    let (video, audio) = record_both(&weir, "cam1");
    assert!(encoder.wait(Duration::from_secs(30)).success());
    assert_eq!(video.faults, Vec::<String>::new());
    assert_eq!(audio.faults, Vec::<String>::new());
    let numbers = |r: &Recording| {
        r.segments
            .iter()
            .map(|(e, _)| e.sequence)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        numbers(&video),
        numbers(&audio),
        "both tracks are cut alike"
    );
    assert!(
        video.segments.iter().all(|(e, _)| e.duration_s <= 2.5),
        "{:?}",
        durations(&video)
    );

    let dir = tempfile::tempdir().unwrap();
    let video_file = video.join(dir.path(), "video").pop().unwrap();
    let audio_file = audio.join(dir.path(), "audio").pop().unwrap();
    for file in [&video_file, &audio_file] {
        assert_eq!(hls::decode(file), "");
    }
    assert_eq!(
        hls::probe(&video_file, "codec_name,width,height,r_frame_rate"),
        "h264,320,180,30/1"
    );
    assert_eq!(
        hls::probe(&audio_file, "codec_name,sample_rate,channels"),
        "aac,48000,2"
    );
    let frames = hls::packets(&video_file);
    assert_eq!(frames.len(), 360, "12 s at 30 a second");
    assert!(hls::largest_step_error(&frames) < 1.0 / 30.0);
    let sound = hls::packets(&audio_file);
    assert!(hls::largest_step_error(&sound) < 1024.0 / 48000.0);
}

#[test]
fn a_clean_end_writes_endlist_at_once_and_frees_the_id() {
    let weir = Weir::start();
    let pattern = Pattern {
        seconds: Some(5),
        real_time: true,
        ..Pattern::default()
    };
    let mut encoder = Encoder::publish(&weir.rtmp("short"), &pattern);
    weir.wait_live("short");
    assert!(encoder.wait(Duration::from_secs(30)).success());
    let url = weir.url("/LiveApp/streams/short/video.m3u8");
    let list = wait_for("ENDLIST", || MediaList::fetch(&url).filter(|l| l.ended));
    let last = list.entries.last().unwrap().sequence;

    // The id is free; a new publish goes on numbering after the old one.
    let _again = Encoder::publish(&weir.rtmp("short"), &Pattern::default());
    let list = wait_for("a new, open list", || {
        MediaList::fetch(&url).filter(|l| !l.ended)
    });
    assert!(list.entries.last().unwrap().sequence > last);
}

#[test]
fn the_api_tells_what_is_live() {
    let weir = Weir::start();
    let list = get(&weir.url("/LiveApp/rest/v2/broadcasts/list/0/10"));
    assert_eq!((list.status, list.json()), (200, serde_json::json!([])));

    let encoder = Encoder::publish(&weir.rtmp("cam1"), &Pattern::default());
    weir.wait_live("cam1");
    let url = weir.url("/LiveApp/rest/v2/broadcasts/cam1");
    let broadcast = wait_for("broadcasting", || {
        let json = get(&url).json();
        (json["status"] == "broadcasting").then_some(json)
    });
    assert_eq!(broadcast["streamId"], "cam1");
    assert_eq!(broadcast["publishType"], "RTMP");
    assert_eq!(broadcast["type"], "liveStream");
    let list = get(&weir.url("/LiveApp/rest/v2/broadcasts/list/0/10")).json();
    assert_eq!(list.as_array().unwrap().len(), 1);

    for path in [
        "/LiveApp/rest/v2/cluster/nodes/0/10",
        "/LiveApp/rest/v2/cluster/nodes",
    ] {
        let nodes = wait_for("a node", || {
            let json = get(&weir.url(path)).json();
            json.as_array().filter(|a| !a.is_empty()).cloned()
        });
        assert_eq!(nodes[0]["status"], "alive", "{nodes:?}");
        assert!(nodes[0]["dbQueryAveargeTimeMs"].is_number());
    }
    assert_eq!(get(&weir.url("/rest/v2/liveness")).json()["status"], "ok");
    assert!(get(&weir.url("/metrics")).text().contains("weir_edge_"));
    assert!(get(&weir.url("/")).text().contains("<html"));
    assert!(
        get(&weir.url("/LiveApp/play.html?id=cam1"))
            .text()
            .contains("<html")
    );

    assert!(encoder.stop().code().is_some());
    wait_for("the record of a zombi stream goes with it", || {
        request("GET", &url)
            .is_ok_and(|a| a.status == 404)
            .then_some(())
    });
}

#[test]
fn every_segment_leaves_the_origin_once_for_two_hundred_viewers() {
    let weir = Weir::builder()
        .env("RUST_LOG", "info,weir_origin::access=debug")
        .start();
    let pattern = Pattern {
        seconds: Some(10),
        ..Pattern::default()
    };
    let _encoder = Encoder::publish(&weir.rtmp("many"), &pattern);
    weir.wait_live("many");
    let url = weir.url("/LiveApp/streams/many/video.m3u8");
    let seen: Vec<Recording> = std::thread::scope(|scope| {
        let viewers: Vec<_> = (0..200)
            .map(|_| scope.spawn(|| Recording::follow_to_end(&url)))
            .collect();
        viewers.into_iter().map(|v| v.join().unwrap()).collect()
    });
    let faults: Vec<&String> = seen.iter().flat_map(|r| &r.faults).collect();
    assert!(faults.is_empty(), "{faults:?}");
    let segments: std::collections::BTreeSet<&str> = seen
        .iter()
        .flat_map(|r| r.segments.iter().map(|(e, _)| path_of(&e.url)))
        .collect();
    assert!(segments.len() >= 4, "{segments:?}");

    let log = weir.log();
    for segment in &segments {
        let served = log
            .iter()
            .filter(|l| l.contains("weir_origin::access") && l.contains(segment));
        assert_eq!(served.count(), 1, "{segment}");
    }
    #[allow(clippy::cast_precision_loss, reason = "a small count")]
    let expected = segments.len() as f64;
    assert!((weir.metric("weir_origin_objects_total", &["segment"]) - expected).abs() < 0.5);
}

/// Follows both tracks of a stream to its end.
pub(crate) fn record_both(weir: &Weir, id: &str) -> (Recording, Recording) {
    record_both_within(PATIENCE, weir, id)
}

/// [`record_both`] with another deadline.
pub(crate) fn record_both_within(limit: Duration, weir: &Weir, id: &str) -> (Recording, Recording) {
    let url = |track: &str| weir.url(&format!("/LiveApp/streams/{id}/{track}.m3u8"));
    let (video, audio) = (url("video"), url("audio"));
    std::thread::scope(|scope| {
        let video = scope.spawn(|| Recording::follow_within(limit, &video));
        let audio = scope.spawn(|| Recording::follow_within(limit, &audio));
        (video.join().unwrap(), audio.join().unwrap())
    })
}

fn durations(recording: &Recording) -> Vec<f64> {
    recording
        .segments
        .iter()
        .map(|(e, _)| e.duration_s)
        .collect()
}

fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").unwrap().1;
    &rest[rest.find('/').unwrap()..]
}
