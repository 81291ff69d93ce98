//! What nodes share: names of streams, the store, the nodes in it, and the cached directory.
//!
//! [`Store`] is the cluster's memory; [`embedded::EmbeddedStore`] keeps it in one file for one
//! process, [`mongo::MongoStore`] in MongoDB for many. Viewers never ask it: they ask the [`directory::Directory`], which knows the streams it
//! was asked for before. [`node`] tells a node's name and keeps its heartbeat.
//!
//! Times are ms since the Unix epoch unless a name says otherwise.

pub mod apps;
pub mod audience;
pub mod clock;
pub mod directory;
pub mod embedded;
pub mod follow;
mod judging;
pub mod key;
pub mod lease;
pub mod metered;
pub mod mongo;
pub mod names;
pub mod node;
pub mod ownership;
mod recent;
pub mod record;
pub mod records;
pub mod source;
pub mod store;
pub mod store_clock;
pub mod types;

pub use apps::{AppEvent, AppState, Apps, AppsError};
pub use clock::{ManualClock, SystemClock, WallClock};
pub use directory::{Directory, DirectoryError, Located};
pub use follow::{ChangesHealth, Follower, News};
pub use key::{ClusterKey, KeyError};
pub use lease::{LEASE_MS, Lease, Leases, RENEW_PERIOD};
pub use metered::MeteredStore;
pub use mongo::{MongoOptions, MongoStore};
pub use names::{AppName, NameError, StreamId, StreamKey};
pub use node::{
    BeatsTo, FiguresSource, Heartbeat, HeartbeatOptions, NodeDirectory, NodeFigures, NodeId,
    NodesSeen,
};
pub use records::cached::{Cached, CachedRecords};
pub use records::{Fields, Kind, Place, Query, RecordChange, Records};
pub use source::{StoreSource, StreamSource};
pub use store::{Claim, EpochEnd, NodesSince, Store, StoreError, StreamChange};
pub use store_clock::StoreClock;
pub use types::{
    Broadcast, BroadcastStatus, NodeRecord, NodeRole, Ownership, PublishType, Viewers,
};
