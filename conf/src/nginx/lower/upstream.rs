//! `upstream` blocks, their `server`s and nodes, and the groups that a bare address makes.

use super::super::addr;
use super::super::error::{Error, Kind};
use super::super::model::{Method, Resolver, RetryBudget, Upstream, UpstreamServer};
use super::super::parse::Directive;
use super::super::value;
use super::location::addr_fault;
use super::variable::Words;
use super::{Lowering, Once, balancing, cluster, invalid_parameter, number, resolving, time_ms};

/// Idle connections kept to an upstream unless it says otherwise (nginx's since 1.29.7).
const KEEPALIVE_DEFAULT: u32 = 32;

/// Greatest weight, so that sums over a group stay far inside the arithmetic.
const WEIGHT_MAX: u32 = 1_000_000;

/// Every `upstream` of a block.
pub(super) fn all(
    block: &Directive,
    lowering: &mut Lowering<'_>,
    default_port: Option<u16>,
    words: Words<'_>,
) -> Result<Vec<Upstream>, Error> {
    let mut out: Vec<Upstream> = Vec::new();
    for child in block
        .children()
        .iter()
        .filter(|child| child.name == "upstream")
    {
        let found = upstream(child, lowering, default_port, words)?;
        if out.iter().any(|other| other.name == found.name) {
            let message = format!("duplicate upstream \"{}\"", found.name);
            return Err(child.fault(Kind::Value, message));
        }
        out.push(found);
    }
    Ok(out)
}

/// The place of the upstream that a `proxy_pass` names; a bare address makes one.
pub(super) fn find_or_make(
    directive: &Directive,
    host: &str,
    default_port: Option<u16>,
    upstreams: &mut Vec<Upstream>,
    lowering: &Lowering<'_>,
) -> Result<usize, Error> {
    if let Some(index) = upstreams.iter().position(|upstream| upstream.name == host) {
        return Ok(index);
    }
    let addrs = addr::upstream(host, default_port, lowering.resolver)
        .map_err(|fault| addr_fault(directive, fault, host, "upstream"))?;
    upstreams.push(Upstream {
        servers: vec![server_defaults(host, addrs)],
        ..empty(host, directive)
    });
    Ok(upstreams.len() - 1)
}

/// Gives upstreams whose servers have `resolve` the resolver around them.
pub(super) fn give_resolver(
    upstreams: &mut [Upstream],
    outer: Option<&Resolver>,
) -> Result<(), Error> {
    for upstream in upstreams {
        if upstream.servers.iter().all(|it| it.resolve.is_none()) {
            continue;
        }
        upstream.resolver = upstream.resolver.take().or(outer.cloned());
        if upstream.resolver.is_none() {
            return Err(Error {
                message: format!(
                    "no resolver defined to resolve names at run time in upstream \"{}\"",
                    upstream.name
                ),
                pos: Some(upstream.pos.clone()),
                kind: Kind::Value,
            });
        }
    }
    Ok(())
}

/// An upstream without servers, nginx's defaults in all else.
fn empty(name: &str, directive: &Directive) -> Upstream {
    Upstream {
        name: name.to_owned(),
        servers: Vec::new(),
        nodes: None,
        method: Method::RoundRobin,
        sticky: None,
        keepalive: KEEPALIVE_DEFAULT,
        keepalive_timeout_ms: 60_000,
        keepalive_requests: 1000,
        keepalive_time_ms: 3_600_000,
        resolver: None,
        retry_budget: RetryBudget::default(),
        ejection: None,
        health_check: None,
        pos: directive.pos.clone(),
    }
}

fn upstream(
    block: &Directive,
    lowering: &mut Lowering<'_>,
    default_port: Option<u16>,
    words: Words<'_>,
) -> Result<Upstream, Error> {
    let mut upstream = empty(block.arg(0).unwrap_or_default(), block);
    let mut once = Once::default();
    let mut timeout_ms = None;
    for child in block.children() {
        match child.name.as_str() {
            "server" => {
                let server = server(child, lowering, default_port)?;
                if server.backup && !balancing::takes_backups(&upstream.method) {
                    let message = "balancing method does not support parameter \"backup\"";
                    return Err(child.fault(Kind::Value, message));
                }
                upstream.servers.push(server);
            }
            "cluster" | "weir_nodes" => {
                if upstream.nodes.is_some() {
                    let message = format!("\"{}\" directive is duplicate", child.name);
                    return Err(child.fault(Kind::Value, message));
                }
                upstream.nodes = Some(cluster::nodes(child, default_port.is_some())?);
            }
            "sticky" => {
                once.first(child)?;
                upstream.sticky = Some(balancing::sticky(child, words)?);
            }
            "keepalive" | "keepalive_timeout" | "keepalive_requests" | "keepalive_time" => {
                once.first(child)?;
                keepalive(child, &mut upstream)?;
            }
            "resolver" => {
                once.first(child)?;
                upstream.resolver = Some(resolving::resolver(child, lowering)?);
            }
            "weir_retry_budget" => {
                once.first(child)?;
                upstream.retry_budget = balancing::retry_budget(child)?;
            }
            "weir_outlier_ejection" => {
                once.first(child)?;
                upstream.ejection = Some(balancing::ejection(child)?);
            }
            "resolver_timeout" => {
                once.first(child)?;
                timeout_ms = Some(time_ms(child, 0)?);
            }
            _ => {
                if let Some(method) = balancing::method(child, words)? {
                    if upstream.method != Method::RoundRobin {
                        let at = &child.pos;
                        let warning = format!("load balancing method redefined in {at}");
                        lowering.warnings.push(warning);
                    }
                    upstream.method = method;
                }
            }
        }
    }
    if let (Some(resolver), Some(ms)) = (&mut upstream.resolver, timeout_ms) {
        resolver.timeout_ms = ms;
    }
    if upstream.nodes.is_some() {
        return Ok(upstream);
    }
    if upstream.servers.is_empty() {
        return Err(block.fault(Kind::Value, "no servers are inside upstream"));
    }
    if upstream.servers.iter().all(|server| server.backup) {
        let message = format!("no servers in upstream \"{}\"", upstream.name);
        return Err(block.fault(Kind::Value, message));
    }
    Ok(upstream)
}

/// `keepalive` and its family.
fn keepalive(child: &Directive, upstream: &mut Upstream) -> Result<(), Error> {
    match child.name.as_str() {
        "keepalive_timeout" => upstream.keepalive_timeout_ms = time_ms(child, 0)?,
        "keepalive_time" => upstream.keepalive_time_ms = time_ms(child, 0)?,
        "keepalive_requests" => upstream.keepalive_requests = number(child, 0)?,
        _ => {
            if let Some(other) = child.arg(1).filter(|text| *text != "local") {
                return Err(invalid_parameter(child, other));
            }
            let text = child.arg(0).unwrap_or_default();
            upstream.keepalive = value::number(text).ok_or_else(|| {
                let message = format!("invalid value \"{text}\" in \"keepalive\" directive");
                child.fault(Kind::Value, message)
            })?;
        }
    }
    Ok(())
}

pub(super) fn server_defaults(name: &str, addrs: Vec<addr::Addr>) -> UpstreamServer {
    UpstreamServer {
        name: name.to_owned(),
        addrs,
        weight: 1,
        max_fails: 1,
        fail_timeout_ms: 10_000,
        max_conns: 0,
        slow_start_ms: 0,
        resolve: None,
        backup: false,
        down: false,
    }
}

fn server(
    directive: &Directive,
    lowering: &Lowering<'_>,
    default_port: Option<u16>,
) -> Result<UpstreamServer, Error> {
    let text = directive.arg(0).unwrap_or_default();
    let mut server = server_defaults(text, Vec::new());
    for token in directive.args.iter().skip(1) {
        server_parameter(directive, &token.text, &mut server, default_port.is_some())?;
    }
    if server.resolve.is_some() {
        let named = addr::named(text, default_port);
        match named.map_err(|fault| addr_fault(directive, fault, text, "upstream"))? {
            Some(named) => {
                server.resolve = Some(named);
                return Ok(server);
            }
            // An address is what it is.
            None => server.resolve = None,
        }
    }
    server.addrs = addr::upstream(text, default_port, lowering.resolver)
        .map_err(|fault| addr_fault(directive, fault, text, "upstream"))?;
    Ok(server)
}

pub(super) fn server_parameter(
    directive: &Directive,
    text: &str,
    server: &mut UpstreamServer,
    http: bool,
) -> Result<(), Error> {
    let bad = || invalid_parameter(directive, text);
    match text.split_once('=') {
        None if text == "backup" => server.backup = true,
        None if text == "down" => server.down = true,
        None if text == "resolve" && http => server.resolve = Some(Default::default()),
        None if matches!(text, "resolve" | "drain") => return Err(later(directive, text)),
        Some(("weight", n)) => {
            let weight = value::number(n).filter(|n| (1..=WEIGHT_MAX).contains(n));
            server.weight = weight.ok_or_else(bad)?;
        }
        Some(("max_fails", n)) => server.max_fails = value::number(n).ok_or_else(bad)?,
        Some(("max_conns", n)) => server.max_conns = value::number(n).ok_or_else(bad)?,
        Some(("fail_timeout", time)) => {
            server.fail_timeout_ms = value::time_ms(time).ok_or_else(bad)?;
        }
        Some(("slow_start", time)) => {
            server.slow_start_ms = value::time_ms(time).ok_or_else(bad)?;
        }
        Some((name @ ("route" | "service"), _)) => {
            return Err(later(directive, name));
        }
        _ => return Err(bad()),
    }
    Ok(())
}

pub(super) fn later(directive: &Directive, what: &str) -> Error {
    let name = &directive.name;
    let message = format!("the \"{what}\" parameter of \"{name}\" is not supported by weir yet");
    directive.fault(Kind::Unsupported, message)
}
