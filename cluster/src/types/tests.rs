//! Computed states: the 20 s rules of streams and nodes, and the spelling on the wire.

use super::*;

fn live(update_time: i64) -> Broadcast {
    Broadcast {
        status: BroadcastStatus::Broadcasting,
        update_time,
        ..Broadcast::default()
    }
}

#[test]
fn a_live_stream_silent_for_more_than_20_s_reads_as_terminated() {
    let broadcast = live(100_000);
    assert_eq!(
        broadcast.status_at(120_000),
        BroadcastStatus::Broadcasting,
        "20 s sharp is still live"
    );
    assert_eq!(
        broadcast.status_at(120_001),
        BroadcastStatus::TerminatedUnexpectedly
    );
    assert_eq!(
        broadcast.status_at(0),
        BroadcastStatus::Broadcasting,
        "a clock behind the writer's"
    );
}

#[test]
fn states_that_nobody_has_to_keep_alive_do_not_age() {
    for status in [
        BroadcastStatus::Created,
        BroadcastStatus::Finished,
        BroadcastStatus::TerminatedUnexpectedly,
    ] {
        let broadcast = Broadcast { status, ..live(0) };
        assert_eq!(broadcast.status_at(i64::MAX), status);
    }
}

#[test]
fn a_node_is_dead_after_four_missed_heartbeats() {
    let node = NodeRecord {
        id: "n".to_owned(),
        ip: "127.0.0.1".to_owned(),
        role: NodeRole::All,
        last_update_time: 50_000,
        memory: String::new(),
        cpu: String::new(),
        db_query_average_time_ms: 0,
        version: String::new(),
        ..NodeRecord::default()
    };
    assert!(node.alive_at(70_000));
    assert!(!node.alive_at(70_001));
}

#[test]
fn the_wire_has_ant_medias_names() {
    let json = serde_json::to_value(Broadcast {
        origin_adress: Some("10.0.0.1:5082".to_owned()),
        publish_type: Some(PublishType::Rtmp),
        speed_milli: 1_250,
        ..live(7)
    })
    .unwrap();
    assert_eq!(json["originAdress"], "10.0.0.1:5082");
    assert_eq!(json["status"], "broadcasting");
    assert_eq!(json["publishType"], "RTMP");
    assert_eq!(json["updateTime"], 7);
    assert_eq!(json["speed"], 1.25);
    let read: Broadcast = serde_json::from_value(json).unwrap();
    assert_eq!(read.speed_milli, 1_250);
    assert_eq!(
        serde_json::to_value(BroadcastStatus::TerminatedUnexpectedly).unwrap(),
        "terminated_unexpectedly"
    );
}

#[test]
fn missing_fields_and_unknown_words_are_read() {
    let broadcast: Broadcast =
        serde_json::from_str(r#"{"streamId":"s","publishType":"WebRTC","status":"error"}"#)
            .unwrap();
    assert_eq!(broadcast.stream_id, "s");
    assert_eq!(broadcast.publish_type, None);
    assert_eq!(broadcast.status, BroadcastStatus::Finished);
    assert_eq!(broadcast.owner, None);
}
