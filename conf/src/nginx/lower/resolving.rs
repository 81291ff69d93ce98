//! `resolver`: who is asked for the addresses of names while running.

use std::net::{IpAddr, SocketAddr};

use super::super::error::{Error, Kind};
use super::super::model::Resolver;
use super::super::parse::Directive;
use super::super::value;
use super::{Lowering, invalid_parameter};

/// Where name servers listen.
const DNS_PORT: u16 = 53;

/// nginx's default `resolver_timeout`.
const TIMEOUT_MS: u64 = 30_000;

/// `resolver ADDRESS... [valid=time] [ipv4=on|off] [ipv6=on|off] [status_zone=zone]`
pub(super) fn resolver(d: &Directive, lowering: &Lowering<'_>) -> Result<Resolver, Error> {
    let mut resolver = Resolver {
        servers: Vec::new(),
        valid_ms: None,
        ipv4: true,
        ipv6: true,
        timeout_ms: TIMEOUT_MS,
    };
    for token in &d.args {
        let text = token.text.as_str();
        let bad = || invalid_parameter(d, text);
        let switch = |word: &str| match word {
            "on" => Ok(true),
            "off" => Ok(false),
            _ => Err(bad()),
        };
        match text.split_once('=') {
            Some(("valid", time)) => {
                resolver.valid_ms = Some(value::time_ms(time).ok_or_else(bad)?);
            }
            Some(("ipv4", word)) => resolver.ipv4 = switch(word)?,
            Some(("ipv6", word)) => resolver.ipv6 = switch(word)?,
            // Figures are kept under the upstream's name.
            Some(("status_zone", _)) => {}
            _ => resolver.servers.extend(servers(d, text, lowering)?),
        }
    }
    if !resolver.ipv4 && !resolver.ipv6 {
        let message = "\"ipv4\" and \"ipv6\" cannot both be \"off\"";
        return Err(d.fault(Kind::Value, message));
    }
    if resolver.servers.is_empty() {
        return Err(d.fault(Kind::Value, "no name servers defined"));
    }
    Ok(resolver)
}

fn servers(d: &Directive, text: &str, lowering: &Lowering<'_>) -> Result<Vec<SocketAddr>, Error> {
    if let Ok(addr) = text.parse::<SocketAddr>() {
        return Ok(vec![addr]);
    }
    let bare = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    if let Ok(ip) = bare.unwrap_or(text).parse::<IpAddr>() {
        return Ok(vec![(ip, DNS_PORT).into()]);
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, value::number::<u16>(port)),
        None => (text, Some(DNS_PORT)),
    };
    let fault = |kind, why: &str| d.fault(kind, format!("{why} in resolver \"{text}\""));
    let port = port.filter(|port| *port > 0);
    let port = port.ok_or_else(|| fault(Kind::Value, "invalid port"))?;
    let found = lowering.resolver.resolve(host);
    if host.is_empty() || found.is_empty() {
        return Err(fault(Kind::Host, "host not found"));
    }
    Ok(found.into_iter().map(|ip| (ip, port).into()).collect())
}
