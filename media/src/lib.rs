//! Pure media: what a frame is, how time is counted, and the boxes and playlists made of them.
//!
//! No sockets, no files, no clocks: bytes and timestamps in, bytes and values out.

pub mod frame;
pub mod params;
pub mod time;

pub use frame::{Frame, TrackKind};
pub use params::{AudioParams, TrackParams, VideoParams};
pub use time::Timestamp;
