//! What a broadcast takes from a body and gives in an answer.

use super::*;
use crate::state::PublicRtmp;
use proptest::collection::btree_map;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;
use weir_cluster::NodeRole;

const NOW_MS: i64 = 1_800_000_000_000;

fn fields(value: Value) -> Fields {
    match value {
        Value::Object(fields) => fields,
        other => panic!("{other} is no object"),
    }
}

fn answered(record: &Fields, now_ms: i64) -> Fields {
    let node = NodeInfo {
        id: "n".to_owned(),
        ip: "10.0.0.7".to_owned(),
        role: NodeRole::All,
        version: "0".to_owned(),
        host: "h".to_owned(),
        rtmp: PublicRtmp {
            host: None,
            port: 1936,
        },
    };
    let app = AppName::parse("LiveApp").unwrap();
    Broadcast::new(&app, record, &node, now_ms).0
}

#[test]
fn a_new_record_is_made_of_what_the_client_may_say() {
    let body = fields(json!({
        "streamId": "cam1", "name": "Camera", "status": "broadcasting", "zombi": true, "date": 1,
        "hlsViewerCount": 9, "mp4Enabled": 1, "owner": {"nodeId": "x"}, "theirs": {"a": [1]}, "description": null,
    }));
    let record = born(&body, "cam1", NOW_MS).unwrap();
    let expected = json!({
        "streamId": "cam1", "name": "Camera", "status": "created", "zombi": false, "date": NOW_MS,
        "mp4Enabled": 1, "theirs": {"a": [1]}, "type": "liveStream", "publish": true, "publicStream": true,
    });
    assert_eq!(Value::Object(record), expected);
}

#[test]
fn what_cannot_be_is_named() {
    for (body, words) in [
        (
            json!({"hlsViewerLimit": "7"}),
            "hlsViewerLimit: \"7\" was given; it must be a whole number, -1 or more",
        ),
        (
            json!({"type": "movie"}),
            "type: \"movie\" was given; it must be one of liveStream",
        ),
        (
            json!({"publish": 1}),
            "publish: 1 was given; it must be true or false",
        ),
        (
            json!({"mp4Enabled": 2}),
            "mp4Enabled: 2 was given; it must be a whole number from -1 to 1",
        ),
        (
            json!({"name": {}}),
            "name: an object was given; it must be a text",
        ),
        (json!({"subFolder": "a/../../etc"}), "subFolder:"),
        (
            json!({"endPointList": [{}, {"endpointUrl": 5}]}),
            "endPointList[1].endpointUrl: 5 was given",
        ),
        (
            json!({"hlsParameters": {"hlsTime": 2}}),
            "hlsParameters.hlsTime: 2 was given",
        ),
        (
            json!({"type": "streamSource"}),
            "streamUrl: nothing was given",
        ),
        (
            json!({"type": "streamSource", "streamUrl": "file:///etc/passwd"}),
            "streamUrl: something else",
        ),
        (json!({"type": "ipCamera"}), "ipAddr: nothing was given"),
    ] {
        let error = born(&fields(body.clone()), "cam1", NOW_MS)
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(words), "{body}: {error}");
    }
}

#[test]
fn an_answer_is_computed_from_record_and_time() {
    let record = fields(json!({
        "streamId": "cam1", "status": "broadcasting", "updateTime": NOW_MS, "startTime": 5, "speed": 1.25,
        "originAdress": "10.0.0.9:5082", "owner": {"nodeId": "x"}, "weirCheckpoint": {}, "hlsViewerCount": 3, "width": "wide",
        "dbId": "1", "mystery": 1,
    }));
    let told = answered(&record, NOW_MS + 20_000);
    for (name, value) in [
        ("status", json!("broadcasting")),
        ("absoluteStartTimeMs", json!(5)),
        ("speed", json!(1.25)),
        ("originAdress", json!("10.0.0.9")),
        ("rtmpURL", json!("rtmp://10.0.0.7:1936/LiveApp/cam1")),
        ("anyoneWatching", json!(true)),
        ("width", json!(0)),
        ("mystery", json!(1)),
    ] {
        assert_eq!(told[name], value, "{name}");
    }
    for hidden in ["owner", "weirCheckpoint", "dbId"] {
        assert!(!told.contains_key(hidden), "{hidden}");
    }
    let later = answered(&record, NOW_MS + 20_001);
    assert_eq!(later["status"], "terminated_unexpectedly");
}

#[test]
fn states_of_ant_medias_that_are_not_ours_are_told_as_they_are() {
    for status in ["error", "failed", "finished", "created"] {
        let record = fields(json!({"streamId": "a", "status": status}));
        assert_eq!(answered(&record, NOW_MS)["status"], status);
    }
    let odd = fields(json!({"streamId": "a", "status": "odd"}));
    assert_eq!(answered(&odd, NOW_MS)["status"], "created");
}

/// Names of fields, known and not.
fn name() -> impl Strategy<Value = String> {
    let known: Vec<_> = BROADCAST.iter().map(|field| field.name).collect();
    let internal = INTERNAL.to_vec();
    prop_oneof![
        6 => prop::sample::select(known).prop_map(str::to_owned),
        1 => prop::sample::select(internal).prop_map(str::to_owned),
        2 => "[a-z]{1,6}",
        1 => "[$._]?[a-zA-Z.$ ]{0,8}",
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2..400_i64).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        "[a-z]{0,9}".prop_map(Value::from),
        Just(json!([{"endpointUrl": "rtmp://x/y"}])),
        Just(json!({"hlsTime": "2"})),
    ]
}

fn object() -> impl Strategy<Value = Fields> {
    btree_map(name(), value(), 0..12).prop_map(|map| map.into_iter().collect())
}

fn merged(record: &Fields, set: &Fields) -> Fields {
    let mut merged = record.clone();
    merged.extend(set.clone());
    merged
}

proptest! {
    /// Whatever is sent, what is not the client's stays, nulls change nothing, and the same again changes nothing.
    #[test]
    fn an_update_touches_the_clients_fields_only(record in object(), body in object()) {
        let Ok(set) = changes(&record, &body) else { return Ok(()) };
        for (name, value) in &set {
            prop_assert_eq!(body.get(name), Some(value));
            prop_assert!(!value.is_null());
            prop_assert!(!INTERNAL.contains(&name.as_str()), "{}", name);
            prop_assert!(!name.contains(['$', '.']) && !name.starts_with('_'), "{}", name);
            let by = BROADCAST.iter().find(|field| field.name == name).map(|field| field.by);
            prop_assert!(by.is_none_or(|by| by == By::Client), "{}", name);
        }
        let after = merged(&record, &set);
        for (name, value) in &record {
            if !set.contains_key(name) {
                prop_assert_eq!(after.get(name), Some(value));
            }
        }
        prop_assert_eq!(changes(&after, &body), Ok(Fields::new()));
    }

    /// Updates of different fields may come in any order.
    #[test]
    fn updates_of_different_fields_do_not_meet(record in object(), one in object(), other in object()) {
        let names: BTreeSet<_> = one.keys().collect();
        let other: Fields = other.iter().filter(|(n, _)| !names.contains(n)).map(|(n, v)| (n.clone(), v.clone())).collect();
        if let (Ok(a), Ok(b)) = (changes(&record, &one), changes(&record, &other)) {
            prop_assert_eq!(merged(&merged(&record, &a), &b), merged(&merged(&record, &b), &a));
        }
    }

    /// Whatever a record holds, the answer has every key of Ant Media's, in its type, and no key of ours.
    #[test]
    fn any_record_can_be_answered(record in object(), now_ms in any::<i64>()) {
        let told = answered(&record, now_ms);
        for field in BROADCAST {
            let value = &told[field.name];
            prop_assert!(value.is_null() || field.shape.check("", value).is_ok(), "{}: {}", field.name, value);
        }
        prop_assert!(INTERNAL.iter().all(|name| !told.contains_key(*name)));
    }

    /// A replaced record keeps its id, its owner and its figures.
    #[test]
    fn a_replacement_touches_the_clients_fields_only(body in object()) {
        let Ok(set) = replaced(&body) else { return Ok(()) };
        for field in BROADCAST.iter().filter(|field| field.by == By::Server || field.name == "streamId") {
            prop_assert!(!set.contains_key(field.name), "{}", field.name);
        }
        prop_assert!(INTERNAL.iter().all(|name| !set.contains_key(*name)));
    }
}
