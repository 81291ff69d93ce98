//! How streams end, and what is left of them.

use weir_cluster::BroadcastStatus;
use weir_origin::ingest::{PublishEvent, PublishRefusal};

use crate::feed::{Source, send};
use crate::house::{House, until};

const MULTIVARIANT: &str = "/live/streams/s.m3u8";
const VIDEO: &str = "/live/streams/s/video.m3u8";

fn short() -> Vec<PublishEvent> {
    let source = Source {
        seconds: 3,
        ..Source::default()
    };
    source.events()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_end_writes_endlist_at_once_and_frees_the_id() {
    let house = House::new(|options| options.publish_grace_ms = 3_600_000);
    let publisher = house.publish("s").await.unwrap();
    send(&publisher, &short()).await;
    publisher
        .events
        .send(PublishEvent::Unpublish)
        .await
        .unwrap();
    house
        .playlist(VIDEO, |text| text.contains("#EXT-X-ENDLIST"))
        .await;
    until("the record is gone", || async {
        house.record("s").await.is_none()
    })
    .await;
    publisher.events.closed().await;

    // The next broadcast of the id lists nothing of the last, and numbers on.
    let publisher = house.publish("s").await.unwrap();
    assert_eq!(house.get(MULTIVARIANT).await, None);
    send(&publisher, &short()).await;
    let video = house.playlist(VIDEO, |text| text.contains("v3.m4s")).await;
    assert!(video.contains("#EXT-X-MEDIA-SEQUENCE:3\n"), "{video}");
    assert!(!video.contains("#EXT-X-ENDLIST"), "{video}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_lost_for_longer_than_the_grace_ends_the_stream() {
    let house = House::new(|options| {
        options.publish_grace_ms = 100;
        options.ended_linger_ms = 200;
    });
    let publisher = house.publish("s").await.unwrap();
    send(&publisher, &short()).await;
    drop(publisher);
    house
        .playlist(VIDEO, |text| text.contains("#EXT-X-ENDLIST"))
        .await;
    until("the record is gone", || async {
        house.record("s").await.is_none()
    })
    .await;
    house.playlist(VIDEO, str::is_empty).await;
    assert_eq!(house.get(MULTIVARIANT).await, None);
    until("the stream is forgotten", || async {
        house.metric("weir_origin_streams") == 0.0
            && house.metric("weir_origin_window_bytes") == 0.0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_every_stream_and_takes_nobody_in() {
    let house = House::new(|_| {});
    let (one, two) = (
        house.publish("s").await.unwrap(),
        house.publish("t").await.unwrap(),
    );
    let events = short();
    send(&one, &events).await;
    send(&two, &events).await;
    drop(two);
    house
        .playlist("/live/streams/t.m3u8", |text| !text.is_empty())
        .await;
    house.origin.shutdown().await;
    assert!(one.events.is_closed());
    for stream in ["s", "t"] {
        let path = format!("/live/streams/{stream}/video.m3u8");
        assert!(
            house.text(&path).await.contains("#EXT-X-ENDLIST"),
            "{stream}"
        );
        assert!(house.record(stream).await.is_none(), "{stream}");
    }
    let refused = house.publish("u").await.unwrap_err();
    assert!(
        matches!(refused, PublishRefusal::Unavailable(_)),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_frees_what_a_killed_node_left_behind() {
    let house = House::new(|_| {});
    let publisher = house.publish("s").await.unwrap();
    send(&publisher, &short()).await;
    until("the record is live", || async {
        house
            .record("s")
            .await
            .is_some_and(|r| r.status == BroadcastStatus::Broadcasting)
    })
    .await;
    // The same node again, on the same store, that knows nothing of its former life.
    let again = house.neighbour("origin-1");
    again.origin.start().await;
    assert!(again.record("s").await.is_none());
    let publisher = again.publish("s").await.unwrap();
    send(&publisher, &short()).await;
    let video = again.playlist(VIDEO, |text| !text.is_empty()).await;
    assert!(!video.contains("#EXT-X-MEDIA-SEQUENCE:0\n"), "{video}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_was_superseded_stops_and_withdraws() {
    let house = House::new(|options| options.checkpoint_interval_ms = 50);
    let publisher = house.publish("s").await.unwrap();
    send(&publisher, &short()).await;
    house.playlist(VIDEO, |text| !text.is_empty()).await;
    let other = house.neighbour("origin-2");
    let refused = other.publish("s").await.unwrap_err();
    assert_eq!(refused, PublishRefusal::StreamIdInUse);
    // As if the first had been cut off from the store for a minute; it may write in between.
    let taken = std::cell::RefCell::new(None);
    until("the other node takes the stream", || async {
        house.clock.advance(60_000);
        taken.replace(other.publish("s").await.ok()).is_some() || taken.borrow().is_some()
    })
    .await;
    publisher.events.closed().await;
    house.playlist(VIDEO, str::is_empty).await;
    let record = house.record("s").await.unwrap();
    assert_eq!(record.origin_adress.as_deref(), Some("origin-2:5082"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_taken_and_left_without_media_is_free_again() {
    let house = House::new(|_| {});
    for _ in 0..3 {
        let publisher = house.publish("s").await.unwrap();
        drop(publisher);
        until("the stream is forgotten", || async {
            house.metric("weir_origin_streams") == 0.0
        })
        .await;
        assert!(house.record("s").await.is_none());
    }
}
