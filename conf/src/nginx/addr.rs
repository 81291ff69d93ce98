//! Addresses as nginx writes them, in `listen`, `server` and `proxy_pass`.
//!
//! Why resolution is a trait: names are resolved while loading, as nginx does, and tests must
//! not depend on a resolver. Failures: nginx's texts without place; the caller adds it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// A socket's address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Addr {
    /// TCP.
    Inet(SocketAddr),
    /// A unix socket's path.
    Unix(PathBuf),
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(addr) => write!(f, "{addr}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl From<SocketAddr> for Addr {
    fn from(addr: SocketAddr) -> Self {
        Self::Inet(addr)
    }
}

/// Turns a host name into addresses.
pub trait Resolve {
    /// The addresses of `host`, none if there are none or the name is not known.
    fn resolve(&self, host: &str) -> Vec<IpAddr>;
}

/// The system's resolver. Blocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, host: &str) -> Vec<IpAddr> {
        use std::net::ToSocketAddrs as _;
        let mut found: Vec<IpAddr> = (host, 0)
            .to_socket_addrs()
            .map(|it| it.map(|a| a.ip()).collect())
            .unwrap_or_default();
        found.dedup();
        found
    }
}

/// Why an address does not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AddrFault {
    /// The port is not a number from 1 to 65535.
    Port,
    /// No port, where one is needed.
    NoPort,
    /// The host is empty.
    NoHost,
    /// The host is malformed.
    Host,
    /// The host does not resolve.
    NotFound,
    /// A unix path that is empty.
    NoUnixPath,
    /// A unix path that is too long.
    UnixPath,
}

impl AddrFault {
    /// nginx's words.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Port => "invalid port",
            Self::NoPort => "no port",
            Self::NoHost => "no host",
            Self::Host => "invalid host",
            Self::NotFound => "host not found",
            Self::NoUnixPath => "no path in the unix domain socket",
            Self::UnixPath => "too long path in the unix domain socket",
        }
    }
}

/// Longest path a unix socket address holds, in bytes, without its end mark.
const UNIX_PATH_BYTES_MAX: usize = 107;

/// An upstream address: `host`, `host:port`, `[v6]:port`, `unix:/path`. A name may give several.
pub(super) fn upstream(
    text: &str,
    default_port: Option<u16>,
    resolver: &dyn Resolve,
) -> Result<Vec<Addr>, AddrFault> {
    if let Some(path) = text.strip_prefix("unix:") {
        return unix(path).map(|addr| vec![addr]);
    }
    let (host, port) = split_port(text)?;
    let port = match port {
        Some(text) => port_number(text, false)?,
        None => default_port.ok_or(AddrFault::NoPort)?,
    };
    let ips = match literal_ip(host)? {
        Some(ip) => vec![ip],
        None => resolver.resolve(host),
    };
    if ips.is_empty() {
        return Err(AddrFault::NotFound);
    }
    Ok(ips
        .into_iter()
        .map(|ip| Addr::Inet(SocketAddr::new(ip, port)))
        .collect())
}

/// The host name and port of an upstream's address; `None` if it is no name.
pub(super) fn named(
    text: &str,
    default_port: Option<u16>,
) -> Result<Option<(String, u16)>, AddrFault> {
    if text.starts_with("unix:") {
        return Ok(None);
    }
    let (host, port) = split_port(text)?;
    let port = match port {
        Some(text) => port_number(text, false)?,
        None => default_port.ok_or(AddrFault::NoPort)?,
    };
    let literal = literal_ip(host)?.is_some();
    Ok((!literal).then(|| (host.to_owned(), port)))
}

/// A `listen` address: `port`, `host`, `*:port`, `host:port`, `[v6]:port`, `unix:/path`.
pub(super) fn listen(
    text: &str,
    default_port: Option<u16>,
    port_zero: bool,
    resolver: &dyn Resolve,
) -> Result<Vec<Addr>, AddrFault> {
    if let Some(path) = text.strip_prefix("unix:") {
        return unix(path).map(|addr| vec![addr]);
    }
    let bare = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let (host, port) = if bare {
        ("*", Some(text))
    } else {
        split_port(text)?
    };
    let ports = match port {
        Some(text) => port_range(text, port_zero)?,
        None => {
            let port = default_port.ok_or(AddrFault::NoPort)?;
            port..=port
        }
    };
    let ips = match host {
        "*" => vec![Ipv4Addr::UNSPECIFIED.into()],
        _ => match literal_ip(host)? {
            Some(ip) => vec![ip],
            None => resolver.resolve(host),
        },
    };
    if ips.is_empty() {
        return Err(AddrFault::NotFound);
    }
    let of_ip = |ip: IpAddr| {
        ports
            .clone()
            .map(move |port| SocketAddr::new(ip, port).into())
    };
    Ok(ips.into_iter().flat_map(of_ip).collect())
}

/// `PORT` or `FIRST-LAST`.
fn port_range(text: &str, zero: bool) -> Result<RangeInclusive<u16>, AddrFault> {
    match text.split_once('-') {
        None => port_number(text, zero).map(|port| port..=port),
        Some((first, last)) => {
            let range = port_number(first, false)?..=port_number(last, false)?;
            Some(range)
                .filter(|it| !it.is_empty())
                .ok_or(AddrFault::Port)
        }
    }
}

fn unix(path: &str) -> Result<Addr, AddrFault> {
    if path.is_empty() {
        return Err(AddrFault::NoUnixPath);
    }
    if path.len() > UNIX_PATH_BYTES_MAX || path.contains('\0') {
        return Err(AddrFault::UnixPath);
    }
    Ok(Addr::Unix(PathBuf::from(path)))
}

fn split_port(text: &str) -> Result<(&str, Option<&str>), AddrFault> {
    if text.starts_with('[') {
        let end = text.find(']').ok_or(AddrFault::Host)?;
        let (host, rest) = text.split_at(end + 1);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(AddrFault::Host),
        };
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    if host.is_empty() {
        Err(AddrFault::NoHost)
    } else {
        Ok((host, port))
    }
}

fn port_number(text: &str, zero: bool) -> Result<u16, AddrFault> {
    super::value::number::<u16>(text)
        .filter(|port| zero || *port > 0)
        .ok_or(AddrFault::Port)
}

/// The IP address a host is, if it is one; a bracketed host must be one.
fn literal_ip(host: &str) -> Result<Option<IpAddr>, AddrFault> {
    if let Some(inner) = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        let ip: Ipv6Addr = inner.parse().map_err(|_| AddrFault::Host)?;
        return Ok(Some(IpAddr::V6(ip)));
    }
    let well_formed = host
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if !well_formed {
        return Err(AddrFault::Host);
    }
    Ok(host.parse::<Ipv4Addr>().ok().map(IpAddr::V4))
}
