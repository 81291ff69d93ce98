//! `map` and `rewrite` with any expression, over any subject: what is found is in the subject, and
//! a bad expression is refused with its line.
//!
//! The input is lines: an expression, what it becomes, a map's key, and the subject after them.

#![no_main]

use std::net::IpAddr;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use weir_conf::nginx::model::variable::Define;
use weir_conf::nginx::{LoadOptions, Regex, Resolve, load_bytes};

struct Nowhere;

impl Resolve for Nowhere {
    fn resolve(&self, _: &str) -> Vec<IpAddr> {
        Vec::new()
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(4, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let (pattern, becomes, key, subject) = (part(), part(), part(), part());
    let quoted = |text: &[u8]| {
        let escaped = text.iter().flat_map(|byte| match byte {
            b'"' | b'\\' => vec![b'\\', *byte],
            byte => vec![*byte],
        });
        escaped.collect::<Vec<u8>>()
    };
    let (expression, becomes, key) = (quoted(pattern), quoted(becomes), quoted(key));
    let text = [
        &b"events {} http { map $uri $m { \"~"[..],
        &expression,
        b"\" \"",
        &becomes,
        b"\"; \"",
        &key,
        b"\" x; default y; } server { listen 81; rewrite \"",
        &expression,
        b"\" \"",
        &becomes,
        b"\" last; if ($uri ~ \"",
        &expression,
        b"\") { set $v \"$1\"; } } }",
    ]
    .concat();
    let place = ("f", Path::new("/nonexistent"));
    if let Ok(config) = load_bytes(&text, place, &LoadOptions::default(), &Nowhere) {
        for variable in config.http.iter().flat_map(|http| &http.variables) {
            if let Some(Define::Map(map)) = &variable.define {
                let _ = map.find(subject);
            }
        }
    }
    let Ok(pattern) = std::str::from_utf8(pattern) else {
        return;
    };
    for insensitive in [false, true] {
        let Ok(regex) = Regex::new(pattern, insensitive) else {
            continue;
        };
        let found = regex.captures(subject);
        assert_eq!(found.is_some(), regex.is_match(subject));
        let whole = found.as_ref().and_then(|found| found.get(0));
        let in_it = |part: &[u8]| {
            part.is_empty() || subject.windows(part.len()).any(|window| window == part)
        };
        assert!(whole.is_none_or(in_it), "{pattern:?} in {subject:?}");
    }
});
