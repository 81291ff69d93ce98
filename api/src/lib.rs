//! What every node tells over HTTP beside media: Ant Media's REST v2, `/metrics`, the player page and the list
//! of live streams.
//!
//! [`router`] gives one axum router; an edge answers with it what is not media, an origin serves it beside its
//! objects. It reads the cluster through the [`weir_cluster::Store`] trait and the pages through [`Assets`];
//! it never calls another room.
//!
//! Shapes follow Ant Media's REST v2 to the letter, its spellings (`originAdress`, `dbQueryAveargeTimeMs`) and
//! its nulls included, so that its panels and SDKs read them unchanged. Paths of that API which are not built yet
//! say so in JSON.
//!
//! Limits: a list has at most [`LIST_SIZE_MAX`] records; a store call is given [`STORE_TIMEOUT`]; REST requests
//! under way at once are bounded by [`IN_FLIGHT_MAX`], those beyond are refused with 503. A store that fails is
//! 503 for REST, and nothing to pages, metrics and the liveness probe.

mod apps_rest;
mod error;
mod extract;
mod filter;
mod management;
mod metrics;
mod node;
mod nodes;
mod openapi;
mod pages;
mod router;
mod state;
mod wire;

pub use apps_rest::{
    BODY_BYTES_MAX, FORWARD_TIMEOUT, Forward, ForwardError, Media, Rooms, Streams,
};
pub use extract::LIST_SIZE_MAX;
pub use filter::{CidrList, Peer};
pub use management::{
    AppSecurity, AppsAdmin, AppsError, ClusterAuth, LogTail, Management, ManagementOptions, Secret,
};
pub use metrics::{ApiMetrics, IN_FLIGHT_MAX};
pub use router::router;
pub use state::{ApiState, Asset, Assets, NodeInfo, PublicRtmp, STORE_TIMEOUT};
