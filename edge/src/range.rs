//! Byte ranges (RFC 9110 section 14), as a pure function.
//!
//! A field that cannot be read, or that asks for more than is sensible, is ignored, which section
//! 14.2 allows: the answer is then the whole object.

/// Ranges in one request that are served as such; more are answered with the whole object.
pub const RANGES_MAX: usize = 8;

/// Bytes `from` up to but not including `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub from: u64,
    /// One beyond the last byte.
    pub end: u64,
}

impl Span {
    /// Its length, bytes.
    pub fn len_bytes(self) -> u64 {
        self.end.saturating_sub(self.from)
    }
}

/// What to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// 200 with everything.
    Full,
    /// 206 with one part.
    Part(Span),
    /// 206 with several parts, in the order asked for.
    Parts(Vec<Span>),
    /// 416.
    Unsatisfiable,
}

/// What the Range field `value` comes to for an object of `len_bytes`.
pub fn plan(value: &[u8], len_bytes: u64) -> Plan {
    let Some(specs) = value.strip_prefix(b"bytes=") else {
        return Plan::Full;
    };
    let mut spans = Vec::new();
    let mut specs_seen = 0_usize;
    for spec in specs.split(|b| *b == b',') {
        let spec = spec.trim_ascii();
        if spec.is_empty() {
            // A list may have empty elements (section 5.6.1.2).
            continue;
        }
        specs_seen += 1;
        if specs_seen > RANGES_MAX {
            return Plan::Full;
        }
        match one(spec, len_bytes) {
            Spec::Span(span) => spans.push(span),
            Spec::Outside => {}
            Spec::Invalid => return Plan::Full,
        }
    }
    let wanted_bytes = spans
        .iter()
        .fold(0_u64, |sum, s| sum.saturating_add(s.len_bytes()));
    match (specs_seen, spans.as_slice()) {
        (0, _) => Plan::Full,
        (_, []) => Plan::Unsatisfiable,
        (_, [span]) => Plan::Part(*span),
        // Overlapping ranges that add up to more than the object are an attack or a mistake
        // (section 14.2, section 17.15).
        _ if wanted_bytes > len_bytes => Plan::Full,
        _ => Plan::Parts(spans),
    }
}

enum Spec {
    Span(Span),
    Outside,
    Invalid,
}

fn one(spec: &[u8], len_bytes: u64) -> Spec {
    let Some(dash) = spec.iter().position(|b| *b == b'-') else {
        return Spec::Invalid;
    };
    let (first, last) = (spec.get(..dash), spec.get(dash + 1..));
    let (Some(first), Some(last)) = (first, last) else {
        return Spec::Invalid;
    };
    let (from, end) = match (number(first), number(last)) {
        (Some(from), Some(to)) if from <= to => (from, to.saturating_add(1).min(len_bytes)),
        (Some(from), None) if last.is_empty() => (from, len_bytes),
        (None, Some(suffix)) if first.is_empty() => (len_bytes.saturating_sub(suffix), len_bytes),
        _ => return Spec::Invalid,
    };
    if from < end {
        Spec::Span(Span { from, end })
    } else {
        Spec::Outside
    }
}

/// Digits only; a number too great is the greatest.
fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0_u64, |sum, digit| {
        sum.saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn part(from: u64, end: u64) -> Plan {
        Plan::Part(Span { from, end })
    }

    #[test]
    fn single_and_suffix_ranges() {
        for (value, expected) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=0-99", part(0, 10)),
            ("bytes=3-5", part(3, 6)),
            ("bytes=9-", part(9, 10)),
            ("bytes=-3", part(7, 10)),
            ("bytes=-30", part(0, 10)),
            ("bytes= 1-2 ,", part(1, 3)),
            ("bytes=5-99999999999999999999999", part(5, 10)),
            ("bytes=10-", Plan::Unsatisfiable),
            ("bytes=-0", Plan::Unsatisfiable),
            ("bytes=20-30", Plan::Unsatisfiable),
        ] {
            assert_eq!(plan(value.as_bytes(), 10), expected, "{value}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_ignored() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "items=0-1",
            "bytes=5-3",
            "bytes=a-b",
            "bytes=-",
            "bytes=1",
            "bytes=1-2-3",
            "bytes=+1-2",
            "bytes=0-1,x",
            "bytes=--1",
            "Bytes 0-1",
        ] {
            assert_eq!(plan(value.as_bytes(), 10), Plan::Full, "{value}");
        }
    }

    #[test]
    fn several_ranges_up_to_a_limit() {
        let spans = vec![Span { from: 0, end: 1 }, Span { from: 8, end: 10 }];
        assert_eq!(plan(b"bytes=0-0, -2", 10), Plan::Parts(spans));
        assert_eq!(plan(b"bytes=0-0, 40-50", 10), part(0, 1));
        assert_eq!(plan(b"bytes=40-50, 60-", 10), Plan::Unsatisfiable);
        assert_eq!(plan(b"bytes=0-,0-,0-", 10), Plan::Full);
        let many = format!("bytes={}", ["1-1"; RANGES_MAX + 1].join(","));
        assert_eq!(plan(many.as_bytes(), 1000), Plan::Full);
        assert_eq!(plan(b"bytes=0-", 0), Plan::Unsatisfiable);
    }

    proptest! {
        #[test]
        fn spans_lie_inside_the_object(value in "bytes=[0-9, -]{0,40}", len: u64) {
            let spans = match plan(value.as_bytes(), len) {
                Plan::Part(span) => vec![span],
                Plan::Parts(spans) => spans,
                Plan::Full | Plan::Unsatisfiable => vec![],
            };
            prop_assert!(spans.len() <= RANGES_MAX);
            for span in spans {
                prop_assert!(span.from < span.end && span.end <= len);
            }
        }
    }
}
