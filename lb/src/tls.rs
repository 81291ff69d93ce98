//! TLS, both sides. This room alone knows who does the cryptography: rustls, with ring; or, built
//! with the feature `openssl`, the system's OpenSSL, for certificates that rustls refuses.
//!
//! Why rustls under our own accept loop and not Pingora's listener: the server's name is known
//! before the certificate is chosen, so each `server` has its own versions, ciphers, client
//! check and sessions, as in nginx. Why ring and no other: `deny.toml`.
//!
//! TLS 1.2 and 1.3, ECDHE and AEAD alone: Mozilla's intermediate by default. Files are read when
//! the balancer is made, so that a renewed certificate is taken at the next reload. Limits: a
//! handshake has its time (`client_header_timeout`, `ssl_handshake_timeout`) and rustls bounds
//! each message. Failures: at start [`LbError::Tls`](crate::LbError::Tls) with file and line;
//! later the connection's own.

#[cfg(not(feature = "openssl"))]
mod client;
#[cfg(not(feature = "openssl"))]
mod files;
mod info;
mod passwords;
#[cfg(not(feature = "openssl"))]
mod server;
#[cfg(not(feature = "openssl"))]
mod suites;
#[cfg(not(feature = "openssl"))]
mod verify;
#[cfg(feature = "openssl")]
mod with_openssl;

#[cfg(not(feature = "openssl"))]
pub(crate) use client::TlsClient;
pub(crate) use info::TlsInfo;
#[cfg(not(feature = "openssl"))]
pub(crate) use server::{Hello, TlsServer};
#[cfg(feature = "openssl")]
pub(crate) use with_openssl::{Hello, Stream, TlsClient, TlsServer};

use weir_conf::nginx::Pos;

use crate::error::LbError;

/// What a client is told that asks for a name nobody here has: an alert, fatal, 112
/// (RFC 8446 section 6.2), in a record of its own.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// A connection with TLS on it, either side.
#[cfg(not(feature = "openssl"))]
pub(crate) type Stream = tokio_rustls::TlsStream<crate::io::Io>;

/// The library's name and version, if it is one that nginx could have.
#[must_use]
pub fn library() -> Option<&'static str> {
    #[cfg(not(feature = "openssl"))]
    let name = None;
    #[cfg(feature = "openssl")]
    let name = Some(openssl::version::version());
    name
}

/// The file of the connection below.
pub(crate) fn fd(stream: &Stream) -> std::os::fd::RawFd {
    use std::os::fd::AsRawFd as _;
    #[cfg(not(feature = "openssl"))]
    let io = stream.get_ref().0;
    #[cfg(feature = "openssl")]
    let io = stream.get_ref();
    io.as_raw_fd()
}

/// A fault of the configuration's files.
pub(super) fn fault(message: String, pos: &Pos) -> LbError {
    LbError::Tls {
        message,
        at: pos.clone(),
    }
}
