//! The values that settings take: roles, addresses, words, secrets.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Which roles one process runs; at least one when it came from settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// The load balancer.
    pub lb: bool,
    /// The viewers' cache.
    pub edge: bool,
    /// Ingest and packaging.
    pub origin: bool,
}

impl Roles {
    /// The whole product in one process.
    pub const ALL: Self = Self {
        lb: true,
        edge: true,
        origin: true,
    };

    /// Reads `lb`, `edge`, `origin`, a list of them with commas, or `all`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut roles = Self::default();
        for word in text.split(',') {
            match word.trim() {
                "lb" => roles.lb = true,
                "edge" => roles.edge = true,
                "origin" => roles.origin = true,
                "all" => roles = Self::ALL,
                _ => return None,
            }
        }
        Some(roles)
    }

    /// The names of the roles that run, front to back.
    pub fn names(self) -> Vec<&'static str> {
        let all = [
            (self.lb, "lb"),
            (self.edge, "edge"),
            (self.origin, "origin"),
        ];
        all.into_iter()
            .filter(|(runs, _)| *runs)
            .map(|(_, name)| name)
            .collect()
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(","))
    }
}

/// `server.mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerMode {
    /// Every role, a store of its own.
    #[default]
    Standalone,
    /// Every role, as one node of a cluster.
    Cluster,
    /// These roles; whether in a cluster follows from the other settings.
    Roles(Roles),
}

impl ServerMode {
    /// The roles it stands for.
    pub fn roles(self) -> Roles {
        match self {
            Self::Standalone | Self::Cluster => Roles::ALL,
            Self::Roles(roles) => roles,
        }
    }
}

/// `db.type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DbType {
    /// A file of this node's own.
    #[default]
    Embedded,
    /// The cluster's store.
    MongoDb,
}

/// `log.level`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// Failures.
    Error,
    /// And what may become one.
    Warn,
    /// And what happens.
    #[default]
    Info,
    /// And how.
    Debug,
    /// And everything.
    Trace,
}

impl LogLevel {
    /// The level in `tracing`'s words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// `log.format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The longest path of a unix socket, bytes: `sun_path` of Linux less its final zero.
pub(super) const UNIX_PATH_BYTES_MAX: usize = 107;

/// An address of this machine to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An IP address and port; port 0 is any free one.
    Tcp(SocketAddr),
    /// A unix socket's path.
    Unix(PathBuf),
}

impl Listen {
    /// Reads `IP:port` (`localhost` and `*` for an IP) or `unix:/path`; a relative path is taken
    /// from `base`.
    pub(super) fn parse(text: &str, base: &Path) -> Option<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            let names_file = !path.is_empty() && !path.ends_with('/');
            let path = base.join(path);
            let fits = names_file && path.as_os_str().len() <= UNIX_PATH_BYTES_MAX;
            return fits.then_some(Self::Unix(path));
        }
        parse_tcp(text).map(Self::Tcp)
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Reads `IP:port`, with `localhost` and `*` for an IP.
pub(super) fn parse_tcp(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.rsplit_once(':')?;
    Some(SocketAddr::new(parse_ip(host)?, parse_u16(port)?))
}

/// Reads an address of this machine: an IP, perhaps in brackets, `localhost`, or `*` for every one.
pub(super) fn parse_ip(text: &str) -> Option<IpAddr> {
    if let Some(inner) = text.strip_prefix('[') {
        return inner
            .strip_suffix(']')?
            .parse::<Ipv6Addr>()
            .ok()
            .map(IpAddr::V6);
    }
    match text {
        "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        "*" => Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        ip => ip.parse().ok(),
    }
}

/// Digits only: `str::parse` would take a sign.
fn parse_u16(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// Where another process answers, in the form the directory keeps (`host:port`, `unix:/path`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A host name or IP, and a port.
    Tcp {
        /// Without brackets.
        host: String,
        /// From 1.
        port: u16,
    },
    /// A unix socket's path.
    Unix(PathBuf),
}

impl Endpoint {
    /// Reads `host[:port]`, `[IPv6]:port`, `unix:/path`.
    pub(super) fn parse(text: &str, port_default: u16, base: &Path) -> Option<Self> {
        if text.starts_with("unix:") {
            return match Listen::parse(text, base)? {
                Listen::Unix(path) => Some(Self::Unix(path)),
                Listen::Tcp(_) => None,
            };
        }
        let bare_v6 = text.parse::<Ipv6Addr>().is_ok();
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !bare_v6 && !text.ends_with(']') => (host, parse_u16(port)?),
            _ => (text, port_default),
        };
        let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let known = inner.map_or_else(
            || bare_v6 || is_host(host),
            |v6| v6.parse::<Ipv6Addr>().is_ok(),
        );
        (known && port > 0).then(|| Self::Tcp {
            host: inner.unwrap_or(host).to_owned(),
            port,
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A host name (RFC 1123, `_` allowed as container names have it) or an IPv4 address.
pub(super) fn is_host(text: &str) -> bool {
    const HOST_BYTES_MAX: usize = 253;
    const LABEL_BYTES_MAX: usize = 63;
    text.len() <= HOST_BYTES_MAX
        && text.split('.').all(|label| {
            (1..=LABEL_BYTES_MAX).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

/// Text that is never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text itself, for the one who must send it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// `db.host`: a MongoDB URI or `host[:port]`, shown without its credentials and options.
#[derive(Clone, PartialEq, Eq)]
pub struct DbHost(String);

impl DbHost {
    /// Reads `mongodb://…`, `mongodb+srv://…` or hosts with commas.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let uri = ["mongodb://", "mongodb+srv://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme));
        let known = match uri {
            Some(rest) => !rest.is_empty() && !rest.contains(char::is_whitespace),
            None => text
                .split(',')
                .all(|host| Endpoint::parse(host.trim(), 27017, Path::new("")).is_some()),
        };
        known.then(|| Self(text.to_owned()))
    }

    /// The URI or hosts as written, credentials and all.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DbHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = match self.0.split_once("://") {
            Some((scheme, rest)) => (format!("{scheme}://"), rest),
            None => (String::new(), self.0.as_str()),
        };
        // The last `@`, for a password may hold an unescaped one. A `?` before it may be the
        // password's or open the options: then nothing can be shown for sure.
        let (mask, hosts) = match rest.rsplit_once('@') {
            Some((before, _)) if before.contains('?') => ("***", ""),
            Some((_, hosts)) => ("***@", hosts),
            None => ("", rest),
        };
        let hosts = hosts.split('?').next().unwrap_or_default();
        write!(f, "{scheme}{mask}{hosts}")
    }
}

impl fmt::Debug for DbHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DbHost({self})")
    }
}
