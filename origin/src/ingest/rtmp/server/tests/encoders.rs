//! A real encoder publishes.

use std::process::Stdio;

use tokio::process::Command;
use weir_media::{TrackKind, TrackParams};

use super::*;

/// Runs ffmpeg to its end; what it printed, and whether it was content.
async fn ffmpeg(arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostdin", "-y", "-loglevel", "info"]);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(60), command.output());
    let output = output.await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), text)
}

/// Packets of a file's stream (`v:0` or `a:0`), as ffprobe counts them.
async fn packets(file: &str, stream: &str) -> usize {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_packets", "-select_streams", stream])
        .args([
            "-show_entries",
            "stream=nb_read_packets",
            "-of",
            "csv=p=0",
            file,
        ])
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().trim_end_matches(',').parse().unwrap_or(0)
}

const PICTURES: &str = "testsrc2=size=320x240:rate=25:duration=3";
const SOUNDS: &str = "sine=frequency=440:sample_rate=44100:duration=3";

/// Encodes to a file with `codecs`, publishes the file, and compares the counts.
async fn publish(inputs: &[&str], codecs: &[&str]) -> (Running, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory
        .path()
        .join("clip.flv")
        .to_str()
        .unwrap()
        .to_owned();
    let mut arguments = Vec::new();
    for input in inputs {
        arguments.extend(["-f", "lavfi", "-i", input]);
    }
    arguments.extend(codecs);
    arguments.push(&file);
    let (good, log) = ffmpeg(&arguments).await;
    assert!(good, "{log}");

    let running = Running::start(RtmpOptions::default()).await;
    let url = format!("rtmp://{}/LiveApp/stream1?token=s3cret", running.address);
    let (good, log) = ffmpeg(&["-i", &file, "-c", "copy", "-f", "flv", &url]).await;
    assert!(good, "{log}");
    until("the stream is let go", || {
        running.with(|publishes| publishes.len() == 1 && publishes[0].over)
    })
    .await;
    let wanted = (packets(&file, "v:0").await, packets(&file, "a:0").await);
    running.with(|publishes| {
        let published = &publishes[0];
        assert!(published.unpublished, "ffmpeg ends its publish in due form");
        let video = published.of(TrackKind::Video).len();
        let audio = published.of(TrackKind::Audio).len();
        assert_eq!((video, audio), wanted);
        assert!(video + audio > 50);
    });
    (running, log)
}

const H264: [&str; 6] = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25"];
const AAC: [&str; 4] = ["-c:a", "aac", "-b:a", "64k"];

#[tokio::test]
async fn h264_and_aac_come_through_whole() {
    let codecs = [&H264[..], &AAC].concat();
    let (running, _) = publish(&[PICTURES, SOUNDS], &codecs).await;
    running.with(|publishes| {
        let published = &publishes[0];
        let request = published.request.as_ref().unwrap();
        assert_eq!(
            (request.app.as_str(), request.stream.as_str()),
            ("LiveApp", "stream1")
        );
        assert_eq!(request.query, "token=s3cret");
        assert!(request.user_agent.as_ref().unwrap().contains("Lavf"));
        let [TrackParams::Video(video), TrackParams::Audio(audio)] = &published.params[..] else {
            panic!("{:?}", published.params);
        };
        assert_eq!((video.width, video.height), (320, 240));
        assert_eq!((audio.sample_rate_hz, audio.channels), (44_100, 1));
        let pictures = published.of(TrackKind::Video);
        assert_eq!(pictures.iter().filter(|frame| frame.keyframe).count(), 3);
        let times: Vec<i64> = pictures.iter().map(|frame| frame.dts.ticks()).collect();
        assert!(
            times.windows(2).all(|pair| pair[1] - pair[0] == 40),
            "{times:?}"
        );
    });
    assert_eq!(
        running.metric("weir_origin_rtmp_connections_total", "unpublished"),
        1
    );
    assert!(running.metric("weir_origin_rtmp_received_bytes_total", "") > 10_000);
    running.stop().await;
}

#[tokio::test]
async fn b_frames_have_display_times_of_their_own() {
    let b_frames = [
        "-c:v",
        "libx264",
        "-bf",
        "2",
        "-b_strategy",
        "0",
        "-g",
        "25",
    ];
    let codecs = [&b_frames[..], &AAC].concat();
    let (running, _) = publish(&[PICTURES, SOUNDS], &codecs).await;
    running.with(|publishes| {
        let pictures = publishes[0].of(TrackKind::Video);
        let later = pictures
            .iter()
            .filter(|frame| frame.pts > frame.dts)
            .count();
        assert!(later > 20, "{later}");
        let mut shown: Vec<i64> = pictures.iter().map(|frame| frame.pts.ticks()).collect();
        assert!(!shown.is_sorted());
        shown.sort_unstable();
        assert!(
            shown.windows(2).all(|pair| pair[1] - pair[0] == 40),
            "{shown:?}"
        );
    });
    running.stop().await;
}

#[tokio::test]
async fn audio_alone_and_video_alone_come_through() {
    let (audio, _) = publish(&[SOUNDS], &AAC).await;
    audio.with(|publishes| assert!(matches!(publishes[0].params[..], [TrackParams::Audio(_)])));
    audio.stop().await;
    let (video, _) = publish(&[PICTURES], &H264).await;
    video.with(|publishes| assert!(matches!(publishes[0].params[..], [TrackParams::Video(_)])));
    video.stop().await;
}

/// Publishes two seconds of pictures to `path`; what ffmpeg said, which must be a failure.
async fn refused(running: &Running, path: &str, codecs: &[&str]) -> String {
    let url = format!("rtmp://{}/{path}", running.address);
    let mut arguments = vec!["-re", "-f", "lavfi", "-i", PICTURES];
    arguments.extend(codecs);
    arguments.extend(["-f", "flv", &url]);
    let (good, log) = ffmpeg(&arguments).await;
    assert!(!good, "{path} was taken: {log}");
    log
}

#[tokio::test]
async fn ffmpeg_shows_why_it_was_refused() {
    let running = Running::start(RtmpOptions::default()).await;
    let long = format!("LiveApp/{}", "x".repeat(300));
    let cases = [
        ("nope/stream1", "application \"nope\" does not exist"),
        ("LiveApp/../x", "application name has '/'"),
        ("LiveApp/", "stream id is empty"),
        ("LiveApp/caf\u{e9}", "stream id has 'é' at byte 3"),
        (&long, "stream id is 300 bytes long"),
    ];
    for (path, words) in cases {
        let log = refused(&running, path, &H264).await;
        assert!(log.contains(words), "{path}: {log}");
    }
    let log = refused(&running, "LiveApp/old", &["-c:v", "flv1"]).await;
    assert!(log.contains("video codec Sorenson H.263"), "{log}");
    assert_eq!(
        running.metric("weir_origin_rtmp_connections_total", "invalid_name"),
        4
    );
    assert_eq!(
        running.metric("weir_origin_rtmp_connections_total", "unknown_app"),
        1
    );
    assert_eq!(
        running.metric("weir_origin_rtmp_connections_total", "video_codec"),
        1
    );
    running.stop().await;
}

#[tokio::test]
async fn a_second_publisher_of_a_live_id_is_refused_and_the_first_goes_on() {
    let running = Running::start(RtmpOptions::default()).await;
    let url = format!("rtmp://{}/LiveApp/stream1", running.address);
    let mut arguments = vec!["-re", "-f", "lavfi", "-i", PICTURES];
    arguments.extend(H264);
    arguments.extend(["-f", "flv", &url]);
    let second = async {
        until("the first publishes", || {
            running.with(|publishes| publishes.first().is_some_and(|p| !p.frames.is_empty()))
        })
        .await;
        refused(&running, "LiveApp/stream1", &H264).await
    };
    let ((good, log), said) = tokio::join!(ffmpeg(&arguments), second);
    assert!(good, "{log}");
    assert!(said.contains("stream id is in use"), "{said}");
    running.with(|publishes| {
        assert_eq!(publishes.len(), 1);
        assert_eq!(publishes[0].frames.len(), 75);
    });
    running.stop().await;
}
