//! How an upstream chooses: `least_conn`, `ip_hash`, `hash`, `random`, `least_time`, `least_load`,
//! `sticky`.

use super::super::error::{Error, Kind};
use super::super::model::{Ejection, Method, RetryBudget, SameSite, Sticky, Until};
use super::super::parse::Directive;
use super::super::template::Template;
use super::super::value as values;
use super::invalid_parameter;
use super::variable::Words;

/// The method a directive names; `None` if it names none.
pub(super) fn method(d: &Directive, words: Words<'_>) -> Result<Option<Method>, Error> {
    Ok(Some(match d.name.as_str() {
        "least_conn" => Method::LeastConn,
        "ip_hash" => Method::IpHash,
        "hash" => Method::Hash {
            key: value(d, d.arg(0).unwrap_or_default(), words)?,
            consistent: match d.arg(1) {
                None => false,
                Some("consistent") => true,
                Some(other) => return Err(invalid_parameter(d, other)),
            },
        },
        "random" => random(d)?,
        "least_time" => least_time(d, words.of_requests)?,
        "least_load" => Method::LeastLoad,
        _ => return Ok(None),
    }))
}

/// Whether servers may be `backup`s under a method.
pub(super) fn takes_backups(method: &Method) -> bool {
    !matches!(
        method,
        Method::IpHash | Method::Hash { .. } | Method::Random { .. }
    )
}

fn random(d: &Directive) -> Result<Method, Error> {
    let two = match d.arg(0) {
        None => false,
        Some("two") => true,
        Some(other) => return Err(invalid_parameter(d, other)),
    };
    match d.arg(1) {
        None | Some("least_conn") => Ok(Method::Random { two }),
        Some(other @ ("least_time=header" | "least_time=last_byte")) => {
            let message = format!("the \"{other}\" parameter is not supported by weir yet");
            Err(d.fault(Kind::Unsupported, message))
        }
        Some(other) => Err(invalid_parameter(d, other)),
    }
}

fn least_time(d: &Directive, of_requests: bool) -> Result<Method, Error> {
    let until = match d.arg(0).unwrap_or_default() {
        "header" if of_requests => Until::FirstByte,
        "first_byte" if !of_requests => Until::FirstByte,
        "connect" if !of_requests => Until::Connect,
        "last_byte" => Until::LastByte,
        other => return Err(invalid_parameter(d, other)),
    };
    match d.arg(1) {
        None => Ok(Method::LeastTime { until }),
        Some("inflight") => {
            let message = "the \"inflight\" parameter is not supported by weir yet";
            Err(d.fault(Kind::Unsupported, message))
        }
        Some(other) => Err(invalid_parameter(d, other)),
    }
}

/// `sticky cookie NAME [expires=] [domain=] [path=] [samesite=] [httponly] [secure]`
pub(super) fn sticky(d: &Directive, words: Words<'_>) -> Result<Sticky, Error> {
    match d.arg(0).unwrap_or_default() {
        "cookie" => {}
        other @ ("route" | "learn") => {
            let message = format!("\"sticky {other}\" is not supported by weir yet");
            return Err(d.fault(Kind::Unsupported, message));
        }
        other => return Err(invalid_parameter(d, other)),
    }
    let name = d.arg(1).unwrap_or_default();
    let is_token = |byte: u8| byte.is_ascii_graphic() && !b"=;,\"()<>@:\\/[]?{}".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(d.fault(Kind::Value, format!("invalid cookie name \"{name}\"")));
    }
    let mut sticky = Sticky {
        cookie: name.to_owned(),
        ..Sticky::default()
    };
    for token in d.args.iter().skip(2) {
        let text = token.text.as_str();
        let bad = || invalid_parameter(d, text);
        match text.split_once('=') {
            None if text == "httponly" => sticky.http_only = true,
            None if text == "secure" => sticky.secure = true,
            Some(("expires", "max")) => sticky.expires_s = Some(Sticky::EXPIRES_MAX_S),
            Some(("expires", time)) => {
                let seconds = values::time_ms(time).ok_or_else(bad)? / 1000;
                sticky.expires_s = Some(seconds);
            }
            Some(("domain", given)) => sticky.domain = Some(value(d, given, words)?),
            Some(("path", given)) => sticky.path = Some(value(d, given, words)?),
            Some(("samesite", "strict")) => sticky.same_site = Some(SameSite::Strict),
            Some(("samesite", "lax")) => sticky.same_site = Some(SameSite::Lax),
            Some(("samesite", "none")) => sticky.same_site = Some(SameSite::None),
            Some(("samesite", given)) if given.starts_with('$') => {
                sticky.same_site = Some(SameSite::Value(value(d, given, words)?));
            }
            _ => return Err(bad()),
        }
    }
    Ok(sticky)
}

/// `weir_retry_budget PERCENT% [min=N]`, weir's own.
pub(super) fn retry_budget(d: &Directive) -> Result<RetryBudget, Error> {
    let mut budget = RetryBudget::default();
    let text = d.arg(0).unwrap_or_default();
    budget.percent = percent(text).ok_or_else(|| invalid_parameter(d, text))?;
    if let Some(text) = d.arg(1) {
        let floor = text.strip_prefix("min=").and_then(values::number);
        budget.floor = floor.ok_or_else(|| invalid_parameter(d, text))?;
    }
    Ok(budget)
}

/// `weir_outlier_ejection [consecutive=] [time=] [max_time=] [share=] [panic=]`, weir's own.
pub(super) fn ejection(d: &Directive) -> Result<Ejection, Error> {
    let mut ejection = Ejection::default();
    for token in &d.args {
        let text = token.text.as_str();
        let bad = || invalid_parameter(d, text);
        let time = |given| values::time_ms(given).filter(|ms| *ms > 0).ok_or_else(bad);
        match text.split_once('=').ok_or_else(bad)? {
            ("consecutive", n) => {
                let row = values::number(n).filter(|n| *n > 0);
                ejection.consecutive = row.ok_or_else(bad)?;
            }
            ("time", given) => ejection.time_ms = time(given)?,
            ("max_time", given) => ejection.max_time_ms = time(given)?,
            ("share", given) => ejection.share_percent = percent(given).ok_or_else(bad)?,
            ("panic", given) => ejection.panic_percent = percent(given).ok_or_else(bad)?,
            _ => return Err(bad()),
        }
    }
    Ok(ejection)
}

/// `20%` up to a hundred.
fn percent(text: &str) -> Option<u32> {
    let number = values::number(text.strip_suffix('%')?);
    number.filter(|percent| *percent <= 100)
}

fn value(d: &Directive, text: &str, words: Words<'_>) -> Result<Template, Error> {
    (words.parse)(text, words.names).map_err(|message| {
        let kind = if message.contains("not supported") {
            Kind::Unsupported
        } else {
            Kind::Value
        };
        d.fault(kind, message)
    })
}
