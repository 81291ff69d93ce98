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

/// Small frames among bytes that are thrown away: held, they must not hold the buffers that they
/// came in, since a stream's limits count frames by their own length.
#[test]
fn small_frames_do_not_hold_the_read_buffer() {
    const READ_BUFFER_BYTES: usize = 64 * 1024;
    let junk = vec![0; 50_000];
    let mut encoder = Encoder::shake_hands();
    encoder
        .connect(APP)
        .chunk_size(65_536)
        .publish("cam1")
        .headers();
    let (mut session, mut start) = (session(), BytesMut::from(&encoder.take()[..]));
    while let Some(event) = session.poll(&mut start).unwrap() {
        if matches!(event, Event::PublishRequested(_)) {
            session.accept_publish();
        }
    }
    let mut part = BytesMut::new();
    let tag = picture(true, 0, 30);
    part.put_u8(kind::VIDEO);
    part.put_uint(tag.len() as u64, 3);
    part.put_bytes(0, 7);
    part.put_slice(&tag);
    part.put_u32(0);
    part.put_u8(kind::DATA_AMF0);
    part.put_uint(8000, 3);
    part.put_bytes(0, 7 + 8000 + 4);
    for (kind, body) in [(kind::VIDEO, &tag[..]), (kind::AGGREGATE, &part[..])] {
        encoder.message(6, kind, 1, 40, body);
        encoder.message(5, 200, 1, 40, &junk);
        let mut input = BytesMut::with_capacity(READ_BUFFER_BYTES);
        input.put_slice(&encoder.take());
        let mut held = Vec::new();
        while let Some(event) = session.poll(&mut input).unwrap() {
            if let Event::Frame(frame) = event {
                held.push(frame);
            }
        }
        assert_eq!(held.len(), 1, "kind {kind}");
        assert!(input.is_empty());
        assert!(
            input.try_reclaim(READ_BUFFER_BYTES),
            "kind {kind}: the frame holds the buffer"
        );
    }
}
