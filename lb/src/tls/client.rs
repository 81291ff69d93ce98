//! The client's side: `proxy_ssl_*`.

use std::net::Ipv4Addr;
use std::sync::Arc;

use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use weir_conf::nginx::model::tls::ProxyTls;

use super::fault;
use super::files;
use super::suites;
use super::verify::AnyServer;
use crate::error::LbError;
use crate::io::Io;

/// For what is no name: an address is not sent, and no certificate is for this one.
const NO_NAME: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

/// Connects to upstreams with TLS.
pub(crate) struct TlsClient {
    connector: TlsConnector,
    name: ServerName<'static>,
    /// Whether the name is each request's.
    any: bool,
}

impl std::fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TLS to {:?}", self.name)
    }
}

impl TlsClient {
    /// Reads the files and makes ready.
    pub(crate) fn new(model: &ProxyTls) -> Result<Self, LbError> {
        let bad = |why: String| fault(format!("proxy_ssl cannot be set up: {why}"), &model.pos);
        let provider = suites::provider(&model.ciphers);
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&suites::versions(model.protocols))
            .map_err(|error| bad(error.to_string()))?;
        let builder = match &model.authorities {
            Some(path) => {
                let mut roots = RootCertStore::empty();
                files::authorities(path, &mut roots, &model.pos)?;
                let crls = files::revoked(model.crl.as_deref(), &model.pos)?;
                let verifier =
                    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                        .with_crls(crls)
                        .allow_unknown_revocation_status()
                        .build()
                        .map_err(|error| bad(error.to_string()))?;
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(verifier)
            }
            None => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyServer)),
        };
        let mut config = match &model.certificate {
            Some(certificate) => {
                let key = files::certified(certificate)?;
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
            }
            None => builder.with_no_client_auth(),
        };
        // A name that is none cannot be sent; whoever checks the certificate will miss it.
        let name = ServerName::try_from(model.name.clone());
        let any = model.name.is_empty();
        config.enable_sni = model.server_name && (name.is_ok() || any);
        if !model.session_reuse {
            config.resumption = Resumption::disabled();
        }
        if name.is_err() && !any && model.authorities.is_some() {
            return Err(bad(format!("\"{}\" is no name to check", model.name)));
        }
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            name: name.unwrap_or_else(|_| NO_NAME.into()),
            any,
        })
    }

    /// The same for the host of a URL, unless `proxy_ssl_name` gives the name.
    pub(crate) fn for_host(&self, host: &str) -> Self {
        let port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let bare = match host.rsplit_once(':') {
            Some((name, tail)) if port(tail) && !name.ends_with(':') => name,
            _ => host,
        };
        let named = ServerName::try_from(bare.to_owned());
        Self {
            connector: self.connector.clone(),
            name: if self.any {
                named.unwrap_or_else(|_| NO_NAME.into())
            } else {
                self.name.clone()
            },
            any: self.any,
        }
    }

    /// Puts TLS on a connection.
    pub(crate) async fn connect(&self, io: Io) -> std::io::Result<Io> {
        let stream = self.connector.connect(self.name.clone(), io).await?;
        Ok(super::Stream::from(stream).into())
    }
}
