//! `listen`: its parameters, and conflicts between servers on one address.

use super::super::addr::{self, Addr};
use super::super::error::{Error, Kind};
use super::super::model::{Config, Http, Listen, Stream};
use super::super::parse::Directive;
use super::super::value;
use super::{Lowering, invalid_parameter};

/// Parameters nginx has that are not done yet.
const UNSUPPORTED: [&str; 4] = ["quic", "spdy", "deferred", "multipath"];

/// Parameters that tune the socket; the defaults serve.
const TUNING: [&str; 7] = [
    "reuseport",
    "bind",
    "setfib=",
    "fastopen=",
    "rcvbuf=",
    "sndbuf=",
    "so_keepalive=",
];

/// The block a `listen` belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// `http`
    Http,
    /// `stream`
    Stream,
}

/// One `listen`; a host name with several addresses gives several.
pub(super) fn listen(
    directive: &Directive,
    lowering: &mut Lowering<'_>,
    place: Place,
) -> Result<Vec<Listen>, Error> {
    let default_port = (place == Place::Http).then_some(80);
    let text = directive.arg(0).unwrap_or_default();
    let zero = lowering.options.allow_port_zero;
    let addrs = addr::listen(text, default_port, zero, lowering.resolver).map_err(|fault| {
        let message = format!("{} in \"{text}\" of the \"listen\" directive", fault.text());
        let kind = match fault {
            addr::AddrFault::NotFound => Kind::Host,
            _ => Kind::Value,
        };
        directive.fault(kind, message)
    })?;
    let mut listen = plain(Addr::Unix(std::path::PathBuf::new()), directive);
    for token in directive.args.iter().skip(1) {
        parameter(&token.text, &mut listen, place, directive, lowering)?;
    }
    check_udp(&listen, directive)?;
    Ok(addrs
        .into_iter()
        .map(|addr| Listen {
            addr,
            ..listen.clone()
        })
        .collect())
}

/// What cannot be said of datagrams, in nginx's words.
fn check_udp(listen: &Listen, directive: &Directive) -> Result<(), Error> {
    let with = [
        (listen.ssl, "ssl"),
        (listen.backlog.is_some(), "backlog"),
        (listen.proxy_protocol, "proxy_protocol"),
    ];
    match with.iter().find(|(set, _)| *set && listen.udp) {
        Some((_, name)) => {
            let message = format!("\"{name}\" parameter is incompatible with \"udp\"");
            Err(directive.fault(Kind::Value, message))
        }
        None => Ok(()),
    }
}

/// A listener with nothing but its address.
pub(super) fn plain(addr: Addr, directive: &Directive) -> Listen {
    Listen {
        addr,
        default_server: false,
        backlog: None,
        ipv6only: true,
        ssl: false,
        http2: false,
        proxy_protocol: false,
        udp: false,
        pos: directive.pos.clone(),
    }
}

fn parameter(
    text: &str,
    listen: &mut Listen,
    place: Place,
    directive: &Directive,
    lowering: &mut Lowering<'_>,
) -> Result<(), Error> {
    match text {
        "default_server" | "default" => listen.default_server = true,
        "ssl" => listen.ssl = true,
        "proxy_protocol" => listen.proxy_protocol = true,
        "http2" if place == Place::Http => listen.http2 = true,
        "udp" if place == Place::Stream => listen.udp = true,
        "ipv6only=on" => listen.ipv6only = true,
        "ipv6only=off" => listen.ipv6only = false,
        _ => {
            if let Some(backlog) = text.strip_prefix("backlog=") {
                let parsed = value::number::<u32>(backlog).filter(|n| (1..=65_535).contains(n));
                listen.backlog = Some(parsed.ok_or_else(|| {
                    directive.fault(Kind::Value, format!("invalid backlog \"{text}\""))
                })?);
            } else if TUNING
                .iter()
                .any(|name| text == *name || (name.ends_with('=') && text.starts_with(name)))
            {
                let what = format!("the \"{text}\" parameter of listen");
                lowering.no_op(directive, what, "the socket's defaults serve");
            } else if UNSUPPORTED.contains(&text) {
                let message =
                    format!("the \"{text}\" parameter of \"listen\" is not supported by weir yet");
                return Err(directive.fault(Kind::Unsupported, message));
            } else {
                return Err(invalid_parameter(directive, text));
            }
        }
    }
    Ok(())
}

/// nginx's refusals and warnings about addresses used twice. Port 0 is never the same twice.
pub(super) fn check_conflicts(config: &mut Config) -> Result<(), Error> {
    let mut taken: Vec<&Listen> = Vec::new();
    if let Some(http) = &config.http {
        config.warnings.extend(check_http(http)?);
        for listen in http.servers.iter().flat_map(|server| &server.listens) {
            if !taken.iter().any(|other| other.addr == listen.addr) {
                taken.push(listen);
            }
        }
    }
    let warnings = check_stream(config.stream.as_ref(), &taken)?;
    config.warnings.extend(warnings);
    Ok(())
}

/// Servers of `stream` may share an address; blocks may not.
fn check_stream(stream: Option<&Stream>, taken: &[&Listen]) -> Result<Vec<String>, Error> {
    let mut warnings = Vec::new();
    let mut seen: Vec<(&Listen, &str)> = Vec::new();
    let mut defaults: Vec<&Listen> = Vec::new();
    for server in stream.iter().flat_map(|stream| &stream.servers) {
        for (index, listen) in server.listens.iter().enumerate() {
            if is_port_zero(&listen.addr) {
                continue;
            }
            let same = |other: &&Listen| other.addr == listen.addr && other.udp == listen.udp;
            let before = server.listens.iter().take(index);
            if taken
                .iter()
                .copied()
                .chain(before)
                .any(|other| same(&other))
            {
                let message = format!("duplicate \"{}\" address and port pair", listen.addr);
                return Err(Error::new(Kind::Value, message, &listen.pos));
            }
            if listen.default_server {
                if defaults.iter().copied().any(|other| same(&other)) {
                    let message = format!("a duplicate default server for {}", listen.addr);
                    return Err(Error::new(Kind::Value, message, &listen.pos));
                }
                defaults.push(listen);
            }
            let unnamed = server.names.is_empty().then_some("");
            for name in server.names.iter().map(String::as_str).chain(unnamed) {
                if seen
                    .iter()
                    .any(|(other, taken)| *taken == name && same(other))
                {
                    let addr = &listen.addr;
                    warnings.push(format!(
                        "[warn] conflicting server name \"{name}\" on {addr}, ignored"
                    ));
                } else {
                    seen.push((listen, name));
                }
            }
        }
    }
    Ok(warnings)
}

/// A server that speaks TLS by default needs a certificate, in nginx's words.
pub(super) fn check_tls(config: &Config) -> Result<(), Error> {
    let missing = |listen: &Listen| {
        let message = "no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive";
        Err(Error::new(Kind::Value, message, &listen.pos))
    };
    let sessions = || {
        let servers = config.stream.iter().flat_map(|stream| &stream.servers);
        servers.flat_map(|server| server.listens.iter().map(move |listen| (server, listen)))
    };
    for (_, listen) in sessions().filter(|(_, listen)| listen.ssl) {
        let same = || sessions().filter(|(_, other)| other.addr == listen.addr);
        let default = same().find(|(_, other)| other.default_server);
        let alone = is_port_zero(&listen.addr).then(|| {
            let mut all = sessions();
            all.find(|(_, other)| std::ptr::eq(*other, listen))
        });
        let holder = alone.flatten().or(default).or_else(|| same().next());
        if holder.is_some_and(|(server, _)| server.tls.is_none()) {
            return missing(listen);
        }
    }
    let Some(http) = &config.http else {
        return Ok(());
    };
    let all = || {
        let servers = http.servers.iter();
        servers.flat_map(|server| server.listens.iter().map(move |listen| (server, listen)))
    };
    for (_, listen) in all().filter(|(_, listen)| listen.ssl) {
        let same = || all().filter(|(_, other)| other.addr == listen.addr);
        let default = same().find(|(_, other)| other.default_server);
        if let Some((server, _)) = default.or_else(|| same().next())
            && server.tls.is_none()
        {
            return missing(listen);
        }
    }
    Ok(())
}

fn check_http(http: &Http) -> Result<Vec<String>, Error> {
    let mut warnings = Vec::new();
    let mut seen: Vec<(&Addr, &str)> = Vec::new();
    let mut defaults: Vec<&Addr> = Vec::new();
    for server in &http.servers {
        for (index, listen) in server.listens.iter().enumerate() {
            if is_port_zero(&listen.addr) {
                continue;
            }
            if server
                .listens
                .iter()
                .take(index)
                .any(|other| other.addr == listen.addr)
            {
                let message = format!("a duplicate listen {}", listen.addr);
                return Err(Error::new(Kind::Value, message, &listen.pos));
            }
            if listen.default_server {
                if defaults.contains(&&listen.addr) {
                    let message = format!("a duplicate default server for {}", listen.addr);
                    return Err(Error::new(Kind::Value, message, &listen.pos));
                }
                defaults.push(&listen.addr);
            }
            let unnamed = server.names.is_empty().then_some("");
            for name in server.names.iter().map(String::as_str).chain(unnamed) {
                if seen.contains(&(&listen.addr, name)) {
                    warnings.push(format!(
                        "[warn] conflicting server name \"{name}\" on {}, ignored",
                        listen.addr
                    ));
                } else {
                    seen.push((&listen.addr, name));
                }
            }
        }
    }
    Ok(warnings)
}

fn is_port_zero(addr: &Addr) -> bool {
    matches!(addr, Addr::Inet(addr) if addr.port() == 0)
}
