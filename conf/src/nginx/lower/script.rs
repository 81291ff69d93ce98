//! `set`, `if`, `return`, `rewrite` and `break`: what nginx's rewrite module does, in order.

use super::super::error::{Error, Kind};
use super::super::model::Return;
use super::super::model::web::{FileTest, Op, Rewrite, Target, Test, Then};
use super::super::parse::Directive;
use super::super::regex::Regex;
use super::super::template::Template;
use super::super::value as values;
use super::http::Refs;
use super::scope::{value, value_of};

/// What an `if` makes of its block: steps, and a location if it has one of its own.
pub(super) type Inside = (Vec<Op>, Option<usize>);

/// The steps of a block; `inside` reads what stands in an `if`.
pub(super) fn ops(
    block: &Directive,
    refs: &mut Refs,
    inside: &mut dyn FnMut(&Directive, &mut Refs) -> Result<Inside, Error>,
) -> Result<Vec<Op>, Error> {
    let mut out = Vec::new();
    for child in block.children() {
        match child.name.as_str() {
            "set" => out.push(set(child, refs)?),
            "return" => out.push(Op::Return(return_(child, refs)?)),
            "rewrite" => out.push(Op::Rewrite(Box::new(rewrite(child, refs)?))),
            "break" => out.push(Op::Break),
            "if" => {
                let test = test(child, refs)?;
                let (body, location) = inside(child, refs)?;
                out.push(Op::If {
                    test,
                    body,
                    location,
                });
            }
            _ => {}
        }
    }
    Ok(out)
}

/// The variable that the first word names, to be set.
pub(super) fn target(directive: &Directive, refs: &Refs) -> Result<Target, Error> {
    let name = super::variable::made(directive, 0)?.to_ascii_lowercase();
    Ok(match name.as_str() {
        "args" => Target::Args,
        "limit_rate" => Target::LimitRate,
        _ => Target::User(refs.names.find(&name).unwrap_or_default()),
    })
}

fn set(directive: &Directive, refs: &Refs) -> Result<Op, Error> {
    Ok(Op::Set {
        target: target(directive, refs)?,
        value: value(directive, 1, refs)?,
    })
}

/// `return code`, `return code text`, `return URL`.
fn return_(directive: &Directive, refs: &Refs) -> Result<Return, Error> {
    let first = directive.arg(0).unwrap_or_default();
    let Some(status) = values::number::<u16>(first) else {
        let is_url = ["http://", "https://", "$scheme"]
            .iter()
            .any(|p| first.starts_with(p));
        if directive.args.len() > 1 || !is_url {
            let message = format!("invalid return code \"{first}\"");
            return Err(directive.fault(Kind::Value, message));
        }
        return Ok(Return {
            status: 302,
            text: Some(value(directive, 0, refs)?),
        });
    };
    if status > 999 {
        let message = format!("invalid return code \"{first}\"");
        return Err(directive.fault(Kind::Value, message));
    }
    if status < 200 {
        let message = format!("\"return {first}\" is not supported by weir");
        return Err(directive.fault(Kind::Unsupported, message));
    }
    let text = match directive.arg(1) {
        Some(_) => Some(value(directive, 1, refs)?),
        None => None,
    };
    Ok(Return { status, text })
}

fn rewrite(directive: &Directive, refs: &Refs) -> Result<Rewrite, Error> {
    let pattern = directive.arg(0).unwrap_or_default();
    let to = directive.arg(1).unwrap_or_default();
    let mut then = if ["http://", "https://", "$scheme"]
        .iter()
        .any(|p| to.starts_with(p))
    {
        Then::Redirect(302)
    } else {
        Then::Next
    };
    match directive.arg(2) {
        None => {}
        Some("last") => then = Then::Last,
        Some("break") => then = Then::Break,
        Some("redirect") => then = Then::Redirect(302),
        Some("permanent") => then = Then::Redirect(301),
        Some(other) => return Err(super::invalid_parameter(directive, other)),
    }
    let (to, keep_args) = match to.strip_suffix('?') {
        Some(to) => (to, false),
        None => (to, true),
    };
    let (path, args) = match to.split_once('?') {
        Some((path, args)) => (path, Some(args)),
        None => (to, None),
    };
    Ok(Rewrite {
        regex: regex(directive, pattern, false)?,
        path: value_of(directive, path, refs)?,
        args: args
            .map(|args| value_of(directive, args, refs))
            .transpose()?,
        keep_args,
        then,
    })
}

/// Compiles an expression of a directive's.
pub(super) fn regex(
    directive: &Directive,
    pattern: &str,
    insensitive: bool,
) -> Result<Regex, Error> {
    Regex::new(pattern, insensitive).map_err(|message| directive.fault(Kind::Value, message))
}

/// The words between the brackets of an `if`.
fn condition(directive: &Directive) -> Result<Vec<&str>, Error> {
    let mut words: Vec<&str> = directive
        .args
        .iter()
        .map(|token| token.text.as_str())
        .collect();
    let bad = |word: &str| {
        let message = format!("invalid condition \"{word}\"");
        directive.fault(Kind::Value, message)
    };
    let first = words.first_mut().ok_or_else(|| bad(""))?;
    *first = first.strip_prefix('(').ok_or_else(|| bad(first))?;
    if first.is_empty() {
        words.remove(0);
    }
    let last = words.last_mut().ok_or_else(|| bad("("))?;
    *last = last.strip_suffix(')').ok_or_else(|| bad(last))?;
    if last.is_empty() {
        words.pop();
    }
    Ok(words)
}

fn test(directive: &Directive, refs: &Refs) -> Result<Test, Error> {
    let words = condition(directive)?;
    let bad = |word: &str| {
        let message = format!("invalid condition \"{word}\"");
        directive.fault(Kind::Value, message)
    };
    let read = |text: &str| value_of(directive, text, refs);
    let variable = |text: &str| -> Result<Template, Error> {
        if text.len() < 2 || !text.starts_with('$') {
            return Err(bad(text));
        }
        value_of(directive, text, refs)
    };
    match words.as_slice() {
        [one] => Ok(Test::True(variable(one)?)),
        [flag, path] => {
            let (bare, not) = match flag.strip_prefix('!') {
                Some(rest) => (rest, true),
                None => (*flag, false),
            };
            let kind = match bare {
                "-f" => FileTest::File,
                "-d" => FileTest::Directory,
                "-e" => FileTest::Exists,
                "-x" => FileTest::Executable,
                _ => return Err(bad(flag)),
            };
            Ok(Test::File {
                path: read(path)?,
                kind,
                not,
            })
        }
        [left, sign @ ("=" | "!="), right] => Ok(Test::Equal {
            left: variable(left)?,
            right: read(right)?,
            not: *sign == "!=",
        }),
        [left, sign @ ("~" | "~*" | "!~" | "!~*"), pattern] => Ok(Test::Matches {
            left: variable(left)?,
            regex: regex(directive, pattern, sign.ends_with('*'))?,
            not: sign.starts_with('!'),
        }),
        [_, sign, _] => {
            let message = format!("unexpected \"{sign}\" in condition");
            Err(directive.fault(Kind::Value, message))
        }
        _ => Err(bad(words.get(1).copied().unwrap_or_default())),
    }
}
