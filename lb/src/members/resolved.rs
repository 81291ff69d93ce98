//! Keeps an upstream's `server … resolve` in step with what the name's addresses are.
//!
//! One task a server. It asks when the last answer is over; while no answer is to be had the
//! addresses stay as they were. Addresses that a name has no more get nothing new. Limits:
//! [`NODES_MAX`] addresses a name.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_conf::nginx::Addr;

use crate::balance::Standing;
use crate::group::{Group, NODES_MAX, Named, Peer};
use crate::health;
use crate::resolve::Names;

/// After a question without an answer, how long until the next.
const RETRY: Duration = Duration::from_secs(1);

/// Shortest time between two questions, whatever an answer says.
const SHORTEST: Duration = Duration::from_millis(500);

/// Starts asking, for a group with such servers.
pub(crate) fn spawn(group: &Arc<Group>, tracker: &TaskTracker, stop: &CancellationToken) {
    let Some(resolver) = &group.resolver else {
        return;
    };
    let names = Arc::new(Names::new(resolver));
    for named in &group.named {
        let (group, names, named) = (Arc::clone(group), Arc::clone(&names), named.clone());
        let (loops, ending) = (tracker.clone(), stop.clone());
        let work = async move { follow(&group, &names, &named, &loops, &ending).await };
        tracker.spawn(stop.clone().run_until_cancelled_owned(work));
    }
}

async fn follow(
    group: &Arc<Group>,
    names: &Names,
    named: &Named,
    tracker: &TaskTracker,
    stop: &CancellationToken,
) {
    let mut all: BTreeMap<Addr, (Arc<Peer>, CancellationToken)> = BTreeMap::new();
    // Those that the configuration before had found; their checks run already.
    for peer in group.peers() {
        if group.is_of(&peer, named) {
            all.insert(peer.addr.clone(), (peer, stop.child_token()));
        }
    }
    let upstream = group.name.as_str();
    loop {
        let found = match names.find(&named.host).await {
            Ok(found) => found,
            Err(error) => {
                let name = &named.host;
                tracing::warn!(upstream, name, %error, "could not be resolved");
                tokio::time::sleep(RETRY).await;
                continue;
            }
        };
        let ips = found.ips.iter().take(NODES_MAX);
        let now: Vec<Addr> = ips
            .map(|ip| Addr::Inet(SocketAddr::new(*ip, named.port)))
            .collect();
        all.retain(|addr, (peer, checks)| {
            let stays = now.contains(addr);
            if !stays {
                checks.cancel();
                group.set_standing(peer, Standing::Leaving);
                tracing::info!(upstream, peer = %addr, name = named.host, "address leaves");
            }
            stays
        });
        for addr in now {
            all.entry(addr).or_insert_with_key(|addr| {
                tracing::info!(upstream, peer = %addr, name = named.host, "address joins");
                let peer = group.found(named, addr.clone());
                let checks = stop.child_token();
                health::spawn_one(group, Arc::clone(&peer), tracker, checks.clone());
                (peer, checks)
            });
        }
        tokio::time::sleep_until(found.until.max(Instant::now() + SHORTEST)).await;
    }
}
