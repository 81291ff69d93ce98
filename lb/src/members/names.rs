//! Addresses as nodes tell them, as addresses to connect to.
//!
//! A node tells `IP:port`, `host:port` or `unix:/path`. Host names are looked up beside the
//! balancer's work, each at most once a [`KEPT`]; one that cannot be looked up keeps the address
//! it had. Limits: a lookup ends after [`LOOKUP_TIMEOUT`]; all of a pass run at once.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use weir_conf::nginx::Addr;

/// How long an answer holds.
const KEPT: Duration = Duration::from_secs(30);
/// How long one lookup may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

/// Names looked up before.
#[derive(Debug, Default)]
pub(crate) struct Names {
    known: HashMap<String, (Option<Addr>, Instant)>,
}

impl Names {
    /// Looks up those of `addresses` that are due, and forgets all others.
    pub(crate) async fn refresh(&mut self, addresses: &[&str]) {
        self.known
            .retain(|name, _| addresses.contains(&name.as_str()));
        let now = Instant::now();
        let mut lookups = JoinSet::new();
        for address in addresses.iter().filter(|it| literal(it).is_none()) {
            let due = self
                .known
                .get(*address)
                .is_none_or(|(_, at)| now.duration_since(*at) >= KEPT);
            if due {
                let address = (*address).to_owned();
                lookups.spawn(async move {
                    let found = tokio::time::timeout(LOOKUP_TIMEOUT, look_up(&address)).await;
                    (found.ok().flatten(), address)
                });
            }
        }
        while let Some(done) = lookups.join_next().await {
            let Ok((found, address)) = done else { continue };
            if found.is_none() {
                tracing::warn!(address, "the address a node tells cannot be looked up");
            }
            let before = self.known.remove(&address).and_then(|(addr, _)| addr);
            self.known
                .insert(address, (found.map(Addr::Inet).or(before), now));
        }
    }

    /// What an address stands for, if that is known.
    pub(crate) fn get(&self, address: &str) -> Option<Addr> {
        literal(address).or_else(|| self.known.get(address)?.0.clone())
    }
}

async fn look_up(address: &str) -> Option<SocketAddr> {
    tokio::net::lookup_host(address).await.ok()?.next()
}

/// An address that needs no lookup.
fn literal(address: &str) -> Option<Addr> {
    match address.strip_prefix("unix:") {
        Some(path) => path.starts_with('/').then(|| Addr::Unix(path.into())),
        None => address.parse().ok().map(Addr::Inet),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_and_literals() {
        let mut names = Names::default();
        let told = [
            "127.0.0.1:80",
            "[::1]:81",
            "unix:/run/e.sock",
            "localhost:82",
            "no port",
        ];
        names.refresh(&told).await;
        let found = told.map(|it| names.get(it).map(|addr| addr.to_string()));
        let found: Vec<_> = found.iter().map(Option::as_deref).collect();
        assert_eq!(
            found[..3],
            [
                Some("127.0.0.1:80"),
                Some("[::1]:81"),
                Some("unix:/run/e.sock")
            ]
        );
        assert!(
            found[3].is_some_and(|addr| addr.ends_with(":82")),
            "{found:?}"
        );
        assert_eq!(found[4], None);
        names.refresh(&[]).await;
        assert_eq!(names.get("localhost:82"), None);
    }
}
