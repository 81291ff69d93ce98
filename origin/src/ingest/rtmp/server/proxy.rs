//! The PROXY protocol header a balancer puts before a connection (HAProxy's specification, v1
//! and v2), so that the encoder's own address is known.

use std::net::SocketAddr;

use bytes::{Buf, BytesMut};
use proxy_header::{Error, ParseConfig, ProxyHeader};

/// Longest header taken, bytes: v1 has at most 107, v2 232 and its TLVs.
const HEADER_BYTES_MAX: usize = 2048;

/// Reads a header from the start of `input`. `None`: more bytes are needed. `Some(None)`: a good
/// header that names nobody (v1 UNKNOWN, v2 LOCAL, which balancers send for health checks).
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(input: &mut BytesMut) -> Result<Option<Option<SocketAddr>>, &'static str> {
    match ProxyHeader::parse(input, ParseConfig::default()) {
        Ok((header, length)) => {
            let source = header.proxied_address().map(|address| address.source);
            input.advance(length.min(input.len()));
            Ok(Some(source))
        }
        Err(Error::BufferTooShort) if input.len() < HEADER_BYTES_MAX => Ok(None),
        Err(Error::BufferTooShort) => Err("longer than 2048 bytes"),
        Err(_) => {
            Err("missing or malformed; connections must come through a balancer that sends it")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_name_the_peer_and_leave_the_rest() {
        let v1 = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 1935\r\n\x03rest".to_vec();
        let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
        v2.extend([192, 0, 2, 7, 192, 0, 2, 1, 0x12, 0x67, 0x07, 0x8f]);
        v2.extend(b"\x03rest");
        for whole in [v1, v2] {
            let mut input = BytesMut::new();
            let mut seen = None;
            for byte in &whole {
                input.extend_from_slice(&[*byte]);
                if seen.is_none() {
                    seen = read(&mut input).unwrap();
                }
            }
            assert_eq!(seen, Some(Some("192.0.2.7:4711".parse().unwrap())));
            assert_eq!(&input[..], b"\x03rest");
        }
    }

    #[test]
    fn health_checks_name_nobody() {
        let mut local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00".to_vec();
        local.push(3);
        assert_eq!(read(&mut BytesMut::from(&local[..])), Ok(Some(None)));
        let mut unknown = BytesMut::from("PROXY UNKNOWN\r\n");
        assert_eq!(read(&mut unknown), Ok(Some(None)));
    }

    #[test]
    fn no_header_and_endless_headers_are_refused() {
        assert!(read(&mut BytesMut::from("\x03no header at all")).is_err());
        let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff".to_vec();
        v2.resize(HEADER_BYTES_MAX, 0);
        assert!(read(&mut BytesMut::from(&v2[..])).is_err());
    }
}
