//! What is known of a connection's TLS: the variables `$ssl_…`, in OpenSSL's words.

use base64::Engine as _;
use rustls::pki_types::CertificateDer;
use weir_cluster::{SystemClock, WallClock as _};
use weir_conf::nginx::model::tls::SslVar;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::x509::X509Name;

/// What became of a client's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ClientVerdict {
    /// It sent none.
    None,
    /// It holds.
    Success,
    /// It does not, for this reason.
    Failed(String),
}

/// A connection's TLS, as its handshake left it.
#[derive(Debug)]
pub(crate) struct TlsInfo {
    pub(super) protocol: &'static str,
    pub(super) cipher: String,
    pub(super) server_name: String,
    pub(super) alpn: Vec<u8>,
    pub(super) reused: bool,
    /// Of the session that it makes or takes up; empty where the library does not tell.
    pub(super) session_id: Vec<u8>,
    /// Of the key exchange, and those the client has, with colons.
    pub(super) curve: String,
    pub(super) curves: String,
    /// The suites that the client has, with colons.
    pub(super) ciphers: String,
    pub(super) verdict: ClientVerdict,
    /// Requests are to be refused for want of a certificate that holds.
    pub(crate) refused: bool,
    pub(super) client: Option<CertificateDer<'static>>,
}

impl TlsInfo {
    /// Whether HTTP/2 was agreed on.
    pub(crate) fn is_h2(&self) -> bool {
        self.alpn == b"h2"
    }

    /// Whether the client sent a certificate.
    pub(crate) fn has_client_certificate(&self) -> bool {
        self.client.is_some()
    }

    /// A variable's value.
    pub(crate) fn write(&self, var: SslVar, out: &mut Vec<u8>) {
        match var {
            SslVar::Protocol => out.extend_from_slice(self.protocol.as_bytes()),
            SslVar::Cipher => out.extend_from_slice(self.cipher.as_bytes()),
            SslVar::ServerName => out.extend_from_slice(self.server_name.as_bytes()),
            SslVar::SessionId => out.extend(hex(&self.session_id, false)),
            SslVar::Curve => out.extend_from_slice(self.curve.as_bytes()),
            SslVar::Curves => out.extend_from_slice(self.curves.as_bytes()),
            SslVar::Ciphers => out.extend_from_slice(self.ciphers.as_bytes()),
            SslVar::AlpnProtocol => out.extend_from_slice(&self.alpn),
            SslVar::SessionReused => out.push(if self.reused { b'r' } else { b'.' }),
            SslVar::ClientVerify => match &self.verdict {
                ClientVerdict::None => out.extend_from_slice(b"NONE"),
                ClientVerdict::Success => out.extend_from_slice(b"SUCCESS"),
                ClientVerdict::Failed(why) => {
                    out.extend_from_slice(b"FAILED:");
                    out.extend_from_slice(why.as_bytes());
                }
            },
            _ => {
                if let Some(cert) = &self.client {
                    out.extend(of_client(var, cert));
                }
            }
        }
    }
}

fn of_client(var: SslVar, cert: &CertificateDer<'_>) -> Vec<u8> {
    let Ok((_, parsed)) = X509Certificate::from_der(cert) else {
        return Vec::new();
    };
    match var {
        SslVar::ClientSDn => name_text(parsed.subject()).into_bytes(),
        SslVar::ClientIDn => name_text(parsed.issuer()).into_bytes(),
        SslVar::ClientSDnLegacy => legacy_text(parsed.subject()).into_bytes(),
        SslVar::ClientIDnLegacy => legacy_text(parsed.issuer()).into_bytes(),
        SslVar::ClientVStart => time_text(&parsed.validity().not_before).into_bytes(),
        SslVar::ClientVEnd => time_text(&parsed.validity().not_after).into_bytes(),
        SslVar::ClientVRemain => {
            let left = parsed.validity().not_after.timestamp() - SystemClock.now_ms() / 1000;
            left.max(0).div_euclid(86_400).to_string().into_bytes()
        }
        SslVar::ClientSerial => hex(parsed.raw_serial(), true),
        SslVar::ClientFingerprint => {
            let sha1 = &ring::digest::SHA1_FOR_LEGACY_USE_ONLY;
            hex(ring::digest::digest(sha1, cert).as_ref(), false)
        }
        SslVar::ClientRawCert => pem(cert).into_bytes(),
        // As a header's value nginx puts a tab before each line but the first.
        SslVar::ClientCert => pem(cert).trim_end().replace('\n', "\n\t").into_bytes(),
        SslVar::ClientEscapedCert => escape(&pem(cert)),
        _ => Vec::new(),
    }
}

/// As OpenSSL prints a time: `Nov 22 23:28:01 2026 GMT`.
fn time_text(time: &x509_parser::time::ASN1Time) -> String {
    let time = chrono::DateTime::from_timestamp(time.timestamp(), 0).unwrap_or_default();
    time.format("%b %e %H:%M:%S %Y GMT").to_string()
}

/// `/O=…/CN=…`: in the order of the certificate.
fn legacy_text(name: &X509Name<'_>) -> String {
    parts(name).iter().map(|part| format!("/{part}")).collect()
}

/// RFC 2253: the last part first.
fn name_text(name: &X509Name<'_>) -> String {
    let mut parts = parts(name);
    parts.reverse();
    parts.join(",")
}

fn parts(name: &X509Name<'_>) -> Vec<String> {
    name.iter_attributes()
        .map(|attribute| {
            let oid = attribute.attr_type();
            let key =
                oid2abbrev(oid, oid_registry()).map_or_else(|_| oid.to_id_string(), str::to_owned);
            format!("{key}={}", attribute.as_str().unwrap_or_default())
        })
        .collect()
}

fn hex(bytes: &[u8], upper: bool) -> Vec<u8> {
    let digit = |byte: &u8| {
        if upper {
            format!("{byte:02X}")
        } else {
            format!("{byte:02x}")
        }
    };
    bytes.iter().map(digit).collect::<String>().into_bytes()
}

fn pem(cert: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(cert);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .filter_map(|line| std::str::from_utf8(line).ok())
        .collect();
    let lines = lines.join("\n");
    format!("-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n")
}

fn escape(text: &str) -> Vec<u8> {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out.into_bytes()
}
