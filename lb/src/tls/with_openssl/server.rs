//! The server's side of a handshake.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::ssl::{
    AlpnError, Ssl, SslContext, SslContextBuilder, SslMethod, SslOptions, SslRef,
    SslSessionCacheMode, SslVerifyMode,
};
use openssl::x509::{X509Name, X509VerifyResult};
use rustls::pki_types::CertificateDer;
use tokio::io::AsyncWriteExt as _;
use weir_conf::nginx::model::tls::{ClientCheck, ClientMode, Tls};

use super::super::info::{ClientVerdict, TlsInfo};
use super::super::{UNRECOGNIZED_NAME, fault};
use super::{Stream, context, other};
use crate::error::LbError;
use crate::io::Io;
use crate::l4::hello::{self, ClientHello, Step};

/// Longest first message that is read: one that is longer is no client's.
const HELLO_BYTES_MAX: usize = 1 << 17;

/// OpenSSL's errors of a chain whose end is not trusted: `optional_no_ca` passes over them.
const NO_CA: [i32; 5] = [18, 19, 20, 21, 27];

/// Sessions of one server are none of another's.
static SERIAL: AtomicU32 = AtomicU32::new(1);

/// A `server` with TLS.
pub(crate) struct TlsServer {
    /// `None` for one that only rejects.
    context: Option<SslContext>,
    mode: Option<ClientMode>,
    reject: bool,
    /// How long a handshake may take.
    pub(crate) handshake_timeout: Duration,
}

impl std::fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TLS by OpenSSL")
    }
}

/// A client's first message, read; the server is to be chosen by it.
pub(crate) struct Hello {
    io: Io,
    hello: ClientHello,
}

impl TlsServer {
    /// Reads the files and makes ready.
    pub(crate) fn new(model: &Tls) -> Result<Self, LbError> {
        let context = match model.certificates.as_slice() {
            [] => None,
            _ => Some(builder(model)?.build()),
        };
        Ok(Self {
            context,
            mode: model.client.as_ref().map(|client| client.mode),
            reject: model.reject_handshake,
            handshake_timeout: Duration::from_millis(model.handshake_timeout_ms),
        })
    }

    /// Whether clients are asked for a certificate.
    pub(crate) fn asks_client(&self) -> bool {
        self.mode.is_some()
    }

    /// What became of a client's certificate, and whether it is refused for it.
    fn verdict(&self, ssl: &SslRef) -> (ClientVerdict, bool) {
        let Some(mode) = self.mode else {
            return (ClientVerdict::None, false);
        };
        if ssl.peer_certificate().is_none() {
            return (ClientVerdict::None, mode == ClientMode::Required);
        }
        let result = ssl.verify_result();
        if result == X509VerifyResult::OK {
            return (ClientVerdict::Success, false);
        }
        let passed = mode == ClientMode::AnySigner && NO_CA.contains(&result.as_raw());
        let why = result.error_string().to_owned();
        (ClientVerdict::Failed(why), !passed)
    }
}

fn builder(model: &Tls) -> Result<SslContextBuilder, LbError> {
    let bad = |error: ErrorStack| fault(format!("TLS cannot be set up: {error}"), &model.pos);
    let mut builder = SslContext::builder(SslMethod::tls_server()).map_err(bad)?;
    for certificate in &model.certificates {
        context::certify(&mut builder, certificate)?;
    }
    if model.prefer_server_ciphers {
        builder.set_options(SslOptions::CIPHER_SERVER_PREFERENCE);
    }
    if let Some(curves) = &model.curves {
        builder.set_groups_list(curves).map_err(bad)?;
    }
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    builder.set_session_id_context(&serial).map_err(bad)?;
    match i32::try_from(model.session_cache_entries).unwrap_or(i32::MAX) {
        0 => {
            builder.set_session_cache_mode(SslSessionCacheMode::OFF);
        }
        entries => {
            builder.set_session_cache_mode(SslSessionCacheMode::SERVER);
            builder.set_session_cache_size(entries);
        }
    }
    if !model.session_tickets {
        builder.set_options(SslOptions::NO_TICKET);
        if model.session_cache_entries == 0 {
            builder.set_num_tickets(0).map_err(bad)?;
        }
    }
    if !model.alpn.is_empty() {
        let offered = model.alpn.clone();
        builder.set_alpn_select_callback(move |_, asked| {
            let found = offered.iter().find_map(|name| find(asked, name.as_bytes()));
            found.ok_or(AlpnError::ALERT_FATAL)
        });
    }
    if let Some(path) = &model.stapling_file {
        let der = std::fs::read(path);
        let der =
            der.map_err(|error| fault(format!("open() {path:?} failed ({error})"), &model.pos))?;
        let answer = move |ssl: &mut SslRef| ssl.set_ocsp_status(&der).map(|()| true);
        builder.set_status_callback(answer).map_err(bad)?;
    }
    if let Some(client) = &model.client {
        check(&mut builder, client)?;
    }
    context::tune(
        &mut builder,
        model.protocols,
        model.cipher_list.as_deref(),
        &model.conf_commands,
        &model.pos,
    )?;
    Ok(builder)
}

/// A name among those a client asks for, each after its length.
fn find<'a>(mut asked: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    while let Some((length, rest)) = asked.split_first() {
        let (one, rest) = rest.split_at_checked(usize::from(*length))?;
        if one == name {
            return Some(one);
        }
        asked = rest;
    }
    None
}

/// `ssl_verify_client`: any certificate is taken, and judged after the handshake, so that who
/// sent a bad one can be told.
fn check(builder: &mut SslContextBuilder, client: &ClientCheck) -> Result<(), LbError> {
    let files: Vec<&PathBuf> = client.authorities.iter().chain(&client.trusted).collect();
    context::trust(builder, files, client.crl.as_deref(), &client.pos)?;
    if let Some(path) = &client.authorities {
        let names = X509Name::load_client_ca_file(path).map_err(|error| {
            fault(
                format!("cannot load certificate {path:?}: {error}"),
                &client.pos,
            )
        })?;
        builder.set_client_ca_list(names);
    }
    builder.set_verify_depth(client.depth);
    builder.set_verify_callback(SslVerifyMode::PEER, |_, _| true);
    Ok(())
}

impl Hello {
    /// Reads the client's first message, which stays to be read by OpenSSL.
    pub(crate) async fn read(mut io: Io) -> std::io::Result<Self> {
        let mut bytes = Vec::new();
        let hello = loop {
            if io.read_more(&mut bytes, HELLO_BYTES_MAX).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            match hello::parse(&bytes) {
                Ok(Step::More) => {}
                Ok(Step::Done(hello)) => break hello,
                // OpenSSL says what is wrong with it.
                Err(hello::NotTls) => break ClientHello::default(),
            }
        };
        io.unread(bytes);
        Ok(Self { io, hello })
    }

    /// The name the client asks for, lower case.
    pub(crate) fn server_name(&self) -> Option<String> {
        let name = &self.hello.server_name;
        (!name.is_empty()).then(|| name.clone())
    }

    /// Ends the handshake as this server does.
    pub(crate) async fn finish(self, server: &TlsServer) -> std::io::Result<(Io, TlsInfo)> {
        let Some(context) = server.context.as_ref().filter(|_| !server.reject) else {
            let mut io = self.io;
            io.write_all(&UNRECOGNIZED_NAME).await?;
            io.shutdown().await?;
            return Err(std::io::Error::other("handshake rejected"));
        };
        let ssl = Ssl::new(context).map_err(other)?;
        let mut stream = Stream::new(ssl, self.io).map_err(other)?;
        Pin::new(&mut stream).accept().await.map_err(other)?;
        let ssl = stream.ssl();
        let (verdict, refused) = server.verdict(ssl);
        let client = ssl
            .peer_certificate()
            .and_then(|cert| cert.to_der().ok())
            .map(CertificateDer::from);
        let info = TlsInfo {
            protocol: ssl.version_str(),
            cipher: ssl
                .current_cipher()
                .map_or_else(String::new, |cipher| cipher.name().to_owned()),
            server_name: self.hello.server_name,
            alpn: ssl.selected_alpn_protocol().unwrap_or_default().to_vec(),
            reused: ssl.session_reused(),
            session_id: ssl
                .session()
                .map_or_else(Vec::new, |session| session.id().to_vec()),
            // The binding does not tell of these.
            curve: String::new(),
            curves: String::new(),
            ciphers: String::new(),
            verdict,
            refused,
            client,
        };
        Ok((stream.into(), info))
    }
}
