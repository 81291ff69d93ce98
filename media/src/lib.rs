//! Pure media: what a frame is, how time is counted, and the boxes and playlists made of them.
//!
//! No sockets, no files, no clocks: bytes and timestamps in, bytes and values out. Nearly every
//! byte here was chosen by someone outside, so indexing and unchecked arithmetic are warned about.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

pub mod bus;
pub mod cmaf;
pub mod codec;
pub mod frame;
pub mod hls;
pub mod params;
pub mod segment;
pub mod time;

pub use frame::{Frame, TrackKind};
pub use params::{AudioCodec, AudioParams, TrackParams, VideoCodec, VideoParams};
pub use time::Timestamp;
