//! Paths as nginx sees them: what locations are compared with, and what a replaced path becomes.
//!
//! Normalising (`//` only under nginx's `merge_slashes on`): `%XX` is decoded, `//` is one slash, `.` and `..`
//! are resolved. A path that leaves the root, holds a NUL or a broken `%` is refused (400): such
//! a path could name something else to the upstream than it did here.

use std::borrow::Cow;

/// Splits a request target into path and query, without their `?`. A fragment is cut off.
pub(crate) fn split(target: &[u8]) -> (&[u8], &[u8]) {
    let target = target
        .split(|byte| *byte == b'#')
        .next()
        .unwrap_or_default();
    match target.iter().position(|byte| *byte == b'?') {
        Some(at) => {
            let (path, query) = target.split_at(at);
            (path, query.get(1..).unwrap_or_default())
        }
        None => (target, &[]),
    }
}

/// The origin-form part of a request target (RFC 9112 section 3.2): absolute-form loses its
/// scheme and authority. `None` if it is neither.
pub(crate) fn origin_form(target: &[u8]) -> Option<Cow<'_, [u8]>> {
    if target.first() == Some(&b'/') {
        return Some(Cow::Borrowed(target));
    }
    let scheme = target.windows(3).position(|window| window == b"://")?;
    let known = target.get(..scheme)?;
    if !known.eq_ignore_ascii_case(b"http") && !known.eq_ignore_ascii_case(b"https") {
        return None;
    }
    let rest = target.get(scheme + 3..)?;
    let at = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let rest = rest.get(at.unwrap_or(rest.len())..)?;
    Some(match rest.first() {
        Some(b'/') => Cow::Borrowed(rest),
        // An empty path is `/`.
        _ => Cow::Owned([b"/", rest].concat()),
    })
}

/// The path that locations are compared with. `None` is a 400.
pub(crate) fn normalise(path: &[u8], merge_slashes: bool) -> Option<Cow<'_, [u8]>> {
    if path.first() != Some(&b'/') {
        return None;
    }
    let plain = !path.iter().any(|byte| matches!(byte, b'%' | 0))
        && !path.windows(2).any(|pair| match pair {
            b"//" => merge_slashes,
            _ => pair == b"/.",
        });
    if plain {
        return Some(Cow::Borrowed(path));
    }
    let decoded = decode(path)?;
    let mut out: Vec<u8> = Vec::with_capacity(decoded.len());
    let mut segments = decoded.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            b"." if !last => {}
            b"" if !last && merge_slashes => {}
            b".." => {
                // Not below the root.
                let parent = out.iter().rposition(|byte| *byte == b'/')?;
                out.truncate(parent);
                if last {
                    out.push(b'/');
                }
            }
            b"" | b"." => out.push(b'/'),
            _ => {
                out.push(b'/');
                out.extend_from_slice(segment);
            }
        }
    }
    Some(Cow::Owned(out))
}

/// A path and arguments that an upstream names, the path decoded. `None` if it climbs, as it
/// stands or decoded, or holds a NUL.
pub(crate) fn safe(target: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (path, args) = split(target);
    let climbs = |path: &[u8]| path.split(|byte| *byte == b'/').any(|part| part == b"..");
    let decoded = decode(path)?;
    let good = !decoded.is_empty() && !climbs(path) && !climbs(&decoded);
    good.then(|| (decoded, args.to_vec()))
}

/// Escapes a normalised path for a request line, as nginx does.
pub(crate) fn escape(path: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in path {
        let bare = matches!(byte, 0x21..=0x7e)
            && !matches!(
                byte,
                b'%' | b'?' | b'#' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}'
            );
        if bare {
            out.push(*byte);
        } else {
            let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
            out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

/// Escapes what becomes part of arguments, as nginx does.
pub(crate) fn escape_args(text: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text {
        let bare = matches!(byte, 0x21..=0x7e)
            && !matches!(
                byte,
                b'%' | b'&'
                    | b'+'
                    | b'?'
                    | b'#'
                    | b';'
                    | b'"'
                    | b'<'
                    | b'>'
                    | b'\\'
                    | b'^'
                    | b'`'
                    | b'{'
                    | b'|'
                    | b'}'
            );
        if bare {
            out.push(*byte);
        } else {
            let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
            out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

fn decode(path: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(path.len());
    let mut bytes = path.iter().copied();
    while let Some(byte) = bytes.next() {
        let decoded = if byte == b'%' {
            let high = hex(bytes.next()?)?;
            let low = hex(bytes.next()?)?;
            (high << 4) | low
        } else {
            byte
        };
        if decoded == 0 {
            return None;
        }
        out.push(decoded);
    }
    Some(out)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(path: &str) -> Option<String> {
        normalise(path.as_bytes(), true).map(|path| String::from_utf8_lossy(&path).into_owned())
    }

    #[test]
    fn paths_are_normalised_as_nginx_does() {
        for (given, wanted) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a//b///c", "/a/b/c"),
            ("/a/./b/.", "/a/b/"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/../", "/a/"),
            ("/%61%2fb", "/a/b"),
            ("/a/%2e%2e/b", "/b"),
            ("/.hidden/..x/x..", "/.hidden/..x/x.."),
            ("/a%20b%C3%A4", "/a bä"),
            ("//", "/"),
        ] {
            assert_eq!(normal(given).as_deref(), Some(wanted), "{given}");
        }
        for bad in [
            "",
            "a",
            "*",
            "/..",
            "/../a",
            "/a/../../b",
            "/%",
            "/%4",
            "/%zz",
            "/%00",
            "/a\0",
        ] {
            assert_eq!(normal(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_an_upstream_names_does_not_climb() {
        let path = |target: &str| safe(target.as_bytes()).map(|it| it.0);
        assert_eq!(path("/a%20b?c"), Some(b"/a b".to_vec()));
        assert_eq!(path("/a..b/..c"), Some(b"/a..b/..c".to_vec()));
        for bad in [
            "", "?a", "..", "../a", "/a/..", "/a/../b", "/a/.%2e", "/%00",
        ] {
            assert_eq!(path(bad), None, "{bad}");
        }
    }

    #[test]
    fn slashes_may_stay() {
        let normal = |path: &str| normalise(path.as_bytes(), false).map(Cow::into_owned);
        for (given, wanted) in [
            ("/a//b", "/a//b"),
            ("//", "//"),
            ("/a//./%62", "/a//b"),
            ("/a//../b", "/a/b"),
        ] {
            assert_eq!(normal(given).as_deref(), Some(wanted.as_bytes()), "{given}");
        }
    }

    #[test]
    fn targets_are_taken_apart() {
        assert_eq!(split(b"/a?b=c?d#e"), (&b"/a"[..], &b"b=c?d"[..]));
        assert_eq!(split(b"/a"), (&b"/a"[..], &b""[..]));
        assert_eq!(origin_form(b"/a?b").as_deref(), Some(&b"/a?b"[..]));
        assert_eq!(
            origin_form(b"http://h:1/a?b").as_deref(),
            Some(&b"/a?b"[..])
        );
        assert_eq!(origin_form(b"HTTP://h").as_deref(), Some(&b"/"[..]));
        assert_eq!(origin_form(b"http://h?a#b").as_deref(), Some(&b"/?a#b"[..]));
        assert_eq!(origin_form(b"ftp://h/"), None);
        assert_eq!(origin_form(b"*"), None);
    }

    proptest! {
        /// What comes out of a replaced path means the same to the next hop.
        #[test]
        fn escaping_round_trips(path in "/(\\PC|/|%41|\\.){0,20}") {
            if let Some(path) = normalise(path.as_bytes(), true) {
                let mut escaped = Vec::new();
                escape(&path, &mut escaped);
                prop_assert!(escaped.iter().all(u8::is_ascii_graphic));
                prop_assert_eq!(normalise(&escaped, true), Some(path));
            }
        }

        #[test]
        fn any_bytes(path in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = (split(&path), origin_form(&path));
            if let Some(path) = normalise(&path, true) {
                prop_assert_eq!(path.first(), Some(&b'/'));
                prop_assert!(!path.windows(2).any(|pair| pair == b"//"));
                let dots = |name: &[u8]| name == b"." || name == b"..";
                prop_assert!(!path.split(|byte| *byte == b'/').any(dots));
            }
        }
    }
}
