//! The host that a request names, as nginx judges it: what nobody could be called is a 400, for a
//! cache or a log beside us might take it for another.

use std::borrow::Cow;

/// The host a `Host` header names: lower case, without port and without a dot at the end.
/// `None` if it is malformed, as nginx judges it.
pub(crate) fn host_name(header: &[u8]) -> Option<Cow<'_, str>> {
    let text = std::str::from_utf8(header).ok()?;
    let (host, port) = if text.starts_with('[') {
        let (host, rest) = text.split_at_checked(text.find(']')? + 1)?;
        (
            host,
            rest.strip_prefix(':').or(rest.is_empty().then_some(""))?,
        )
    } else {
        text.split_once(':').unwrap_or((text, ""))
    };
    if !port.is_empty()
        && (!port.bytes().all(|it| it.is_ascii_digit()) || port.parse::<u16>().is_err())
    {
        return None;
    }
    let inner = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let bad = |byte: u8| byte <= b' ' || byte == 0x7f || b"/\\@[]:".contains(&byte);
    let bad_inner =
        |byte: u8| !byte.is_ascii_alphanumeric() && !b"!$&'()*+,;=-._~:".contains(&byte);
    let is_bad = match inner {
        Some(inner) => inner.bytes().any(bad_inner),
        None => host.bytes().any(bad),
    };
    if is_bad || host.contains("..") || (host == ".") {
        return None;
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    Some(if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_headers() {
        for (given, wanted) in [
            ("A.b:80", Some("a.b")),
            ("a.b.", Some("a.b")),
            ("[::1]:80", Some("[::1]")),
            ("", Some("")),
            ("a b", None),
            ("a/b", None),
            ("a..b", None),
            (".", None),
            ("a:b", None),
            ("a:80:80", None),
            ("a:65536", None),
            ("a:", Some("a")),
            ("x[::1]", None),
            ("[::1].", None),
            ("[v1.!~:]:8", Some("[v1.!~:]")),
            ("[::1", None),
            ("[::1]x", None),
            ("a\u{0}b", None),
        ] {
            assert_eq!(host_name(given.as_bytes()).as_deref(), wanted, "{given:?}");
        }
        assert_eq!(host_name(b"\xff"), None);
    }
}
