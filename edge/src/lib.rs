//! The viewer's door: playlists and segments out of the cache, everything else to the API.
//!
//! A request's way: [`path`] says what it asks for, the cache answers what it has before anything
//! else is looked at, and only a miss asks the directory which origin has the stream
//! and fetches from there, once for all who wait. What is not media goes to the [`Fallback`].
//! HTTP/1.1 itself is Pingora's session; this crate owns the listening loop, the time limits and
//! the drain around it.
//!
//! Limits: [`EdgeOptions`]. Units: bytes and milliseconds, as the names say.
//!
//! Failures a viewer can see: 404 (no such stream or object), 416, 502 and 504 (the origin), 503
//! with Retry-After (the directory, or a limit of this node). A playlist that was had before stands
//! in for a while (`stand_in`). A body that breaks off at the origin
//! ends the viewer's connection; it is never a short body that looks whole.

mod answer;
mod audience;
mod connection;
mod describe;
mod edge;
mod fallback;
mod media;
mod metrics;
mod options;
pub mod path;
pub mod range;
mod serve;
mod source;
mod stand_in;
mod viewers;
mod wire;

pub use connection::Peer;
pub use edge::{Edge, Totals};
pub use fallback::Fallback;
pub use options::EdgeOptions;
pub use serve::Drained;

#[cfg(test)]
mod tests;
