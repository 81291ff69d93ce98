//! A node's own name, its load and figures, the heartbeat that tells the others of them, and the
//! view of those others.

mod directory;
mod figures;
mod heartbeat;
mod id;
mod load;

pub use directory::{ALL_PERIOD, ASK_TIMEOUT, NODES_SEEN_MAX, NodeDirectory, NodesSeen};
pub use figures::{FiguresSource, NodeFigures};
pub use heartbeat::{
    BeatsTo, HEARTBEAT_PERIOD, HEARTBEAT_TIMEOUT, Heartbeat, HeartbeatOptions, RENEW_AGAIN,
    RENEW_TIMEOUT, SWEEP_PERIOD,
};
pub use id::{NODE_ID_BYTES_MAX, NODE_ID_FILE, NodeId, NodeIdError};
pub use load::Load;
