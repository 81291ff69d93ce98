//! A peer for a session: chosen, connected to, and the next one if that fails.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use weir_conf::nginx::Addr;
use weir_conf::nginx::model::Method;

use super::session::{Session, Try};
use super::{Target, TcpServer, proxy_header};
use crate::balance::{Outcome, Walk, address_key};
use crate::group::{Group, Lease};
use crate::io::Io;
use crate::metrics::UpstreamFault;

/// A peer in use.
pub(super) struct Connected {
    pub(super) io: Io,
    pub(super) name: String,
    pub(super) lease: Option<Lease>,
}

impl TcpServer {
    /// Connects to a peer, and to the next if that fails, and says who the client is.
    pub(super) async fn reach(&self, target: &Target, session: &mut Session) -> Option<Connected> {
        let group = match target {
            Target::Group(group) => group,
            Target::Addr(addr) => return self.reach_addr(addr, session).await,
        };
        let client = session.name();
        let mut walk = self.walk(group, session);
        let mut tried = Vec::new();
        let tries_max = match (self.model.next, self.model.next_tries) {
            (false, _) => 1,
            (true, 0) => group.tries(),
            (true, tries) => group
                .tries()
                .min(usize::try_from(tries).unwrap_or(usize::MAX)),
        };
        let next_timeout = Duration::from_millis(self.model.next_timeout_ms);
        // What has come by now, such as the end of another session, is seen to before: who
        // counts connections meets what a client that comes after it expects.
        tokio::task::yield_now().await;
        loop {
            let Some(lease) = group.acquire_for(&mut walk, &tried) else {
                group.metrics.failed(UpstreamFault::NoLive);
                tracing::error!(
                    %client,
                    upstream = %group.name,
                    reason = group.shortage(),
                    "no live upstreams while connecting to upstream"
                );
                if session.tries.is_empty() {
                    session.tries.push(Try::to(&group.name));
                }
                return None;
            };
            let peer = lease.peer().name.clone();
            let (what, error) = match self.open(&lease.peer().addr, &peer, session).await {
                Ok(io) => {
                    lease.connected();
                    return Some(Connected {
                        io,
                        name: peer,
                        lease: Some(lease),
                    });
                }
                Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                    group.metrics.failed(UpstreamFault::Timeout);
                    ("upstream timed out while connecting to upstream", error)
                }
                Err(error) => {
                    group.metrics.failed(UpstreamFault::Connect);
                    ("connect() failed while connecting to upstream", error)
                }
            };
            tracing::error!(%client, upstream = %group.name, %peer, %error, "{what}");
            tried.push(lease.peer().number);
            lease.finish(Outcome::Failed);
            let late = !next_timeout.is_zero() && session.age() >= next_timeout;
            if tried.len() >= tries_max || late {
                return None;
            }
            group.metrics.retries.inc();
        }
    }

    /// The beginning of a session's way over the peers.
    pub(super) fn walk(&self, group: &Group, session: &mut Session) -> Walk {
        let key = match &group.method {
            Method::IpHash => address_key(session.client.map(|addr| addr.ip())),
            Method::Hash { key, .. } => session.value(key, &self.shared.variables),
            _ => Vec::new(),
        };
        Walk::new(key, None)
    }

    async fn reach_addr(&self, addr: &Addr, session: &mut Session) -> Option<Connected> {
        let name = addr.to_string();
        match self.open(addr, &name, session).await {
            Ok(io) => Some(Connected {
                io,
                name,
                lease: None,
            }),
            Err(error) => {
                let client = session.name();
                tracing::error!(%client, peer = %name, %error, "connect() failed");
                None
            }
        }
    }

    async fn open(&self, addr: &Addr, name: &str, session: &mut Session) -> std::io::Result<Io> {
        session.tries.push(Try::to(name));
        let start = session.age();
        let limit = Duration::from_millis(self.model.connect_timeout_ms);
        let bind = self.bind(session);
        let connect = async {
            let mut io = Io::connect_from(addr, bind, self.model.socket_keepalive).await?;
            if self.model.proxy_protocol {
                let header = proxy_header::version_1(session.client, session.local);
                io.write_all(header.as_bytes()).await?;
            }
            match &self.secure {
                Some(secure) => secure.connect(io).await,
                None => Ok(io),
            }
        };
        let result = match tokio::time::timeout(limit, connect).await {
            Ok(result) => result,
            Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
        };
        let time = session.age().saturating_sub(start);
        if let Some(last) = session.tries.last_mut() {
            last.connect = result.is_ok().then_some(time);
        }
        result
    }

    /// `proxy_bind`: a value that is no address is none.
    pub(super) fn bind(&self, session: &mut Session) -> Option<SocketAddr> {
        let value = session.value(self.model.bind.as_ref()?, &self.shared.variables);
        let text = String::from_utf8_lossy(&value);
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        let ip = bare.parse().ok().map(|ip| SocketAddr::new(ip, 0));
        let found = ip.or_else(|| text.parse().ok());
        if found.is_none() && !text.is_empty() {
            tracing::error!(address = %text, "invalid local address");
        }
        found
    }
}

impl Try {
    pub(super) fn to(name: &str) -> Self {
        Self {
            addr: name.to_owned(),
            ..Self::default()
        }
    }
}

/// The names of a block's upstreams, and addresses, as a value gives them.
pub(super) fn named(
    text: &str,
    groups: &[Arc<Group>],
    names: &std::collections::HashMap<String, usize>,
) -> Option<Target> {
    let group = names.get(text).and_then(|place| groups.get(*place));
    group
        .map(|group| Target::Group(Arc::clone(group)))
        .or_else(|| address(text).map(Target::Addr))
}

/// `IP:PORT` or `unix:PATH`
pub(super) fn address(text: &str) -> Option<Addr> {
    match text.strip_prefix("unix:") {
        Some(path) => Some(Addr::Unix(path.into())),
        None => text.parse().ok().map(Addr::Inet),
    }
}
