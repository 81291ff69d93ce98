//! The store away: what runs goes on, who is new is told, and all is set right afterwards.

use weir_cluster::BroadcastStatus;
use weir_origin::OriginOptions;
use weir_origin::ingest::PublishEvent;

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
async fn a_running_stream_goes_on_and_new_ones_begin() {
    let (house, link) = House::with_weak_link(impatient);
    let events = Source::default().events();
    let publisher = house.publish("s").await.unwrap();
    let (first, second) = events.split_at(events.len() / 2);
    send(&publisher, first).await;
    let mut begun = Vec::new();
    for (hangs, stream) in [(false, "t"), (true, "u")] {
        if hangs {
            link.hang()
        } else {
            link.cut()
        }
        let begins = house.publish(stream).await.unwrap();
        send(&begins, first).await;
        begun.push((stream, begins));
    }
    link.cut();
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
    // The store learns of what began without it, a claim that came through unseen or not.
    for (stream, publisher) in begun {
        let name = format!("/live/streams/{stream}/video.m3u8");
        let video = house.playlist(&name, |text| segments(text) >= 2).await;
        let epoch = video.lines().find_map(|line| line.strip_suffix(".m4s"));
        let epoch: u64 = epoch.unwrap().split('/').next().unwrap().parse().unwrap();
        until("the store knows the epoch", || async {
            let owner = house.record(stream).await.and_then(|record| record.owner);
            owner.is_some_and(|owner| owner.epoch == epoch)
        })
        .await;
        assert!(!publisher.events.is_closed(), "{stream}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_starts_without_its_store_cleans_up_when_it_is_back() {
    let (house, link) = House::with_weak_link(impatient);
    let left = house.publish("old").await.unwrap();
    send(&left, &Source::default().events()).await;
    until("the record is live", || async {
        let record = house.record("old").await;
        record.is_some_and(|r| r.status == BroadcastStatus::Broadcasting)
    })
    .await;
    let (again, second_link) = house.weak_neighbour("origin-1");
    // The first process is gone, and the second finds no store.
    link.cut();
    second_link.cut();
    again.origin.start().await;
    let publisher = again.publish("s").await.unwrap();
    send(&publisher, &Source::default().events()).await;
    again.playlist(VIDEO, |text| segments(text) >= 4).await;
    link.mend();
    second_link.mend();
    until(
        "what was left behind is freed, what is live is known",
        || async {
            let live = house.record("s").await;
            house.record("old").await.is_none() && live.is_some_and(|r| r.owner.is_some())
        },
    )
    .await;
    assert!(!publisher.events.is_closed());
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
