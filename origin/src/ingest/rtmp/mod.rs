//! RTMP ingest: encoders push H.264 and AAC, streams get frames.
//!
//! From the wire up: [`handshake`], [`chunk`], [`amf0`], [`session`] — bytes and events, no
//! socket, no clock — and [`server`], which gives them both.
//!
//! # Why our own
//! The protocol crates at hand were weighed for hostile input and for copies. rtmp-rs 0.6.0 (alive,
//! MIT) has no bound on chunk streams, reserves a message's announced length before its bytes
//! come, holds a chunk back until all of it is there, copies every byte, cannot tell "need more"
//! from "chunk done", resolves AMF0 references by cloning (a few hundred bytes can ask for
//! gigabytes) and has no complex handshake. rml_rtmp 0.8.0 has been silent since 2023 and brings
//! crypto crates of that age; scuffle-rtmp calls itself unstable. Moving live media is what this
//! house is for, so the layers are ours; HMAC-SHA256 is `ring`'s, the PROXY header is read by
//! `proxy-header`.
//!
//! # Limits
//! [`chunk::ChunkLimits`] (memory of a connection), [`amf0::DEPTH_MAX`] and [`amf0::ITEMS_MAX`],
//! [`session::SessionOptions`], [`server::RtmpOptions`] (time, number of connections).
//!
//! # Failures
//! A peer that breaks the protocol gets its connection closed, with a log line that names the byte
//! ([`error::WireError`]); one that asks for what it cannot have is told so by `onStatus`.

pub mod amf0;
pub mod chunk;
pub mod error;
pub mod handshake;
pub mod message;
pub mod server;
pub mod session;
#[cfg(test)]
mod testing;

pub use server::{RtmpOptions, RtmpServer};
