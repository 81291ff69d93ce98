use bytes::BytesMut;

use super::digest::{self, DIGEST_BYTES, Scheme};
use super::*;

fn noise() -> Box<[u8; PACKET_BYTES]> {
    let mut noise = Box::new([0; PACKET_BYTES]);
    let mut state = 0x2545_f491_u32;
    for byte in noise.iter_mut() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = state.to_be_bytes()[0];
    }
    noise
}

fn run(client: &[u8]) -> (bool, BytesMut, BytesMut) {
    let mut handshake = Handshake::new(noise());
    let (mut input, mut output) = (BytesMut::from(client), BytesMut::new());
    let done = handshake.receive(&mut input, &mut output).unwrap();
    (done, input, output)
}

fn complex_c1(scheme: Scheme) -> [u8; PACKET_BYTES] {
    let mut c1 = *noise();
    c1.rotate_left(100);
    c1[4..8].copy_from_slice(&[9, 0, 124, 2]);
    let at = scheme.digest_offset(&c1);
    let digest = digest::packet_digest(&c1, at, digest::CLIENT_KEY);
    c1[at..at + DIGEST_BYTES].copy_from_slice(&digest);
    c1
}

#[test]
fn simple_handshake_echoes_c1_and_leaves_the_first_chunk() {
    let mut client = vec![3];
    let mut c1 = *noise();
    c1[4..8].fill(0);
    client.extend(c1);
    client.extend([7; PACKET_BYTES]);
    client.extend(b"rest");
    let (done, input, output) = run(&client);
    assert!(done);
    assert_eq!(&input[..], b"rest");
    assert_eq!(output.len(), 1 + 2 * PACKET_BYTES);
    assert_eq!(output[0], 3);
    assert_eq!(&output[1..9], &[0; 8]);
    assert_eq!(&output[1 + PACKET_BYTES..], &c1[..]);
}

#[test]
fn complex_handshake_is_answered_by_the_clients_scheme() {
    for scheme in [Scheme::Zero, Scheme::One] {
        let c1 = complex_c1(scheme);
        let mut client = vec![3];
        client.extend(c1);
        let (done, _, output) = run(&client);
        assert!(!done, "C2 is still to come");
        let s1: [u8; PACKET_BYTES] = output[1..=PACKET_BYTES].try_into().unwrap();
        let at = scheme.digest_offset(&s1);
        let server_key = b"Genuine Adobe Flash Media Server 001";
        assert_eq!(
            s1[at..at + DIGEST_BYTES],
            digest::packet_digest(&s1, at, server_key),
            "{scheme:?}"
        );
        assert_ne!(s1[4..8], [0; 4]);
        let client_at = scheme.digest_offset(&c1);
        let client_digest = c1[client_at..client_at + DIGEST_BYTES].try_into().unwrap();
        let s2: [u8; PACKET_BYTES] = output[1 + PACKET_BYTES..].try_into().unwrap();
        assert_eq!(
            s2[PACKET_BYTES - DIGEST_BYTES..],
            digest::s2_digest(&s2, &client_digest)
        );
    }
}

#[test]
fn digests_stand_where_their_block_tells() {
    let mut c1 = [0; PACKET_BYTES];
    assert_eq!(Scheme::Zero.digest_offset(&c1), 12);
    assert_eq!(Scheme::One.digest_offset(&c1), 776);
    c1[8..12].copy_from_slice(&[1, 2, 3, 4]);
    c1[772..776].fill(255);
    assert_eq!(Scheme::Zero.digest_offset(&c1), 12 + 10);
    assert_eq!(Scheme::One.digest_offset(&c1), 776 + (4 * 255 - 728));
}

/// The digest of a C1 of zeros with a head, made with another implementation (Python's `hmac`).
#[test]
fn digest_agrees_with_another_implementation() {
    let mut c1 = [0; PACKET_BYTES];
    c1[4..8].copy_from_slice(&[128, 0, 7, 2]);
    let digest = digest::packet_digest(&c1, 12, digest::CLIENT_KEY);
    let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(
        hex,
        "d972bafa86d3ad676c46c0c55fdf2e2abb2e58cd506fdbfb19ed5f9414feaef4"
    );
}

#[test]
fn a_c1_with_a_version_but_no_true_digest_gets_the_simple_answer() {
    let mut c1 = complex_c1(Scheme::One);
    c1[1000] ^= 1;
    c1[20] ^= 1;
    let mut client = vec![3];
    client.extend(c1);
    let (_, _, output) = run(&client);
    assert_eq!(&output[1 + PACKET_BYTES..], &c1[..]);
}

#[test]
fn one_byte_at_a_time_is_the_same() {
    let mut client = vec![3];
    client.extend(complex_c1(Scheme::Zero));
    client.extend([0; PACKET_BYTES]);
    let (_, _, whole) = run(&client);
    let mut handshake = Handshake::new(noise());
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    for (i, byte) in client.iter().enumerate() {
        input.extend_from_slice(&[*byte]);
        let done = handshake.receive(&mut input, &mut output).unwrap();
        assert_eq!(done, i + 1 == client.len());
    }
    assert_eq!(whole, output);
}

#[test]
fn encrypted_and_foreign_protocols_are_named() {
    for (first, words) in [
        (6, "RTMPE"),
        (8, "RTMPE"),
        (0x16, "TLS"),
        (b'G', "HTTP"),
        (0, "0x00"),
    ] {
        let mut handshake = Handshake::new(noise());
        let error = handshake
            .receive(&mut BytesMut::from(&[first][..]), &mut BytesMut::new())
            .unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}
