//! Whether an answer passes a check: its status alone, or all that a `match` says. Pure.
//!
//! Limit: the caller reads no more than [`ANSWER_BYTES_MAX`] of an answer.

use weir_conf::nginx::model::{CheckMatch, HeaderTest, HeaderWant};

/// Most of an answer that is looked at.
pub(super) const ANSWER_BYTES_MAX: usize = 256 << 10;

/// Judges an answer as it came.
///
/// # Errors
/// What did not match, for the log.
pub(super) fn judge(answer: &[u8], matching: Option<&CheckMatch>) -> Result<(), String> {
    let status = status(answer).ok_or("not an HTTP answer")?;
    let Some(matching) = matching else {
        return match status {
            200..=399 => Ok(()),
            status => Err(format!("status {status}")),
        };
    };
    if let Some(test) = &matching.status {
        let mut ranges = test.ranges.iter();
        let within = ranges.any(|(first, last)| (*first..=*last).contains(&status));
        if within == test.not {
            return Err(format!("status {status}"));
        }
    }
    let (head, body) = parts(answer);
    for test in &matching.headers {
        if !fits(test, head) {
            return Err(format!("header \"{}\"", test.name));
        }
    }
    match &matching.body {
        Some(test) if test.regex.is_match(body) == test.not => Err("body".to_owned()),
        _ => Ok(()),
    }
}

/// Header lines and body.
fn parts(answer: &[u8]) -> (&[u8], &[u8]) {
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n");
    match end {
        Some(at) => (
            answer.get(..at).unwrap_or_default(),
            answer.get(at + 4..).unwrap_or_default(),
        ),
        None => (answer, &[]),
    }
}

fn fits(test: &HeaderTest, head: &[u8]) -> bool {
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    let mut values = lines.filter_map(|line| {
        let at = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at(at);
        let same = name.trim_ascii().eq_ignore_ascii_case(test.name.as_bytes());
        same.then(|| value.get(1..).unwrap_or_default().trim_ascii())
    });
    match &test.want {
        HeaderWant::Present => values.next().is_some(),
        HeaderWant::Absent => values.next().is_none(),
        HeaderWant::Equal(wanted) => values.any(|value| value == wanted.as_bytes()),
        HeaderWant::NotEqual(wanted) => values.all(|value| value != wanted.as_bytes()),
        HeaderWant::Matches(regex) => values.any(|value| regex.is_match(value)),
        HeaderWant::NotMatches(regex) => values.all(|value| !regex.is_match(value)),
    }
}

/// The status in `HTTP/1.x NNN …` (RFC 9112 section 4).
fn status(answer: &[u8]) -> Option<u16> {
    let rest = answer.strip_prefix(b"HTTP/1.")?;
    let digits = rest.get(1..5)?.strip_prefix(b" ")?;
    let ends = rest
        .get(5)
        .is_some_and(|byte| matches!(byte, b' ' | b'\r' | b'\n'));
    let text = std::str::from_utf8(digits).ok()?;
    let plain = ends && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use weir_conf::nginx::Regex;
    use weir_conf::nginx::model::{BodyTest, StatusTest};

    use super::*;

    #[test]
    fn status_lines() {
        assert_eq!(status(b"HTTP/1.1 200 OK\r\n"), Some(200));
        assert_eq!(status(b"HTTP/1.0 503\r\n"), Some(503));
        for bad in [
            "",
            "HTTP/1.1",
            "HTTP/1.1 20",
            "HTTP/1.1 2000 ",
            "HTTP/2 200 ",
            "HTTP/1.1 x00 ",
        ] {
            assert_eq!(status(bad.as_bytes()), None, "{bad:?}");
        }
        assert!(judge(b"HTTP/1.1 399 X\r\n", None).is_ok());
        assert!(judge(b"HTTP/1.1 404 X\r\n", None).is_err());
    }

    #[test]
    fn a_match_wants_all_that_it_says() {
        let answer = b"HTTP/1.1 500 X\r\nServer: a\r\nX-Load: 12\r\n\r\nall is well";
        let regex = |text: &str| Regex::new(text, false).unwrap();
        let header = |name: &str, want| HeaderTest {
            name: name.to_owned(),
            want,
        };
        let whole = CheckMatch {
            status: Some(StatusTest {
                not: false,
                ranges: vec![(200, 200), (500, 599)],
            }),
            headers: vec![
                header("server", HeaderWant::Equal("a".to_owned())),
                header("server", HeaderWant::NotEqual("b".to_owned())),
                header("x-load", HeaderWant::Matches(regex("^[0-9]+$"))),
                header("x-load", HeaderWant::NotMatches(regex("^9"))),
                header("x-load", HeaderWant::Present),
                header("x-none", HeaderWant::Absent),
            ],
            body: Some(BodyTest {
                not: false,
                regex: regex("well$"),
            }),
        };
        assert_eq!(judge(answer, Some(&whole)), Ok(()));
        let judged = |change: &dyn Fn(&mut CheckMatch)| {
            let mut it = whole.clone();
            change(&mut it);
            judge(answer, Some(&it)).unwrap_err()
        };
        assert_eq!(
            judged(&|it| it.status.as_mut().unwrap().not = true),
            "status 500"
        );
        assert_eq!(judged(&|it| it.body.as_mut().unwrap().not = true), "body");
        for want in [
            HeaderWant::Absent,
            HeaderWant::Equal("b".to_owned()),
            HeaderWant::NotEqual("a".to_owned()),
            HeaderWant::Matches(regex("b")),
            HeaderWant::NotMatches(regex("a")),
        ] {
            let with = |it: &mut CheckMatch| it.headers.push(header("server", want.clone()));
            assert_eq!(judged(&with), "header \"server\"");
        }
        let missing = |it: &mut CheckMatch| it.headers.push(header("x", HeaderWant::Present));
        assert_eq!(judged(&missing), "header \"x\"");
    }
}
