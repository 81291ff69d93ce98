mod media;

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;
use weir_media::TrackKind;

use super::*;
use crate::ingest::rtmp::amf0::Value;
use crate::ingest::rtmp::testing::*;

fn session() -> Session {
    let options = SessionOptions {
        bad_tags_max: 5,
        ..SessionOptions::default()
    };
    Session::new(options, Box::new([7; PACKET_BYTES]))
}

/// What a session made of some bytes.
#[derive(Debug, Default)]
struct Run {
    events: Vec<String>,
    frames: Vec<Frame>,
    output: Vec<u8>,
    error: Option<WireError>,
    held_bytes_max: usize,
}

impl Run {
    fn of(bytes: &[u8]) -> Self {
        Self::cut(bytes, bytes.len().max(1))
    }

    /// Feeds `bytes` in parts of `size`; publishes are accepted.
    fn cut(bytes: &[u8], size: usize) -> Self {
        let (mut session, mut input, mut run) = (session(), BytesMut::new(), Self::default());
        for part in bytes.chunks(size) {
            input.put_slice(part);
            loop {
                match session.poll(&mut input) {
                    Ok(Some(event)) => run.take(&mut session, event),
                    Ok(None) => break,
                    Err(error) => {
                        run.error = Some(error);
                        run.output.extend(session.take_output());
                        return run;
                    }
                }
            }
            run.held_bytes_max = run.held_bytes_max.max(session.buffered_bytes());
        }
        run.output.extend(session.take_output());
        run
    }

    fn take(&mut self, session: &mut Session, event: Event) {
        self.events.push(format!("{event:?}"));
        match event {
            Event::PublishRequested(_) => session.accept_publish(),
            Event::Frame(frame) => self.frames.push(frame),
            _ => {}
        }
    }

    fn codes(&self) -> Vec<String> {
        let answers = answers(&self.output).into_iter();
        answers
            .map(|answer| answer.code)
            .filter(|code| !code.is_empty())
            .collect()
    }

    fn saw(&self, words: &str) -> bool {
        self.events.iter().any(|event| event.contains(words))
    }
}

#[test]
fn a_publish_from_beginning_to_end() {
    let run = Run::of(&clip(30).take());
    assert_eq!(run.error, None);
    assert_eq!(run.events[0], "Connected");
    assert!(run.events[1].contains("app: \"LiveApp\", stream: \"cam1\""));
    assert!(run.saw("Params(Video") && run.saw("Params(Audio"));
    assert_eq!(run.events.last().unwrap(), "Unpublished(\"FCUnpublish\")");
    assert_eq!(run.frames.len(), 60);
    let second = &run.frames[2];
    assert_eq!((second.track, second.keyframe), (TrackKind::Video, false));
    assert_eq!((second.dts.ticks(), second.pts.ticks()), (40, 80));
    assert_eq!(second.data.len(), 4 + 200 + 617);
    assert!(run.frames[0].keyframe);
    assert_eq!(run.frames[1].data, vec![0x21; 100]);
    assert_eq!(
        run.codes(),
        [
            "NetConnection.Connect.Success",
            "NetStream.Publish.Start",
            "NetStream.Publish.Start",
            "NetStream.Unpublish.Success"
        ]
    );
    let names: Vec<String> = answers(&run.output)
        .into_iter()
        .map(|answer| answer.name)
        .collect();
    let wanted = [
        "_result",
        "_result",
        "_result",
        "_result",
        "onFCPublish",
        "onStatus",
        "onStatus",
    ];
    assert_eq!(names, wanted);
}

#[test]
fn the_second_publish_on_a_connection_is_refused_and_the_first_goes_on() {
    let mut encoder = Encoder::shake_hands();
    encoder
        .connect(APP)
        .chunk_size(4096)
        .publish("cam1")
        .headers();
    encoder
        .call(0, "createStream", 8.0, &[])
        .call(2, "publish", 0.0, &["cam2", "live"]);
    encoder.video(0, &picture(true, 0, 50));
    let run = Run::of(&encoder.take());
    assert_eq!(run.codes().last().unwrap(), "NetStream.Publish.BadName");
    assert_eq!(run.frames.len(), 1);
    assert!(!run.saw("cam2"));
}

#[test]
fn commands_before_connect_are_refused() {
    let mut encoder = Encoder::shake_hands();
    encoder
        .call(1, "publish", 0.0, &["cam1", "live"])
        .connect(APP);
    let run = Run::of(&encoder.take());
    assert_eq!(run.events, ["Refused(NotConnected(\"publish\"))"]);
    assert_eq!(run.codes(), ["NetConnection.Connect.Rejected"]);
}

#[test]
fn connect_without_an_app_is_refused() {
    let run = Run::of(&Encoder::shake_hands().connect("").take());
    assert_eq!(run.events, ["Refused(NoApp)"]);
    let answer = &answers(&run.output)[0];
    assert_eq!(answer.name, "_error");
    assert!(answer.description.contains("rtmp://host/app/stream"));
}

#[test]
fn viewers_are_sent_elsewhere() {
    let mut encoder = Encoder::shake_hands();
    encoder.connect(APP).call(0, "createStream", 2.0, &[]);
    encoder.call(1, "play", 0.0, &["cam1?token=s3cret"]);
    let run = Run::of(&encoder.take());
    let answer = answers(&run.output).pop().unwrap();
    assert_eq!(answer.code, "NetStream.Play.Failed");
    assert!(
        answer.description.contains("LiveApp/streams/cam1.m3u8"),
        "{answer:?}"
    );
}

#[test]
fn unknown_commands_get_an_error_if_they_wait_for_an_answer() {
    let mut encoder = Encoder::shake_hands();
    encoder
        .connect(APP)
        .call(0, "getStreamLength", 9.0, &["x"])
        .call(0, "wink", 0.0, &[]);
    let answers = answers(&Run::of(&encoder.take()).output);
    assert_eq!(answers.len(), 2);
    assert_eq!(
        (answers[1].name.as_str(), answers[1].values[1].clone()),
        ("_error", Value::Number(9.0))
    );
}

#[test]
fn slash_instance_and_query_are_understood() {
    let mut encoder = Encoder::shake_hands();
    encoder
        .connect("LiveApp/_definst_")
        .publish("/cam1?token=s3cret");
    let mut session = session();
    let mut input = encoder.bytes;
    session.poll(&mut input).unwrap();
    let Some(Event::PublishRequested(command)) = session.poll(&mut input).unwrap() else {
        panic!("no publish");
    };
    assert_eq!(
        (command.app.as_str(), command.stream.as_str()),
        (APP, "cam1")
    );
    assert_eq!(command.query, "token=s3cret");
    assert!(!format!("{command:?}").contains("s3cret"));
    assert_eq!(session.stage(), Stage::Asking);
    session.refuse_publish(status::BAD_NAME, "no");
    assert_eq!(session.stage(), Stage::Closing);
}

#[test]
fn an_enhanced_encoder_learns_which_codecs_are_taken_and_others_nothing() {
    let object = Value::object([
        ("app", Value::string(APP)),
        ("fourCcList", Value::StrictArray(vec![Value::string("*")])),
    ]);
    let mut encoder = Encoder::shake_hands();
    encoder.command(0, &[Value::string("connect"), Value::Number(1.0), object]);
    let info = answers(&Run::of(&encoder.take()).output)[0].values[3].clone();
    let codecs = ["avc1", "mp4a"].map(Value::string).to_vec();
    assert_eq!(info.get("fourCcList"), Some(&Value::StrictArray(codecs)));
    let plain = Run::of(&Encoder::shake_hands().connect(APP).take());
    assert_eq!(answers(&plain.output)[0].values[3].get("fourCcList"), None);
}

#[test]
fn amf3_commands_are_read_as_what_they_are() {
    let mut encoder = Encoder::shake_hands();
    encoder.connect(APP);
    let mut payload = BytesMut::from(&[0][..]);
    for value in [
        Value::string("createStream"),
        Value::Number(2.0),
        Value::Null,
    ] {
        value.encode(&mut payload);
    }
    encoder.message(3, kind::COMMAND_AMF3, 0, 0, &payload);
    let answers = answers(&Run::of(&encoder.take()).output);
    assert_eq!(answers[1].values[3], Value::Number(1.0));
}

#[test]
fn pings_are_answered_and_bytes_acknowledged() {
    let mut encoder = Encoder::shake_hands();
    encoder.message(2, kind::WINDOW_ACK_SIZE, 0, 0, &20_000_u32.to_be_bytes());
    encoder.message(2, kind::USER_CONTROL, 0, 0, &[0, 6, 1, 2, 3, 4]);
    let run = Run::of(&encoder.take());
    assert!(run.output.ends_with(&[0, 7, 1, 2, 3, 4]));
    let mut encoder = Encoder::shake_hands();
    encoder.message(2, kind::WINDOW_ACK_SIZE, 0, 0, &1_u32.to_be_bytes());
    encoder.chunk_size(60_000).audio(0, &[0; 30_000]);
    let run = Run::of(&encoder.take());
    let received = 3073 + 16 + 16 + 12 + 30_000_u32;
    assert!(run.output.ends_with(&received.to_be_bytes()));
}

#[test]
fn faults_of_control_messages_and_amf_name_their_place() {
    for (kind, payload) in [
        (kind::SET_CHUNK_SIZE, &[0, 0, 0, 0][..]),
        (kind::SET_CHUNK_SIZE, &[1]),
        (kind::COMMAND_AMF0, &[5]),
        (kind::COMMAND_AMF0, b"\x03\0\x01a\x03\0\x01a\x07"),
    ] {
        let mut encoder = Encoder::shake_hands();
        encoder.message(2, kind, 0, 0, payload);
        let error = Run::of(&encoder.take()).error.unwrap();
        assert_eq!(error.offset, 3073 + 12 + payload.len() as u64, "{error}");
    }
}

#[test]
fn streams_are_limited() {
    let mut encoder = Encoder::shake_hands();
    encoder.connect(APP);
    for id in 0..=STREAMS_MAX {
        encoder.call(0, "createStream", f64::from(id + 2), &[]);
    }
    let error = Run::of(&encoder.take()).error.unwrap();
    assert_eq!(error.fault, Fault::StreamsTooMany { max: STREAMS_MAX });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn where_the_network_cuts_makes_no_difference(size in 1_usize..5000) {
        let bytes = clip(12).take();
        let (whole, cut) = (Run::of(&bytes), Run::cut(&bytes, size));
        prop_assert_eq!(whole.events, cut.events);
        prop_assert_eq!(answers(&whole.output), answers(&cut.output));
    }

    #[test]
    fn damaged_publishes_are_survived(seed in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
                                      size in 1_usize..3000) {
        let mut bytes = clip(20).take().to_vec();
        for (place, value) in seed {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        let run = Run::cut(&bytes, size);
        prop_assert!(run.held_bytes_max <= bytes.len());
    }

    #[test]
    fn any_bytes_after_the_handshake_are_survived(noise in proptest::collection::vec(any::<u8>(), 0..3000), size in 1_usize..300) {
        let mut encoder = Encoder::shake_hands();
        encoder.connect(APP).publish("cam1");
        encoder.bytes.put_slice(&noise);
        let run = Run::cut(&encoder.take(), size);
        prop_assert!(run.held_bytes_max <= noise.len() + 1000);
    }
}
