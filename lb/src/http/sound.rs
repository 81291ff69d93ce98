//! Whether a request's header can be read in one way only, and what of it is left out.
//!
//! Why beside Pingora's parser: that takes more than nginx does (a space in the path), and what one side takes in another way than the next is how requests
//! are smuggled. Names of headers are nginx's: letters, digits and hyphens, and underscores where
//! `underscores_in_headers` says so; other headers are left out (`ignore_invalid_headers`), for
//! many programs make one variable of `a-b` and `a_b`.

use http::Method;
use http::header::{HeaderMap, HeaderName};
use pingora::http::RequestHeader;
use weir_conf::nginx::model::Server;

/// Whether a header of HTTP/1 begins with a sound request line: three words without controls
/// (RFC 9112 section 3).
pub(super) fn request_line(raw: &[u8]) -> bool {
    let line = raw.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let words = line.split(|byte| *byte == b' ');
    words.filter(|word| !word.is_empty()).count() == 3 && !line.iter().any(u8::is_ascii_control)
}

/// What is never done for a client: `TRACE`, which would tell it its own header with what proxies
/// put into it, and `CONNECT`.
///
/// # Errors
/// The status to refuse with, nginx's.
pub(super) fn method(request: &RequestHeader) -> Result<(), u16> {
    if request.method == Method::TRACE {
        return Err(405);
    }
    if request.method == Method::CONNECT {
        let target = std::str::from_utf8(request.raw_path()).unwrap_or_default();
        let port = target.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        return Err(if matches!(port, Some(Ok(_))) {
            405
        } else {
            400
        });
    }
    Ok(())
}

/// The headers that are left out. None in all but odd requests.
pub(super) fn left_out(headers: &HeaderMap, server: &Server) -> Vec<HeaderName> {
    if !server.ignore_invalid_headers {
        return Vec::new();
    }
    let fits = |byte: u8| {
        byte.is_ascii_alphanumeric() || byte == b'-' || (byte == b'_' && server.underscores)
    };
    let names = headers
        .keys()
        .filter(|name| !name.as_str().bytes().all(fits));
    names.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_line_is_read_in_one_way() {
        for sound in [
            "GET / HTTP/1.1\r\nA: b\r\n\r\n",
            "GET  /  HTTP/1.0\nA: b\n\n",
            "GET / HTTP/1.1",
        ] {
            assert!(request_line(sound.as_bytes()), "{sound:?}");
        }
        for odd in [
            "",
            "GET /\r\n\r\n",
            "GET / / HTTP/1.1\r\n\r\n",
            "GET /\t HTTP/1.1\r\n\r\n",
            "GET /\u{2} HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\r\n\r\n",
        ] {
            assert!(!request_line(odd.as_bytes()), "{odd:?}");
        }
    }
}
