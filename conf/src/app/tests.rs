//! Settings of an application: the table, and reading and writing each form.

use super::*;
use serde_json::json;
use std::collections::BTreeSet;

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => panic!("{other}"),
    }
}

#[test]
fn every_row_has_a_name_of_its_own_and_a_right_default() {
    let mut names = BTreeSet::new();
    for (at, setting) in SETTINGS.iter().enumerate() {
        let kept = setting.kind.of_text(setting.default);
        assert!(
            kept.is_some(),
            "{}: {}",
            setting.name,
            setting.kind.expected()
        );
        assert!(names.insert(setting.name), "{} twice", setting.name);
        if setting.json != setting.name {
            assert!(names.insert(setting.json), "{} twice", setting.json);
        }
        for alias in setting.aliases {
            assert!(names.insert(alias), "{alias} twice");
        }
        assert_eq!(table::position(setting.name), Some(at));
        assert!(!RECORD_FIELDS.contains(&setting.json), "{}", setting.json);
    }
    assert!(SETTINGS.len() > 170);
    assert!(find("settings.hlsTime").is_some() && find("hlstime").is_none());
}

#[test]
fn defaults_are_ant_medias() {
    let all = AppSettings::default();
    assert_eq!((all.hls_time_ms(), all.hls_list_size()), (2_000, 15));
    assert!(all.hls_muxing_enabled() && !all.mp4_muxing_enabled() && all.ip_filter_enabled());
    assert_eq!(all.remote_allowed_cidr(), "127.0.0.1");
    assert_eq!(
        (all.webrtc_viewer_limit(), all.ingesting_stream_limit()),
        (-1, -1)
    );
    assert_eq!(
        (all.dash_fragment_duration(), all.target_latency()),
        (0.5, 3.5)
    );
    let sent = all.to_json();
    let expected = json!({
        "hlsTime": "2", "hlsListSize": "15", "targetLatency": "3.5", "dashSegDuration": "6",
        "createPreviewPeriod": 5000, "webRTCEnabled": true, "lLDashEnabled": true, "lLHLSEnabled": false,
        "statsBasedABREnabled": true, "originEdgeIdleTimeout": 2, "webhookRetryDelay": 1000,
        "encoderSettings": [], "encoderSettingsString": "", "customSettings": {}, "jwtSecretKey": "",
        "abrUpScalePacketLostRatio": 0.1, "hlsflags": "delete_segments+program_date_time",
    });
    for (name, value) in fields(expected) {
        assert_eq!(sent.get(&name), Some(&value), "{name}");
    }
    assert!(
        !sent.contains_key("dashTargetLatency"),
        "JSON has the getter's name"
    );
    assert_eq!(sent.len(), SETTINGS.len() + 1);
}

#[test]
fn what_is_written_is_read_again() {
    let mut sent = AppSettings::default().to_json();
    sent.insert("pluginX".to_owned(), json!({ "a": [1] }));
    sent.insert("appName".to_owned(), json!("LiveApp"));
    sent.insert("hlsTime".to_owned(), json!("1.5"));
    let read = AppSettings::from_json(&sent).unwrap();
    assert_eq!(read.hls_time_ms(), 1_500);
    sent.remove("appName");
    assert_eq!(read.to_json(), sent);
    let again = AppSettings::from_json(&read.to_json()).unwrap();
    assert_eq!(again, read);
}

#[test]
fn types_are_taken_kindly_and_bounds_strictly() {
    let sent = json!({
        "hlsTime": 4, "hlsListSize": 7.0, "mp4MuxingEnabled": "true", "createPreviewPeriod": "100",
        "dashTargetLatency": "2", "llHlsEnabled": true, "hlsflags": null, "gopSize": "", "subFolder": 5,
    });
    let read = AppSettings::from_json(&fields(sent)).unwrap();
    assert_eq!((read.hls_time_ms(), read.hls_list_size()), (4_000, 7));
    assert!(read.mp4_muxing_enabled() && read.ll_hls_enabled());
    assert_eq!(
        (read.create_preview_period(), read.target_latency()),
        (100, 2.0)
    );
    assert_eq!((read.gop_size(), read.sub_folder()), (0, "5"));
    assert_eq!(read.hlsflags(), "delete_segments+program_date_time");
    assert_eq!(
        read.to_json()["hlsTime"],
        json!("4"),
        "text, as Ant Media's"
    );
    for (key, value, expected) in [
        (
            "hlsTime",
            json!("0.1"),
            "hlsTime is \"0.1\"; expected a number of seconds from 0.5 to 30, without a unit",
        ),
        (
            "hlsTime",
            json!("2s"),
            "hlsTime is \"2s\"; expected a number of seconds from 0.5 to 30, without a unit",
        ),
        (
            "hlsListSize",
            json!(2.5),
            "hlsListSize is 2.5; expected a whole number of segments from 3 to 1000",
        ),
        (
            "mp4MuxingEnabled",
            json!("yes"),
            "mp4MuxingEnabled is \"yes\"; expected true or false",
        ),
        (
            "hlsPlayListType",
            json!("Vod"),
            "hlsPlayListType is \"Vod\"; expected one of \"\", \"event\", \"vod\"",
        ),
        (
            "customSettings",
            json!([]),
            "customSettings is an array; expected a JSON object",
        ),
        (
            "jwtSecretKey",
            json!(["s3cret"]),
            "jwtSecretKey is not right (it is not shown); expected text of at most 16384 bytes",
        ),
        (
            "webRTCPortRangeMin",
            json!(-1),
            "webRTCPortRangeMin is -1; expected a whole number (a port) from 0 to 65535",
        ),
    ] {
        let sent = Map::from_iter([(key.to_owned(), value)]);
        let error = AppSettings::from_json(&sent).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn the_ladder_is_taken_as_list_and_as_text() {
    let list = json!([{ "height": 480, "videoBitrate": 1_500_000, "audioBitrate": 96_000, "forceEncode": true }]);
    let forms = [
        json!({ "encoderSettings": list }),
        json!({ "encoderSettingsString": list.to_string() }),
        json!({ "encoderSettingsString": "480,1500000,96000" }),
        json!({ "encoderSettings": list, "encoderSettingsString": "" }),
        json!({ "encoderSettings": null, "encoderSettingsString": list.to_string() }),
    ];
    for form in forms {
        let read = AppSettings::from_json(&fields(form.clone())).unwrap();
        let sent = read.to_json();
        assert_eq!(sent["encoderSettings"], list, "{form}");
        let text = sent["encoderSettingsString"].as_str().unwrap();
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), list);
    }
    for bad in [
        json!("480,1500000"),
        json!("[1]"),
        json!(5),
        json!([{ "height": -1 }]),
    ] {
        let sent = Map::from_iter([("encoderSettings".to_owned(), bad)]);
        let error = AppSettings::from_json(&sent).unwrap_err().to_string();
        assert!(error.starts_with("encoderSettings is "), "{error}");
    }
    let cleared = json!({ "encoderSettings": [] });
    let read = AppSettings::from_json(&fields(cleared)).unwrap();
    assert_eq!(read.encoder_settings_string(), "");
}

#[test]
fn a_properties_file_is_read_with_and_without_the_prefix() {
    let file = "webapp.contextPath=/LiveApp\ndb.password=s3cret\nsettings.hlsTime=4\nhlsListSize=20\n\
                settings.mp4MuxingEnabled=true\nhlsflags=\nsomethingNew=7\ndashTargetLatency= 2.5 \n\
                customSettings={\"a\":1}\nsettings.encoderSettingsString=480,1500000,96000";
    let read = AppSettings::from_properties(file.as_bytes()).unwrap();
    let settings = read.settings;
    assert_eq!(
        (settings.hls_time_ms(), settings.hls_list_size()),
        (4_000, 20)
    );
    assert!(settings.mp4_muxing_enabled());
    assert!(!settings.is_set("hlsflags") && settings.is_set("settings.hlsTime"));
    assert_eq!(settings.target_latency(), 2.5);
    assert_eq!(settings.custom_settings(), &json!({ "a": 1 }));
    assert_eq!(
        read.others,
        ["webapp.contextPath", "db.password", "somethingNew"]
    );
    let sent = settings.to_json();
    assert_eq!(sent["somethingNew"], json!("7"), "kept");
    assert!(!Value::Object(sent).to_string().contains("s3cret"));
    let wrong = "hlsTime=2\nsettings.gopSize=-1\njwtSecretKey=x\n=y";
    let errors = AppSettings::from_properties(wrong.as_bytes()).unwrap_err();
    assert_eq!(errors.list().len(), 2);
    let text = errors.to_string();
    assert!(
        text.contains("line 2: settings.gopSize is \"-1\"; expected a whole number of frames"),
        "{text}"
    );
    assert!(text.starts_with("line 4: "), "{text}");
}

#[test]
fn a_record_with_wrong_values_is_read_all_the_same() {
    let record =
        json!({ "appName": "x", "hlsTime": [], "hlsListSize": "9", "theirs": { "$a": 1 } });
    let (read, errors) = AppSettings::from_record(&fields(record));
    assert_eq!((read.hls_time_ms(), read.hls_list_size()), (2_000, 9));
    assert_eq!(errors.list().len(), 1);
    assert_eq!(read.to_json()["theirs"], json!({ "$a": 1 }));
}

#[test]
fn own_settings_outrank_weaker_ones_and_nothing_is_shown() {
    let mut own = AppSettings::default();
    own.set_text("jwtSecretKey", "s3cret").unwrap();
    own.set_text("hlsTime", "2").unwrap();
    let mut weaker = AppSettings::default();
    weaker.set_text("hlsTime", "6").unwrap();
    weaker.set_text("hlsListSize", "30").unwrap();
    let all = own.over(&weaker);
    assert_eq!((all.hls_time_ms(), all.hls_list_size()), (2_000, 30));
    assert!(!format!("{all:?}").contains("s3cret"));
    assert!(own_error().contains("a setting of an application"));
}

fn own_error() -> String {
    AppSettings::default()
        .set_text("nope", "1")
        .unwrap_err()
        .to_string()
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]
    #[test]
    fn nothing_outside_makes_it_panic(key in ".{0,20}", text in ".{0,40}", number in proptest::num::f64::ANY) {
        let mut settings = AppSettings::default();
        for setting in SETTINGS {
            let _ = settings.set_text(setting.name, &text);
            let _ = settings.set(setting.json, &json!(number));
            let _ = settings.set(setting.json, &json!([text]));
        }
        let sent = Map::from_iter([(key, json!(text))]);
        let _ = AppSettings::from_json(&sent);
        let _ = AppSettings::from_properties(text.as_bytes());
        let again = AppSettings::from_json(&settings.to_json()).unwrap();
        proptest::prop_assert_eq!(again.to_json(), settings.to_json());
    }
}
