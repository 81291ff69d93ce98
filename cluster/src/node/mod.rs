//! A node's own name, its load, and the heartbeat that tells the others of both.

mod heartbeat;
mod id;
mod load;

pub use heartbeat::{HEARTBEAT_PERIOD, HEARTBEAT_TIMEOUT, Heartbeat, HeartbeatOptions};
pub use id::{NODE_ID_BYTES_MAX, NODE_ID_FILE, NodeId, NodeIdError};
pub use load::Load;
