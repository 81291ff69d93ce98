//! What both sides set up: certificates and keys, who may have signed, versions, commands.

use std::path::Path;

use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslContextBuilder, SslFiletype, SslOptions, SslVersion};
use openssl::x509::X509;
use openssl::x509::store::X509Lookup;
use openssl::x509::verify::X509VerifyFlags;
use weir_conf::nginx::Pos;
use weir_conf::nginx::model::tls::{Certificate, Protocols};

use super::super::{fault, passwords};
use crate::error::LbError;

/// A certificate with its key, added to those there are.
pub(super) fn certify(
    builder: &mut SslContextBuilder,
    certificate: &Certificate,
) -> Result<(), LbError> {
    let Certificate {
        chain, key, pos, ..
    } = certificate;
    let bad = |why: String| fault(format!("cannot load certificate {chain:?}: {why}"), pos);
    let pem = std::fs::read(chain).map_err(|error| bad(error.to_string()))?;
    let certs = X509::stack_from_pem(&pem).map_err(|error| bad(error.to_string()))?;
    let mut certs = certs.into_iter();
    let own = certs
        .next()
        .ok_or_else(|| bad("no certificate in it".to_owned()))?;
    builder
        .set_certificate(&own)
        .map_err(|error| bad(error.to_string()))?;
    for next in certs {
        builder
            .add_extra_chain_cert(next)
            .map_err(|error| bad(error.to_string()))?;
    }
    let private = private_key(key, certificate)?;
    builder.set_private_key(&private).map_err(|error| {
        let why = reason(&error);
        let message = format!("SSL_CTX_use_PrivateKey({key:?}) failed: {why}");
        fault(message, pos)
    })
}

/// The first reason, in OpenSSL's words and without its places.
fn reason(error: &ErrorStack) -> String {
    let first = error.errors().first().and_then(|it| it.reason());
    first.map_or_else(|| error.to_string(), str::to_owned)
}

fn private_key(path: &Path, of: &Certificate) -> Result<PKey<Private>, LbError> {
    let fail = |why: String| {
        fault(
            format!("cannot load certificate key {path:?}: {why}"),
            &of.pos,
        )
    };
    let pem = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
    let mut lines = match &of.passwords {
        Some(file) => passwords::read(file, &of.pos)?,
        None => Vec::new(),
    };
    // Without any it is asked for an empty one, and not the terminal.
    if lines.is_empty() {
        lines.push(String::new());
    }
    let mut why = String::new();
    for line in lines {
        match PKey::private_key_from_pem_passphrase(&pem, line.as_bytes()) {
            Ok(key) => return Ok(key),
            // The text of the error names functions, never what they were given.
            Err(error) => why = error.to_string(),
        }
    }
    Err(fail(why))
}

/// Who may have signed a certificate, and what is revoked.
pub(super) fn trust<'a>(
    builder: &mut SslContextBuilder,
    files: impl IntoIterator<Item = &'a std::path::PathBuf>,
    crl: Option<&Path>,
    pos: &Pos,
) -> Result<(), LbError> {
    let store = builder.cert_store_mut();
    for path in files {
        let bad = |why: String| fault(format!("cannot load certificate {path:?}: {why}"), pos);
        let pem = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
        let certs = X509::stack_from_pem(&pem).map_err(|error| bad(error.to_string()))?;
        if certs.is_empty() {
            return Err(bad("no certificate in it".to_owned()));
        }
        for cert in certs {
            store
                .add_cert(cert)
                .map_err(|error| bad(error.to_string()))?;
        }
    }
    if let Some(path) = crl {
        let bad = |error: ErrorStack| fault(format!("cannot load CRL {path:?}: {error}"), pos);
        if path.to_str().is_none_or(|text| text.contains('\0')) {
            return Err(fault(format!("cannot load CRL {path:?}: a name"), pos));
        }
        let lookup = store.add_lookup(X509Lookup::file()).map_err(bad)?;
        lookup.load_crl_file(path, SslFiletype::PEM).map_err(bad)?;
        store
            .set_flags(X509VerifyFlags::CRL_CHECK | X509VerifyFlags::CRL_CHECK_ALL)
            .map_err(bad)?;
    }
    Ok(())
}

/// Versions, ciphers and commands.
pub(super) fn tune(
    builder: &mut SslContextBuilder,
    protocols: Protocols,
    ciphers: Option<&str>,
    commands: &[(String, String)],
    pos: &Pos,
) -> Result<(), LbError> {
    let bad = |error: ErrorStack| fault(format!("TLS cannot be set up: {error}"), pos);
    let oldest = if protocols.tls12 {
        SslVersion::TLS1_2
    } else {
        SslVersion::TLS1_3
    };
    let newest = if protocols.tls13 {
        SslVersion::TLS1_3
    } else {
        SslVersion::TLS1_2
    };
    builder.set_min_proto_version(Some(oldest)).map_err(bad)?;
    builder.set_max_proto_version(Some(newest)).map_err(bad)?;
    builder.set_options(SslOptions::NO_COMPRESSION | SslOptions::NO_RENEGOTIATION);
    if let Some(list) = ciphers {
        builder.set_cipher_list(list).map_err(|error| {
            fault(
                format!("SSL_CTX_set_cipher_list(\"{list}\") failed: {error}"),
                pos,
            )
        })?;
    }
    for (name, value) in commands {
        command(builder, name, value)
            .unwrap_or(Err(format!("SSL_CONF_cmd(\"{name}\", \"{value}\") failed")))
            .map_err(|why| fault(why, pos))?;
    }
    Ok(())
}

/// One of OpenSSL's configuration commands (`SSL_CONF_cmd(3)`); `None` if this does not know it.
fn command(builder: &mut SslContextBuilder, name: &str, value: &str) -> Option<Result<(), String>> {
    let done = match name.to_ascii_lowercase().as_str() {
        "ciphersuites" => builder.set_ciphersuites(value),
        "cipherstring" => builder.set_cipher_list(value),
        "curves" | "groups" => builder.set_groups_list(value),
        "signaturealgorithms" => builder.set_sigalgs_list(value),
        "minprotocol" => builder.set_min_proto_version(version(value)?),
        "maxprotocol" => builder.set_max_proto_version(version(value)?),
        "certificate" => builder.set_certificate_chain_file(value),
        "privatekey" => builder.set_private_key_file(value, SslFiletype::PEM),
        "options" => {
            for word in value.split(',') {
                option(builder, word)?;
            }
            Ok(())
        }
        _ => return None,
    };
    Some(done.map_err(|error| format!("SSL_CONF_cmd(\"{name}\", \"{value}\") failed: {error}")))
}

fn option(builder: &mut SslContextBuilder, word: &str) -> Option<()> {
    let (on, name) = match word.strip_prefix('-') {
        Some(name) => (false, name),
        None => (true, word.strip_prefix('+').unwrap_or(word)),
    };
    // Tickets are named for being there, the option for being not.
    let (bits, set) = match name.to_ascii_lowercase().as_str() {
        "sessionticket" => (SslOptions::NO_TICKET, !on),
        "serverpreference" => (SslOptions::CIPHER_SERVER_PREFERENCE, on),
        "prioritizechacha" => (SslOptions::PRIORITIZE_CHACHA, on),
        "norenegotiation" => (SslOptions::NO_RENEGOTIATION, on),
        "compression" => (SslOptions::NO_COMPRESSION, !on),
        _ => return None,
    };
    if set {
        builder.set_options(bits);
    } else {
        builder.clear_options(bits);
    }
    Some(())
}

fn version(name: &str) -> Option<Option<SslVersion>> {
    Some(match name {
        "None" => None,
        "TLSv1.2" => Some(SslVersion::TLS1_2),
        "TLSv1.3" => Some(SslVersion::TLS1_3),
        _ => return None,
    })
}
