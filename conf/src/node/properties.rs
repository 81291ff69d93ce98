//! The `.properties` syntax: bytes to (key, value, line).
//!
//! The rules are those of `java.util.Properties.load`: `#` and `!` open a comment; the key ends
//! at the first unescaped `=`, `:` or white space; a line that ends in an odd number of
//! backslashes goes on in the next, whose leading white space is dropped; `\t \n \r \f \uXXXX`
//! are escapes (surrogate pairs make one character) and any other `\c` is `c`. White space at the
//! end of a value is kept here; the kinds that do not want it trim it.
//!
//! One addition: Java reads these files as Latin-1, people write them as UTF-8. A file that is
//! valid UTF-8 is read as that (a byte order mark is dropped), any other byte for byte as Latin-1.
//! Two things that Java takes are errors here: a line without a key, and half a surrogate pair.
//!
//! Own code, for the crate `java-properties` (2.0.0, silent since 2023) takes no surrogate pairs,
//! replaces bad bytes without a word, stops at its first error, and brings a regex engine for
//! what is one pass over the characters.

use std::borrow::Cow;

/// The most bytes a properties file may have.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;

/// One `key = value` as it was written, unescaped.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The key.
    pub(crate) key: String,
    /// The value, perhaps empty.
    pub(crate) value: String,
    /// Where the entry starts, counted from 1.
    pub(crate) line: u32,
}

/// The value is left out: it may be a password.
impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entry({:?}, line {})", self.key, self.line)
    }
}

/// Why one line, or (line 0) the whole file, cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// Counted from 1; 0 = the file as a whole.
    pub(crate) line: u32,
    /// What is wrong and what would be right.
    pub(crate) reason: &'static str,
}

/// Reads a whole file. Lines that cannot be read are reported and the rest is still read.
pub(crate) fn parse(bytes: &[u8]) -> (Vec<Entry>, Vec<SyntaxError>) {
    let whole = |reason| (Vec::new(), vec![SyntaxError { line: 0, reason }]);
    if bytes.len() > FILE_BYTES_MAX {
        return whole("is longer than 1 MiB, the most a properties file may have");
    }
    if bytes.contains(&0) {
        return whole("holds zero bytes; expected text in UTF-8 or Latin-1");
    }
    let text = decode(bytes);
    let (mut entries, mut errors) = (Vec::new(), Vec::new());
    for (line, logical) in LogicalLines::new(&text) {
        match entry(&logical) {
            Ok((key, value)) => entries.push(Entry { key, value, line }),
            Err(reason) => errors.push(SyntaxError { line, reason }),
        }
    }
    (entries, errors)
}

fn decode(bytes: &[u8]) -> Cow<'_, str> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().map(|&b| char::from(b)).collect()),
    }
}

/// Java's white space of this format: space, tab, form feed.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0C')
}

/// Lines with their continuations joined, comments and empty ones left out.
struct LogicalLines<'a> {
    rest: Option<&'a str>,
    line: u32,
}

impl<'a> LogicalLines<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            rest: Some(text),
            line: 0,
        }
    }

    /// The next natural line; LF, CR and CR LF all end one.
    fn natural(&mut self) -> Option<&'a str> {
        let rest = self.rest?;
        self.line += 1;
        match rest.find(['\n', '\r']) {
            None => {
                self.rest = None;
                Some(rest)
            }
            Some(end) => {
                let (line, tail) = rest.split_at(end);
                let tail = tail.strip_prefix("\r\n").or_else(|| tail.get(1..));
                self.rest = tail;
                Some(line)
            }
        }
    }
}

impl<'a> Iterator for LogicalLines<'a> {
    type Item = (u32, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let start = self.natural()?.trim_start_matches(is_blank);
            let line = self.line;
            if start.is_empty() || start.starts_with(['#', '!']) {
                continue;
            }
            let Some(head) = goes_on(start) else {
                return Some((line, Cow::Borrowed(start)));
            };
            if head.is_empty() {
                // As in Java, a lone backslash starts nothing: the next line may be a comment.
                continue;
            }
            let mut joined = head.to_owned();
            while let Some(more) = self.natural() {
                let more = more.trim_start_matches(is_blank);
                match goes_on(more) {
                    Some(part) => joined.push_str(part),
                    None => {
                        joined.push_str(more);
                        break;
                    }
                }
            }
            return Some((line, Cow::Owned(joined)));
        }
    }
}

/// The line without its last backslash, when that one makes it go on.
fn goes_on(line: &str) -> Option<&str> {
    let backslashes = line.bytes().rev().take_while(|&b| b == b'\\').count();
    if backslashes % 2 == 1 {
        line.strip_suffix('\\')
    } else {
        None
    }
}

fn entry(logical: &str) -> Result<(String, String), &'static str> {
    let mut escaped = false;
    let key_end = logical
        .char_indices()
        .find(|&(_, c)| {
            let ends = !escaped && (is_blank(c) || matches!(c, '=' | ':'));
            escaped = !escaped && c == '\\';
            ends
        })
        .map_or(logical.len(), |(at, _)| at);
    let (key, rest) = logical.split_at(key_end);
    let rest = rest.trim_start_matches(is_blank);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    let value = rest.trim_start_matches(is_blank);
    if key.is_empty() {
        return Err("has no key before its '=' or ':'; expected key=value");
    }
    Ok((unescape(key)?, unescape(value)?))
}

fn unescape(text: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\x0C'),
            Some('u') => out.push(unicode(&mut chars)?),
            Some(other) => out.push(other),
            None => {}
        }
    }
    Ok(out)
}

const BAD_UNICODE: &str = "has a bad \\u escape; expected four hexadecimal digits after \\u";
const BAD_SURROGATE: &str = "has half of a \\u surrogate pair; expected a high and a low half";

/// What stands after `\u`: four digits, or two such escapes that make a surrogate pair.
fn unicode(chars: &mut std::str::Chars<'_>) -> Result<char, &'static str> {
    let unit = four_digits(chars)?;
    if !(0xD800..0xE000).contains(&unit) {
        return char::from_u32(u32::from(unit)).ok_or(BAD_SURROGATE);
    }
    if chars.next() != Some('\\') || chars.next() != Some('u') {
        return Err(BAD_SURROGATE);
    }
    let low = four_digits(chars)?;
    match char::decode_utf16([unit, low]).next() {
        Some(Ok(c)) => Ok(c),
        _ => Err(BAD_SURROGATE),
    }
}

fn four_digits(chars: &mut std::str::Chars<'_>) -> Result<u16, &'static str> {
    let mut unit = 0_u16;
    for _ in 0..4 {
        let digit = chars
            .next()
            .and_then(|c| c.to_digit(16))
            .ok_or(BAD_UNICODE)?;
        unit = (unit << 4) | u16::try_from(digit).unwrap_or(0);
    }
    Ok(unit)
}
