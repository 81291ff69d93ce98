//! The client's side: `proxy_ssl_*`.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use openssl::error::ErrorStack;
use openssl::ssl::{
    Ssl, SslContext, SslMethod, SslSession, SslSessionCacheMode, SslVerifyMode, SslVersion,
};
use weir_conf::nginx::model::tls::ProxyTls;

use super::super::fault;
use super::{Stream, context, other};
use crate::error::LbError;
use crate::io::Io;

/// Connects to upstreams with TLS.
pub(crate) struct TlsClient {
    context: SslContext,
    /// The last session that may be taken up again.
    session: Arc<Mutex<Option<SslSession>>>,
    name: String,
    /// Whether the name is each request's.
    any: bool,
    /// Whether it is sent (SNI).
    told: bool,
    verify: bool,
}

impl std::fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TLS to {:?}", self.name)
    }
}

impl TlsClient {
    /// Reads the files and makes ready.
    pub(crate) fn new(model: &ProxyTls) -> Result<Self, LbError> {
        let bad =
            |error: ErrorStack| fault(format!("proxy_ssl cannot be set up: {error}"), &model.pos);
        let mut builder = SslContext::builder(SslMethod::tls_client()).map_err(bad)?;
        let ciphers = model.cipher_list.as_deref();
        context::tune(
            &mut builder,
            model.protocols,
            ciphers,
            &model.conf_commands,
            &model.pos,
        )?;
        if let Some(certificate) = &model.certificate {
            context::certify(&mut builder, certificate)?;
        }
        let verify = model.authorities.is_some();
        if verify {
            let crl = model.crl.as_deref();
            context::trust(&mut builder, &model.authorities, crl, &model.pos)?;
            builder.set_verify(SslVerifyMode::PEER);
            builder.set_verify_depth(model.depth);
        } else {
            builder.set_verify(SslVerifyMode::NONE);
        }
        let session = Arc::new(Mutex::new(None));
        if model.session_reuse {
            let kept = Arc::clone(&session);
            builder.set_session_cache_mode(
                SslSessionCacheMode::CLIENT | SslSessionCacheMode::NO_INTERNAL,
            );
            // A copy: OpenSSL spoils the one of a connection that ends without its last word.
            builder.set_new_session_callback(move |_, session| {
                let copy = session.to_der().and_then(|der| SslSession::from_der(&der));
                *kept.lock().unwrap_or_else(PoisonError::into_inner) = copy.ok();
            });
        }
        Ok(Self {
            context: builder.build(),
            session,
            name: model.name.clone(),
            any: model.name.is_empty(),
            told: model.server_name,
            verify,
        })
    }

    /// The same for the host of a URL, unless `proxy_ssl_name` gives the name.
    pub(crate) fn for_host(&self, host: &str) -> Self {
        let port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let bare = match host.rsplit_once(':') {
            Some((name, tail)) if port(tail) && !name.ends_with(':') => name,
            _ => host,
        };
        let other = self.any && bare != self.name;
        Self {
            context: self.context.clone(),
            session: if other {
                Arc::default()
            } else {
                Arc::clone(&self.session)
            },
            name: if self.any { bare } else { &self.name }.to_owned(),
            any: self.any,
            told: self.told,
            verify: self.verify,
        }
    }

    /// Puts TLS on a connection.
    pub(crate) async fn connect(&self, io: Io) -> std::io::Result<Io> {
        let ssl = self.ssl().map_err(other)?;
        let mut stream = Stream::new(ssl, io).map_err(other)?;
        Pin::new(&mut stream).connect().await.map_err(other)?;
        Ok(stream.into())
    }

    #[expect(
        unsafe_code,
        reason = "a session is of its context's kind, which the binding cannot tell"
    )]
    fn ssl(&self) -> Result<Ssl, ErrorStack> {
        let mut ssl = Ssl::new(&self.context)?;
        let bare = self.name.trim_start_matches('[').trim_end_matches(']');
        let ip = bare.parse::<IpAddr>().ok();
        if self.told && ip.is_none() && !bare.is_empty() {
            ssl.set_hostname(bare)?;
        }
        if self.verify {
            match ip {
                Some(ip) => ssl.param_mut().set_ip(ip)?,
                None => ssl.param_mut().set_host(bare)?,
            }
        }
        let mut kept = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        // TLS 1.3's are for one use (RFC 8446 section C.4), and each answer brings new ones.
        let session = match &*kept {
            Some(session) if session.protocol_version() == SslVersion::TLS1_3 => kept.take(),
            other => other.clone(),
        };
        if let Some(session) = session {
            // SAFETY: the session came from a connection of this very context.
            unsafe { ssl.set_session(&session)? };
        }
        Ok(ssl)
    }
}
