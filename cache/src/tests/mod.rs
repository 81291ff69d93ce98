//! The engine against real HTTP origins on loopback sockets.

mod engine;
mod origin;
mod stale;
mod transport;
