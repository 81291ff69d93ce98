//! The server's side of a handshake.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::{
    Acceptor, ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerSessionMemoryCache,
    WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};
use weir_conf::nginx::model::tls::Tls;

use super::files::{self, fault};
use super::info::TlsInfo;
use super::verify::{AnyClient, ClientJudge};
use crate::error::LbError;
use crate::io::Io;

/// What a client is told that asks for a name nobody here has: an alert, fatal, 112
/// (RFC 8446 section 6.2), in a record of its own.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// A `server` with TLS.
#[derive(Debug)]
pub(crate) struct TlsServer {
    config: Arc<ServerConfig>,
    judge: Option<ClientJudge>,
    reject: bool,
    /// How long a handshake may take.
    pub(crate) handshake_timeout: Duration,
}

/// A client's first message, read; the server is to be chosen by it.
pub(crate) struct Hello(StartHandshake<Io>);

impl TlsServer {
    /// Reads the files and makes ready.
    pub(crate) fn new(model: &Tls) -> Result<Self, LbError> {
        let bad =
            |error: rustls::Error| fault(format!("TLS cannot be set up: {error}"), &model.pos);
        let mut keys = Vec::new();
        for certificate in &model.certificates {
            let mut key = files::certified(certificate)?;
            if let Some(path) = &model.stapling_file {
                key.ocsp = Some(files::stapled(path, &model.pos)?);
            }
            keys.push(Arc::new(key));
        }
        let judge = model.client.as_ref().map(ClientJudge::new).transpose()?;
        let verifier = match &judge {
            Some(judge) => Arc::new(AnyClient {
                hints: judge.roots.subjects(),
            }),
            None => WebPkiClientVerifier::no_client_auth(),
        };
        let mut config = ServerConfig::builder_with_provider(super::provider(&model.ciphers))
            .with_protocol_versions(&super::versions(model.protocols))
            .map_err(bad)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(ByKind(keys)));
        config.ignore_client_order = model.prefer_server_ciphers;
        config.alpn_protocols = model.alpn.iter().map(|it| it.as_bytes().to_vec()).collect();
        config.session_storage = match model.session_cache_entries {
            0 => Arc::new(NoServerSessionStorage {}),
            entries => ServerSessionMemoryCache::new(entries),
        };
        if model.session_tickets {
            config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(bad)?;
        } else if model.session_cache_entries == 0 {
            config.send_tls13_tickets = 0;
        }
        Ok(Self {
            config: Arc::new(config),
            judge,
            reject: model.reject_handshake,
            handshake_timeout: Duration::from_millis(model.handshake_timeout_ms),
        })
    }

    /// Whether clients are asked for a certificate.
    pub(crate) fn asks_client(&self) -> bool {
        self.judge.is_some()
    }
}

impl Hello {
    /// Reads the client's first message.
    pub(crate) async fn read(io: Io) -> std::io::Result<Self> {
        LazyConfigAcceptor::new(Acceptor::default(), io)
            .await
            .map(Self)
    }

    /// The name the client asks for, lower case.
    pub(crate) fn server_name(&self) -> Option<String> {
        let hello = self.0.client_hello();
        hello.server_name().map(str::to_ascii_lowercase)
    }

    /// Ends the handshake as this server does.
    pub(crate) async fn finish(self, server: &TlsServer) -> std::io::Result<(Io, TlsInfo)> {
        if server.reject {
            let mut io = self.0.io;
            io.write_all(&UNRECOGNIZED_NAME).await?;
            io.shutdown().await?;
            return Err(std::io::Error::other("handshake rejected"));
        }
        let stream = self.0.into_stream(Arc::clone(&server.config)).await?;
        let (_, state) = stream.get_ref();
        let mut info = TlsInfo::of(state);
        if let Some(judge) = &server.judge {
            info.verdict = judge.judge(state.peer_certificates());
            info.refused = judge.refuses(&info.verdict);
        }
        let stream = super::Stream::from(stream);
        Ok((stream.into(), info))
    }
}

/// Several certificates of one server, told apart by what the client can check.
#[derive(Debug)]
struct ByKind(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for ByKind {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        self.0.iter().find(fits).cloned()
    }
}
