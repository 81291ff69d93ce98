//! How much a client may ask: what `limit_req` and `limit_conn` count, by key.
//!
//! Why apart from HTTP: they know keys and a clock, not requests. Limits: a zone takes about the
//! memory that the file gives it; beyond that the key that was asked for the longest ago is
//! forgotten (requests), or the request is refused (connections), as in nginx. A zone's counts go
//! over to the zone of its name at a reload, if key and size are the same.

mod connections;
mod requests;

pub(crate) use connections::{Connections, Held};
pub(crate) use requests::{Look, Requests};

/// What a key costs beside its own bytes.
const NODE_BYTES: u64 = 64;

/// Longest key that is counted by.
pub(crate) const KEY_BYTES_MAX: usize = 65_535;

fn cost(key: &[u8]) -> u64 {
    NODE_BYTES + key.len() as u64
}
