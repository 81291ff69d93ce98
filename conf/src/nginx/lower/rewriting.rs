//! What `proxy_redirect` and the `proxy_cookie_` family look for in an answer, and what takes its
//! place.

use super::super::error::{Error, Kind};
use super::super::model::proxy::{CookieFlags, Flags, Pattern};
use super::super::parse::Directive;
use super::super::template::Template;
use super::http::Refs;
use super::passing::Pairs;
use super::scope::{value, value_of};
use super::{invalid_parameter, script};

/// `off`, or what is looked for and what takes its place.
pub(super) fn pair(d: &Directive, refs: &Refs, pairs: &mut Option<Pairs>) -> Result<(), Error> {
    let pairs = pairs.get_or_insert_default();
    match (d.arg(0).unwrap_or_default(), d.arg(1)) {
        ("off", None) => Ok(()),
        (other, None) => Err(invalid_parameter(d, other)),
        (from, Some(to)) if d.name == "proxy_cookie_domain" && !from.starts_with('~') => {
            // A leading dot says nothing: the cookie keeps its own.
            let bare = |text| str::strip_prefix(text, ".").unwrap_or(text);
            let from = Pattern::Text(value_of(d, bare(from), refs)?);
            pairs.push((from, value_of(d, bare(to), refs)?));
            Ok(())
        }
        (from, Some(_)) => {
            // Case says nothing in a domain.
            let from = match from.strip_prefix('~') {
                Some(rest) if d.name == "proxy_cookie_domain" && !rest.starts_with('*') => {
                    pattern(d, &format!("~*{rest}"), refs)?
                }
                _ => pattern(d, from, refs)?,
            };
            pairs.push((from, value(d, 1, refs)?));
            Ok(())
        }
    }
}

/// `~expression`, `~*expression` or a text.
pub(super) fn pattern(d: &Directive, text: &str, refs: &Refs) -> Result<Pattern, Error> {
    let Some(rest) = text.strip_prefix('~') else {
        return Ok(Pattern::Text(value_of(d, text, refs)?));
    };
    let (pattern, insensitive) = match rest.strip_prefix('*') {
        Some(pattern) => (pattern, true),
        None => (rest, false),
    };
    if pattern.is_empty() {
        return Err(d.fault(Kind::Value, "empty regular expression"));
    }
    Ok(Pattern::Regex(script::regex(d, pattern, insensitive)?))
}

/// `proxy_cookie_flags off|COOKIE FLAG...`
pub(super) fn cookie_flags(
    d: &Directive,
    refs: &Refs,
    all: &mut Option<Vec<(Pattern, Flags)>>,
) -> Result<(), Error> {
    let all = all.get_or_insert_default();
    let name = d.arg(0).unwrap_or_default();
    if d.args.len() == 1 {
        return match name {
            "off" => Ok(()),
            other => Err(invalid_parameter(d, other)),
        };
    }
    let name = match name.strip_prefix('~') {
        // Names of cookies are compared without regard to case.
        Some(rest) => {
            let rest = rest.strip_prefix('*').unwrap_or(rest);
            pattern(d, &format!("~*{rest}"), refs)?
        }
        None => pattern(d, name, refs)?,
    };
    let mut words = Vec::new();
    let mut fixed = CookieFlags::default();
    for token in d.args.iter().skip(1) {
        let word = value_of(d, &token.text, refs)?;
        if word.as_text().is_some_and(|text| !fixed.set(text)) {
            return Err(invalid_parameter(d, &token.text));
        }
        words.push(word);
    }
    let flags = if words.iter().all(|word: &Template| word.as_text().is_some()) {
        Flags::Fixed(fixed)
    } else {
        Flags::Words(words)
    };
    all.push((name, flags));
    Ok(())
}
