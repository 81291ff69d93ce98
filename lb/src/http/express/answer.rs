//! An upstream's header, read in place, and the header that the client gets for it.
//!
//! The same rules as for answers that come through Pingora ([`crate::http::rewritten`]): of
//! headers that may stand once the first counts, hidden ones are left out, hop-by-hop ones end
//! here. What tells the balancer what to do (`X-Accel-…`) is [`Parsed::Odd`]: another way deals
//! with it. What cannot be read in one way only is no answer.

use std::mem::MaybeUninit;

use httparse::{Header, Response, Status};

/// Most headers of an answer.
const HEADERS_MAX: usize = 100;

/// Room for an answer's headers.
pub(super) type Room<'b> = [MaybeUninit<Header<'b>>; HEADERS_MAX];

/// How an answer's body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    None,
    Length(u64),
    Chunked,
    /// With the connection.
    Close,
}

/// What the bytes so far are.
#[derive(Debug)]
pub(super) enum Parsed<'h, 'b> {
    Partial,
    /// For the balancer, not for the client.
    Odd,
    /// No answer, or one that can be read in two ways.
    Invalid,
    Whole(Answer<'h, 'b>),
}

/// A whole header.
#[derive(Debug)]
pub(super) struct Answer<'h, 'b> {
    pub(super) status: u16,
    pub(super) reason: &'b str,
    pub(super) headers: &'h [Header<'b>],
    /// Bytes it takes.
    pub(super) len: usize,
    pub(super) framing: Framing,
    /// Whether the connection may carry another request.
    pub(super) keeps: bool,
}

/// Room for [`parse`].
pub(super) fn room<'b>() -> Room<'b> {
    [const { MaybeUninit::uninit() }; HEADERS_MAX]
}

/// Reads a header; `to_head` if it answers a HEAD.
pub(super) fn parse<'h, 'b>(
    bytes: &'b [u8],
    to_head: bool,
    room: &'h mut Room<'b>,
) -> Parsed<'h, 'b> {
    let mut response = Response::new(&mut []);
    let mut config = httparse::ParserConfig::default();
    // As Pingora reads answers.
    config.allow_spaces_after_header_name_in_responses(true);
    config.allow_obsolete_multiline_headers_in_responses(true);
    let parsed = config.parse_response_with_uninit_headers(&mut response, bytes, room);
    let len = match parsed {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) => return Parsed::Partial,
        Err(_) => return Parsed::Invalid,
    };
    let (Some(status), Some(version)) = (response.code, response.version) else {
        return Parsed::Invalid;
    };
    let steers = |it: &Header<'_>| {
        let start = it.name.get(..8).unwrap_or_default();
        // Lines that were one in former times have to be joined.
        start.eq_ignore_ascii_case("x-accel-") || it.value.contains(&b'\n')
    };
    if status == 101 || response.headers.iter().any(steers) {
        return Parsed::Odd;
    }
    let Some((framing, keeps)) = frame(status, version, to_head, response.headers) else {
        return Parsed::Invalid;
    };
    Parsed::Whole(Answer {
        status,
        reason: response.reason.unwrap_or_default(),
        headers: response.headers,
        len,
        framing,
        keeps,
    })
}

/// How the body ends (RFC 9112 section 6.3), and whether the connection stays. `None` if that can
/// be read in more than one way.
fn frame(
    status: u16,
    version: u8,
    to_head: bool,
    headers: &[Header<'_>],
) -> Option<(Framing, bool)> {
    let (mut length, mut chunked) = (None, false);
    let mut keeps = version == 1;
    for header in headers {
        let is = |other: &str| header.name.eq_ignore_ascii_case(other);
        match header.name.len() {
            14 if is("content-length") => {
                let digits =
                    !header.value.is_empty() && header.value.iter().all(u8::is_ascii_digit);
                let value = std::str::from_utf8(header.value).ok()?.parse::<u64>().ok();
                if !digits || value.is_none() || length.is_some() {
                    return None;
                }
                length = value;
            }
            17 if is("transfer-encoding") => {
                if chunked || !header.value.eq_ignore_ascii_case(b"chunked") {
                    return None;
                }
                chunked = true;
            }
            10 if is("connection") => {
                let mut tokens = header.value.split(|byte| *byte == b',');
                keeps = tokens.all(|it| it.trim_ascii().eq_ignore_ascii_case(b"keep-alive"));
            }
            _ => {}
        }
    }
    let bare = to_head || matches!(status, 100..=199 | 204 | 304);
    let framing = match (length, chunked) {
        (Some(_), true) => return None,
        _ if bare => Framing::None,
        (None, true) if version == 0 => return None,
        (None, true) => Framing::Chunked,
        (Some(0), false) => Framing::None,
        (Some(length), false) => Framing::Length(length),
        (None, false) => Framing::Close,
    };
    Some((framing, keeps && framing != Framing::Close))
}

/// Which of the headers that count once a header is, as a bit.
fn once(name: &str) -> u8 {
    const NAMES: [(&str, u8); 7] = [
        ("content-type", 1),
        ("date", 2),
        ("etag", 4),
        ("expires", 8),
        ("last-modified", 16),
        ("location", 32),
        ("server", 64),
    ];
    let mut all = NAMES.iter().filter(|(other, _)| other.len() == name.len());
    all.find(|(other, _)| other.eq_ignore_ascii_case(name))
        .map_or(0, |(_, bit)| *bit)
}

/// Whether a header is settled between two hops (RFC 9110 section 7.6.1), or framing.
fn is_of_the_hop(name: &str) -> bool {
    const NAMES: [&str; 7] = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let mut all = NAMES.iter().filter(|other| other.len() == name.len());
    all.any(|other| other.eq_ignore_ascii_case(name))
}

/// What is written of an answer's headers.
pub(super) struct Rules<'r> {
    /// Left out, lower case.
    pub(super) hide: &'r [String],
    /// Who says `Server` if the upstream does not.
    pub(super) server: &'r str,
    /// What becomes of `Location` and of the URL in `Refresh`; `None` leaves it.
    pub(super) redirect: &'r dyn Fn(&[u8]) -> Option<Vec<u8>>,
}

impl Answer<'_, '_> {
    /// Writes the status line and the upstream's headers for the client, but for those of framing
    /// and of the connection.
    pub(super) fn write(&self, rules: &Rules<'_>, out: &mut Vec<u8>) {
        use std::io::Write as _;
        // Writing to a Vec does not fail.
        let _ = write!(out, "HTTP/1.1 {} {}\r\n", self.status, self.reason);
        let mut seen = 0;
        for header in self.headers {
            let name = header.name;
            let bit = once(name);
            let hidden = rules.hide.iter().any(|it| it.eq_ignore_ascii_case(name));
            if hidden || is_of_the_hop(name) || seen & bit != 0 {
                continue;
            }
            if self.status == 204 && name.eq_ignore_ascii_case("content-length") {
                continue;
            }
            seen |= bit;
            let replaced = match name.len() {
                8 if bit == 32 => (rules.redirect)(header.value),
                7 if name.eq_ignore_ascii_case("refresh") => refresh(header.value, rules.redirect),
                _ => None,
            };
            let value = replaced.as_deref().unwrap_or(header.value);
            line(name, value, out);
        }
        if seen & 64 == 0 {
            line("Server", rules.server.as_bytes(), out);
        }
        if seen & 2 == 0 {
            let date = pingora::protocols::http::date::get_cached_date();
            line("Date", date.as_bytes(), out);
        }
    }
}

/// The URL in a `Refresh`, replaced.
fn refresh(value: &[u8], redirect: &dyn Fn(&[u8]) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let lower = value.to_ascii_lowercase();
    let at = lower.windows(4).position(|it| it == b"url=")? + 4;
    let (before, url) = value.split_at_checked(at)?;
    Some([before, &redirect(url)?].concat())
}

/// Writes a header. A value that cannot stand in one is left out with its name.
pub(super) fn line(name: &str, value: &[u8], out: &mut Vec<u8>) {
    if is_value(value) {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
}

/// RFC 9110 section 5.5.
fn is_value(value: &[u8]) -> bool {
    value
        .iter()
        .all(|byte| matches!(byte, b'\t' | 0x20..=0x7e | 0x80..))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(text: &str, to_head: bool) -> Option<(Framing, bool)> {
        match parse(text.as_bytes(), to_head, &mut room()) {
            Parsed::Whole(answer) => Some((answer.framing, answer.keeps)),
            Parsed::Partial | Parsed::Odd | Parsed::Invalid => None,
        }
    }

    #[test]
    fn bodies_end_where_the_rfc_says() {
        for (header, wanted) in [
            ("Content-Length: 5", (Framing::Length(5), true)),
            ("Content-Length: 0", (Framing::None, true)),
            ("Transfer-Encoding: Chunked", (Framing::Chunked, true)),
            ("X: y", (Framing::Close, false)),
            (
                "Content-Length: 5\r\nConnection: close",
                (Framing::Length(5), false),
            ),
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{header}\r\n\r\n");
            assert_eq!(judge(&text, false), Some(wanted), "{header}");
        }
        let bare = "HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(judge(bare, false), Some((Framing::None, true)));
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(judge(head, true), Some((Framing::None, true)));
        let old = "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(judge(old, false), Some((Framing::Length(5), false)));
        let kept = "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n";
        assert_eq!(judge(kept, false), Some((Framing::Length(5), true)));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_odd() {
        for header in [
            "Content-Length: 5\r\nContent-Length: 5",
            "Content-Length: +5",
            "Content-Length: ",
            "Content-Length: 99999999999999999999",
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "X-Accel-Redirect: /a",
            "X y",
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{header}\r\n\r\n");
            assert_eq!(judge(&text, false), None, "{header}");
        }
    }

    #[test]
    fn the_client_gets_what_concerns_it() {
        let text = "HTTP/1.1 302 Found\r\nserver: x\r\nDate: y\r\nConnection: keep-alive\r\n\
                    ETag: 1\r\nETag: 2\r\nLocation: http://a/b\r\nX-Pad: z\r\nSet-Cookie: a\r\n\
                    Set-Cookie: b\r\nRefresh: 1; URL=http://a/c\r\nContent-Length: 0\r\n\r\n";
        let mut room = room();
        let Parsed::Whole(answer) = parse(text.as_bytes(), false, &mut room) else {
            panic!("it is an answer");
        };
        let hide = ["server".to_owned(), "x-pad".to_owned()];
        let redirect = |url: &[u8]| {
            let rest = url.strip_prefix(b"http://a")?;
            Some([b"http://l", rest].concat())
        };
        let rules = Rules {
            hide: &hide,
            server: "weir",
            redirect: &redirect,
        };
        let mut out = Vec::new();
        answer.write(&rules, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "HTTP/1.1 302 Found\r\nDate: y\r\nETag: 1\r\nLocation: http://l/b\r\nSet-Cookie: a\r\n\
             Set-Cookie: b\r\nRefresh: 1; URL=http://l/c\r\nContent-Length: 0\r\nServer: weir\r\n"
        );
    }
}
