//! The store away: what runs goes on, who is new is told, and all is set right afterwards.

use weir_cluster::BroadcastStatus;
use weir_origin::OriginOptions;
use weir_origin::ingest::{PublishEvent, PublishRefusal};

use crate::feed::{Source, send};
use crate::house::{House, until};

const VIDEO: &str = "/live/streams/s/video.m3u8";

fn impatient(options: &mut OriginOptions) {
    options.checkpoint_interval_ms = 50;
    // Longer than a loaded disk takes to answer.
    options.store_timeout_ms = 5_000;
}

fn segments(playlist: &str) -> usize {
    playlist.matches("#EXTINF").count()
}

async fn store_errors(house: &House, operation: &str) {
    let line = format!("weir_origin_store_errors_total{{operation=\"{operation}\"}}");
    until("the store was missed", || async {
        house.metric(&line) > 2.5
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_stream_goes_on_and_new_publishers_are_told() {
    let (house, link) = House::with_weak_link(impatient);
    let events = Source::default().events();
    let publisher = house.publish("s").await.unwrap();
    let (first, second) = events.split_at(events.len() / 2);
    send(&publisher, first).await;
    for (hangs, stream) in [(false, "t"), (true, "u")] {
        if hangs {
            link.hang()
        } else {
            link.cut()
        }
        let refused = house.publish(stream).await.unwrap_err();
        assert!(
            matches!(refused, PublishRefusal::Unavailable(_)),
            "{refused}"
        );
    }
    store_errors(&house, "update").await;
    send(&publisher, second).await;
    house.playlist(VIDEO, |text| segments(text) >= 4).await;
    house.clock.advance(7_000);
    link.mend();
    until("the record is up to date", || async {
        let record = house.record("s").await.unwrap();
        record.status == BroadcastStatus::Broadcasting && record.duration >= 7_000
    })
    .await;
    assert!(!publisher.events.is_closed());
    // The claim that came through after nobody waited for it any more was given back.
    until("nobody holds u", || async {
        house.record("u").await.is_none()
    })
    .await;
    assert!(house.neighbour("origin-2").publish("u").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_comes_back_into_the_epoch_it_had() {
    let (house, link) = House::with_weak_link(impatient);
    let events = Source::default().events();
    let publisher = house.publish("s").await.unwrap();
    send(&publisher, &events).await;
    house.playlist(VIDEO, |text| segments(text) >= 4).await;
    link.cut();
    drop(publisher);
    house.playlist(VIDEO, |text| segments(text) == 6).await;
    let publisher = house.publish("s").await.unwrap();
    send(&publisher, &events).await;
    link.mend();
    publisher
        .events
        .send(PublishEvent::Unpublish)
        .await
        .unwrap();
    let video = house
        .playlist(VIDEO, |text| text.contains("#EXT-X-ENDLIST"))
        .await;
    assert_eq!(segments(&video), 12, "{video}");
    assert_eq!(
        video.matches("#EXT-X-DISCONTINUITY\n").count(),
        1,
        "{video}"
    );
    assert!(video.contains("v-init-1.mp4"), "{video}");
    let uris = video.lines().filter(|line| line.ends_with(".m4s"));
    let mut epochs: Vec<_> = uris.map(|uri| uri.split('/').next().unwrap()).collect();
    epochs.dedup();
    assert_eq!(epochs.len(), 1, "{video}");
    until("it was released", || async {
        house.record("s").await.is_none()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_failed_is_made_up_for() {
    let (house, link) = House::with_weak_link(impatient);
    let publisher = house.publish("s").await.unwrap();
    send(&publisher, &Source::default().events()).await;
    house.playlist(VIDEO, |text| segments(text) >= 4).await;
    link.cut();
    publisher
        .events
        .send(PublishEvent::Unpublish)
        .await
        .unwrap();
    house
        .playlist(VIDEO, |text| text.contains("#EXT-X-ENDLIST"))
        .await;
    store_errors(&house, "release").await;
    assert!(house.record("s").await.is_some());
    link.mend();
    until("it was released", || async {
        house.record("s").await.is_none()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_a_store_that_hangs() {
    let (house, link) = House::with_weak_link(impatient);
    let publisher = house.publish("s").await.unwrap();
    send(&publisher, &Source::default().events()).await;
    house.playlist(VIDEO, |text| segments(text) >= 4).await;
    link.hang();
    house.origin.shutdown().await;
    assert!(publisher.events.is_closed());
    assert!(house.text(VIDEO).await.contains("#EXT-X-ENDLIST"));
}
