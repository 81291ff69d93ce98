//! TLS, both sides. This room alone knows who does the cryptography (rustls, with ring).
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

mod client;
mod files;
mod info;
mod server;
mod verify;

pub(crate) use client::TlsClient;
pub(crate) use info::TlsInfo;
pub(crate) use server::{Hello, TlsServer};

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use weir_conf::nginx::model::tls::{Cipher, Protocols};

/// A connection with TLS on it, either side.
pub(crate) type Stream = tokio_rustls::TlsStream<crate::io::Io>;

/// ring, with these suites of TLS 1.2 and all of TLS 1.3.
fn provider(ciphers: &[Cipher]) -> Arc<CryptoProvider> {
    use rustls::crypto::ring::cipher_suite as suite;
    let chosen = ciphers.iter().map(|cipher| match cipher {
        Cipher::EcdheEcdsaAes256GcmSha384 => suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        Cipher::EcdheRsaAes256GcmSha384 => suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        Cipher::EcdheEcdsaAes128GcmSha256 => suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        Cipher::EcdheRsaAes128GcmSha256 => suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        Cipher::EcdheEcdsaChacha20Poly1305 => suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        Cipher::EcdheRsaChacha20Poly1305 => suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    });
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites = [
        suite::TLS13_AES_256_GCM_SHA384,
        suite::TLS13_CHACHA20_POLY1305_SHA256,
        suite::TLS13_AES_128_GCM_SHA256,
    ]
    .into_iter()
    .chain(chosen)
    .collect();
    Arc::new(provider)
}

fn versions(protocols: Protocols) -> Vec<&'static rustls::SupportedProtocolVersion> {
    let tls13 = protocols.tls13.then_some(&rustls::version::TLS13);
    let tls12 = protocols.tls12.then_some(&rustls::version::TLS12);
    tls13.into_iter().chain(tls12).collect()
}
