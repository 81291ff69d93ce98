//! Takes publishers in, cuts their media, and serves the pieces to edges.
//!
//! [`Origin`] is the room's door: as [`ingest::Admission`] it gives a protocol session its
//! stream, as [`Origin::router`] it serves what the streams are cut into:
//!
//! ```text
//! /{app}/streams/{id}.m3u8                      multivariant playlist
//! /{app}/streams/{id}/video.m3u8                media playlist (audio.m3u8 likewise)
//! /{app}/streams/{id}/{epoch}/v-init-{n}.mp4    init segment (a-init-{n}.mp4)
//! /{app}/streams/{id}/{epoch}/v{msn}.m4s        segment (a{msn}.m4s)
//! ```
//!
//! One task owns a stream: it alone claims it in the store, cuts it, and ends it. Media flows one
//! way through it and waits for nobody but the encoder; requests read finished pictures of the
//! window and meet the task nowhere.

mod apps;
pub mod ingest;
mod metrics;
pub mod options;
mod origin;
mod peers;
mod serve;
mod stream;
mod streams;
mod window;

pub use apps::{AppSource, FixedApps};
pub use metrics::ConnectionMetrics;
pub use options::{AppOptions, OriginOptions};
pub use origin::{Links, Origin, Totals};
pub use peers::{Given, HOP_HEADER, NoPeers, Peers, YieldAnswer, yield_path};
pub use serve::{HttpLimits, HttpListener, Peer, serve_http};
