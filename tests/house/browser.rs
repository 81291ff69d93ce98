//! A person's view: the player page in a real Chromium, at the load balancer's address.

use crate::support::encoder::Pattern;
use crate::support::{Browser, Encoder, Weir};
use std::path::Path;
use std::time::Duration;

fn time(sample: &serde_json::Value) -> f64 {
    sample["currentTime"].as_f64().unwrap_or(0.0)
}

fn clock_s(sample: &serde_json::Value) -> f64 {
    sample["atMs"].as_f64().unwrap_or(0.0) / 1000.0
}

fn healthy(samples: &[serde_json::Value]) {
    for sample in samples {
        assert!(sample.get("pageError").is_none(), "{sample}");
        assert!(sample.get("outside").is_none(), "{sample}");
    }
}

#[test]
fn the_page_plays_and_goes_on_by_itself_when_the_encoder_returns() {
    let weir = Weir::start();
    let first = Encoder::publish(&weir.rtmp("cam1"), &Pattern::default());
    weir.wait_live("cam1");
    let mut browser = Browser::open(&weir.url("/LiveApp/play.html?id=cam1"), 180, None);
    let start = browser.wait("playing", |s| time(s) > 0.0 && s["width"] == 320);
    browser.wait("five more seconds", |s| time(s) > time(&start) + 5.0);

    first.kill();
    weir.wait_log(&["cam1", "publisher lost"]);
    // The dead time a person sees: nothing to wait for but the wall clock.
    #[allow(
        clippy::disallowed_methods,
        reason = "an encoder that stays away five seconds"
    )]
    std::thread::sleep(Duration::from_secs(5));
    let dead = browser.samples().last().cloned().unwrap();
    let _second = Encoder::publish(&weir.rtmp("cam1"), &Pattern::default());
    browser.wait("playing on", |s| {
        time(s) > time(&dead) + 8.0 && s["paused"] == false
    });
    let samples = browser.close();
    healthy(&samples);
    assert_eq!(samples.last().unwrap()["fatalErrors"], 0);
}

#[test]
fn the_page_waits_for_a_stream_that_is_not_there_yet() {
    let weir = Weir::start();
    let mut browser = Browser::open(&weir.url("/LiveApp/play.html?id=later"), 180, None);
    browser.wait("waiting", |s| s["state"].is_string() && time(s) == 0.0);
    let _encoder = Encoder::publish(&weir.rtmp("later"), &Pattern::default());
    browser.wait("playing", |s| time(s) > 3.0);
    healthy(&browser.close());
}

/// Ten minutes of 1080p in a real browser, and every segment decoded.
#[test]
#[ignore = "ten minutes: `make soak` runs it"]
fn ten_minutes_of_1080p() {
    let weir = Weir::start();
    let seconds: u32 = std::env::var("WEIR_SOAK_SECONDS")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(600);
    let pattern = Pattern {
        size: Some("1920x1080"),
        gop: 60,
        kbps: 4000,
        seconds: Some(seconds),
        ..Pattern::default()
    };
    let mut encoder = Encoder::publish(&weir.rtmp("hd"), &pattern);
    weir.wait_live("hd");
    let watch = u64::from(seconds).saturating_sub(30);
    let shot = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ten-minutes.png");
    let page = weir.url("/LiveApp/play.html?id=hd");
    let browser = Browser::open(&page, watch, Some(&shot));
    let (video, audio) =
        crate::spine::record_both_within(Duration::from_secs(u64::from(seconds) + 60), &weir, "hd");
    let samples = browser.wait_end();
    assert!(encoder.wait(Duration::from_secs(60)).success());
    healthy(&samples);
    let playing: Vec<_> = samples
        .iter()
        .filter(|s| time(s) > 0.0 && s["paused"] == false)
        .collect();
    // The start settles (seek to the live edge) before the drift is measured.
    let (first, last) = (playing[10], playing[playing.len() - 1]);
    let drift = ((time(last) - time(first)) - (clock_s(last) - clock_s(first))).abs();
    let dropped = last["dropped"].as_f64().unwrap() / last["total"].as_f64().unwrap();
    let run = clock_s(last) - clock_s(first);
    println!(
        "1080p: {run:.0} s watched, drift {drift:.3} s, dropped {:.3} %",
        dropped * 100.0
    );
    println!(
        "fatal errors {}, screenshot {}",
        last["fatalErrors"],
        shot.display()
    );
    for (recording, frame_s) in [(video, 1.0 / 30.0), (audio, 1024.0 / 48_000.0)] {
        assert_eq!(recording.faults, Vec::<String>::new());
        let dir = tempfile::tempdir().unwrap();
        let files = recording.join(dir.path(), "hd");
        assert_eq!(files.len(), 1);
        assert_eq!(crate::support::hls::decode(&files[0]), "");
        let packets = crate::support::hls::packets(&files[0]);
        let step = crate::support::hls::largest_step_error(&packets);
        println!(
            "{} segments, {} packets, worst step {step:.4} s",
            recording.segments.len(),
            packets.len()
        );
        assert!(step < frame_s);
    }
    assert!(drift < 0.5, "drift {drift} s");
    assert!(dropped < 0.01, "dropped {dropped}");
    assert_eq!(last["fatalErrors"], 0);
}
