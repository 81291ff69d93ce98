//! What nodes share: names of streams, the store, the nodes in it, and the cached directory.

pub mod clock;
pub mod names;
pub mod store;
pub mod types;

pub use clock::{SystemClock, WallClock};
pub use names::{AppName, NameError, StreamId, StreamKey};
pub use store::{Store, StoreError};
pub use types::{Broadcast, BroadcastStatus, NodeRecord, NodeRole, Ownership, PublishType};
