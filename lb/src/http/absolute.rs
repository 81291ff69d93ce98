//! A request line with a whole URL in it (RFC 9112 section 3.2.2): its host goes before `Host`.
//!
//! Why here: Pingora refuses such a request if the two differ; nginx, and the RFC, take the URL's.
//! So the header is made to say what the URL says before Pingora reads it. Limits: a header that
//! has not come whole in [`HELD_MAX`] bytes goes on as it is.

/// Most bytes held back until a header is whole.
pub(crate) const HELD_MAX: usize = 16 << 10;

/// Whether a header begins with a whole URL. Asked of every request, so it looks at few bytes.
pub(crate) fn begins_with_url(header: &[u8]) -> bool {
    let target = header.iter().take(32).position(|byte| *byte == b' ');
    let target = target.and_then(|at| header.get(at + 1..));
    target.is_some_and(|it| {
        it.get(..4)
            .is_some_and(|it| it.eq_ignore_ascii_case(b"http"))
    })
}

/// Whether the header is whole.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    let crlf = bytes.windows(4).any(|it| it == b"\r\n\r\n");
    crlf || bytes.windows(2).any(|it| it == b"\n\n")
}

/// The same bytes with the URL's authority for the host, if there is one `Host` to replace.
pub(crate) fn with_host(bytes: &[u8]) -> Option<Vec<u8>> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let target = bytes.get(..end)?.split(|byte| *byte == b' ').nth(1)?;
    let at = target.windows(3).position(|it| it == b"://")?;
    let rest = target.get(at + 3..)?;
    let authority = rest
        .split(|byte| matches!(byte, b'/' | b'?' | b'#'))
        .next()?;
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(byte);
    if authority.is_empty() || !authority.iter().all(plain) {
        return None;
    }
    let mut from = end + 1;
    loop {
        let line = bytes.get(from..)?.split(|byte| *byte == b'\n').next()?;
        if line.trim_ascii_end().is_empty() {
            return None;
        }
        let value = (line.get(..5)?.eq_ignore_ascii_case(b"host:")).then(|| line.get(5..));
        if let Some(value) = value.flatten() {
            let space = value.len() - value.trim_ascii_start().len();
            let value_at = from + 5 + space;
            let value_end = value_at + value.trim_ascii().len();
            let (head, tail) = (bytes.get(..value_at)?, bytes.get(value_end..)?);
            return Some([head, authority, tail].concat());
        }
        from += line.len() + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Option<String> {
        let out = with_host(text.as_bytes())?;
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_urls_host_takes_the_place() {
        assert!(begins_with_url(b"GET http://a/ HTTP/1.1\r\n"));
        assert!(!begins_with_url(b"GET /http HTTP/1.1\r\n"));
        assert!(is_whole(b"GET / HTTP/1.0\n\n") && !is_whole(b"GET / HTTP/1.0\r\n"));
        let given = "GET http://b:1/x HTTP/1.1\r\nA: 1\r\nhOst:  a\r\nB: 2\r\n\r\nbody";
        let wanted = "GET http://b:1/x HTTP/1.1\r\nA: 1\r\nhOst:  b:1\r\nB: 2\r\n\r\nbody";
        assert_eq!(host(given).as_deref(), Some(wanted));
        for left in [
            "GET http://b/ HTTP/1.1\r\nA: 1\r\n\r\nHost: a\r\n",
            "GET http://u@b/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET",
        ] {
            assert_eq!(host(left), None, "{left}");
        }
    }
}
