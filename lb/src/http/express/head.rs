//! A request's header as it came, read in place: is it one of the plain kind?
//!
//! Plain is a GET or HEAD of HTTP/1.1 without a body, without anything that is settled between
//! two hops but `Connection: close` or `keep-alive`, with one `Host`, header names that nobody
//! reads in two ways, and a path that is its own normal form. Whatever is not goes another way
//! and is judged there: nothing is refused here.

use std::mem::MaybeUninit;

use httparse::{Header, Request, Status};

use crate::http::uri;

/// Most headers of a plain request.
pub(super) const HEADERS_MAX: usize = 64;

/// Room for a request's headers.
pub(super) type Room<'b> = [MaybeUninit<Header<'b>>; HEADERS_MAX];

/// What the bytes so far are.
#[derive(Debug)]
pub(super) enum Parsed<'h, 'b> {
    /// The beginning of a header.
    Partial,
    /// No header that is understood here.
    Odd,
    /// A whole one.
    Whole(Head<'h, 'b>),
}

/// A whole header.
#[derive(Debug)]
pub(super) struct Head<'h, 'b> {
    pub(super) method: &'b str,
    pub(super) target: &'b [u8],
    /// The only `Host`.
    pub(super) host: &'b [u8],
    pub(super) headers: &'h [Header<'b>],
    /// Bytes it takes.
    pub(super) len: usize,
    /// Whether it is of the plain kind.
    pub(super) plain: bool,
    /// Whether the next request, or nothing, comes right behind it.
    pub(super) bodiless: bool,
    /// `Connection: close`
    pub(super) close: bool,
}

impl Head<'_, '_> {
    pub(super) fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    /// The path, before a `?`.
    pub(super) fn path(&self) -> &[u8] {
        uri::split(self.target).0
    }
}

/// Room for [`parse`].
pub(super) fn room<'b>() -> Room<'b> {
    [const { MaybeUninit::uninit() }; HEADERS_MAX]
}

/// Reads a header.
pub(super) fn parse<'h, 'b>(bytes: &'b [u8], room: &'h mut Room<'b>) -> Parsed<'h, 'b> {
    let mut request = Request::new(&mut []);
    let len = match request.parse_with_uninit_headers(bytes, room) {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) => return Parsed::Partial,
        Err(_) => return Parsed::Odd,
    };
    let (Some(method), Some(target)) = (request.method, request.path) else {
        return Parsed::Odd;
    };
    let mut head = Head {
        method,
        target: target.as_bytes(),
        host: b"",
        headers: request.headers,
        len,
        plain: request.version == Some(1) && matches!(method, "GET" | "HEAD"),
        bodiless: true,
        close: false,
    };
    look(&mut head);
    head.plain &= is_plain_target(head.target);
    Parsed::Whole(head)
}

/// Looks through the headers.
fn look(head: &mut Head<'_, '_>) {
    let mut hosts = 0;
    for header in head.headers {
        let name = header.name;
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            head.plain = false;
        }
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        match name.len() {
            4 if is("host") => {
                hosts += 1;
                head.host = header.value;
            }
            10 if is("connection") => {
                for token in header.value.split(|byte| *byte == b',') {
                    let token = token.trim_ascii();
                    if token.eq_ignore_ascii_case(b"close") {
                        head.close = true;
                    } else if !token.eq_ignore_ascii_case(b"keep-alive") {
                        head.plain = false;
                    }
                }
            }
            14 if is("content-length") => {
                head.plain = false;
                head.bodiless &= header.value == b"0";
            }
            17 if is("transfer-encoding") => {
                head.plain = false;
                head.bodiless = false;
            }
            7 if is("upgrade") => {
                head.plain = false;
                head.bodiless = false;
            }
            2 if is("te") => head.plain = false,
            6 if is("expect") => head.plain = false,
            7 if is("trailer") => head.plain = false,
            10 if is("keep-alive") => head.plain = false,
            16 if is("proxy-connection") => head.plain = false,
            _ => {}
        }
    }
    // None, or an empty one, is for others to judge.
    head.plain &= hosts == 1 && !head.host.is_empty();
}

fn is_plain_target(target: &[u8]) -> bool {
    let printable = target.iter().all(|byte| matches!(byte, 0x21..=0x7e));
    let (path, _) = uri::split(target);
    let normal = uri::normalise(path, true);
    printable && !target.contains(&b'#') && matches!(normal, Some(std::borrow::Cow::Borrowed(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(text: &str) -> Option<(bool, bool, bool)> {
        let mut room = room();
        match parse(text.as_bytes(), &mut room) {
            Parsed::Whole(head) => Some((head.plain, head.bodiless, head.close)),
            Parsed::Partial | Parsed::Odd => None,
        }
    }

    #[test]
    fn only_what_can_be_read_in_one_way_is_plain() {
        let with = |more: &str| format!("GET /a?b HTTP/1.1\r\nHost: h\r\n{more}\r\n");
        assert_eq!(judge(&with("")), Some((true, true, false)));
        assert_eq!(
            judge(&with("Connection: close\r\n")),
            Some((true, true, true))
        );
        for (more, bodiless) in [
            ("Content-Length: 0\r\n", true),
            ("Content-Length: 5\r\n", false),
            ("content-length: 5\r\nContent-Length: 0\r\n", false),
            ("Transfer-Encoding: chunked\r\n", false),
            ("Transfer-encoding: x\r\n", false),
            ("Upgrade: websocket\r\nConnection: upgrade\r\n", false),
            ("TE: trailers\r\n", true),
            ("Expect: 100-continue\r\n", true),
            ("Host: h\r\n", true),
            ("Content_Length: 5\r\n", true),
            ("Connection: close, te\r\n", true),
        ] {
            let judged = judge(&with(more)).unwrap();
            assert_eq!((judged.0, judged.1), (false, bodiless), "{more}");
        }
        for line in [
            "POST / HTTP/1.1",
            "GET / HTTP/1.0",
            "GET //a HTTP/1.1",
            "GET /a/../b HTTP/1.1",
            "GET /%61 HTTP/1.1",
            "GET http://h/ HTTP/1.1",
            "GET * HTTP/1.1",
        ] {
            let judged = judge(&format!("{line}\r\nHost: h\r\n\r\n")).unwrap();
            assert!(!judged.0, "{line}");
        }
        // A percent sign in the arguments is nobody's business.
        assert!(judge("GET /a?b=%20 HTTP/1.1\r\nHost: h\r\n\r\n").unwrap().0);
        assert!(!judge("GET / HTTP/1.1\r\n\r\n").unwrap().0);
        assert_eq!(judge("GET / HTTP/1.1\r\nHost: h\r\n"), None);
        assert_eq!(judge("GET / HTTP/1.1\r\n Host: h\r\n\r\n"), None);
    }
}
