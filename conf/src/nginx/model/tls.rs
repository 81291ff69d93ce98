//! What `ssl_*` and `proxy_ssl_*` say, without a word about who does the cryptography.
//!
//! Why paths and not keys: a configuration is printed, compared and kept; what is secret stays in
//! its file until the balancer is made, which is also what takes renewed files at a reload. Paths
//! are absolute or relative to the directory of the main file, as in nginx.

use std::path::PathBuf;

use super::super::error::Pos;

/// The TLS side of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// `ssl_certificate` with its `ssl_certificate_key`; several are told apart by kind of key.
    pub certificates: Vec<Certificate>,
    /// `ssl_protocols`
    pub protocols: Protocols,
    /// `ssl_ciphers` for TLS 1.2, in order; TLS 1.3 always has all of its own.
    pub ciphers: Vec<Cipher>,
    /// `ssl_ciphers` as written, for OpenSSL.
    pub cipher_list: Option<String>,
    /// `ssl_ecdh_curve` as written, for OpenSSL; `None` leaves it to the library.
    pub curves: Option<String>,
    /// `ssl_conf_command`: name and value, in order, for OpenSSL.
    pub conf_commands: Vec<(String, String)>,
    /// `ssl_prefer_server_ciphers`
    pub prefer_server_ciphers: bool,
    /// Sessions kept for clients that come back (`ssl_session_cache`); zero keeps none.
    pub session_cache_entries: usize,
    /// `ssl_session_tickets`
    pub session_tickets: bool,
    /// `ssl_verify_client` and what belongs to it.
    pub client: Option<ClientCheck>,
    /// `ssl_stapling_file`: an OCSP answer (DER) to send along.
    pub stapling_file: Option<PathBuf>,
    /// `ssl_reject_handshake`
    pub reject_handshake: bool,
    /// `ssl_handshake_timeout`; in `http`, `client_header_timeout`.
    pub handshake_timeout_ms: u64,
    /// Protocols offered (`ssl_alpn`; in `http`, what the server speaks), in order.
    pub alpn: Vec<String>,
    /// Where the server stands.
    pub pos: Pos,
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// PEM: the certificate, then those between it and the root.
    pub chain: PathBuf,
    /// PEM: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
    /// `ssl_password_file`: what an encrypted key may open with, one a line.
    pub passwords: Option<PathBuf>,
    /// Where the certificate's directive stands.
    pub pos: Pos,
}

/// Versions that are spoken. Older ones are not (RFC 8996).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocols {
    /// TLS 1.2
    pub tls12: bool,
    /// TLS 1.3
    pub tls13: bool,
}

impl Default for Protocols {
    fn default() -> Self {
        Self {
            tls12: true,
            tls13: true,
        }
    }
}

/// A cipher suite of TLS 1.2, by its key and its cipher; all of them exchange keys by ECDHE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is its OpenSSL name")]
pub enum Cipher {
    EcdheEcdsaAes256GcmSha384,
    EcdheRsaAes256GcmSha384,
    EcdheEcdsaAes128GcmSha256,
    EcdheRsaAes128GcmSha256,
    EcdheEcdsaChacha20Poly1305,
    EcdheRsaChacha20Poly1305,
}

/// How a client's certificate is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCheck {
    /// `ssl_verify_client`
    pub mode: ClientMode,
    /// `ssl_client_certificate`: who may have signed it, told to clients.
    pub authorities: Option<PathBuf>,
    /// `ssl_trusted_certificate`: who else may have, not told.
    pub trusted: Option<PathBuf>,
    /// `ssl_crl`
    pub crl: Option<PathBuf>,
    /// `ssl_verify_depth`: certificates between the client's and the root, for OpenSSL.
    pub depth: u32,
    /// Where `ssl_verify_client` stands.
    pub pos: Pos,
}

/// `ssl_verify_client`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientMode {
    /// `on`: no request without a certificate that holds.
    Required,
    /// `optional`: one that is sent must hold.
    Optional,
    /// `optional_no_ca`: who signed it does not matter.
    AnySigner,
}

/// `proxy_ssl_*`: TLS to an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyTls {
    /// `proxy_ssl_name`, else the host of `proxy_pass`.
    pub name: String,
    /// `proxy_ssl_server_name`: send the name (SNI).
    pub server_name: bool,
    /// `proxy_ssl_verify` and `proxy_ssl_trusted_certificate`: check who answers.
    pub authorities: Option<PathBuf>,
    /// `proxy_ssl_crl`
    pub crl: Option<PathBuf>,
    /// `proxy_ssl_certificate` and its key.
    pub certificate: Option<Certificate>,
    /// `proxy_ssl_protocols`
    pub protocols: Protocols,
    /// `proxy_ssl_ciphers`
    pub ciphers: Vec<Cipher>,
    /// The same as written, for OpenSSL.
    pub cipher_list: Option<String>,
    /// `proxy_ssl_conf_command`: name and value, in order, for OpenSSL.
    pub conf_commands: Vec<(String, String)>,
    /// `proxy_ssl_verify_depth`, for OpenSSL.
    pub depth: u32,
    /// `proxy_ssl_session_reuse`
    pub session_reuse: bool,
    /// Where the `proxy_pass` stands.
    pub pos: Pos,
}

/// The variables `$ssl_…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is nginx's variable of that name")]
pub enum SslVar {
    Protocol,
    Cipher,
    ServerName,
    SessionReused,
    AlpnProtocol,
    ClientVerify,
    ClientSDn,
    ClientIDn,
    ClientSerial,
    ClientFingerprint,
    ClientCert,
    ClientRawCert,
    ClientEscapedCert,
    SessionId,
    Curve,
    Curves,
    Ciphers,
    ClientVStart,
    ClientVEnd,
    ClientVRemain,
    ClientSDnLegacy,
    ClientIDnLegacy,
}

impl SslVar {
    /// By its name without `$ssl_`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "protocol" => Self::Protocol,
            "cipher" => Self::Cipher,
            "server_name" => Self::ServerName,
            "session_reused" => Self::SessionReused,
            "alpn_protocol" => Self::AlpnProtocol,
            "client_verify" => Self::ClientVerify,
            "client_s_dn" => Self::ClientSDn,
            "client_i_dn" => Self::ClientIDn,
            "client_serial" => Self::ClientSerial,
            "client_fingerprint" => Self::ClientFingerprint,
            "client_cert" => Self::ClientCert,
            "client_raw_cert" => Self::ClientRawCert,
            "client_escaped_cert" => Self::ClientEscapedCert,
            "session_id" => Self::SessionId,
            "curve" => Self::Curve,
            "curves" => Self::Curves,
            "ciphers" => Self::Ciphers,
            "client_v_start" => Self::ClientVStart,
            "client_v_end" => Self::ClientVEnd,
            "client_v_remain" => Self::ClientVRemain,
            "client_s_dn_legacy" => Self::ClientSDnLegacy,
            "client_i_dn_legacy" => Self::ClientIDnLegacy,
            _ => return None,
        })
    }
}
