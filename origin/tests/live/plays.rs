//! What viewers get of a stream that runs.

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use weir_cluster::BroadcastStatus;
use weir_origin::ingest::PublishEvent;

use crate::feed::{Source, send};
use crate::house::{DEADLINE, GLANCE, House, START_MS, decode, probe};

const MULTIVARIANT: &str = "/live/streams/s.m3u8";
const VIDEO: &str = "/live/streams/s/video.m3u8";
const AUDIO: &str = "/live/streams/s/audio.m3u8";

fn tag<'a>(playlist: &'a str, name: &str) -> Vec<&'a str> {
    playlist
        .lines()
        .filter_map(|line| line.strip_prefix(name))
        .collect()
}

fn uris(playlist: &str) -> Vec<&str> {
    let lines = playlist.lines();
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_stream_plays_without_a_fault() {
    let house = House::new(|_| {});
    let events = Source::default().events();
    let publisher = house.publish("s").await.unwrap();
    send(&publisher, &events).await;
    house
        .playlist(MULTIVARIANT, |text| text.contains("s/video.m3u8"))
        .await;
    // The record is written beside the media, which waits for no store.
    let live = async {
        loop {
            let record = house.record("s").await.unwrap();
            if record.status == BroadcastStatus::Broadcasting {
                return record;
            }
            tokio::time::sleep(GLANCE).await;
        }
    };
    let record = tokio::time::timeout(DEADLINE, live).await.unwrap();
    assert_eq!(record.origin_adress.as_deref(), Some("origin-1:5082"));
    assert_eq!(record.remote_ip.as_deref(), Some("192.0.2.9"));
    assert!(record.zombi);
    publisher
        .events
        .send(PublishEvent::Unpublish)
        .await
        .unwrap();

    let multivariant = house.playlist(MULTIVARIANT, |_| true).await;
    assert!(
        multivariant.contains("RESOLUTION=320x180"),
        "{multivariant}"
    );
    assert!(multivariant.contains("FRAME-RATE=30.000"), "{multivariant}");
    let video = house
        .playlist(VIDEO, |text| text.contains("#EXT-X-ENDLIST"))
        .await;
    let audio = house
        .playlist(AUDIO, |text| text.contains("#EXT-X-ENDLIST"))
        .await;
    let numbers = |text: &str| {
        let names = uris(text).into_iter();
        names
            .map(|uri| uri.replace("/v", "/").replace("/a", "/"))
            .collect::<Vec<_>>()
    };
    assert_eq!(numbers(&video), numbers(&audio));
    assert_eq!(uris(&video).len(), 6, "{video}");
    let date = tag(&video, "#EXT-X-PROGRAM-DATE-TIME:")[0];
    assert_eq!(date, "2026-09-21T14:13:20.000Z", "wall clock {START_MS}");

    for (path, playlist, frames) in [(VIDEO, &video, 180), (AUDIO, &audio, 282)] {
        let joined = house.join(path, playlist).await;
        let file = house.file("joined.mp4", &joined);
        assert_eq!(decode(&file), "");
        let packets = probe(&file, "packet=pts").len();
        assert!(
            packets.abs_diff(frames) <= 2,
            "{path}: {packets} of {frames}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_lost_and_back_goes_on_in_the_same_playlist() {
    let house = House::new(|_| {});
    let events = Source::default().events();
    let publisher = house.publish("s").await.unwrap();
    send(&publisher, &events).await;
    drop(publisher);
    // The cut of what was open tells that the loss was seen.
    house.playlist(VIDEO, |text| uris(text).len() == 6).await;
    house.clock.advance(5_000);
    let publisher = house.publish("s").await.unwrap();
    let record = house.record("s").await.unwrap();
    assert_eq!(record.status, BroadcastStatus::Broadcasting);
    assert_eq!(record.start_time, START_MS);
    send(&publisher, &events).await;
    drop(publisher);
    let video = house.playlist(VIDEO, |text| uris(text).len() == 12).await;
    let audio = house.playlist(AUDIO, |text| uris(text).len() == 12).await;

    for (path, playlist) in [(VIDEO, &video), (AUDIO, &audio)] {
        assert!(!playlist.contains("#EXT-X-ENDLIST"));
        let (before, after) = playlist.split_once("#EXT-X-DISCONTINUITY\n").unwrap();
        assert_eq!(
            (uris(before).len(), uris(after).len()),
            (6, 6),
            "{playlist}"
        );
        let numbers = uris(playlist).into_iter().map(|uri| {
            let name = uri.rsplit_once('/').unwrap().1;
            name[1..]
                .strip_suffix(".m4s")
                .unwrap()
                .parse::<u64>()
                .unwrap()
        });
        assert_eq!(numbers.collect::<Vec<_>>(), (0..12).collect::<Vec<_>>());
        let (before, after) = (
            house.join(path, before).await,
            house.join(path, after).await,
        );
        let times = |bytes: &[u8]| {
            let file = house.file("epoch.mp4", bytes);
            assert_eq!(decode(&file), "");
            let times = probe(&file, "packet=dts_time").into_iter();
            times
                .map(|time| time.parse::<f64>().unwrap())
                .collect::<Vec<_>>()
        };
        let (before, after) = (times(&before), times(&after));
        assert!(before.last() < after.first(), "{before:?} {after:?}");
        assert!(
            after[0] - before.last().unwrap() < 0.2,
            "{before:?} {after:?}"
        );
    }
    let epochs = |at: usize| {
        uris(&video)[at]
            .split('/')
            .next()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    assert!(epochs(6) > epochs(0));
    assert_eq!(epochs(0), epochs(5));
    let dates = tag(&video, "#EXT-X-PROGRAM-DATE-TIME:");
    assert!(dates.contains(&"2026-09-21T14:13:25.000Z"), "{dates:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_or_sound_alone_play_too() {
    for (source, path, other) in [
        (
            Source {
                audio: false,
                ..Source::default()
            },
            VIDEO,
            AUDIO,
        ),
        (
            Source {
                video: false,
                ..Source::default()
            },
            AUDIO,
            VIDEO,
        ),
    ] {
        let house = House::new(|_| {});
        let publisher = house.publish("s").await.unwrap();
        send(&publisher, &source.events()).await;
        publisher
            .events
            .send(PublishEvent::Unpublish)
            .await
            .unwrap();
        let playlist = house
            .playlist(path, |text| text.contains("#EXT-X-ENDLIST"))
            .await;
        assert_eq!(house.get(other).await, None);
        let multivariant = house.text(MULTIVARIANT).await;
        assert!(!multivariant.contains("TYPE=AUDIO"), "{multivariant}");
        let file = house.file("joined.mp4", &house.join(path, &playlist).await);
        assert_eq!(decode(&file), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_have_their_headers_and_are_counted() {
    let house = House::new(|_| {});
    let publisher = house.publish("s").await.unwrap();
    send(&publisher, &Source::default().events()).await;
    let video = house.playlist(VIDEO, |text| uris(text).len() >= 3).await;
    let segment = format!("/live/streams/s/{}", uris(&video)[0]);
    let (folder, _) = segment.rsplit_once('/').unwrap();
    let init = format!("{folder}/v-init-0.mp4");
    let sound = format!("{folder}/a-init-0.mp4");
    let before = house.metric("weir_origin_objects_total{kind=\"segment\"}");
    for (path, content_type, cache_control) in [
        (MULTIVARIANT, "application/vnd.apple.mpegurl", "max-age=1"),
        (VIDEO, "application/vnd.apple.mpegurl", "max-age=1"),
        (init.as_str(), "video/mp4", "max-age=3600, immutable"),
        (sound.as_str(), "audio/mp4", "max-age=3600, immutable"),
        (
            segment.as_str(),
            "video/iso.segment",
            "max-age=3600, immutable",
        ),
    ] {
        for method in ["GET", "HEAD"] {
            let response = house.ask(method, path).await;
            assert_eq!(response.status(), 200, "{path}");
            assert_eq!(response.headers()[CONTENT_TYPE], content_type, "{path}");
            assert_eq!(response.headers()[CACHE_CONTROL], cache_control, "{path}");
            let length = response.headers()[CONTENT_LENGTH].to_str().unwrap();
            assert_ne!(length, "0", "{path}");
        }
        let refused = house.ask("POST", path).await;
        assert_eq!(refused.status(), 405);
        assert!(refused.headers().contains_key(ALLOW));
    }
    let after = house.metric("weir_origin_objects_total{kind=\"segment\"}");
    assert!((after - before - 2.0).abs() < 0.1, "{before} {after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_that_were_will_be_or_never_were_are_cheap_404s() {
    let house = House::new(|_| {});
    house.apps.set(Some(weir_origin::AppOptions {
        segment_duration_ms: 1_000,
        playlist_segments: 2,
    }));
    let publisher = house.publish("s").await.unwrap();
    let source = Source {
        seconds: 12,
        ..Source::default()
    };
    send(&publisher, &source.events()).await;
    let video = house
        .playlist(VIDEO, |text| text.contains("#EXT-X-MEDIA-SEQUENCE:9\n"))
        .await;
    let (epoch, _) = uris(&video)[0].split_once('/').unwrap();
    let newest = house.get(&format!("/live/streams/s/{epoch}/v10.m4s")).await;
    assert!(newest.is_some());
    let unlisted = house.get(&format!("/live/streams/s/{epoch}/v8.m4s")).await;
    assert!(unlisted.is_some(), "left the list a moment ago");
    for path in [
        format!("/live/streams/s/{epoch}/v0.m4s"),
        format!("/live/streams/s/{epoch}/v11.m4s"),
        format!("/live/streams/s/{epoch}/v18446744073709551615.m4s"),
        format!("/live/streams/s/{epoch}1/v10.m4s"),
        format!("/live/streams/s/{epoch}/v-init-1.mp4"),
        "/live/streams/other.m3u8".to_owned(),
        "/live/streams/s_adaptive.m3u8".to_owned(),
        "/other/streams/s.m3u8".to_owned(),
        "/live/streams/../s.m3u8".to_owned(),
    ] {
        let response = house.ask("GET", &path).await;
        assert_eq!(response.status(), 404, "{path}");
        assert_eq!(response.headers()[CACHE_CONTROL], "max-age=1", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_group_of_pictures_makes_a_long_segment_and_the_target_says_so() {
    let house = House::new(|_| {});
    let publisher = house.publish("s").await.unwrap();
    let source = Source {
        gop_pictures: 300,
        seconds: 12,
        ..Source::default()
    };
    send(&publisher, &source.events()).await;
    let video = house.playlist(VIDEO, |text| !uris(text).is_empty()).await;
    assert!(video.contains("#EXT-X-TARGETDURATION:10\n"), "{video}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_picture_size_goes_on_after_a_discontinuity() {
    let house = House::new(|_| {});
    let publisher = house.publish("s").await.unwrap();
    send(&publisher, &Source::default().events()).await;
    let other = Source {
        size: "160x90",
        ..Source::default()
    };
    send(&publisher, &other.events()).await;
    publisher
        .events
        .send(PublishEvent::Unpublish)
        .await
        .unwrap();
    let video = house
        .playlist(VIDEO, |text| text.contains("#EXT-X-ENDLIST"))
        .await;
    assert_eq!(uris(&video).len(), 12, "{video}");
    assert!(house.text(MULTIVARIANT).await.contains("RESOLUTION=160x90"));
    let (before, after) = video.split_once("#EXT-X-DISCONTINUITY\n").unwrap();
    for (part, init, width) in [
        (before, "v-init-0.mp4", "320"),
        (after, "v-init-1.mp4", "160"),
    ] {
        assert!(part.contains(init), "{video}");
        let file = house.file("part.mp4", &house.join(VIDEO, part).await);
        assert_eq!(decode(&file), "");
        assert_eq!(probe(&file, "stream=width"), [width]);
    }
}
