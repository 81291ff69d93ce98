//! Real encoders over RTMP, real players over HTTP.

use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use weir_origin::ingest::Admission;
use weir_origin::ingest::rtmp::{RtmpOptions, RtmpServer};
use weir_origin::{HttpLimits, HttpListener, serve_http};

use crate::house::{House, decode, probe};

const MULTIVARIANT: &str = "/live/streams/s.m3u8";
const VIDEO: &str = "/live/streams/s/video.m3u8";

struct Open {
    rtmp: SocketAddr,
    http: SocketAddr,
}

/// Opens the house's doors: RTMP and HTTP.
async fn open(house: &House) -> Open {
    let admission: Arc<dyn Admission> = Arc::<weir_origin::Origin>::clone(&house.origin);
    let server = RtmpServer::new(RtmpOptions::default(), admission, &house.registry).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rtmp = listener.local_addr().unwrap();
    let never = CancellationToken::new();
    let shutdown = never.clone();
    tokio::spawn(async move { server.serve(listener, shutdown).await });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let http = listener.local_addr().unwrap();
    let (router, metrics) = (house.router.clone(), house.origin.connection_metrics());
    let listener = HttpListener::Tcp(listener);
    tokio::spawn(serve_http(
        listener,
        router,
        never,
        metrics,
        HttpLimits::default(),
    ));
    Open { rtmp, http }
}

fn encoder(rtmp: SocketAddr, seconds: u32) -> Child {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args([
        "-v",
        "error",
        "-re",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=320x180:rate=30",
    ]);
    ffmpeg.args([
        "-re",
        "-f",
        "lavfi",
        "-i",
        "sine=frequency=440:sample_rate=44100",
    ]);
    ffmpeg.args([
        "-t",
        &seconds.to_string(),
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
    ]);
    ffmpeg.args([
        "-g", "30", "-pix_fmt", "yuv420p", "-c:a", "aac", "-f", "flv",
    ]);
    ffmpeg.arg(format!("rtmp://{rtmp}/live/s"));
    let quiet = ffmpeg
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    quiet.spawn().unwrap()
}

/// Plays to the end, as a process beside us.
async fn player(http: SocketAddr) -> Output {
    let play = move || {
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-live_start_index", "0", "-i"]);
        ffmpeg.arg(format!("http://{http}{MULTIVARIANT}"));
        ffmpeg.args(["-f", "null", "-"]).stdin(Stdio::null());
        ffmpeg.output().unwrap()
    };
    tokio::task::spawn_blocking(play).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoder_publishes_and_a_player_plays_to_the_end() {
    let house = House::new(|_| {});
    let open = open(&house).await;
    let mut encoder = encoder(open.rtmp, 6);
    house.playlist(MULTIVARIANT, |text| !text.is_empty()).await;
    let played = player(open.http).await;
    assert!(encoder.wait().unwrap().success());
    let complaints = String::from_utf8_lossy(&played.stderr);
    assert!(
        played.status.success() && complaints.is_empty(),
        "{complaints}"
    );
    let video = house
        .playlist(VIDEO, |text| text.contains("#EXT-X-ENDLIST"))
        .await;
    let file = house.file("joined.mp4", &house.join(VIDEO, &video).await);
    assert_eq!(decode(&file), "");
    assert!(probe(&file, "packet=pts").len().abs_diff(180) <= 2);
    assert!(house.metric("weir_origin_packager_lost_frames_total") < 0.5);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoder_killed_and_back_goes_on_in_the_same_playlist() {
    let house = House::new(|_| {});
    let open = open(&house).await;
    let mut first = encoder(open.rtmp, 60);
    house
        .playlist(VIDEO, |text| text.matches("#EXTINF").count() >= 2)
        .await;
    first.kill().unwrap();
    first.wait().unwrap();
    house
        .playlist(VIDEO, |_| house.metric("weir_origin_publishers") < 0.5)
        .await;
    let mut second = encoder(open.rtmp, 4);
    let video = house
        .playlist(VIDEO, |text| text.contains("#EXT-X-ENDLIST"))
        .await;
    assert!(second.wait().unwrap().success());
    assert_eq!(
        video.matches("#EXT-X-DISCONTINUITY\n").count(),
        1,
        "{video}"
    );
    let (before, after) = video.split_once("#EXT-X-DISCONTINUITY\n").unwrap();
    for part in [before, after] {
        let file = house.file("part.mp4", &house.join(VIDEO, part).await);
        assert_eq!(decode(&file), "");
    }
}
