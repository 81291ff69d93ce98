//! Against a server made of bytes: what is said, and what is made of its answers.

use super::*;

/// A server's side, by hand: the handshake, then these commands.
fn server(commands: &[Vec<Value>]) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    let writer = ChunkWriter::default();
    for values in commands {
        let mut payload = BytesMut::new();
        for value in values {
            value.encode(&mut payload);
        }
        writer.write(&mut bytes, 3, kind::COMMAND_AMF0, 0, 0, &payload);
    }
    bytes.to_vec()
}

fn hello() -> Vec<u8> {
    let mut hello = vec![7; SERVER_HELLO_BYTES];
    hello[0] = VERSION;
    hello
}

fn result(id: f64, value: Value) -> Vec<Value> {
    vec![
        Value::string("_result"),
        Value::Number(id),
        Value::Null,
        value,
    ]
}

fn status(level: &str, code: &str, description: &str) -> Vec<Value> {
    let info = Value::object([
        ("level", Value::string(level)),
        ("code", Value::string(code)),
        ("description", Value::string(description)),
    ]);
    vec![
        Value::string("onStatus"),
        Value::Number(0.0),
        Value::Null,
        info,
    ]
}

/// Names of the commands in what the session sent after the handshake.
fn names(sent: &[u8]) -> Vec<String> {
    let mut input = BytesMut::from(sent);
    let mut reader = ChunkReader::new(ChunkLimits::default(), 0);
    let mut names = Vec::new();
    while let Some(message) = reader.read(&mut input).unwrap() {
        if message.kind == kind::SET_CHUNK_SIZE {
            reader.set_chunk_size(CHUNK_BYTES).unwrap();
        }
        if message.kind == kind::COMMAND_AMF0 {
            let values = decode_all(&message.payload).unwrap();
            names.push(values[0].as_str().unwrap().to_owned());
        }
    }
    names
}

#[test]
fn a_publish_says_what_encoders_say() {
    let mut session = Session::new("LiveApp", "rtmp://h/LiveApp", "cam1");
    assert_eq!(session.output().split().len(), 1 + PACKET_BYTES);
    for byte in hello() {
        assert_eq!(session.receive(&[byte]).unwrap(), None);
    }
    let mut sent = session.output().split();
    assert_eq!(sent.split_to(PACKET_BYTES), vec![7; PACKET_BYTES]);
    let connected = result(CONNECT, Value::Null);
    assert_eq!(session.receive(&server(&[connected])).unwrap(), None);
    let created = result(CREATE_STREAM, Value::Number(1.0));
    assert_eq!(session.receive(&server(&[created])).unwrap(), None);
    let start = status("status", "NetStream.Publish.Start", "go");
    let event = session.receive(&server(&[start])).unwrap();
    assert_eq!(event, Some(Event::Accepted));
    session.unpublish();
    sent.unsplit(session.output().split());
    let said = [
        "connect",
        "releaseStream",
        "FCPublish",
        "createStream",
        "publish",
        "FCUnpublish",
        "deleteStream",
    ];
    assert_eq!(names(&sent), said);
}

#[test]
fn a_refusal_is_told_in_the_servers_words() {
    let mut session = Session::new("LiveApp", "rtmp://h/LiveApp", "cam1");
    session.receive(&hello()).unwrap();
    let no = status("error", "NetStream.Publish.BadName", "stream id in use");
    let event = session.receive(&server(&[no])).unwrap();
    let words = "NetStream.Publish.BadName: stream id in use";
    assert_eq!(event, Some(Event::Refused(words.to_owned())));
    let error = vec![
        Value::string("_error"),
        Value::Number(CONNECT),
        Value::Null,
        Value::Null,
    ];
    let event = session.receive(&server(&[error])).unwrap();
    assert_eq!(
        event,
        Some(Event::Refused("refused without a reason".to_owned()))
    );
}

#[test]
fn what_is_no_rtmp_server_is_told() {
    let mut session = Session::new("LiveApp", "rtmp://h/LiveApp", "cam1");
    let error = session
        .receive(b"HTTP/1.1 400 Bad Request\r\n")
        .unwrap_err();
    assert!(error.to_string().contains("no RTMP handshake"), "{error}");
}
