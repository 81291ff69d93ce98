//! The system's OpenSSL, behind the same doors as rustls.
//!
//! Why at all: it takes what rustls refuses on principle (certificates of version 1, lists of
//! ciphers in its own words, names in a subject), which some installations have. The first
//! message of a client is read before OpenSSL sees it, so that the server of the name does the
//! handshake, as with rustls; old protocol versions are not spoken here either.

mod client;
mod context;
mod server;

pub(crate) use client::TlsClient;
pub(crate) use server::{Hello, TlsServer};

use crate::io::Io;

/// A connection with TLS on it, either side.
pub(crate) type Stream = tokio_openssl::SslStream<Io>;

/// OpenSSL's reasons as one error.
fn other(error: impl std::fmt::Display) -> std::io::Error {
    std::io::Error::other(error.to_string())
}
