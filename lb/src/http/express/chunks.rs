//! The chunked transfer coding of an answer, taken off (RFC 9112 section 7.1).
//!
//! Chunk extensions and trailers are left out: the next hop gets chunks of our own. Limits: a
//! line of [`LINE_BYTES_MAX`], trailers of [`TRAILER_BYTES_MAX`]. Failures: anything else than
//! the grammar's bytes, which cannot be repaired once some of the body has gone on.

/// Longest line with a chunk's size and extensions.
const LINE_BYTES_MAX: usize = 4096;

/// Most bytes of trailers.
const TRAILER_BYTES_MAX: usize = 16 << 10;

/// Longest chunk: beyond it a length is no length.
const CHUNK_BYTES_MAX: u64 = 1 << 60;

/// The coding is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Where in the coding we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In a size: its value, its digits.
    Size(u64, u8),
    /// Behind a size, in the line; bytes of it.
    Extension(u64, usize),
    /// The line feed after a size.
    SizeEnd(u64),
    /// In data, so many bytes left.
    Data(u64),
    /// After data, before its line's end: a carriage return, then a line feed.
    DataReturn,
    DataFeed,
    /// In trailers: bytes so far, and whether their line is empty yet.
    Trailer(usize, bool),
    Done,
}

/// Takes the coding off.
#[derive(Debug)]
pub(super) struct Chunks(At);

impl Default for Chunks {
    fn default() -> Self {
        Self(At::Size(0, 0))
    }
}

impl Chunks {
    /// Whether the body has ended.
    pub(super) fn is_done(&self) -> bool {
        self.0 == At::Done
    }

    /// The next piece of data in `input`, which is shortened to what comes after it. `None` if
    /// more input is needed, or the end is reached.
    ///
    /// # Errors
    /// The coding is broken.
    pub(super) fn next<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<&'i [u8]>, Malformed> {
        while !self.is_done() {
            if let At::Data(left) = self.0 {
                let count = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                if count == 0 {
                    return Ok(None);
                }
                let (data, rest) = input.split_at(count);
                *input = rest;
                let left = left - count as u64;
                self.0 = if left == 0 {
                    At::DataReturn
                } else {
                    At::Data(left)
                };
                return Ok(Some(data));
            }
            let Some((byte, rest)) = input.split_first() else {
                return Ok(None);
            };
            *input = rest;
            self.0 = self.0.after(*byte)?;
        }
        Ok(None)
    }
}

impl At {
    fn after(self, byte: u8) -> Result<Self, Malformed> {
        match (self, byte) {
            (Self::Size(value, digits), _) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).ok_or(Malformed)?;
                let value = value * 16 + u64::from(digit);
                if value > CHUNK_BYTES_MAX || digits == u8::MAX {
                    return Err(Malformed);
                }
                Ok(Self::Size(value, digits + 1))
            }
            (Self::Size(_, 0), _) => Err(Malformed),
            (Self::Size(value, _), b'\r') | (Self::Extension(value, _), b'\r') => {
                Ok(Self::SizeEnd(value))
            }
            (Self::Size(value, _), b';' | b' ' | b'\t') => Ok(Self::Extension(value, 1)),
            (Self::Extension(value, length), _) if byte != b'\n' && length < LINE_BYTES_MAX => {
                Ok(Self::Extension(value, length + 1))
            }
            (Self::SizeEnd(0), b'\n') => Ok(Self::Trailer(0, true)),
            (Self::SizeEnd(size), b'\n') => Ok(Self::Data(size)),
            (Self::DataReturn, b'\r') => Ok(Self::DataFeed),
            (Self::DataFeed, b'\n') => Ok(Self::Size(0, 0)),
            (Self::Trailer(_, true), b'\n') => Ok(Self::Done),
            (Self::Trailer(length, _), _) if length < TRAILER_BYTES_MAX => {
                let empty = match (self, byte) {
                    (_, b'\n') => true,
                    (Self::Trailer(_, empty), b'\r') => empty,
                    _ => false,
                };
                Ok(Self::Trailer(length + 1, empty))
            }
            _ => Err(Malformed),
        }
    }
}

/// Writes a chunk.
pub(super) fn write(data: &[u8], out: &mut Vec<u8>) {
    use std::io::Write as _;
    // Writing to a Vec does not fail.
    let _ = write!(out, "{:x}\r\n", data.len());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// The last chunk, without trailers.
pub(super) const LAST: &[u8] = b"0\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    /// What a body holds when it comes in pieces of this size, and what is left behind it.
    fn decode(text: &str, piece: usize) -> Result<(String, bool, usize), Malformed> {
        let mut chunks = Chunks::default();
        let mut out = Vec::new();
        let mut taken = 0;
        for part in text.as_bytes().chunks(piece) {
            let mut input = part;
            while let Some(data) = chunks.next(&mut input)? {
                out.extend_from_slice(data);
            }
            taken += part.len() - input.len();
        }
        let out = String::from_utf8(out).unwrap();
        Ok((out, chunks.is_done(), text.len() - taken))
    }

    #[test]
    fn bodies_come_out_whole_however_they_are_cut() {
        let whole = "5\r\nhello\r\nA;x=\"y\"\r\n0123456789\r\n0\r\n\r\n";
        let trailer = "1 \r\n!\r\n000\r\nX: y\r\nZ:\r\n\r\n";
        for piece in 1..whole.len() {
            assert_eq!(
                decode(whole, piece),
                Ok(("hello0123456789".to_owned(), true, 0))
            );
            assert_eq!(decode(trailer, piece), Ok(("!".to_owned(), true, 0)));
        }
        assert_eq!(decode("0\r\n\r\nHTTP", 64), Ok((String::new(), true, 4)));
        assert_eq!(decode("5\r\nhel", 64), Ok(("hel".to_owned(), false, 0)));
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for text in [
            "\r\n",
            "g\r\n",
            "-1\r\n",
            "5\nhello",
            "5\r\nhello5",
            "5\r\nhello\n",
            "5\rx",
            "ffffffffffffffffffff\r\n",
            "5;x\ny",
        ] {
            assert_eq!(decode(text, 64), Err(Malformed), "{text:?}");
        }
        let long = format!("5;{}", "x".repeat(LINE_BYTES_MAX + 1));
        assert_eq!(decode(&long, 64), Err(Malformed));
        let long = format!("0\r\n{}", "x".repeat(TRAILER_BYTES_MAX + 1));
        assert_eq!(decode(&long, 64), Err(Malformed));
    }

    #[test]
    fn chunks_are_written() {
        let mut out = Vec::new();
        write(b"0123456789abcdef", &mut out);
        out.extend_from_slice(LAST);
        assert_eq!(out, b"10\r\n0123456789abcdef\r\n0\r\n\r\n");
    }
}
