//! Records as stored: round trips, unknown fields kept, damage told.

use super::*;
use crate::names::StreamKey;
use crate::types::PublishType;

fn ownership() -> Ownership {
    Ownership {
        node_id: "a".to_owned(),
        epoch: 5,
        wall_clock_ms: 1_000,
        ..Ownership::default()
    }
}

fn claim_with(broadcast: Broadcast) -> Claim {
    Claim {
        key: StreamKey::parse("LiveApp", "s").unwrap(),
        node_id: "a".to_owned(),
        origin_adress: "127.0.0.1:5082".to_owned(),
        now_ms: 1_000,
        segment_duration_ms: 2_000,
        broadcast,
    }
}

fn made_by_rest() -> Document<Broadcast> {
    serde_json::from_str(
        r#"{"streamId":"s","status":"created","name":"Mine","zombi":false,"date":7,
            "listenerHookURL":"http://hook","hlsViewerLimit":-1,"endPointList":[{"type":"generic"}]}"#,
    )
    .unwrap()
}

#[test]
fn a_stream_unknown_until_published_gets_a_whole_record() {
    let document = claimed(
        None,
        &claim_with(Broadcast {
            zombi: true,
            publish_type: Some(PublishType::Rtmp),
            ..Broadcast::default()
        }),
        &ownership(),
        1_000,
    );
    let record = document.known;
    assert_eq!(record.stream_id, "s");
    assert_eq!(record.status, BroadcastStatus::Preparing);
    assert_eq!(record.origin_adress.as_deref(), Some("127.0.0.1:5082"));
    assert_eq!(record.owner, Some(ownership()));
    assert_eq!(
        (record.date, record.start_time, record.update_time),
        (1_000, 1_000, 1_000)
    );
    assert!(record.zombi);
}

#[test]
fn publishing_keeps_what_rest_wrote_and_what_is_not_known_here() {
    let document = claimed(
        Some(&made_by_rest()),
        &claim_with(Broadcast {
            zombi: true,
            name: Some("encoder's".to_owned()),
            date: 1_000,
            status: BroadcastStatus::Broadcasting,
            ..Broadcast::default()
        }),
        &ownership(),
        1_000,
    );
    let json = serde_json::to_value(&document).unwrap();
    assert_eq!(json["name"], "Mine");
    assert_eq!(json["zombi"], false);
    assert_eq!(json["date"], 7);
    assert_eq!(json["listenerHookURL"], "http://hook");
    assert_eq!(json["hlsViewerLimit"], -1);
    assert_eq!(json["endPointList"][0]["type"], "generic");
    assert_eq!(json["status"], "broadcasting");
    assert_eq!(json["owner"]["epoch"], 5);
}

#[test]
fn a_report_changes_figures_and_nothing_it_does_not_know() {
    let live = claimed(
        Some(&made_by_rest()),
        &claim_with(Broadcast {
            remote_ip: Some("10.1.1.1".to_owned()),
            ..Broadcast::default()
        }),
        &ownership(),
        1_000,
    );
    let report = Broadcast {
        status: BroadcastStatus::Broadcasting,
        bitrate: 4_000_000,
        width: 1_920,
        ..Broadcast::default()
    };
    let after = updated(Some(&live), &report, &ownership(), 6_000);
    assert_eq!(after.known.bitrate, 4_000_000);
    assert_eq!(after.known.width, 1_920);
    assert_eq!(after.known.update_time, 6_000);
    assert_eq!(after.known.remote_ip.as_deref(), Some("10.1.1.1"));
    assert_eq!(after.known.name.as_deref(), Some("Mine"));
    assert_eq!(after.known.owner, Some(ownership()));
    assert_eq!(after.extra, made_by_rest().extra);
}

#[test]
fn an_ended_zombi_is_gone_and_another_is_finished() {
    let rest = claimed(
        Some(&made_by_rest()),
        &claim_with(Broadcast::default()),
        &ownership(),
        1_000,
    );
    let after = ended(&rest, 9_000).unwrap();
    assert_eq!(after.known.status, BroadcastStatus::Finished);
    assert_eq!(after.known.owner, None);
    assert_eq!(after.known.update_time, 9_000);
    let zombi = Document::of(Broadcast {
        zombi: true,
        ..Broadcast::default()
    });
    assert_eq!(ended(&zombi, 9_000), None);
    let after = abandoned(&rest).unwrap().known;
    assert_eq!(after.status, BroadcastStatus::TerminatedUnexpectedly);
    assert_eq!(after.owner, None);
    assert_eq!(after.update_time, rest.known.update_time);
    assert_eq!(abandoned(&zombi), None);
}

#[test]
fn a_document_of_the_wrong_type_is_an_error() {
    assert!(serde_json::from_str::<Document<Broadcast>>(r#"{"streamId":5}"#).is_err());
    assert!(serde_json::from_str::<Document<Broadcast>>(r#"{"width":"wide"}"#).is_err());
    assert!(serde_json::from_str::<Document<Broadcast>>("[]").is_err());
}
