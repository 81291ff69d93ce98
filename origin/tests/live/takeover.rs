//! Streams that pass from one origin to another: yielded, waited for, refused, fenced.

use axum::body::Body;
use http::Request;
use tower::ServiceExt;
use weir_cluster::{ClusterKey, StreamKey};
use weir_origin::ingest::{Closed, PublishRefusal};
use weir_origin::{AppOptions, yield_path};

use crate::feed::{Source, send};
use crate::house::{House, START_MS, until};

const MULTIVARIANT: &str = "/live/streams/s.m3u8";
const VIDEO: &str = "/live/streams/s/video.m3u8";
const ONE: &str = "origin-1:5082";
const TWO: &str = "origin-2:5082";

fn value<'a>(playlist: &'a str, tag: &str) -> &'a str {
    let line = playlist.lines().find_map(|line| line.strip_prefix(tag));
    line.unwrap_or_else(|| panic!("no {tag} in\n{playlist}"))
}

/// Numbers of the segments listed.
fn numbers(playlist: &str) -> Vec<u64> {
    let name = |line: &str| Some(line.strip_suffix(".m4s")?.rsplit_once("/v")?.1.to_owned());
    playlist
        .lines()
        .filter_map(name)
        .map(|n| n.parse().unwrap())
        .collect()
}

/// Origin 1 with a stream of some segments whose publisher is lost, and origin 2 beside it.
async fn lost_at_one() -> (House, House, String) {
    let one = House::new(|_| {});
    let two = one.neighbour("origin-2");
    one.beat("origin-1").await;
    let publisher = one.publish("s").await.unwrap();
    send(&publisher, &Source::default().events()).await;
    drop(publisher);
    until("the publisher is lost", || async {
        one.metric("weir_origin_publishers") < 0.5
    })
    .await;
    let listed = one.playlist(VIDEO, |text| numbers(text).len() >= 5).await;
    (one, two, listed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_comes_back_to_another_origin_goes_on_there() {
    let (one, two, before) = lost_at_one().await;
    two.peers.remember(TWO);
    let publisher = two.publish("s").await.unwrap();
    // Between the two there is no 404, which would end players.
    assert_eq!(one.ask("GET", VIDEO).await.status(), 503);
    assert_eq!(two.ask("GET", VIDEO).await.status(), 503);
    assert_eq!(two.ask("GET", MULTIVARIANT).await.status(), 503);
    send(&publisher, &Source::default().events()).await;
    let after = two.playlist(VIDEO, |text| numbers(text).len() >= 5).await;
    let next = numbers(&before).last().unwrap() + 1;
    assert_eq!(value(&after, "#EXT-X-MEDIA-SEQUENCE:"), next.to_string());
    // The first segment's own discontinuity is the stream's first.
    assert!(after.contains("#EXT-X-DISCONTINUITY\n"), "{after}");
    assert!(
        !after.contains("#EXT-X-DISCONTINUITY-SEQUENCE:1"),
        "{after}"
    );
    // Whoever asks the wrong node plays all the same, and who is behind gets the old pieces.
    assert_eq!(one.text(VIDEO).await, after);
    let old = before.lines().find(|line| line.ends_with(".m4s")).unwrap();
    let old = format!("/live/streams/s/{old}");
    assert_eq!(two.get(&old).await, one.get(&old).await);
    assert!(two.get(&old).await.is_some());

    // And back again: the second discontinuity is counted.
    drop(publisher);
    until("the publisher is lost", || async {
        two.metric("weir_origin_publishers") < 0.5
    })
    .await;
    two.peers.remember(ONE);
    let publisher = one.publish("s").await.unwrap();
    send(&publisher, &Source::default().events()).await;
    let last = one.playlist(VIDEO, |text| numbers(text).len() >= 5).await;
    assert_eq!(value(&last, "#EXT-X-DISCONTINUITY-SEQUENCE:"), "1");
    assert!(numbers(&last)[0] > *numbers(&after).last().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_origins_one_has_the_stream_and_the_other_refuses() {
    let one = House::new(|_| {});
    let two = one.neighbour("origin-2");
    one.beat("origin-1").await;
    two.beat("origin-2").await;
    let (first, second) = tokio::join!(one.publish("s"), two.publish("s"));
    let (won, lost) = match (first, second) {
        (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won, lost),
        both => panic!("{both:?}"),
    };
    assert_eq!(lost, PublishRefusal::StreamIdInUse);
    assert!(!won.events.is_closed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_publisher_is_told_that_another_came() {
    let one = House::new(|options| options.yield_silence_ms = 0);
    let two = one.neighbour("origin-2");
    one.beat("origin-1").await;
    let publisher = one.publish("s").await.unwrap();
    send(&publisher, &Source::default().events()).await;
    one.playlist(VIDEO, |text| numbers(text).len() >= 5).await;
    two.publish("s").await.unwrap();
    publisher.events.closed().await;
    assert_eq!(publisher.farewell.reason(), Some(Closed::Silent));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_died_is_waited_for_as_long_as_its_lease_holds() {
    let (one, two, before) = lost_at_one().await;
    one.beat("origin-1").await;
    two.peers.silence(ONE);
    let waiting = two.publish("s");
    let time = async {
        // The lease lapses; this node has run for long enough to say so.
        for _ in 0..8 {
            two.clock.advance(500);
            two.beat("origin-2").await;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        std::future::pending::<()>().await;
    };
    let publisher = tokio::select! {
        answer = waiting => answer.unwrap(),
        () = time => unreachable!(),
    };
    send(&publisher, &Source::default().events()).await;
    let after = two.playlist(VIDEO, |text| numbers(text).len() >= 5).await;
    assert!(numbers(&after)[0] > *numbers(&before).last().unwrap());
    let yields = yield_path(&StreamKey::parse("live", "s").unwrap());
    let asked = two.peers.asked.lock().unwrap().clone();
    assert!(asked.contains(&format!("{ONE}{yields}")), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_store_away_both_may_start_and_the_higher_epoch_wins() {
    let (one, first_link) = House::with_weak_link(|options| {
        options.checkpoint_interval_ms = 50;
    });
    let (two, second_link) = one.weak_neighbour("origin-2");
    first_link.cut();
    second_link.cut();
    let first = one.publish("s").await.unwrap();
    one.clock.advance(10_000);
    let second = two.publish("s").await.unwrap();
    for (house, publisher) in [(&one, &first), (&two, &second)] {
        send(publisher, &Source::default().events()).await;
        let video = house.playlist(VIDEO, |text| numbers(text).len() >= 5).await;
        // Beyond whatever the stream can have used before.
        let spans = u64::try_from(START_MS).unwrap() / 100;
        assert!(numbers(&video)[0] >= spans, "{video}");
    }
    first_link.mend();
    second_link.mend();
    first.events.closed().await;
    assert_eq!(first.farewell.reason(), Some(Closed::TakenOver));
    assert!(!second.events.is_closed());
    until("the store knows the winner", || async {
        let record = two.record("s").await;
        record
            .and_then(|r| r.owner)
            .is_some_and(|o| o.node_id == "origin-2")
    })
    .await;
    // Nothing of the lower epoch is shown as live any more.
    two.peers.remember(TWO);
    let winner = two.text(VIDEO).await;
    one.playlist(VIDEO, |text| text == winner).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_store_the_node_that_is_remembered_is_asked() {
    let one = House::new(|_| {});
    let (two, link) = one.weak_neighbour("origin-2");
    one.beat("origin-1").await;
    let publisher = one.publish("s").await.unwrap();
    link.cut();
    two.peers.remember(ONE);
    assert_eq!(
        two.publish("s").await.unwrap_err(),
        PublishRefusal::StreamIdInUse
    );
    send(&publisher, &Source::default().events()).await;
    drop(publisher);
    until("the publisher is lost", || async {
        one.metric("weir_origin_publishers") < 0.5
    })
    .await;
    let before = one.playlist(VIDEO, |text| numbers(text).len() >= 5).await;
    // The former owner says where it ended, so that numbers run on without a gap.
    let publisher = two.publish("s").await.unwrap();
    send(&publisher, &Source::default().events()).await;
    let after = two.playlist(VIDEO, |text| numbers(text).len() >= 5).await;
    assert_eq!(numbers(&after)[0], numbers(&before).last().unwrap() + 1);
    link.mend();
    until("the store knows", || async {
        let record = one.record("s").await;
        record
            .and_then(|r| r.owner)
            .is_some_and(|o| o.node_id == "origin-2")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_nowhere_sends_nobody_in_circles() {
    let one = House::new(|_| {});
    let two = one.neighbour("origin-2");
    // Each node is sure that the other has it.
    one.peers.remember(TWO);
    assert_eq!(one.ask("GET", VIDEO).await.status(), 404);
    one.peers.remember(ONE);
    assert_eq!(two.ask("GET", VIDEO).await.status(), 404);
    assert_eq!(one.peers.asked.lock().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_nodes_of_the_cluster_may_ask_for_a_stream() {
    let one = House::new(|_| {});
    let publisher = one.publish("s").await.unwrap();
    let path = yield_path(&StreamKey::parse("live", "s").unwrap());
    let stranger = ClusterKey::fixed("another key altogether").mint(START_MS);
    for token in ["", "x.y.z", stranger.as_str()] {
        let request = Request::post(&path).header(weir_cluster::key::HEADER, token);
        let request = request.body(Body::empty()).unwrap();
        let refused = one.router.clone().oneshot(request).await.unwrap();
        assert_eq!(refused.status(), 401);
    }
    assert!(!publisher.events.is_closed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_changes_with_the_next_publish_and_ends_when_deleted() {
    let house = House::new(|_| {});
    let publisher = house.publish("s").await.unwrap();
    send(&publisher, &Source::default().events()).await;
    house.playlist(VIDEO, |text| numbers(text).len() >= 5).await;
    house.apps.set(Some(AppOptions {
        segment_duration_ms: 3_000,
        playlist_segments: 50,
    }));
    drop(publisher);
    until("the publisher is lost", || async {
        house.metric("weir_origin_publishers") < 0.5
    })
    .await;
    let publisher = house.publish("s").await.unwrap();
    send(&publisher, &Source::default().events()).await;
    let video = house
        .playlist(VIDEO, |text| text.contains("#EXTINF:3."))
        .await;
    assert!(video.contains("#EXT-X-DISCONTINUITY\n"), "{video}");

    house.apps.set(None);
    house
        .origin
        .end_app(&weir_cluster::AppName::parse("live").unwrap());
    publisher.events.closed().await;
    assert_eq!(publisher.farewell.reason(), Some(Closed::AppDeleted));
    house
        .playlist(VIDEO, |text| text.contains("#EXT-X-ENDLIST"))
        .await;
    assert_eq!(
        house.publish("s").await.unwrap_err(),
        PublishRefusal::UnknownApp("live".into())
    );
}
