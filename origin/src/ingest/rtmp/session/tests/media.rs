//! What becomes of media and data messages.

use super::*;

#[test]
fn metadata_is_kept() {
    let mut encoder = Encoder::shake_hands();
    encoder.connect(APP).publish("cam1");
    let mut payload = BytesMut::new();
    Value::string("@setDataFrame").encode(&mut payload);
    Value::string("onMetaData").encode(&mut payload);
    let fields = [
        ("width", Value::Number(320.0)),
        ("encoder", Value::string("test")),
    ];
    Value::object(fields).encode(&mut payload);
    encoder.message(4, kind::DATA_AMF0, 1, 0, &payload);
    let (mut session, mut input) = (session(), encoder.bytes);
    while let Some(event) = session.poll(&mut input).unwrap() {
        if matches!(event, Event::PublishRequested(_)) {
            session.accept_publish();
        }
    }
    let metadata = session.metadata().unwrap();
    assert_eq!(
        (metadata.width, metadata.encoder.as_deref()),
        (Some(320.0), Some("test"))
    );
}

#[test]
fn aggregates_are_taken_apart_and_timed_from_their_first_part() {
    let mut aggregate = BytesMut::new();
    for (kind, time, tag) in [
        (kind::VIDEO, 1000_u32, picture(true, 0, 30)),
        (kind::AUDIO, 1010, sound(20)),
        (kind::VIDEO, 1040, picture(false, 0, 30)),
    ] {
        aggregate.put_u8(kind);
        aggregate.put_uint(tag.len() as u64, 3);
        aggregate.put_uint(u64::from(time), 3);
        aggregate.put_u32(0);
        aggregate.put_slice(&tag);
        aggregate.put_u32(0);
    }
    let mut encoder = Encoder::shake_hands();
    encoder
        .connect(APP)
        .chunk_size(4096)
        .publish("cam1")
        .headers();
    encoder.message(6, kind::AGGREGATE, 1, 5000, &aggregate);
    encoder.message(6, kind::AGGREGATE, 1, 6000, &aggregate[..60]);
    let run = Run::of(&encoder.take());
    let times: Vec<i64> = run.frames.iter().map(|frame| frame.dts.ticks()).collect();
    assert_eq!(times, [5000, 5010, 5040, 6000]);
    assert!(run.saw("BadAggregate"));
}

#[test]
fn frames_that_cannot_be_used_are_dropped_by_name() {
    let mut encoder = Encoder::shake_hands();
    encoder
        .connect(APP)
        .video(0, &picture(true, 0, 9))
        .publish("cam1");
    encoder.video(0, &picture(true, 0, 9)).audio(0, &sound(9));
    encoder.headers().headers();
    encoder
        .video(0, &[])
        .message(6, kind::VIDEO, 9, 0, &picture(true, 0, 9));
    encoder.video(0, &[0x27, 1, 0, 0, 0, 0, 0, 0, 99, 1]); // NAL unit longer than its tag
    let run = Run::of(&encoder.take());
    assert_eq!(run.error, None);
    assert_eq!(run.frames.len(), 0);
    let dropped = run
        .events
        .iter()
        .filter(|event| event.starts_with("Dropped"));
    let wanted = [
        "NotPublishing",
        "BeforeSequence",
        "BeforeSequence",
        "Empty",
        "NotPublishing",
        "BadTag",
    ];
    assert_eq!(dropped.clone().count(), wanted.len(), "{:?}", run.events);
    for (event, name) in dropped.zip(wanted) {
        assert!(event.contains(name), "{event} is not {name}");
    }
    let params = run
        .events
        .iter()
        .filter(|event| event.starts_with("Params"));
    assert_eq!(params.count(), 2, "the same parameters again are no news");
}

#[test]
fn a_row_of_bad_tags_ends_the_connection() {
    let mut encoder = Encoder::shake_hands();
    encoder.connect(APP).publish("cam1");
    for _ in 0..6 {
        encoder.audio(0, &[0xaf, 9]);
    }
    let error = Run::of(&encoder.take()).error.unwrap();
    assert!(
        matches!(error.fault, Fault::TooManyBadTags { count: 6, .. }),
        "{error}"
    );
}

#[test]
fn a_codec_we_cannot_carry_is_named() {
    let mut encoder = Encoder::shake_hands();
    encoder
        .connect(APP)
        .publish("cam1")
        .video(0, b"\x90hvc1\0\0\0");
    let run = Run::of(&encoder.take());
    let answer = answers(&run.output).pop().unwrap();
    assert_eq!(answer.code, "NetStream.Publish.Rejected");
    assert!(answer.description.contains("HEVC"), "{answer:?}");
}
