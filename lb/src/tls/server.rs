//! The server's side of a handshake.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::{
    Acceptor, ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerConnection,
    ServerSessionMemoryCache, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{HandshakeKind, NamedGroup, ProtocolVersion};
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};
use weir_conf::nginx::model::tls::Tls;

use super::UNRECOGNIZED_NAME;
use super::fault;
use super::files;
use super::info::{ClientVerdict, TlsInfo};
use super::suites;
use super::verify::{AnyClient, ClientJudge};
use crate::error::LbError;
use crate::io::Io;

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
                hints: judge.hints.clone(),
            }),
            None => WebPkiClientVerifier::no_client_auth(),
        };
        let mut config = ServerConfig::builder_with_provider(suites::provider(&model.ciphers))
            .with_protocol_versions(&suites::versions(model.protocols))
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
        let mut info = info(state);
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

/// What a handshake left.
fn info(state: &ServerConnection) -> TlsInfo {
    let suite = state.negotiated_cipher_suite().map(|suite| suite.suite());
    TlsInfo {
        protocol: match state.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "",
        },
        cipher: suite.map_or_else(String::new, |suite| cipher_name(suite.as_str())),
        server_name: state.server_name().unwrap_or_default().to_owned(),
        alpn: state.alpn_protocol().unwrap_or_default().to_vec(),
        reused: state.handshake_kind() == Some(HandshakeKind::Resumed),
        session_id: Vec::new(),
        curve: curve(state),
        curves: String::new(),
        ciphers: String::new(),
        verdict: ClientVerdict::None,
        refused: false,
        client: state
            .peer_certificates()
            .and_then(<[_]>::first)
            .map(|cert| cert.clone().into_owned()),
    }
}

/// OpenSSL's names of the groups that rustls has.
fn curve(state: &ServerConnection) -> String {
    let group = state.negotiated_key_exchange_group();
    let name = match group.map(|group| group.name()) {
        Some(NamedGroup::X25519) => "X25519",
        Some(NamedGroup::secp256r1) => "prime256v1",
        Some(NamedGroup::secp384r1) => "secp384r1",
        _ => "",
    };
    name.to_owned()
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
