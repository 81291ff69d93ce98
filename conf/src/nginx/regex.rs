//! Regular expressions as nginx's files have them: PCRE's syntax on bytes.
//!
//! Why two engines: `regex` runs in time linear to the text, so no path a client makes up can
//! hold a thread, and it takes nearly every expression people write. What it refuses for its
//! kind (look-around, backreferences, atomic groups) goes to `fancy-regex`, which backtracks up
//! to `BACKTRACK_MAX` steps and then does not match. Both work on bytes as PCRE does without
//! its UTF mode: `fancy-regex`, which wants text, is given each byte as one character.
//!
//! Failures: an expression that neither takes, worded like nginx's.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Steps back after which an expression that backtracks is taken as not matching.
const BACKTRACK_MAX: usize = 100_000;

/// Most memory a compiled expression may take, in bytes.
const SIZE_MAX: usize = 8 << 20;

/// A compiled expression. Clones share it.
#[derive(Clone)]
pub struct Regex {
    pattern: String,
    insensitive: bool,
    engine: Arc<Engine>,
    names: Vec<(usize, String)>,
}

enum Engine {
    Linear(regex::bytes::Regex),
    Backtracking(fancy_regex::Regex),
}

/// What the groups of an expression took in; group 0 is the whole match.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Captures {
    subject: Vec<u8>,
    groups: Vec<Option<Range<usize>>>,
}

impl Captures {
    /// What group `n` took in, if it took part.
    #[must_use]
    pub fn get(&self, n: usize) -> Option<&[u8]> {
        let range = self.groups.get(n)?.clone()?;
        self.subject.get(range)
    }
}

impl Regex {
    /// Compiles an expression.
    ///
    /// # Errors
    /// In nginx's manner, without place.
    pub fn new(pattern: &str, insensitive: bool) -> Result<Self, String> {
        let (utf, bare) = match pattern
            .strip_prefix("(*UTF8)")
            .or_else(|| pattern.strip_prefix("(*UTF)"))
        {
            Some(rest) => (true, rest),
            None => (false, pattern),
        };
        let plain = plain_braces(bare);
        let linear = regex::bytes::RegexBuilder::new(&plain)
            .unicode(utf)
            .case_insensitive(insensitive)
            .size_limit(SIZE_MAX)
            .build();
        let engine = match linear {
            Ok(linear) => Engine::Linear(linear),
            Err(reason) => backtracking(&plain, insensitive).map_err(|_| {
                let reason = reason.to_string();
                let reason = reason.lines().last().unwrap_or_default();
                let reason = reason.strip_prefix("error: ").unwrap_or(reason);
                format!("pcre2_compile() failed: {reason} in \"{pattern}\"")
            })?,
        };
        Ok(Self {
            pattern: pattern.to_owned(),
            insensitive,
            names: engine.names(),
            engine: Arc::new(engine),
        })
    }

    /// The expression as written.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Named groups: number and name.
    #[must_use]
    pub fn names(&self) -> &[(usize, String)] {
        &self.names
    }

    /// Whether it matches somewhere.
    #[must_use]
    pub fn is_match(&self, subject: &[u8]) -> bool {
        match &*self.engine {
            Engine::Linear(regex) => regex.is_match(subject),
            Engine::Backtracking(regex) => regex.is_match(&widen(subject)).unwrap_or(false),
        }
    }

    /// What its groups take in, if it matches.
    #[must_use]
    pub fn captures(&self, subject: &[u8]) -> Option<Captures> {
        let groups = match &*self.engine {
            Engine::Linear(regex) if regex.captures_len() == 1 => {
                vec![Some(regex.find(subject)?.range())]
            }
            Engine::Linear(regex) => regex
                .captures(subject)?
                .iter()
                .map(|group| group.map(|group| group.range()))
                .collect(),
            Engine::Backtracking(regex) => {
                let wide = widen(subject);
                let found = regex.captures(&wide).ok()??;
                let narrow = |at: usize| wide.get(..at).map_or(0, |head| head.chars().count());
                (0..found.len())
                    .map(|n| found.get(n).map(|it| narrow(it.start())..narrow(it.end())))
                    .collect()
            }
        };
        Some(Captures {
            subject: subject.to_vec(),
            groups,
        })
    }
}

impl Engine {
    fn names(&self) -> Vec<(usize, String)> {
        let named = |(index, name): (usize, Option<&str>)| Some((index, name?.to_owned()));
        match self {
            Self::Linear(regex) => regex
                .capture_names()
                .enumerate()
                .filter_map(named)
                .collect(),
            Self::Backtracking(regex) => regex
                .capture_names()
                .enumerate()
                .filter_map(named)
                .collect(),
        }
    }
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.insensitive { "*" } else { "" };
        write!(f, "~{star}{}", self.pattern)
    }
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern && self.insensitive == other.insensitive
    }
}

impl Eq for Regex {}

/// The names of an expression's groups, from its text: what variables it will set.
pub(super) fn group_names(pattern: &str) -> Vec<String> {
    let mut out = Vec::new();
    for (at, _) in pattern.match_indices("(?") {
        let rest = pattern.get(at + 2..).unwrap_or_default();
        let rest = rest.strip_prefix('P').unwrap_or(rest);
        let Some((name, _)) = rest.strip_prefix('<').and_then(|rest| rest.split_once('>')) else {
            continue;
        };
        if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            out.push(name.to_owned());
        }
    }
    out
}

fn backtracking(pattern: &str, insensitive: bool) -> Result<Engine, fancy_regex::Error> {
    fancy_regex::RegexBuilder::new(&widen(pattern.as_bytes()))
        .case_insensitive(insensitive)
        .backtrack_limit(BACKTRACK_MAX)
        .delegate_size_limit(SIZE_MAX)
        .build()
        .map(Engine::Backtracking)
}

/// Each byte as the character of its number.
fn widen(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// PCRE takes a brace that begins no `{n,m}` as itself, and what stands from `\Q` to `\E`; the
/// engines here want it escaped.
fn plain_braces(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut class = false;
    while let Some(next) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix("\\Q") {
            let (text, tail) = quoted.split_once("\\E").unwrap_or((quoted, ""));
            out.push_str(&regex::escape(text));
            rest = tail;
            continue;
        }
        let width = match next {
            '\\' => {
                // `\x{41}`, `\p{L}`: the brace belongs to the escape.
                let escaped = rest.chars().nth(1).map_or(1, |it| 1 + it.len_utf8());
                match rest.get(escaped..).and_then(|tail| tail.strip_prefix('{')) {
                    Some(tail) if matches!(rest.as_bytes().get(1), Some(b'x' | b'p' | b'P')) => {
                        escaped + 1 + tail.find('}').map_or(0, |end| end + 1)
                    }
                    _ => escaped,
                }
            }
            '[' => {
                class = true;
                1
            }
            ']' => {
                class = false;
                1
            }
            '{' if !class && !is_count(rest) => {
                out.push('\\');
                1
            }
            other => other.len_utf8(),
        };
        out.push_str(rest.get(..width).unwrap_or(rest));
        rest = rest.get(width..).unwrap_or_default();
    }
    out
}

fn is_count(text: &str) -> bool {
    let Some((inner, _)) = text.strip_prefix('{').and_then(|text| text.split_once('}')) else {
        return false;
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (least, most) = inner.split_once(',').unwrap_or((inner, ""));
    !least.is_empty() && digits(least) && digits(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(pattern: &str, subject: &[u8]) -> Option<Vec<Option<Vec<u8>>>> {
        let captures = Regex::new(pattern, false).unwrap().captures(subject)?;
        let all = 0..captures.groups.len();
        Some(all.map(|n| captures.get(n).map(<[u8]>::to_vec)).collect())
    }

    #[test]
    fn expressions_people_write_are_taken() {
        for (pattern, subject, matches) in [
            (r"\.(jpe?g|png)$", "/a.jpg", true),
            (r"^/(?<user>[^/]+)/(?P<rest>.*)$", "/a/b", true),
            (r"^/[0-9a-f]{2,4}/", "/ab1/", true),
            (r"^/a{b$", "/a{b", true),
            (r"[{}]", "}", true),
            (r"\x{41}", "A", true),
            (r"^/(?!api/)", "/api/x", false),
            (r"^/(?!api/)", "/x", true),
            (r"^(a+)\1$", "aaaa", true),
            (r"^(?>a+)b", "aaab", true),
            (r"\/\-\_x", "/-_x", true),
            (r"^\Qa.b\E.$", "a.bc", true),
            (r"^\Qa.b\E.$", "axbc", false),
        ] {
            let regex = Regex::new(pattern, false).unwrap();
            assert_eq!(regex.is_match(subject.as_bytes()), matches, "{pattern}");
        }
        assert!(Regex::new("^/ABC", true).unwrap().is_match(b"/abc"));
    }

    #[test]
    fn groups_hold_bytes_whatever_the_engine() {
        let wanted = Some(vec![
            Some(b"\xff\xc3\xa4x".to_vec()),
            Some(b"\xc3\xa4".to_vec()),
            None,
        ]);
        assert_eq!(groups("\\xff(ä)(z)?x", b"\xff\xc3\xa4x"), wanted);
        assert_eq!(groups("\\xff(ä)(z)?x(?!y)", b"\xff\xc3\xa4x"), wanted);
        assert_eq!(groups("a(?=b)", b"ac"), None);
    }

    #[test]
    fn backtracking_ends() {
        let regex = Regex::new(r"^(?:(a+)+)+(?!x)\1c$", false).unwrap();
        assert!(!regex.is_match(&[b'a'; 4000]));
    }

    #[test]
    fn names_of_groups() {
        assert_eq!(
            group_names(r"(?<a>x)(?P<b_1>y)(?<!z)(?<=q)(?:w)"),
            ["a", "b_1"]
        );
        let regex = Regex::new(r"(x)(?<n>y)", false).unwrap();
        assert_eq!(regex.names(), [(2, "n".to_owned())]);
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        let error = Regex::new("^/(a", false).unwrap_err();
        assert_eq!(error, "pcre2_compile() failed: unclosed group in \"^/(a\"");
    }
}
