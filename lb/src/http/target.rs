//! Where a request goes: the upstream that `proxy_pass` names, or what its variables come to.
//!
//! A URL with variables is worked out once a request: it may name an upstream of the file, an
//! address, or a host that the location's `resolver` knows (else 502). What such a URL comes to may be in the client's hands: figures are kept under one name for all of it, and
//! nothing of it is kept between requests, as in nginx.

use std::net::SocketAddr;
use std::sync::Arc;

use pingora::proxy::Session;
use weir_conf::nginx::Addr;

use super::proxy::{Ctx, Gateway};
use crate::group::Group;
use crate::resolve::{Names, NoAddress};

/// What a URL with variables came to.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) group: Arc<Group>,
    /// `https://`
    pub(crate) secure: bool,
    /// `$proxy_host`
    pub(crate) host: String,
    /// `$proxy_port`
    pub(crate) port: u16,
    /// Path and arguments, if it has them.
    pub(crate) uri: Option<Vec<u8>>,
}

/// Why a URL leads nowhere, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadUrl {
    /// It begins neither with `http://` nor with `https://`.
    Prefix,
    /// The host is empty or malformed.
    Host,
    /// The port is not a number from 1 to 65535.
    Port,
    /// A name that nothing here can resolve.
    Name,
    /// A name without an address.
    Unresolved(NoAddress),
}

impl BadUrl {
    fn text(self) -> &'static str {
        match self {
            Self::Prefix => "invalid URL prefix",
            Self::Host => "no host in upstream",
            Self::Port => "invalid port in upstream",
            Self::Name => "no resolver defined to resolve",
            Self::Unresolved(NoAddress::NotFound) => "could not be resolved (3: Host not found)",
            Self::Unresolved(NoAddress::TimedOut) => {
                "could not be resolved (110: Operation timed out)"
            }
        }
    }

    /// nginx's: its configuration cannot be helped by another server.
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::Name | Self::Unresolved(_) => 502,
            Self::Prefix | Self::Host | Self::Port => 500,
        }
    }
}

impl Gateway {
    /// The upstream a request goes to, as far as is known.
    pub(crate) fn group(&self, ctx: &Ctx) -> Option<Arc<Group>> {
        if let Some(target) = &ctx.target {
            return Some(Arc::clone(&target.group));
        }
        self.proxy(ctx)?.1.group.clone()
    }

    /// Works out a URL with variables, once.
    pub(crate) async fn aim(&self, session: &Session, ctx: &mut Ctx) -> Result<(), BadUrl> {
        let template = self
            .proxy(ctx)
            .and_then(|(_, proxy)| proxy.model.url.as_ref());
        let Some(template) = template.filter(|_| ctx.target.is_none()) else {
            return Ok(());
        };
        let url = self.values(session, ctx).value(template).into_owned();
        let resolver = self.proxy(ctx).and_then(|(_, it)| it.resolver.clone());
        match self.seek(&url, resolver.as_deref()).await {
            Ok(target) => {
                ctx.target = Some(target);
                Ok(())
            }
            Err(fault) => {
                tracing::error!(
                    client = ctx.remote_text(),
                    host = %ctx.host,
                    url = %String::from_utf8_lossy(&url),
                    "{}",
                    fault.text()
                );
                Err(fault)
            }
        }
    }

    async fn seek(&self, url: &[u8], resolver: Option<&Names>) -> Result<Target, BadUrl> {
        let url = std::str::from_utf8(url).map_err(|_| BadUrl::Host)?;
        let after = |prefix: &str| {
            let begins = url.get(..prefix.len())?.eq_ignore_ascii_case(prefix);
            begins.then(|| url.get(prefix.len()..))?
        };
        let (rest, secure) = match (after("http://"), after("https://")) {
            (Some(rest), _) => (rest, false),
            (_, Some(rest)) => (rest, true),
            _ => return Err(BadUrl::Prefix),
        };
        let usual = if secure { 443 } else { 80 };
        let (host, uri) = split(rest);
        let named = self.site.groups.iter().find(|group| group.name == host);
        let (group, port) = match named {
            Some(group) => (Arc::clone(group), usual),
            None => {
                let (addrs, port) = match (address(host, usual), resolver) {
                    (Err(BadUrl::Name), Some(names)) => {
                        let (name, port) = match host.rsplit_once(':') {
                            Some((name, port)) => (name, port.parse().unwrap_or(usual)),
                            None => (host, usual),
                        };
                        let found = names.addrs(name, port).await.map_err(BadUrl::Unresolved)?;
                        (found.into_iter().map(Addr::Inet).collect(), port)
                    }
                    (addr, _) => {
                        let addr = addr?;
                        let port = match &addr {
                            Addr::Inet(addr) => addr.port(),
                            Addr::Unix(_) => usual,
                        };
                        (vec![addr], port)
                    }
                };
                (Group::for_request(host, addrs, &self.site.metrics), port)
            }
        };
        Ok(Target {
            group,
            secure,
            host: host.to_owned(),
            port,
            uri: uri.map(|uri| {
                let slash = if uri.starts_with('/') { "" } else { "/" };
                format!("{slash}{uri}").into_bytes()
            }),
        })
    }
}

/// `host[:port]` and what follows. `unix:/path:/uri` parts at the second colon.
fn split(rest: &str) -> (&str, Option<&str>) {
    if let Some(path) = rest.strip_prefix("unix:") {
        return match path.find(':') {
            Some(at) => (
                rest.get(..5 + at).unwrap_or(rest),
                path.get(at + 1..).filter(|uri| !uri.is_empty()),
            ),
            None => (rest, None),
        };
    }
    match rest.find(['/', '?']) {
        Some(at) => (rest.get(..at).unwrap_or_default(), rest.get(at..)),
        None => (rest, None),
    }
}

fn address(host: &str, usual: u16) -> Result<Addr, BadUrl> {
    if let Some(path) = host.strip_prefix("unix:") {
        return match path {
            "" => Err(BadUrl::Host),
            _ => Ok(Addr::Unix(path.into())),
        };
    }
    if let Ok(addr) = host.parse::<SocketAddr>() {
        return match addr.port() {
            0 => Err(BadUrl::Port),
            _ => Ok(Addr::Inet(addr)),
        };
    }
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Ok(ip) = bare.unwrap_or(host).parse::<std::net::IpAddr>() {
        return Ok(Addr::Inet(SocketAddr::new(ip, usual)));
    }
    match host.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_err() => Err(BadUrl::Port),
        Some(("", _)) => Err(BadUrl::Host),
        _ if host.is_empty() => Err(BadUrl::Host),
        _ => Err(BadUrl::Name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        assert_eq!(split("h:1/a?b"), ("h:1", Some("/a?b")));
        assert_eq!(split("h?b"), ("h", Some("?b")));
        assert_eq!(split("h"), ("h", None));
        assert_eq!(split("unix:/s:/a"), ("unix:/s", Some("/a")));
        assert_eq!(split("unix:/s"), ("unix:/s", None));
    }

    #[test]
    fn addresses_and_what_is_none() {
        for (host, wanted) in [
            ("127.0.0.1:8", "127.0.0.1:8"),
            ("127.0.0.1", "127.0.0.1:80"),
            ("[::1]:8", "[::1]:8"),
            ("[::1]", "[::1]:80"),
            ("unix:/s", "unix:/s"),
        ] {
            assert_eq!(address(host, 80).unwrap().to_string(), wanted);
        }
        for (host, wanted) in [
            ("", BadUrl::Host),
            (":80", BadUrl::Host),
            ("unix:", BadUrl::Host),
            ("h:x", BadUrl::Port),
            ("h:99999", BadUrl::Port),
            ("127.0.0.1:0", BadUrl::Port),
            ("h", BadUrl::Name),
            ("h:80", BadUrl::Name),
        ] {
            assert_eq!(address(host, 80), Err(wanted), "{host}");
        }
    }
}
