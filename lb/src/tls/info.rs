//! What is known of a connection's TLS: the variables `$ssl_…`, in OpenSSL's words.

use base64::Engine as _;
use rustls::pki_types::CertificateDer;
use rustls::server::ServerConnection;
use rustls::{HandshakeKind, ProtocolVersion};
use weir_conf::nginx::model::tls::SslVar;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::x509::X509Name;

use super::verify::ClientVerdict;

/// A connection's TLS, as its handshake left it.
#[derive(Debug)]
pub(crate) struct TlsInfo {
    protocol: &'static str,
    cipher: String,
    server_name: String,
    alpn: Vec<u8>,
    reused: bool,
    pub(super) verdict: ClientVerdict,
    /// Requests are to be refused for want of a certificate that holds.
    pub(crate) refused: bool,
    client: Option<CertificateDer<'static>>,
}

impl TlsInfo {
    pub(super) fn of(state: &ServerConnection) -> Self {
        let suite = state.negotiated_cipher_suite().map(|suite| suite.suite());
        Self {
            protocol: match state.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
                _ => "",
            },
            cipher: suite.map_or_else(String::new, |suite| cipher_name(suite.as_str())),
            server_name: state.server_name().unwrap_or_default().to_owned(),
            alpn: state.alpn_protocol().unwrap_or_default().to_vec(),
            reused: state.handshake_kind() == Some(HandshakeKind::Resumed),
            verdict: ClientVerdict::None,
            refused: false,
            client: state
                .peer_certificates()
                .and_then(<[_]>::first)
                .map(|cert| cert.clone().into_owned()),
        }
    }

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

/// rustls writes TLS 1.3's suites as `TLS13_…` and the others by their registered names.
fn cipher_name(name: Option<&str>) -> String {
    let name = name.unwrap_or_default();
    if let Some(rest) = name.strip_prefix("TLS13_") {
        return format!("TLS_{rest}");
    }
    let name = name.strip_prefix("TLS_").unwrap_or(name);
    name.replace("_WITH_AES_", "_AES")
        .replace("_WITH_", "_")
        .replace("CHACHA20_POLY1305_SHA256", "CHACHA20_POLY1305")
        .replace('_', "-")
}

fn of_client(var: SslVar, cert: &CertificateDer<'_>) -> Vec<u8> {
    let Ok((_, parsed)) = X509Certificate::from_der(cert) else {
        return Vec::new();
    };
    match var {
        SslVar::ClientSDn => name_text(parsed.subject()).into_bytes(),
        SslVar::ClientIDn => name_text(parsed.issuer()).into_bytes(),
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

/// RFC 2253: the last part first.
fn name_text(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = name
        .iter_attributes()
        .map(|attribute| {
            let oid = attribute.attr_type();
            let key =
                oid2abbrev(oid, oid_registry()).map_or_else(|_| oid.to_id_string(), str::to_owned);
            format!("{key}={}", attribute.as_str().unwrap_or_default())
        })
        .collect();
    parts.reverse();
    parts.join(",")
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

#[cfg(test)]
mod tests {
    use super::cipher_name;

    #[test]
    fn suites_have_openssls_names() {
        for (given, wanted) in [
            ("TLS13_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"),
            (
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
                "ECDHE-RSA-AES128-GCM-SHA256",
            ),
            (
                "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
                "ECDHE-ECDSA-CHACHA20-POLY1305",
            ),
        ] {
            assert_eq!(cipher_name(Some(given)), wanted);
        }
    }
}
