//! `weir load` on the whole house: it finds nothing where nothing is wrong, and names what is.

use crate::support::hls::{self, Recording};
use crate::support::load::Load;
use crate::support::proxy::{self, Fate};
use crate::support::{Answer, Weir, wait_for};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// For a run of ten seconds, its beginning and its end on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_sound_house_passes_and_its_counts_are_right() {
    let weir = Weir::start();
    let load = Load::on(&weir, "--streams 3 --viewers 30 --duration 10");
    let outcome = load.wait(PATIENCE);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let report = &outcome.report;
    assert_eq!(
        (&report["passed"], &report["interrupted"]),
        (&true.into(), &false.into())
    );
    assert_eq!(outcome.number("/streams/accepted"), 3.0);
    assert_eq!(outcome.number("/streams/reconnects"), 0.0);
    assert_eq!(outcome.number("/viewers/played"), 30.0);
    assert_eq!(outcome.number("/errors/total"), 0.0);
    // Pictures and sounds: some 72 frames a second, each stream for 8 to 10 s.
    let frames = outcome.number("/streams/frames");
    assert!((1500.0..2300.0).contains(&frames), "{frames}");
    // Each viewer has one of each track's initialization, and segments of both, all judged.
    assert_eq!(outcome.number("/requests/inits"), 60.0);
    assert_eq!(outcome.number("/requests/multivariant"), 30.0);
    let segments = outcome.number("/requests/segments");
    assert!(segments >= 60.0, "{segments}");
    assert_eq!(outcome.number("/requests/segments_timed"), segments);
    assert_eq!(outcome.number("/latency_ms/segment/count"), segments);
    // What it says it had, weir says it gave.
    let told = weir.metric("weir_lb_requests_total", &[]);
    let asked = segments + 60.0 + 30.0 + outcome.number("/requests/playlists");
    assert!(told >= asked, "{told} requests seen, {asked} made");
    assert!(
        outcome.text.contains("Passed: 0 errors, 0 allowed"),
        "{}",
        outcome.text
    );
}

#[test]
fn what_it_publishes_decodes_and_loops_without_a_seam() {
    let weir = Weir::start();
    let rtmp = weir.rtmp("");
    // The clip is 8 s long.
    let load = Load::start(&format!(
        "--rtmp {} --duration 14",
        rtmp.trim_end_matches('/')
    ));
    weir.wait_live("load-1");
    let url = |track| weir.url(&format!("/LiveApp/streams/load-1/{track}.m3u8"));
    let (video_url, audio_url) = (url("video"), url("audio"));
    let audio = std::thread::spawn(move || Recording::follow_to_end(&audio_url));
    let video = Recording::follow_to_end(&video_url);
    let audio = audio.join().unwrap();
    assert_eq!(load.wait(PATIENCE).code, Some(0));
    let dir = tempfile::tempdir().unwrap();
    for (recording, name, frame_s, entry, expected) in [
        (
            &video,
            "video",
            0.04,
            "codec_name,width,height",
            "h264,320,180",
        ),
        (
            &audio,
            "audio",
            1024.0 / 48000.0,
            "codec_name,sample_rate",
            "aac,48000",
        ),
    ] {
        assert_eq!(recording.faults, Vec::<String>::new());
        let marked = recording.segments.iter().filter(|(e, _)| e.discontinuity);
        assert_eq!(marked.count(), 0, "{name}");
        let files = recording.join(dir.path(), name);
        assert_eq!(files.len(), 1, "{name}");
        assert_eq!(hls::decode(&files[0]), "");
        assert_eq!(hls::probe(&files[0], entry), expected);
        let packets = hls::packets(&files[0]);
        let seconds = packets.len() as f64 * frame_s;
        assert!(seconds > 10.0, "{name}: {seconds} s");
        assert!(hls::largest_step_error(&packets) < frame_s / 10.0, "{name}");
    }
}

#[test]
fn a_server_killed_in_the_middle_is_named_and_fails() {
    let mut weir = Weir::start();
    let load = Load::on(&weir, "--streams 2 --viewers 6 --duration 14");
    weir.wait_live("load-1");
    weir.wait_live("load-2");
    weir.kill();
    let outcome = load.wait(PATIENCE);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let (lost, example) = outcome.errors("publish_lost");
    assert_eq!(lost, 2, "{outcome:?}");
    assert!(
        example["stream"].as_str().unwrap().starts_with("load-"),
        "{example}"
    );
    assert!(outcome.errors("publish_unreachable").0 > 0, "{outcome:?}");
    let (unreachable, example) = outcome.errors("http_unreachable");
    assert!(unreachable >= 6, "{outcome:?}");
    let url = example["url"].as_str().unwrap();
    assert!(
        url.starts_with(&weir.url("/LiveApp/streams/load-")),
        "{url}"
    );
    assert!(
        outcome.text.contains("a publish was cut off"),
        "{}",
        outcome.text
    );
    assert!(outcome.text.contains("Broken:"), "{}", outcome.text);
}

#[test]
fn a_server_that_comes_back_is_published_to_and_watched_again() {
    let mut weir = Weir::start();
    let load = Load::on(&weir, "--duration 30 --ramp 0 --allow-errors 1000");
    // Its one viewer is at the second segment.
    weir.wait_log(&["GET", "/load-1/", "/a1.m4s"]);
    weir.kill();
    weir.restart();
    let outcome = load.wait(Duration::from_secs(90));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.number("/streams/reconnects") >= 1.0, "{outcome:?}");
    // A new epoch brings new initialization sections: its media was watched.
    assert!(outcome.number("/requests/inits") >= 4.0, "{outcome:?}");
    assert_eq!(outcome.errors("sequence_back").0, 0, "{outcome:?}");
    assert_eq!(outcome.errors("timing").0, 0, "{outcome:?}");
}

#[test]
fn each_way_to_spoil_an_answer_has_its_name() {
    let weir = Weir::start();
    for (fate, kind, detail) in [
        (Fate::Missing, "segment_status", "404"),
        (Fate::Half, "http_broken", "cut short"),
        (Fate::Flipped, "segment_changed", "CRC-32"),
    ] {
        let once = AtomicBool::new(true);
        let spoil = move |path: &str, _: &mut Answer| {
            let chosen = path.contains("/load-1/") && path.ends_with(".m4s");
            if chosen && once.swap(false, Ordering::SeqCst) {
                fate
            } else {
                Fate::Pass
            }
        };
        let outcome = through_a_proxy(&weir, Arc::new(spoil));
        assert_eq!(outcome.code, Some(1), "{fate:?}: {outcome:?}");
        assert_eq!(outcome.kinds(), [kind], "{fate:?}: {outcome:?}");
        let (_, example) = outcome.errors(kind);
        assert_eq!(example["stream"], "load-1");
        assert!(
            example["url"].as_str().unwrap().ends_with(".m4s"),
            "{example}"
        );
        assert!(
            example["detail"].as_str().unwrap().contains(detail),
            "{example}"
        );
    }
}

#[test]
fn a_segment_dropped_from_the_playlists_is_a_gap_in_time() {
    let weir = Weir::start();
    // The third segment of a track is left out, and those after it are counted as if it had not
    // been: the numbers run on, the media does not.
    let drop_one = |path: &str, answer: &mut Answer| {
        if path.ends_with("/load-1/video.m3u8") && answer.status == 200 {
            answer.body = without_the_third(&answer.text()).into_bytes();
        }
        Fate::Pass
    };
    let outcome = through_a_proxy(&weir, Arc::new(drop_one));
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert_eq!(outcome.kinds(), ["timing"], "{outcome:?}");
    let (count, example) = outcome.errors("timing");
    assert_eq!(count, 2, "both of the stream's viewers: {outcome:?}");
    assert!(
        example["url"].as_str().unwrap().contains("/load-1/"),
        "{example}"
    );
}

/// Drops the entry whose number in the stream's life is 2, counted from 0.
fn without_the_third(list: &str) -> String {
    let mut sequence = 0_u64;
    let mut out = Vec::new();
    let mut entry = Vec::new();
    for line in list.lines() {
        if let Some(first) = line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:") {
            sequence = first.parse().unwrap();
        }
        entry.push(line);
        if !line.starts_with('#') {
            let dropped = sequence == 2;
            let kept = entry
                .drain(..)
                .filter(|line| !dropped || line.starts_with("#EXT-X-MAP"));
            out.extend(kept);
            sequence += 1;
        } else if line.starts_with("#EXT-X-INDEPENDENT") || line == "#EXT-X-ENDLIST" {
            out.append(&mut entry);
        }
    }
    out.extend(entry);
    out.join("\n") + "\n"
}

fn through_a_proxy(weir: &Weir, decide: Arc<proxy::Decide>) -> crate::support::load::Outcome {
    let proxy = proxy::start(weir.address("lb http"), decide);
    let rtmp = weir.rtmp("");
    let load = Load::start(&format!(
        "--rtmp {} --http http://{proxy}/LiveApp --streams 2 --viewers 4 --duration 10 --ramp 0",
        rtmp.trim_end_matches('/')
    ));
    load.wait(PATIENCE)
}

#[test]
fn ctrl_c_ends_it_early_with_the_report() {
    let weir = Weir::start();
    let load = Load::on(&weir, "--viewers 2 --duration 1h");
    weir.wait_live("load-1");
    load.signal("INT");
    let outcome = load.wait(PATIENCE);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.text.contains("ended early"), "{outcome:?}");
    // It says goodbye: the stream ends at once, without the grace time.
    wait_for("the stream ends", || {
        weir.log()
            .iter()
            .find(|l| l.contains("reason=\"FCUnpublish\""))
            .cloned()
    });
}

#[test]
fn targets_and_arguments_that_cannot_be_are_told() {
    let weir = Weir::start();
    let http = weir.url("/LiveApp");
    let closed = {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap()
    };
    for (arguments, code, words) in [
        (
            format!("--rtmp rtmp://{closed}/LiveApp --http {http}"),
            1,
            "--rtmp rtmp://127.0.0.1:",
        ),
        (
            format!("--http {http} --media /dev/null --rtmp rtmp://{closed}/LiveApp"),
            1,
            "no FLV",
        ),
        (
            format!("--http {http} --duration 2 --ramp 2"),
            2,
            "--ramp must be shorter",
        ),
        ("--streams 3".to_owned(), 2, "nothing to do"),
        ("--http ftp://a/b".to_owned(), 2, "http://HOST"),
    ] {
        let outcome = Load::start(&arguments).wait(PATIENCE);
        assert_eq!(outcome.code, Some(code), "{arguments}: {outcome:?}");
        assert!(
            outcome.complaint.contains(words),
            "{arguments}: {outcome:?}"
        );
    }
    // Nobody publishes: the viewers say so.
    let outcome = Load::start(&format!(
        "--http {http} --duration 4 --start-timeout 2 --ramp 0"
    ));
    let outcome = outcome.wait(PATIENCE);
    assert_eq!(
        (outcome.code, outcome.kinds()),
        (Some(1), vec!["never_played"]),
        "{outcome:?}"
    );
}
