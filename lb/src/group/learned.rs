//! What an upstream takes over at a reload.

use std::sync::Arc;

use super::{Group, Peer};

impl Group {
    /// Takes over what the group of this name in the configuration before knows: who is ill, and
    /// which nodes are in and well, so that a reload does not wait for the first checks.
    pub(crate) fn learn(&self, before: &Self) {
        let known = before.peers();
        if let Some(check) = &self.check {
            for peer in self.peers().iter().filter(|_| check.persistent) {
                let well = |it: &&Arc<Peer>| it.addr == peer.addr && it.is_healthy();
                if known.iter().any(|it| well(&it)) {
                    self.set_healthy(peer, true);
                }
            }
            for peer in self.peers() {
                let ill = |it: &&Arc<Peer>| it.addr == peer.addr && !it.is_healthy();
                if known.iter().any(|it| ill(&it)) {
                    self.set_healthy(&peer, false);
                }
            }
        }
        for named in &self.named {
            let at = |it: &&Arc<Peer>| it.named.as_deref() == Some(&*named.spec.server);
            for peer in known.iter().filter(at) {
                self.found(named, peer.addr.clone());
            }
        }
        self.learn_nodes(before);
    }
}
