//! The origin with real media: FFmpeg encodes, the origin cuts, a viewer joins, FFmpeg decodes.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod ends;
mod feed;
mod house;
mod link;
mod logs;
mod plays;
mod refusals;
mod rtmp;
mod storeless;
mod takeover;
mod town;
mod viewers;
