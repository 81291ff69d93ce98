//! `health_check`, and the `match` blocks that say which answers pass one.

use std::sync::Arc;

use super::super::error::{Error, Kind};
use super::super::model::{BodyTest, CheckMatch, HeaderTest, HeaderWant, HealthCheck, StatusTest};
use super::super::parse::Directive;
use super::super::value;
use super::script::regex;
use super::upstream::later;
use super::{invalid_parameter, invalid_value};

/// nginx Plus' `health_check [interval=] [jitter=] [fails=] [passes=] [uri=] [port=] [match=]
/// [mandatory [persistent]]`.
pub(super) fn health_check(
    directive: &Directive,
    http: bool,
    matches: &[(String, Arc<CheckMatch>)],
) -> Result<HealthCheck, Error> {
    let mut check = HealthCheck {
        interval_ms: 5000,
        fails: 1,
        passes: 1,
        port: None,
        uri: http.then(|| "/".to_owned()),
        timeout_ms: 5000,
        mandatory: false,
        persistent: false,
        jitter_ms: 0,
        matching: None,
    };
    for token in &directive.args {
        let text = token.text.as_str();
        let bad = || invalid_parameter(directive, text);
        let Some((name, given)) = text.split_once('=') else {
            match text {
                "mandatory" => check.mandatory = true,
                "persistent" => check.persistent = true,
                "udp" => return Err(later(directive, text)),
                _ => return Err(bad()),
            }
            continue;
        };
        match name {
            "interval" => {
                let time = value::time_ms(given).filter(|ms| *ms > 0);
                check.interval_ms = time.ok_or_else(bad)?;
            }
            "fails" => check.fails = value::number(given).filter(|n| *n > 0).ok_or_else(bad)?,
            "passes" => check.passes = value::number(given).filter(|n| *n > 0).ok_or_else(bad)?,
            "port" => {
                check.port = Some(value::number(given).filter(|n| *n > 0).ok_or_else(bad)?);
            }
            "uri" if http => {
                let plain = given.starts_with('/') && given.bytes().all(|b| b.is_ascii_graphic());
                check.uri = Some(plain.then(|| given.to_owned()).ok_or_else(bad)?);
            }
            "jitter" => check.jitter_ms = value::time_ms(given).ok_or_else(bad)?,
            "match" if http => {
                let found = matches.iter().find(|(name, _)| name == given);
                let (_, found) = found.ok_or_else(|| {
                    let message = format!("match \"{given}\" is not found");
                    directive.fault(Kind::Value, message)
                })?;
                check.matching = Some(Arc::clone(found));
            }
            "match" | "type" | "keepalive_time" => return Err(later(directive, name)),
            _ => return Err(bad()),
        }
    }
    check.timeout_ms = check.interval_ms.min(check.timeout_ms);
    Ok(check)
}

/// Every `match` of a block.
pub(super) fn matches(block: &Directive) -> Result<Vec<(String, Arc<CheckMatch>)>, Error> {
    let mut all: Vec<(String, Arc<CheckMatch>)> = Vec::new();
    let blocks = block.children().iter().filter(|it| it.name == "match");
    for block in blocks {
        let name = block.arg(0).unwrap_or_default();
        if all.iter().any(|(other, _)| other == name) {
            return Err(block.fault(Kind::Value, format!("duplicate match \"{name}\"")));
        }
        let mut found = CheckMatch::default();
        for child in block.children() {
            match child.name.as_str() {
                "status" => found.status = Some(status(child)?),
                "header" => found.headers.push(header(child)?),
                "body" => found.body = Some(body(child)?),
                "require" => return Err(later(block, "require")),
                other => {
                    let message = format!("unknown directive \"{other}\"");
                    return Err(child.fault(Kind::Unknown, message));
                }
            }
        }
        all.push((name.to_owned(), Arc::new(found)));
    }
    Ok(all)
}

/// `status [!] CODE|FIRST-LAST...`
fn status(d: &Directive) -> Result<StatusTest, Error> {
    let mut words = d.args.iter().map(|token| token.text.as_str()).peekable();
    let not = words.next_if_eq(&"!").is_some();
    let mut ranges = Vec::new();
    for word in words {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        let range = value::number::<u16>(first).zip(value::number::<u16>(last));
        let range = range.filter(|(first, last)| first <= last);
        ranges.push(range.ok_or_else(|| invalid_parameter(d, word))?);
    }
    if ranges.is_empty() {
        return Err(invalid_value(d));
    }
    Ok(StatusTest { not, ranges })
}

/// `header NAME`, `header ! NAME`, `header NAME =|!= VALUE`, `header NAME ~|!~ EXPRESSION`
fn header(d: &Directive) -> Result<HeaderTest, Error> {
    let words: Vec<&str> = d.args.iter().map(|token| token.text.as_str()).collect();
    let (name, want) = match words.as_slice() {
        ["!", name] => (*name, HeaderWant::Absent),
        [name] => (*name, HeaderWant::Present),
        [name, "=", value] => (*name, HeaderWant::Equal((*value).to_owned())),
        [name, "!=", value] => (*name, HeaderWant::NotEqual((*value).to_owned())),
        [name, "~", pattern] => (*name, HeaderWant::Matches(regex(d, pattern, false)?)),
        [name, "!~", pattern] => (*name, HeaderWant::NotMatches(regex(d, pattern, false)?)),
        _ => return Err(invalid_value(d)),
    };
    Ok(HeaderTest {
        name: name.to_ascii_lowercase(),
        want,
    })
}

/// `body ~|!~ EXPRESSION`
fn body(d: &Directive) -> Result<BodyTest, Error> {
    let pattern = d.arg(1).filter(|_| d.args.len() == 2);
    match (d.arg(0), pattern) {
        (Some(sign @ ("~" | "!~")), Some(pattern)) => Ok(BodyTest {
            not: sign == "!~",
            regex: regex(d, pattern, false)?,
        }),
        _ => Err(invalid_value(d)),
    }
}
