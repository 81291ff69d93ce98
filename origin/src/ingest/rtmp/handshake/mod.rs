//! The server's side of the RTMP handshake, simple and complex.
//!
//! Simple (Adobe's RTMP 1.0 specification, 5.2): version byte, 1536 bytes each way, each echoed.
//! Complex (Flash Player 9 and later, never published by Adobe; known from its implementations):
//! C1 hides an HMAC-SHA256 digest of itself in one of two places ("schemes"), and a server that
//! answers in kind proves that it is one. Clients that put a digest in C1 get it answered by the
//! same scheme, all others get the simple echo.
//!
//! Bytes in, bytes out; the noise comes from the caller. C2 is read and not compared: encoders
//! in the field send anything there. RTMPE (version 6 and its kin) is refused.

mod digest;
#[cfg(test)]
mod tests;

use bytes::{Buf, BufMut, BytesMut};

use super::error::{Fault, WireError};
use digest::Scheme;

/// Length of C1, S1, C2 and S2, bytes.
pub const PACKET_BYTES: usize = 1536;
/// The one protocol version in use.
const VERSION: u8 = 3;
/// What S1 says the server's version is; non-zero tells a client that S1 has a digest.
const SERVER_VERSION: [u8; 4] = [4, 5, 0, 1];

/// A handshake under way.
#[derive(Debug)]
pub struct Handshake {
    step: Step,
    noise: Box<[u8; PACKET_BYTES]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    AwaitC0,
    AwaitC1,
    AwaitC2,
    Done,
}

impl Handshake {
    /// Starts; `noise` fills what must be unlike any other handshake (S1, and S2's padding).
    pub fn new(noise: Box<[u8; PACKET_BYTES]>) -> Self {
        Self {
            step: Step::AwaitC0,
            noise,
        }
    }

    /// Takes what it needs from `input`, appends answers to `output`; true when done. What is
    /// left in `input` then is the first chunk.
    ///
    /// # Errors
    /// [`WireError`] for a version that is not RTMP's.
    pub fn receive(
        &mut self,
        input: &mut BytesMut,
        output: &mut BytesMut,
    ) -> Result<bool, WireError> {
        loop {
            match self.step {
                Step::AwaitC0 => {
                    let Some(&version) = input.first() else {
                        return Ok(false);
                    };
                    check_version(version)?;
                    input.advance(1);
                    self.step = Step::AwaitC1;
                }
                Step::AwaitC1 => {
                    let Some(c1) = input.first_chunk::<PACKET_BYTES>() else {
                        return Ok(false);
                    };
                    self.answer(c1, output);
                    input.advance(PACKET_BYTES);
                    self.step = Step::AwaitC2;
                }
                Step::AwaitC2 => {
                    if input.len() < PACKET_BYTES {
                        return Ok(false);
                    }
                    input.advance(PACKET_BYTES);
                    self.step = Step::Done;
                }
                Step::Done => return Ok(true),
            }
        }
    }

    /// Writes S0, S1, S2.
    fn answer(&self, c1: &[u8; PACKET_BYTES], output: &mut BytesMut) {
        output.reserve(1 + 2 * PACKET_BYTES);
        output.put_u8(VERSION);
        match digest::find(c1) {
            Some((scheme, client_digest)) => self.answer_complex(scheme, &client_digest, output),
            None => {
                let mut s1 = *self.noise;
                write_head(&mut s1, [0; 4]);
                output.put_slice(&s1);
                output.put_slice(c1);
            }
        }
    }

    fn answer_complex(&self, scheme: Scheme, client_digest: &[u8; 32], output: &mut BytesMut) {
        let mut s1 = *self.noise;
        write_head(&mut s1, SERVER_VERSION);
        digest::sign_s1(&mut s1, scheme);
        output.put_slice(&s1);
        let mut s2 = *self.noise;
        s2.reverse();
        digest::sign_s2(&mut s2, client_digest);
        output.put_slice(&s2);
    }
}

/// Time (always 0: nobody reads it) and the four bytes after it.
fn write_head(packet: &mut [u8; PACKET_BYTES], version: [u8; 4]) {
    packet[..4].fill(0);
    packet[4..8].copy_from_slice(&version);
}

fn check_version(version: u8) -> Result<(), WireError> {
    let fault = match version {
        VERSION => return Ok(()),
        6 | 8 | 9 => Fault::Encrypted { version },
        found => Fault::Version {
            found,
            hint: match found {
                0x16 => " (this looks like TLS: RTMPS has its own port)",
                b'G' | b'P' | b'H' | b'O' => " (this looks like HTTP)",
                b'R' => " (this looks like RTSP)",
                _ => "",
            },
        },
    };
    Err(WireError { offset: 0, fault })
}
