//! The client's side: `proxy_ssl_*`.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use tokio_rustls::TlsConnector;
use weir_conf::nginx::model::tls::ProxyTls;

use super::files::{self, fault};
use super::verify::AnyServer;
use crate::error::LbError;
use crate::io::Io;

/// Connects to upstreams with TLS.
pub(crate) struct TlsClient {
    connector: TlsConnector,
    name: ServerName<'static>,
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
        let provider = super::provider(&model.ciphers);
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&super::versions(model.protocols))
            .map_err(|error| bad(error.to_string()))?;
        let builder = match &model.authorities {
            Some(path) => {
                let roots = files::authorities(path, &model.pos)?;
                let crls = files::revoked(model.crl.as_deref(), &model.pos)?;
                let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider)
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
        config.enable_sni = model.server_name && name.is_ok();
        if !model.session_reuse {
            config.resumption = Resumption::disabled();
        }
        if name.is_err() && model.authorities.is_some() {
            return Err(bad(format!("\"{}\" is no name to check", model.name)));
        }
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            name: name.unwrap_or_else(|_| std::net::Ipv4Addr::UNSPECIFIED.into()),
        })
    }

    /// Puts TLS on a connection.
    pub(crate) async fn connect(&self, io: Io) -> std::io::Result<Io> {
        let stream = self.connector.connect(self.name.clone(), io).await?;
        Ok(super::Stream::from(stream).into())
    }
}
