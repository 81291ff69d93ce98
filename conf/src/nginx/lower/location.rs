//! `location`, and what it does: `proxy_pass` or `return`.

use super::super::addr;
use super::super::error::{Error, Kind};
use super::super::model::{Action, HealthCheck, Location, Match, Proxy, Return, Upstream};
use super::super::parse::Directive;
use super::super::template::{Part, Template, Var};
use super::super::value as values;
use super::http::Refs;
use super::scope::{Inherited, Redirects, Scope, value};
use super::{Lowering, Once, tls, upstream};

pub(super) fn location(
    block: &Directive,
    outer: &Inherited,
    outer_tls: &tls::Scope,
    refs: &mut Refs,
    lowering: &mut Lowering<'_>,
) -> Result<Location, Error> {
    let tls = tls::Scope::read(block, outer_tls, lowering)?;
    let (matching, path) = matcher(block)?;
    let inherited = outer.with(Scope::read(block, refs, lowering)?);
    let mut action = None;
    let mut once = Once::default();
    // nginx's rewrite phase comes before content: a return wins over proxy_pass.
    for child in block.children() {
        match child.name.as_str() {
            "proxy_pass" => {
                once.first(child)?;
                let proxy = proxy(child, &path, (&inherited, &tls), refs, lowering)?;
                if action.is_none() {
                    action = Some(Action::Proxy(Box::new(proxy)));
                }
            }
            "return" if !matches!(action, Some(Action::Return(_))) => {
                action = Some(Action::Return(return_(child, refs)?));
            }
            _ => {}
        }
    }
    let Some(action) = action else {
        let message = format!(
            "location \"{path}\" has no \"proxy_pass\" and no \"return\": static files are not \
             supported by weir yet"
        );
        return Err(block.fault(Kind::Unsupported, message));
    };
    for child in block
        .children()
        .iter()
        .filter(|child| child.name == "health_check")
    {
        let Action::Proxy(proxy) = &action else {
            let message = "\"health_check\" needs a \"proxy_pass\" beside it";
            return Err(child.fault(Kind::Value, message));
        };
        let check = upstream::health_check(child, true)?;
        attach_check(child, refs.upstreams.get_mut(proxy.upstream), check)?;
    }
    let common = inherited.common();
    Ok(Location {
        matching,
        path,
        action,
        common,
        pos: block.pos.clone(),
    })
}

/// Gives an upstream its active check; it can have one.
pub(super) fn attach_check(
    directive: &Directive,
    upstream: Option<&mut Upstream>,
    check: HealthCheck,
) -> Result<(), Error> {
    let Some(upstream) = upstream else {
        return Ok(());
    };
    if upstream
        .health_check
        .as_ref()
        .is_some_and(|other| *other != check)
    {
        let message = format!(
            "upstream \"{}\" has another \"health_check\": several are not supported by weir yet",
            upstream.name
        );
        return Err(directive.fault(Kind::Unsupported, message));
    }
    upstream.health_check = Some(check);
    Ok(())
}

fn matcher(block: &Directive) -> Result<(Match, String), Error> {
    let regex = || {
        let message = "regular expression locations are not supported by weir yet";
        Err(block.fault(Kind::Unsupported, message))
    };
    match (block.arg(0).unwrap_or_default(), block.arg(1)) {
        ("=", Some(path)) => Ok((Match::Exact, path.to_owned())),
        ("^~", Some(path)) => Ok((Match::PrefixFinal, path.to_owned())),
        ("~" | "~*", Some(_)) => regex(),
        (modifier, Some(_)) => {
            let message = format!("invalid location modifier \"{modifier}\"");
            Err(block.fault(Kind::Value, message))
        }
        (text, None) if text.starts_with('~') => regex(),
        (text, None) if text.starts_with('@') => {
            let message = "named locations are not supported by weir yet";
            Err(block.fault(Kind::Unsupported, message))
        }
        // nginx takes the modifier and the path also in one word.
        (text, None) => Ok(match (text.strip_prefix('='), text.strip_prefix("^~")) {
            (Some(path), _) => (Match::Exact, path.to_owned()),
            (_, Some(path)) => (Match::PrefixFinal, path.to_owned()),
            _ => (Match::Prefix, text.to_owned()),
        }),
    }
}

/// `return code`, `return code text`, `return URL`.
pub(super) fn return_(directive: &Directive, refs: &Refs) -> Result<Return, Error> {
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
    if !(200..=999).contains(&status) {
        let message = format!("invalid return code \"{first}\"");
        return Err(directive.fault(Kind::Value, message));
    }
    let text = match directive.arg(1) {
        Some(_) => Some(value(directive, 1, refs)?),
        None => None,
    };
    Ok(Return { status, text })
}

fn proxy(
    directive: &Directive,
    location: &str,
    (inherited, tls): (&Inherited, &tls::Scope),
    refs: &mut Refs,
    lowering: &Lowering<'_>,
) -> Result<Proxy, Error> {
    let url = directive.arg(0).unwrap_or_default();
    if url.contains('$') {
        let message = "variables in \"proxy_pass\" are not supported by weir yet";
        return Err(directive.fault(Kind::Unsupported, message));
    }
    let (rest, secure) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
        (Some(rest), _) => (rest, false),
        (_, Some(rest)) => (rest, true),
        _ => return Err(directive.fault(Kind::Value, "invalid URL prefix")),
    };
    let default_port = if secure { 443 } else { 80 };
    let (host, uri) = split_url(rest);
    let upstream = upstream::find_or_make(
        directive,
        host,
        Some(default_port),
        &mut refs.upstreams,
        lowering,
    )?;
    let scope = &inherited.0;
    let redirects = scope.redirects.clone().unwrap_or(Redirects {
        default: true,
        pairs: vec![],
    });
    Ok(Proxy {
        upstream,
        uri: uri.map(str::to_owned),
        host: host.to_owned(),
        tls: if secure {
            Some(Box::new(tls.proxy.client(host, &directive.pos)?))
        } else {
            None
        },
        port: port_of(host, default_port),
        set_headers: with_defaults(scope.set_headers.clone().unwrap_or_default()),
        hide_headers: scope.hide_headers.clone().unwrap_or_default(),
        redirects: resolve_redirects(&redirects, url, uri, location),
        connect_timeout_ms: scope.connect_timeout_ms.unwrap_or(60_000),
        send_timeout_ms: scope.proxy_send_timeout_ms.unwrap_or(60_000),
        read_timeout_ms: scope.read_timeout_ms.unwrap_or(60_000),
        next: inherited.next(),
        next_tries: scope.next_tries.unwrap_or(0),
        next_timeout_ms: scope.next_timeout_ms.unwrap_or(0),
    })
}

/// `host[:port]` and the URI, if there is one. `unix:/path:/uri` parts at the second colon.
fn split_url(rest: &str) -> (&str, Option<&str>) {
    if let Some(path) = rest.strip_prefix("unix:") {
        return match path.split_once(':') {
            Some((path, uri)) => (rest.get(..5 + path.len()).unwrap_or(rest), Some(uri)),
            None => (rest, None),
        };
    }
    match rest.find(['/', '?']) {
        Some(at) => {
            let (host, uri) = rest.split_at(at);
            (host, Some(uri))
        }
        None => (rest, None),
    }
}

fn port_of(host: &str, default: u16) -> u16 {
    let port = host
        .rsplit_once(':')
        .and_then(|(_, port)| values::number(port));
    port.unwrap_or(default)
}

/// nginx sends `Host: $proxy_host` unless told otherwise.
fn with_defaults(mut headers: Vec<(String, Template)>) -> Vec<(String, Template)> {
    if !headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("host"))
    {
        let host = Template {
            parts: vec![Part::Var(Var::ProxyHost)],
        };
        headers.push(("Host".to_owned(), host));
    }
    headers
}

/// Works out `proxy_redirect default`: what `proxy_pass` sends to, back to the location.
fn resolve_redirects(
    redirects: &Redirects,
    url: &str,
    uri: Option<&str>,
    location: &str,
) -> Vec<(String, String)> {
    let mut pairs = redirects.pairs.clone();
    if redirects.default {
        pairs.push(match uri {
            Some(_) => (url.to_owned(), location.to_owned()),
            None => (format!("{url}/"), "/".to_owned()),
        });
    }
    pairs
}

/// The address a `proxy_pass` or `server` names, in nginx's words if it does not do.
pub(super) fn addr_fault(
    directive: &Directive,
    fault: addr::AddrFault,
    text: &str,
    what: &str,
) -> Error {
    let kind = match fault {
        addr::AddrFault::NotFound => Kind::Host,
        _ => Kind::Value,
    };
    directive.fault(kind, format!("{} in {what} \"{text}\"", fault.text()))
}
