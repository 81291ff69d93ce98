//! The ring of `hash … consistent`: nginx's ketama, which is Cache::Memcached::Fast's.
//!
//! A server has 160 points for each of its weight: the first is the CRC-32 of host, NUL, port and
//! four zeros, each next one of host, NUL, port and the point before. A key belongs to the first
//! point that is not below its own CRC-32. Limits: [`POINTS_MAX`] points; weights that would need
//! more get fewer each, in proportion.

use std::sync::Arc;

use super::peer::Peer;
use super::walk::is_member;

/// Points for each of a weight.
const POINTS: u64 = 160;

/// Most points of a ring.
const POINTS_MAX: u64 = 1 << 20;

/// Servers by the points they stand at.
#[derive(Debug, Clone)]
pub(super) struct Ring {
    points: Vec<(u32, Arc<str>)>,
}

impl Ring {
    pub(super) fn new(peers: &[Peer]) -> Self {
        let members = || peers.iter().filter(|peer| is_member(peer));
        let total: u64 = members().map(|peer| u64::from(peer.spec.weight)).sum();
        let wanted = total.saturating_mul(POINTS).max(1);
        let mut points = Vec::new();
        for peer in members() {
            let own = u64::from(peer.spec.weight) * POINTS;
            let count = if wanted > POINTS_MAX {
                (own.saturating_mul(POINTS_MAX) / wanted).max(1)
            } else {
                own
            };
            place(&peer.spec.server, count, &mut points);
        }
        // Several addresses of one server stand at the same points; of two servers at one point
        // the first in the file stands there.
        points.sort_by_key(|(point, _)| *point);
        points.dedup_by_key(|(point, _)| *point);
        Self { points }
    }

    /// The place on the ring for a key's hash; past the end is the beginning.
    pub(super) fn find(&self, hash: u32) -> u32 {
        let at = self.points.partition_point(|(point, _)| *point < hash);
        u32::try_from(at).unwrap_or(0)
    }

    /// The server at a place, counted round and round.
    pub(super) fn server(&self, place: u32) -> Option<&str> {
        let at = usize::try_from(place)
            .ok()?
            .checked_rem(self.points.len())?;
        self.points.get(at).map(|(_, server)| &**server)
    }
}

fn place(server: &Arc<str>, count: u64, points: &mut Vec<(u32, Arc<str>)>) {
    let (host, port) = split(server);
    let mut base = crc32fast::Hasher::new();
    base.update(host.as_bytes());
    base.update(&[0]);
    base.update(port.as_bytes());
    let mut point = 0_u32;
    for _ in 0..count {
        let mut crc = base.clone();
        crc.update(&point.to_le_bytes());
        point = crc.finalize();
        points.push((point, Arc::clone(server)));
    }
}

/// Host and port as nginx takes them apart here; no port is an empty one.
fn split(server: &str) -> (&str, &str) {
    if let Some(path) = server.strip_prefix("unix:") {
        return (path, "");
    }
    match server.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
        _ => (server, ""),
    }
}
