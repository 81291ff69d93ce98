use super::*;

#[test]
fn good_names_pass() {
    for id in ["a", "stream1", "A-b_c.d", "x.", "-", "_"] {
        assert_eq!(StreamId::parse(id).unwrap().as_str(), id);
    }
    assert_eq!(
        StreamKey::parse("LiveApp", "s").unwrap().to_string(),
        "LiveApp/s"
    );
    assert!(StreamId::parse(&"x".repeat(STREAM_ID_BYTES_MAX)).is_ok());
}

#[test]
fn bad_ids_are_refused_with_the_place_named() {
    assert_eq!(
        StreamId::parse("").unwrap_err().to_string(),
        "stream id is empty"
    );
    assert!(matches!(
        StreamId::parse("../x"),
        Err(NameError::Character {
            found: '/',
            offset: 2,
            ..
        })
    ));
    assert!(matches!(
        StreamId::parse("caf\u{e9}"),
        Err(NameError::Character { offset: 3, .. })
    ));
    assert!(matches!(
        StreamId::parse(&"x".repeat(300)),
        Err(NameError::TooLong { len_bytes: 300, .. })
    ));
    for id in ["a__b", "__", ".hidden", "..", "."] {
        assert!(
            matches!(StreamId::parse(id), Err(NameError::Reserved { .. })),
            "{id}"
        );
    }
    for id in ["a b", "a%2f", "a\\b", "a\0", "a\n", "a?b", "a#b"] {
        assert!(
            matches!(StreamId::parse(id), Err(NameError::Character { .. })),
            "{id:?}"
        );
    }
}

#[test]
fn an_application_name_has_no_dots() {
    assert!(AppName::parse("WebRTCAppEE").is_ok());
    assert!(AppName::parse("a.b").is_err());
    assert!(AppName::parse(&"x".repeat(APP_NAME_BYTES_MAX + 1)).is_err());
}
