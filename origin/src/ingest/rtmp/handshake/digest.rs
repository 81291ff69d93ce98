//! Where the digests of the complex handshake stand and how they are made.
//!
//! A packet has two blocks of 764 bytes after its 8-byte head. One holds a key (unused without
//! RTMPE), the other the digest, at a place its first four bytes tell; scheme 0 has the digest in
//! the first block, scheme 1 in the second. The digest is HMAC-SHA256 of the packet without it.

use ring::hmac;

use super::PACKET_BYTES;

/// HMAC-SHA256's length, bytes.
pub(super) const DIGEST_BYTES: usize = 32;
/// What a client signs C1 with.
pub(super) const CLIENT_KEY: &[u8] = b"Genuine Adobe Flash Player 001";
/// What a server signs S1 with.
const SERVER_KEY: &[u8] = b"Genuine Adobe Flash Media Server 001";
/// Follows [`SERVER_KEY`] where S2's key is made from the client's digest.
const KEY_TAIL: [u8; 32] = [
    0xf0, 0xee, 0xc2, 0x4a, 0x80, 0x68, 0xbe, 0xe8, 0x2e, 0x00, 0xd0, 0xd1, 0x02, 0x9e, 0x7e, 0x57,
    0x6e, 0xec, 0x5d, 0x2d, 0x29, 0x80, 0x6f, 0xab, 0x93, 0xb8, 0xe6, 0x36, 0xcf, 0xeb, 0x31, 0xae,
];
/// Places a digest can take inside its block: 764 bytes less the four that tell, less itself.
const PLACES: usize = 728;

/// Which block holds the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// The first.
    Zero,
    /// The second.
    One,
}

impl Scheme {
    /// Where the block with the digest starts.
    const fn block(self) -> usize {
        match self {
            Self::Zero => 8,
            Self::One => 772,
        }
    }

    /// Where the digest starts: the sum of the block's first four bytes, modulo the places, after
    /// those four.
    pub(super) fn digest_offset(self, packet: &[u8; PACKET_BYTES]) -> usize {
        let block = self.block();
        let sum: usize = packet[block..block + 4]
            .iter()
            .copied()
            .map(usize::from)
            .sum();
        block + 4 + sum % PLACES
    }
}

/// The client's digest, if C1 has a true one.
pub(super) fn find(c1: &[u8; PACKET_BYTES]) -> Option<(Scheme, [u8; DIGEST_BYTES])> {
    // Bytes 4 to 8 are zero in a simple C1: spares two HMACs.
    if c1[4..8] == [0; 4] {
        return None;
    }
    [Scheme::One, Scheme::Zero].into_iter().find_map(|scheme| {
        let at = scheme.digest_offset(c1);
        let wanted = packet_digest(c1, at, CLIENT_KEY);
        (c1[at..at + DIGEST_BYTES] == wanted).then_some((scheme, wanted))
    })
}

/// Puts the server's digest into S1.
pub(super) fn sign_s1(s1: &mut [u8; PACKET_BYTES], scheme: Scheme) {
    let at = scheme.digest_offset(s1);
    let digest = packet_digest(s1, at, SERVER_KEY);
    s1[at..at + DIGEST_BYTES].copy_from_slice(&digest);
}

/// Puts the proof that C1's digest was read at the end of S2.
pub(super) fn sign_s2(s2: &mut [u8; PACKET_BYTES], client_digest: &[u8; DIGEST_BYTES]) {
    let digest = s2_digest(s2, client_digest);
    s2[PACKET_BYTES - DIGEST_BYTES..].copy_from_slice(&digest);
}

/// What S2 must end with.
pub(super) fn s2_digest(
    s2: &[u8; PACKET_BYTES],
    client_digest: &[u8; DIGEST_BYTES],
) -> [u8; DIGEST_BYTES] {
    let mut key = [0; SERVER_KEY.len() + KEY_TAIL.len()];
    key[..SERVER_KEY.len()].copy_from_slice(SERVER_KEY);
    key[SERVER_KEY.len()..].copy_from_slice(&KEY_TAIL);
    let key = hmac_sha256(&key, &[client_digest]);
    hmac_sha256(&key, &[&s2[..PACKET_BYTES - DIGEST_BYTES]])
}

/// HMAC of `packet` without the digest's own place at `at`.
pub(super) fn packet_digest(
    packet: &[u8; PACKET_BYTES],
    at: usize,
    key: &[u8],
) -> [u8; DIGEST_BYTES] {
    hmac_sha256(key, &[&packet[..at], &packet[at + DIGEST_BYTES..]])
}

fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; DIGEST_BYTES] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    let mut digest = [0; DIGEST_BYTES];
    digest.copy_from_slice(context.sign().as_ref());
    digest
}
