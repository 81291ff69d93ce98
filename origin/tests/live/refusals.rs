//! Who is turned away, and why.

use weir_cluster::NameError;
use weir_media::TrackKind;
use weir_origin::ingest::{PublishEvent, PublishRefusal};

use crate::feed::{Source, send};
use crate::house::{House, until};

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_none_are_refused() {
    let house = House::new(|_| {});
    let long = "x".repeat(300);
    for name in [
        "", "../x", "a/b", "a b", "ünï", "a__b", ".hidden", "a%2e", &long,
    ] {
        let refused = house.publish(name).await.unwrap_err();
        assert!(
            matches!(refused, PublishRefusal::InvalidName(_)),
            "{name}: {refused}"
        );
    }
    let refused = house.publish_to("../live", "s").await.unwrap_err();
    assert!(matches!(
        refused,
        PublishRefusal::InvalidName(NameError::Character { .. })
    ));
    let refused = house.publish_to("nowhere", "s").await.unwrap_err();
    assert_eq!(refused, PublishRefusal::UnknownApp("nowhere".into()));
    assert!(house.metric("weir_origin_streams") < 0.5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_publisher_of_a_live_id_leaves_the_first_alone() {
    let house = House::new(|_| {});
    let events = Source::default().events();
    let first = house.publish("s").await.unwrap();
    assert_eq!(
        house.publish("s").await.unwrap_err(),
        PublishRefusal::StreamIdInUse
    );
    send(&first, &events).await;
    assert_eq!(
        house.publish("s").await.unwrap_err(),
        PublishRefusal::StreamIdInUse
    );
    assert!(!first.events.is_closed());
    let in_use = house.metric("weir_origin_publishes_total{result=\"in_use\"}");
    assert!((in_use - 2.0).abs() < 0.1, "{in_use}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_ask_at_once_one_is_let_in() {
    let house = House::new(|_| {});
    let ask = || house.publish("s");
    let answers = tokio::join!(ask(), ask(), ask(), ask(), ask());
    let answers: [_; 5] = answers.into();
    let admitted = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(admitted, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_node_says_so() {
    let house = House::new(|options| options.streams_max = 1);
    let _first = house.publish("s").await.unwrap();
    let refused = house.publish("t").await.unwrap_err();
    assert!(
        matches!(refused, PublishRefusal::Unavailable(_)),
        "{refused}"
    );
    assert_eq!(
        house.publish("s").await.unwrap_err(),
        PublishRefusal::StreamIdInUse
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_without_a_key_frame_is_closed() {
    let house = House::new(|options| options.first_keyframe_timeout_ms = 200);
    let publisher = house.publish("s").await.unwrap();
    for event in Source::default().events() {
        let keyframe = matches!(
            &event,
            PublishEvent::Frame(frame) if frame.track == TrackKind::Video && frame.keyframe
        );
        // The door may close before the last is through.
        if !keyframe && publisher.events.send(event).await.is_err() {
            break;
        }
    }
    publisher.events.closed().await;
    let closed = house.metric("weir_origin_publishers_closed_total{reason=\"no_keyframe\"}");
    assert!((closed - 1.0).abs() < 0.1, "{closed}");
    until("no publisher is left", || async {
        house.metric("weir_origin_publishers") < 0.5
    })
    .await;
}
