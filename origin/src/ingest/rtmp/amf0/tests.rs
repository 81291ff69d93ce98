use bytes::{BufMut, BytesMut};
use proptest::prelude::*;

use super::*;

fn encoded(value: &Value) -> BytesMut {
    let mut bytes = BytesMut::new();
    value.encode(&mut bytes);
    bytes
}

fn fault(bytes: &[u8]) -> (usize, AmfFault) {
    let error = decode_all(bytes).unwrap_err();
    (error.offset, error.fault)
}

#[test]
fn connect_of_a_real_encoder_is_read() {
    let bytes = b"\x02\0\x07connect\0\x3f\xf0\0\0\0\0\0\0\x03\0\x03app\x02\0\x04live\0\x08flashVer\x02\0\x1fFMLE/3.0 (compatible; FMSc/1.0)\0\0\x09";
    let values = decode_all(bytes).unwrap();
    assert_eq!(values[0], Value::string("connect"));
    assert_eq!(values[1].as_number(), Some(1.0));
    assert_eq!(values[2].get("app").and_then(Value::as_str), Some("live"));
    assert_eq!(values[2].get("nothing"), None);
}

#[test]
fn an_ecma_array_may_lie_about_its_count_and_lack_its_end() {
    let bytes = b"\x08\0\0\0\x63\0\x01a\x01\x01\0\x01b\x05";
    let pairs = vec![
        ("a".to_owned(), Value::Boolean(true)),
        ("b".to_owned(), Value::Null),
    ];
    assert_eq!(decode_all(bytes).unwrap(), [Value::EcmaArray(pairs)]);
}

#[test]
fn rarer_types_are_read() {
    let date = b"\x0b\x40\x59\0\0\0\0\0\0\0\0";
    assert_eq!(decode_all(date).unwrap(), [Value::Date(100.0)]);
    assert_eq!(
        decode_all(b"\x0f\0\0\0\x01x").unwrap(),
        [Value::string("x")]
    );
    assert_eq!(
        decode_all(b"\x0d\x06").unwrap(),
        [Value::Undefined, Value::Undefined]
    );
    let typed = decode_all(b"\x10\0\x01C\0\x01k\x05\0\0\x09").unwrap();
    assert_eq!(typed[0].get("k"), Some(&Value::Null));
    assert_eq!(
        decode_all(b"\x02\0\x02\xff\xfe").unwrap(),
        [Value::string("\u{fffd}\u{fffd}")]
    );
}

#[test]
fn faults_name_their_place() {
    assert_eq!(fault(b"\x05\x00\x40"), (2, AmfFault::Truncated));
    assert_eq!(fault(b"\x05\x07\0\0"), (1, AmfFault::Marker(7)));
    assert_eq!(fault(b"\x11"), (0, AmfFault::Marker(0x11)));
    assert_eq!(fault(b"\x03\0\0\x05"), (3, AmfFault::NoObjectEnd));
    assert_eq!(fault(b"\x02\xff\xffxy"), (3, AmfFault::Truncated));
}

#[test]
fn bombs_do_not_go_off() {
    let nested = b"\x03\0\x01a".repeat(10_000);
    assert_eq!(fault(&nested).1, AmfFault::TooDeep);
    let nested = b"\x0a\0\0\0\x01".repeat(10_000);
    assert_eq!(fault(&nested).1, AmfFault::TooDeep);
    let mut wide = BytesMut::from(&b"\x0a\xff\xff\xff\xff"[..]);
    wide.put_bytes(5, 60_000);
    assert_eq!(fault(&wide).1, AmfFault::TooMany);
    assert_eq!(fault(&[5; 2000]).1, AmfFault::TooMany);
    assert_eq!(fault(b"\x0c\xff\xff\xff\xff").1, AmfFault::Truncated);
}

#[test]
fn long_strings_survive() {
    let value = Value::string("x".repeat(70_000));
    assert_eq!(decode_all(&encoded(&value)).unwrap(), [value]);
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<i32>().prop_map(|number| Value::Number(f64::from(number))),
        any::<bool>().prop_map(Value::Boolean),
        ".{0,20}".prop_map(Value::String),
        Just(Value::Null),
        Just(Value::Undefined),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let pairs = || proptest::collection::vec((".{1,8}", inner.clone()), 0..5);
        prop_oneof![
            pairs().prop_map(Value::Object),
            pairs().prop_map(Value::EcmaArray),
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::StrictArray),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(value in any_value()) {
        prop_assert_eq!(decode_all(&encoded(&value)).unwrap(), vec![value]);
    }

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
        let _ = decode_all(&bytes);
    }
}
