//! Certificates, keys and lists from PEM files, with nginx's words for what is wrong.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use weir_conf::nginx::Pos;
use weir_conf::nginx::model::tls::Certificate;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::fault;
use super::passwords;
use crate::error::LbError;

/// A certificate with its key, which must be of one pair. A version 1 certificate will do.
pub(super) fn certified(certificate: &Certificate) -> Result<CertifiedKey, LbError> {
    let Certificate {
        chain,
        key,
        passwords,
        pos,
    } = certificate;
    let certs = certificates(chain, "certificate", pos)?;
    let fail_key = |why: String| fault(format!("cannot load certificate key {key:?}: {why}"), pos);
    let pem = std::fs::read(key).map_err(|error| fail_key(error.to_string()))?;
    // The reason is told without the text, which is secret.
    let opened = passwords
        .as_deref()
        .map(|path| passwords::open(&pem, path, pos))
        .transpose()?;
    let der = match opened.flatten() {
        Some(der) => PrivateKeyDer::Pkcs8(der.into()),
        None => PrivateKeyDer::from_pem_slice(&pem)
            .map_err(|_| fail_key("no private key that opens in it".to_owned()))?,
    };
    let key = rustls::crypto::ring::sign::any_supported_type(&der)
        .map_err(|_| fail_key("this kind of key is not supported".to_owned()))?;
    let own = certs.first().and_then(|cert| {
        let (_, parsed) = X509Certificate::from_der(cert).ok()?;
        Some(parsed.public_key().raw.to_vec())
    });
    let Some(own) = own else {
        let why = "the first one is not a certificate";
        return Err(fault(
            format!("cannot load certificate {chain:?}: {why}"),
            pos,
        ));
    };
    if key
        .public_key()
        .is_some_and(|public| public.as_ref() != own)
    {
        let file = &certificate.key;
        let message = format!("SSL_CTX_use_PrivateKey({file:?}) failed: key values mismatch");
        return Err(fault(message, pos));
    }
    Ok(CertifiedKey::new(certs, key))
}

/// Adds those of a file to who may have signed a certificate.
pub(super) fn authorities(path: &Path, to: &mut RootCertStore, pos: &Pos) -> Result<(), LbError> {
    for cert in certificates(path, "certificate", pos)? {
        to.add(cert)
            .map_err(|error| fault(format!("cannot load certificate {path:?}: {error}"), pos))?;
    }
    Ok(())
}

/// `ssl_crl`
pub(super) fn revoked(
    path: Option<&Path>,
    pos: &Pos,
) -> Result<Vec<CertificateRevocationListDer<'static>>, LbError> {
    let Some(path) = path else {
        return Ok(Vec::new());
    };
    let fail = |why: String| fault(format!("cannot load CRL {path:?}: {why}"), pos);
    let pem = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&pem).collect();
    lists.map_err(|error| fail(error.to_string()))
}

/// `ssl_stapling_file`
pub(super) fn stapled(path: &Path, pos: &Pos) -> Result<Vec<u8>, LbError> {
    std::fs::read(path).map_err(|error| fault(format!("open() {path:?} failed ({error})"), pos))
}

fn certificates(
    path: &Path,
    what: &str,
    pos: &Pos,
) -> Result<Vec<CertificateDer<'static>>, LbError> {
    let fail = |why: String| fault(format!("cannot load {what} {path:?}: {why}"), pos);
    let pem = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|error| fail(error.to_string()))?;
    if found.is_empty() {
        return Err(fail("no certificate in it".to_owned()));
    }
    Ok(found)
}
