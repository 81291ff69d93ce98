use bytes::{BufMut, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::ingest::rtmp::error::Fault;
use crate::ingest::rtmp::message::kind;

fn reader() -> ChunkReader {
    ChunkReader::new(ChunkLimits::default(), 0)
}

fn all(reader: &mut ChunkReader, bytes: &[u8]) -> Vec<Message> {
    let mut input = BytesMut::from(bytes);
    std::iter::from_fn(|| reader.read(&mut input).unwrap()).collect()
}

fn fault(bytes: &[u8]) -> Fault {
    let (mut reader, mut input) = (reader(), BytesMut::from(bytes));
    loop {
        match reader.read(&mut input) {
            Ok(Some(_)) => {}
            Ok(None) => panic!("no fault"),
            Err(error) => return error.fault,
        }
    }
}

/// A type 0 header.
fn full(id: u8, time: u32, length: u32, kind: u8) -> BytesMut {
    let mut bytes = BytesMut::new();
    bytes.put_u8(id);
    bytes.put_uint(u64::from(time), 3);
    bytes.put_uint(u64::from(length), 3);
    bytes.put_u8(kind);
    bytes.put_u32_le(1);
    bytes
}

fn times(messages: &[Message]) -> Vec<u32> {
    messages
        .iter()
        .map(|message| message.timestamp_ms)
        .collect()
}

#[test]
fn compressed_headers_repeat_what_came_before() {
    let mut bytes = full(4, 1000, 2, kind::AUDIO);
    bytes.put_slice(b"aa");
    bytes.put_slice(&[0x44, 0, 0, 23, 0, 0, 3, kind::VIDEO]); // type 1: +23, 3 bytes
    bytes.put_slice(b"bbb");
    bytes.put_slice(&[0x84, 0, 0, 20]); // type 2: +20
    bytes.put_slice(b"ccc");
    bytes.put_slice(&[0xc4]); // type 3: +20 again
    bytes.put_slice(b"ddd");
    let messages = all(&mut reader(), &bytes);
    assert_eq!(times(&messages), [1000, 1023, 1043, 1063]);
    assert_eq!(messages[3].payload, "ddd");
    assert_eq!(messages[3].kind, kind::VIDEO);
    assert_eq!(messages[3].stream, 1);
}

#[test]
fn type_3_after_type_0_repeats_the_timestamp_as_a_delta() {
    let mut bytes = full(4, 40, 1, kind::AUDIO);
    bytes.put_slice(b"a\xc4b\xc4c");
    assert_eq!(times(&all(&mut reader(), &bytes)), [40, 80, 120]);
}

#[test]
fn basic_headers_of_all_three_lengths() {
    for (basic, id) in [(&[63][..], 63), (&[0, 255], 319), (&[1, 255, 255], 65_599)] {
        let mut bytes = BytesMut::from(basic);
        bytes.put_slice(&full(9, 0, 300, kind::VIDEO)[1..]);
        bytes.put_bytes(b'x', 128);
        let mut reader = reader();
        assert_eq!(all(&mut reader, &bytes), []);
        assert_eq!(reader.buffered_bytes(), 128);
        reader.abort(id);
        assert_eq!(reader.buffered_bytes(), 0, "chunk stream {id}");
    }
}

#[test]
fn chunks_of_two_messages_interleave() {
    let mut bytes = full(4, 0, 200, kind::AUDIO);
    bytes.put_bytes(b'a', 128);
    bytes.put_slice(&full(6, 5, 150, kind::VIDEO));
    bytes.put_bytes(b'v', 128);
    bytes.put_u8(0xc4);
    bytes.put_bytes(b'a', 72);
    bytes.put_u8(0xc6);
    bytes.put_bytes(b'v', 22);
    let messages = all(&mut reader(), &bytes);
    assert_eq!(messages[0].payload, vec![b'a'; 200]);
    assert_eq!(messages[1].payload, vec![b'v'; 150]);
}

#[test]
fn extended_timestamps_are_read_in_every_chunk_or_in_the_first_alone() {
    for repeated in [true, false] {
        let mut bytes = full(6, 0x00ff_ffff, 300, kind::VIDEO);
        bytes.put_u32(0x0123_4567);
        bytes.put_bytes(b'v', 128);
        for left in [128, 44] {
            bytes.put_u8(0xc6);
            if repeated {
                bytes.put_u32(0x0123_4567);
            }
            bytes.put_bytes(b'v', left);
        }
        let messages = all(&mut reader(), &bytes);
        assert_eq!(times(&messages), [0x0123_4567]);
        assert_eq!(messages[0].payload, vec![b'v'; 300]);
    }
}

#[test]
fn an_extended_delta_is_added() {
    let mut bytes = full(6, 7, 1, kind::VIDEO);
    bytes.put_slice(b"v");
    bytes.put_slice(&[0x86, 0xff, 0xff, 0xff]);
    bytes.put_u32(0x0100_0000);
    bytes.put_slice(b"w");
    assert_eq!(times(&all(&mut reader(), &bytes)), [7, 0x0100_0007]);
}

#[test]
fn a_message_in_one_chunk_is_a_slice_of_the_input() {
    let mut reader = reader();
    reader.set_chunk_size(60_000).unwrap();
    let mut input = full(6, 0, 50_000, kind::VIDEO);
    input.put_bytes(b'v', 50_000);
    let place = input.as_ptr() as usize;
    let message = reader.read(&mut input).unwrap().unwrap();
    assert_eq!(message.payload.as_ptr() as usize, place + 12);
}

#[test]
fn memory_follows_what_came_not_what_was_announced() {
    let limits = ChunkLimits {
        media_message_bytes_max: CHUNK_BYTES_MAX,
        ..ChunkLimits::default()
    };
    let mut reader = ChunkReader::new(limits, 0);
    reader.set_chunk_size(0x7fff_ffff).unwrap();
    let mut input = full(6, 0, 0x00ff_ffff, kind::VIDEO);
    input.put_bytes(b'v', 10);
    assert_eq!(reader.read(&mut input).unwrap(), None);
    assert_eq!(reader.buffered_bytes(), 10);
    assert!(
        reader.capacity_bytes() <= 64 * 1024,
        "{}",
        reader.capacity_bytes()
    );
    input.put_bytes(b'v', 100_000);
    assert_eq!(reader.read(&mut input).unwrap(), None);
    assert!(
        reader.capacity_bytes() <= 300_000,
        "{}",
        reader.capacity_bytes()
    );
}

#[test]
fn chunk_sizes_from_absurd_to_absurd() {
    for size in [0, 0x8000_0000, u32::MAX] {
        let error = reader().set_chunk_size(size).unwrap_err();
        assert_eq!(error.fault, Fault::ChunkSize { found: size });
    }
    let mut reader = reader();
    reader.set_chunk_size(1).unwrap();
    let mut bytes = full(4, 9, 3, kind::AUDIO);
    bytes.put_slice(b"a\xc4b\xc4c");
    assert_eq!(all(&mut reader, &bytes)[0].payload, "abc");
}

#[test]
fn what_is_too_much_is_refused() {
    let limit = ChunkLimits::default();
    let long = full(6, 0, 0x00ff_ffff, kind::VIDEO);
    assert!(matches!(
        fault(&long),
        Fault::MessageTooLong {
            kind: kind::VIDEO,
            ..
        }
    ));
    let long = full(3, 0, 65_537, kind::COMMAND_AMF0);
    assert!(matches!(
        fault(&long),
        Fault::MessageTooLong {
            kind: kind::COMMAND_AMF0,
            ..
        }
    ));

    let mut streams = BytesMut::new();
    for id in 0..10_000_u16 {
        streams.put_u8(1);
        streams.put_slice(&id.to_le_bytes());
        streams.put_slice(&full(9, 0, 1, kind::AUDIO)[1..]);
        streams.put_u8(0);
    }
    assert!(
        matches!(fault(&streams), Fault::ChunkStreamsTooMany { id: 128, max } if max == limit.chunk_streams_max)
    );

    let mut unfinished = BytesMut::new();
    for id in 2..=20 {
        unfinished.put_slice(&full(id, 0, 1_000_000, kind::VIDEO));
        unfinished.put_bytes(0, 999_999);
    }
    let limits = ChunkLimits {
        buffered_bytes_max: 3_500_000,
        ..ChunkLimits::default()
    };
    let mut reader = ChunkReader::new(limits, 0);
    reader.set_chunk_size(999_999).unwrap();
    let error = reader.read(&mut unfinished).unwrap_err();
    assert_eq!(
        error.fault,
        Fault::BufferedTooMuch {
            max_bytes: 3_500_000
        }
    );
}

#[test]
fn headers_out_of_place_are_refused_with_their_offset() {
    assert_eq!(
        fault(&[0x84, 0, 0, 1]),
        Fault::NoEarlierHeader { fmt: 2, id: 4 }
    );
    assert_eq!(fault(&[0xc4]), Fault::NoEarlierHeader { fmt: 3, id: 4 });
    let mut bytes = full(6, 0, 300, kind::VIDEO);
    bytes.put_bytes(b'v', 128);
    bytes.put_slice(&full(6, 0, 300, kind::VIDEO));
    let error = ChunkReader::new(ChunkLimits::default(), 3073)
        .read(&mut bytes)
        .unwrap_err();
    assert_eq!(error.fault, Fault::HeaderInsideMessage { fmt: 0, id: 6 });
    assert_eq!(error.offset, 3073 + 12 + 128);
}

#[test]
fn a_type_1_header_may_open_a_chunk_stream() {
    let bytes = [0x42, 0, 0, 0, 0, 0, 6, kind::USER_CONTROL, 0, 3, 0, 0, 0, 0];
    assert_eq!(all(&mut reader(), &bytes)[0].payload.len(), 6);
}

fn any_message() -> impl Strategy<Value = (u8, u32, Vec<u8>)> {
    let time = prop_oneof![0..100_000_u32, 0x00ff_fff0_u32..0x0100_0010, Just(u32::MAX)];
    (
        2_u8..64,
        time,
        proptest::collection::vec(any::<u8>(), 0..700),
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read(messages in proptest::collection::vec(any_message(), 0..20),
                               size in 1_u32..500, cut in 1_usize..400) {
        let mut writer = ChunkWriter::default();
        writer.set_chunk_size(size as usize);
        let mut bytes = BytesMut::new();
        for (id, time, payload) in &messages {
            writer.write(&mut bytes, *id, kind::VIDEO, 1, *time, payload);
        }
        let mut reader = reader();
        reader.set_chunk_size(size).unwrap();
        let (mut input, mut got) = (BytesMut::new(), Vec::new());
        for part in bytes.chunks(cut) {
            input.put_slice(part);
            while let Some(message) = reader.read(&mut input).unwrap() {
                got.push(message);
            }
        }
        prop_assert_eq!(got.len(), messages.len());
        for (message, (_, time, payload)) in got.iter().zip(&messages) {
            prop_assert_eq!(message.timestamp_ms, *time);
            prop_assert_eq!(&message.payload[..], &payload[..]);
        }
        prop_assert_eq!(reader.offset(), bytes.len() as u64);
        prop_assert_eq!(reader.buffered_bytes(), 0);
    }

    #[test]
    fn any_bytes_are_answered_within_bounds(bytes in proptest::collection::vec(any::<u8>(), 0..4000),
                                            cut in 1_usize..64) {
        let (mut reader, mut input) = (reader(), BytesMut::new());
        'all: for part in bytes.chunks(cut) {
            input.put_slice(part);
            loop {
                match reader.read(&mut input) {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(error) => {
                        prop_assert!(error.offset <= bytes.len() as u64);
                        break 'all;
                    }
                }
            }
            prop_assert!(reader.buffered_bytes() <= bytes.len());
        }
    }
}
