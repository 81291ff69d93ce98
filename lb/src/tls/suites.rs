//! Which versions and suites rustls speaks.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use weir_conf::nginx::model::tls::{Cipher, Protocols};

/// ring, with these suites of TLS 1.2 and all of TLS 1.3.
pub(super) fn provider(ciphers: &[Cipher]) -> Arc<CryptoProvider> {
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

pub(super) fn versions(protocols: Protocols) -> Vec<&'static rustls::SupportedProtocolVersion> {
    let tls13 = protocols.tls13.then_some(&rustls::version::TLS13);
    let tls12 = protocols.tls12.then_some(&rustls::version::TLS12);
    tls13.into_iter().chain(tls12).collect()
}
