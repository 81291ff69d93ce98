//! Who checks whose certificate, and when.
//!
//! A server takes any certificate the client can prove to have the key of, and judges it after
//! the handshake: nginx answers a bad one with a page (400), which needs a connection to send it
//! on. A client that checks nothing (`proxy_ssl_verify off`) still checks that the other side has
//! the key of what it shows, version 1 certificates included, which the usual check refuses.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use weir_conf::nginx::model::tls::{ClientCheck, ClientMode};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::files;
use super::info::ClientVerdict;
use crate::error::LbError;

/// `ssl_verify_client`
#[derive(Debug)]
pub(super) struct ClientJudge {
    mode: ClientMode,
    /// `None` when there is nobody who could have signed it.
    chain: Option<Arc<dyn ClientCertVerifier>>,
    /// Whom clients are told of.
    pub(super) hints: Vec<DistinguishedName>,
}

impl ClientJudge {
    pub(super) fn new(check: &ClientCheck) -> Result<Self, LbError> {
        let told = check.authorities.iter();
        let mut all = RootCertStore::empty();
        for path in told.clone().chain(&check.trusted) {
            files::authorities(path, &mut all, &check.pos)?;
        }
        let mut hints = RootCertStore::empty();
        for path in told {
            files::authorities(path, &mut hints, &check.pos)?;
        }
        let roots = Arc::new(all);
        let crls = files::revoked(check.crl.as_deref(), &check.pos)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = if roots.is_empty() {
            None
        } else {
            let builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider)
                .with_crls(crls)
                .allow_unknown_revocation_status();
            let made = builder
                .build()
                .map_err(|error| super::fault(format!("ssl_verify_client: {error}"), &check.pos))?;
            Some(made)
        };
        Ok(Self {
            mode: check.mode,
            chain,
            hints: hints.subjects(),
        })
    }

    /// Judges what a client sent.
    pub(super) fn judge(&self, sent: Option<&[CertificateDer<'_>]>) -> ClientVerdict {
        let Some((own, between)) = sent.and_then(<[_]>::split_first) else {
            return ClientVerdict::None;
        };
        let Some(chain) = &self.chain else {
            return ClientVerdict::Failed("unable to verify the first certificate".to_owned());
        };
        match chain.verify_client_cert(own, between, UnixTime::now()) {
            Ok(_) => ClientVerdict::Success,
            Err(error) => ClientVerdict::Failed(reason(&error)),
        }
    }

    /// Whether requests are refused after this verdict.
    pub(super) fn refuses(&self, verdict: &ClientVerdict) -> bool {
        match (self.mode, verdict) {
            (_, ClientVerdict::Success)
            | (ClientMode::Optional | ClientMode::AnySigner, ClientVerdict::None)
            | (ClientMode::AnySigner, ClientVerdict::Failed(_)) => false,
            (ClientMode::Required, ClientVerdict::None)
            | (ClientMode::Required | ClientMode::Optional, ClientVerdict::Failed(_)) => true,
        }
    }
}

/// OpenSSL's words for the common reasons.
fn reason(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "unable to verify the first certificate".to_owned()
        }
        Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => "certificate has expired".to_owned(),
        Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => "certificate is not yet valid".to_owned(),
        Error::InvalidCertificate(CertificateError::Revoked) => "certificate revoked".to_owned(),
        other => other.to_string(),
    }
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    rustls::crypto::ring::default_provider().signature_verification_algorithms
}

/// Takes any certificate whose key the client has.
#[derive(Debug)]
pub(super) struct AnyClient {
    pub(super) hints: Vec<DistinguishedName>,
}

impl ClientCertVerifier for AnyClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        has_key_tls12(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        has_key_tls13(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

/// Takes any certificate whose key the server has: `proxy_ssl_verify off`.
#[derive(Debug)]
pub(super) struct AnyServer;

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        has_key_tls12(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        has_key_tls13(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

fn has_key_tls12(
    message: &[u8],
    cert: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let algorithms = algorithms();
    let Some(parsed) = version_1(cert) else {
        return verify_tls12_signature(message, cert, signature, &algorithms);
    };
    let key = &parsed.public_key().subject_public_key.data;
    let fits = algorithms
        .mapping
        .iter()
        .filter(|(scheme, _)| *scheme == signature.scheme)
        .flat_map(|(_, candidates)| candidates.iter())
        .any(|it| {
            it.verify_signature(key, message, signature.signature())
                .is_ok()
        });
    if fits {
        Ok(HandshakeSignatureValid::assertion())
    } else {
        Err(CertificateError::BadSignature.into())
    }
}

fn has_key_tls13(
    message: &[u8],
    cert: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let algorithms = algorithms();
    match version_1(cert) {
        Some(parsed) => {
            let key = SubjectPublicKeyInfoDer::from(parsed.public_key().raw);
            verify_tls13_signature_with_raw_key(message, &key, signature, &algorithms)
        }
        None => verify_tls13_signature(message, cert, signature, &algorithms),
    }
}

/// The certificate, if it is of version 1: `openssl req -x509` makes such without extensions.
fn version_1<'a>(cert: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    let (_, parsed) = X509Certificate::from_der(cert).ok()?;
    (parsed.version() == x509_parser::x509::X509Version::V1).then_some(parsed)
}
