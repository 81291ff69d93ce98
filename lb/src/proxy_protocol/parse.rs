//! A header of the PROXY protocol from bytes at hand: pure, and what `fuzz/` feeds.
//!
//! Limits: [`HEADER_BYTES_MAX`]. Failures: one line for the log.

use std::net::SocketAddr;

use proxy_header::{Error, ParseConfig, ProxyHeader};

/// Longest header that is read: version 2 may carry much that nobody here asks for.
pub(crate) const HEADER_BYTES_MAX: usize = 4096;

/// Longest line of version 1, its end included.
const LINE_BYTES_MAX: usize = 107;

/// What a header told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) client: SocketAddr,
    pub(crate) server: SocketAddr,
}

/// What the bytes so far come to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// More are needed.
    More,
    /// A header of so many bytes; `None` if it names nobody (`UNKNOWN`, `LOCAL`).
    Done(Option<Told>, usize),
}

/// Looks at the first bytes of a connection.
///
/// # Errors
/// They are no such header, or one that is too long.
pub(crate) fn parse(bytes: &[u8]) -> Result<Step, &'static str> {
    let is_line = bytes.starts_with(b"PROXY");
    if is_line && bytes.get(5).is_some_and(|byte| *byte != b' ') {
        return Err("broken PROXY protocol header");
    }
    match ProxyHeader::parse(bytes, ParseConfig::default()) {
        // Refused as it would be if it came in pieces.
        Ok((_, count)) if is_line && count > LINE_BYTES_MAX => {
            Err("too long PROXY protocol header")
        }
        Ok((header, count)) => {
            let told = header.proxied_address().map(|addr| Told {
                client: addr.source,
                server: addr.destination,
            });
            Ok(Step::Done(told, count))
        }
        // The parser would read on for ever for what a complete line lacks.
        Err(Error::BufferTooShort) if is_whole_line(bytes) => Err("broken PROXY protocol header"),
        Err(Error::BufferTooShort) if bytes.len() < HEADER_BYTES_MAX => Ok(Step::More),
        Err(Error::BufferTooShort) => Err("too long PROXY protocol header"),
        Err(_) => Err("broken PROXY protocol header"),
    }
}

/// Whether a header of version 1 has its end, or has got as long as one may be.
fn is_whole_line(bytes: &[u8]) -> bool {
    let ends = || bytes.windows(2).any(|pair| pair == b"\r\n");
    bytes.starts_with(b"PROXY") && (bytes.len() >= LINE_BYTES_MAX || ends())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_versions_are_read_byte_by_byte() {
        let told = Told {
            client: "192.0.2.1:5".parse().unwrap(),
            server: "198.51.100.2:1935".parse().unwrap(),
        };
        let one = b"PROXY TCP4 192.0.2.1 198.51.100.2 5 1935\r\n".to_vec();
        let mut two = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
        two.extend([192, 0, 2, 1, 198, 51, 100, 2, 0, 5, 0x07, 0x8f]);
        for mut header in [one, two] {
            let length = header.len();
            for cut in 0..length {
                assert_eq!(parse(&header[..cut]), Ok(Step::More), "{cut}");
            }
            header.extend(b"GET /");
            assert_eq!(parse(&header), Ok(Step::Done(Some(told), length)));
        }
        assert_eq!(parse(b"PROXY UNKNOWN\r\n"), Ok(Step::Done(None, 15)));
        // Found by fuzzing: what is refused in pieces is refused whole.
        let long = format!("PROXY UNKNOWN {}\r\n", "6".repeat(LINE_BYTES_MAX - 16));
        assert_eq!(parse(long.as_bytes()), Ok(Step::Done(None, LINE_BYTES_MAX)));
        let longer = long.replacen('6', "66", 1);
        assert!(parse(longer.as_bytes()).is_err());
        assert!(parse(b"PROXY\x02UNKNOWN\r\n").is_err());
        assert!(parse(b"GET / HTTP/1.1\r\n").is_err());
        assert!(parse(b"PROXY TCP4 x\r\n").is_err());
    }

    proptest! {
        #[test]
        fn hostile_bytes_end_in_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..200), mark in 0..3) {
            let start: &[u8] = match mark {
                0 => b"",
                1 => b"PROXY ",
                _ => b"\r\n\r\n\0\r\nQUIT\n",
            };
            let all = [start, &bytes].concat();
            if let Ok(Step::Done(_, count)) = parse(&all) {
                prop_assert!(count <= all.len());
            }
        }
    }
}
