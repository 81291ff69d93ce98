//! `proxy_pass`: where to, and what of the blocks around it holds there.

use super::super::error::{Error, Kind};
use super::super::model::Proxy;
use super::super::model::proxy::Pattern;
use super::super::parse::Directive;
use super::super::template::{Part, Template, Var};
use super::super::value as values;
use super::http::Refs;
use super::location::Outer;
use super::passing::Pairs;
use super::scope::{Inherited, Redirects, value};
use super::{Lowering, upstream};

pub(super) fn proxy(
    directive: &Directive,
    location: &str,
    (inherited, tls): Outer<'_>,
    refs: &mut Refs,
    lowering: &Lowering<'_>,
) -> Result<Proxy, Error> {
    let url = directive.arg(0).unwrap_or_default();
    let scope = &inherited.0;
    let explicit = scope.redirects.clone();
    if url.contains('$') {
        if explicit.as_ref().is_some_and(|it| it.default) {
            let message = "\"proxy_redirect default\" cannot be used with \"proxy_pass\" directive with variables";
            return Err(directive.fault(Kind::Value, message));
        }
        return Ok(Proxy {
            upstream: None,
            url: Some(value(directive, 0, refs)?),
            uri: None,
            // Whether it is https, only a request may know; so is whose name it is.
            resolver: inherited.resolver(),
            tls: if url.starts_with("http://") {
                None
            } else {
                Some(Box::new(tls.proxy.client("", &directive.pos)?))
            },
            host: String::new(),
            port: 80,
            redirects: explicit.unwrap_or_default().pairs,
            ..common(inherited)
        });
    }
    let (rest, secure) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
        (Some(rest), _) => (rest, false),
        (_, Some(rest)) => (rest, true),
        _ => return Err(directive.fault(Kind::Value, "invalid URL prefix")),
    };
    let default_port = if secure { 443 } else { 80 };
    let (host, uri) = split_url(rest);
    let upstreams = &mut refs.upstreams;
    let upstream =
        upstream::find_or_make(directive, host, Some(default_port), upstreams, lowering)?;
    let tls = if secure {
        Some(Box::new(tls.proxy.client(host, &directive.pos)?))
    } else {
        None
    };
    let redirects = explicit.unwrap_or(Redirects {
        default: true,
        pairs: vec![],
    });
    Ok(Proxy {
        upstream: Some(upstream),
        uri: uri.map(str::to_owned),
        tls,
        host: host.to_owned(),
        port: port_of(host, default_port),
        redirects: resolve_redirects(&redirects, url, uri, location),
        ..common(inherited)
    })
}

/// What a `proxy_pass` has of the blocks around it.
fn common(inherited: &Inherited) -> Proxy {
    let scope = &inherited.0;
    let hidden = scope.hide_headers.as_deref().unwrap_or_default();
    Proxy {
        upstream: None,
        url: None,
        uri: None,
        tls: None,
        host: String::new(),
        port: 0,
        set_headers: with_defaults(scope.set_headers.clone().unwrap_or_default()),
        hide_headers: scope.passing.hidden(hidden),
        redirects: Vec::new(),
        passing: scope.passing.passing(),
        resolver: None,
        cache: scope.cache.cache(),
        connect_timeout_ms: scope.connect_timeout_ms.unwrap_or(60_000),
        send_timeout_ms: scope.proxy_send_timeout_ms.unwrap_or(60_000),
        read_timeout_ms: scope.read_timeout_ms.unwrap_or(60_000),
        next: inherited.next(),
        next_tries: scope.next_tries.unwrap_or(0),
        next_timeout_ms: scope.next_timeout_ms.unwrap_or(0),
    }
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
fn resolve_redirects(redirects: &Redirects, url: &str, uri: Option<&str>, location: &str) -> Pairs {
    let text = |text: &str| Template {
        parts: vec![Part::Text(text.to_owned())],
    };
    let mut pairs = redirects.pairs.clone();
    if redirects.default {
        pairs.push(match uri {
            Some(_) => (Pattern::Text(text(url)), text(location)),
            None => (Pattern::Text(text(&format!("{url}/"))), text("/")),
        });
    }
    pairs
}
