//! `ssl_*` and `proxy_ssl_*`, read in each block and inherited as nginx does.
//!
//! Files are named here and read when the balancer is made. Old protocol versions and ciphers
//! that are not spoken are told among what has no effect, and refused when nothing is left.

use std::path::PathBuf;

use super::super::error::{Error, Kind, Pos};
use super::super::model::tls::{
    Certificate, Cipher, ClientCheck, ClientMode, Protocols, ProxyTls, Tls,
};
use super::super::parse::Directive;
use super::super::value as values;
use super::{Lowering, Once, ciphers, flag, invalid_value, time_ms};

/// nginx keeps about 4000 sessions in a mebibyte of a shared cache.
const SESSION_BYTES: u64 = 256;
/// Most sessions kept, whatever the size asked for: some 1 KiB each.
const SESSIONS_MAX: usize = 1 << 20;

/// What one block says of TLS, both sides.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    certificates: Option<Vec<(PathBuf, Pos)>>,
    keys: Option<Vec<PathBuf>>,
    protocols: Option<Protocols>,
    ciphers: Option<Vec<Cipher>>,
    prefer_server_ciphers: Option<bool>,
    session_cache_entries: Option<usize>,
    session_tickets: Option<bool>,
    client_authorities: Option<PathBuf>,
    trusted: Option<PathBuf>,
    verify_client: Option<(Option<ClientMode>, Pos)>,
    crl: Option<PathBuf>,
    stapling_file: Option<PathBuf>,
    reject_handshake: Option<bool>,
    handshake_timeout_ms: Option<u64>,
    alpn: Option<Vec<String>>,
    pub(super) http2: Option<bool>,
    pub(super) proxy: ProxyScope,
}

/// What one block says of TLS to upstreams.
#[derive(Debug, Clone, Default)]
pub(super) struct ProxyScope {
    pub(super) on: Option<bool>,
    name: Option<String>,
    server_name: Option<bool>,
    verify: Option<bool>,
    trusted: Option<PathBuf>,
    crl: Option<PathBuf>,
    certificate: Option<(PathBuf, Pos)>,
    key: Option<PathBuf>,
    protocols: Option<Protocols>,
    ciphers: Option<Vec<Cipher>>,
    session_reuse: Option<bool>,
}

impl Scope {
    /// Reads a block; what it does not say is what holds around it.
    pub(super) fn read(
        block: &Directive,
        outer: &Self,
        lowering: &mut Lowering<'_>,
    ) -> Result<Self, Error> {
        let mut scope = Self::default();
        let mut once = Once::default();
        for d in block.children() {
            match d.name.as_str() {
                "ssl_certificate" => {
                    let at = (path(d, lowering)?, d.pos.clone());
                    scope.certificates.get_or_insert_default().push(at);
                }
                "ssl_certificate_key" => {
                    let key = path(d, lowering)?;
                    scope.keys.get_or_insert_default().push(key);
                }
                _ => {
                    if scope.one(d, lowering)? || scope.proxy.one(d, lowering)? {
                        once.first(d)?;
                    }
                }
            }
        }
        Ok(scope.or(outer))
    }

    fn one(&mut self, d: &Directive, lowering: &mut Lowering<'_>) -> Result<bool, Error> {
        match d.name.as_str() {
            "ssl_protocols" => self.protocols = Some(protocols(d, lowering)?),
            "ssl_ciphers" => self.ciphers = Some(cipher_list(d, lowering)?),
            "ssl_prefer_server_ciphers" => self.prefer_server_ciphers = Some(flag(d)),
            "ssl_session_cache" => self.session_cache_entries = Some(session_cache(d)?),
            "ssl_session_tickets" => self.session_tickets = Some(flag(d)),
            "ssl_client_certificate" => self.client_authorities = Some(path(d, lowering)?),
            "ssl_trusted_certificate" => self.trusted = Some(path(d, lowering)?),
            "ssl_verify_client" => {
                self.verify_client = Some((client_mode(d)?, d.pos.clone()));
            }
            "ssl_crl" => self.crl = Some(path(d, lowering)?),
            "ssl_stapling_file" => self.stapling_file = Some(path(d, lowering)?),
            "ssl_reject_handshake" => self.reject_handshake = Some(flag(d)),
            "ssl_handshake_timeout" => self.handshake_timeout_ms = Some(time_ms(d, 0)?),
            "ssl_alpn" => self.alpn = Some(alpn(d)?),
            "http2" => self.http2 = Some(flag(d)),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn or(self, outer: &Self) -> Self {
        let outer = outer.clone();
        Self {
            certificates: self.certificates.or(outer.certificates),
            keys: self.keys.or(outer.keys),
            protocols: self.protocols.or(outer.protocols),
            ciphers: self.ciphers.or(outer.ciphers),
            prefer_server_ciphers: self.prefer_server_ciphers.or(outer.prefer_server_ciphers),
            session_cache_entries: self.session_cache_entries.or(outer.session_cache_entries),
            session_tickets: self.session_tickets.or(outer.session_tickets),
            client_authorities: self.client_authorities.or(outer.client_authorities),
            trusted: self.trusted.or(outer.trusted),
            verify_client: self.verify_client.or(outer.verify_client),
            crl: self.crl.or(outer.crl),
            stapling_file: self.stapling_file.or(outer.stapling_file),
            reject_handshake: self.reject_handshake.or(outer.reject_handshake),
            handshake_timeout_ms: self.handshake_timeout_ms.or(outer.handshake_timeout_ms),
            alpn: self.alpn.or(outer.alpn),
            http2: self.http2.or(outer.http2),
            proxy: self.proxy.or(outer.proxy),
        }
    }

    /// The protocols of `ssl_alpn`.
    pub(super) fn alpn(&self) -> Vec<String> {
        self.alpn.clone().unwrap_or_default()
    }

    /// `ssl_handshake_timeout`, by default a minute.
    pub(super) fn handshake_timeout_ms(&self) -> u64 {
        self.handshake_timeout_ms.unwrap_or(60_000)
    }

    /// What holds for a server that stands at `pos`; `None` if it has nothing to speak TLS with.
    pub(super) fn server(
        &self,
        alpn: Vec<String>,
        handshake_timeout_ms: u64,
        pos: &Pos,
    ) -> Result<Option<Tls>, Error> {
        let certificates = self.certificates()?;
        let reject_handshake = self.reject_handshake.unwrap_or(false);
        if certificates.is_empty() && !reject_handshake {
            return Ok(None);
        }
        Ok(Some(Tls {
            certificates,
            protocols: self.protocols.unwrap_or_default(),
            ciphers: self.ciphers.clone().unwrap_or_else(all_ciphers),
            prefer_server_ciphers: self.prefer_server_ciphers.unwrap_or(false),
            session_cache_entries: self.session_cache_entries.unwrap_or(0),
            session_tickets: self.session_tickets.unwrap_or(true),
            client: self.client_check()?,
            stapling_file: self.stapling_file.clone(),
            reject_handshake,
            handshake_timeout_ms,
            alpn,
            pos: pos.clone(),
        }))
    }

    fn certificates(&self) -> Result<Vec<Certificate>, Error> {
        let chains = self.certificates.clone().unwrap_or_default();
        let keys = self.keys.clone().unwrap_or_default();
        let mut pairs = Vec::new();
        for (index, (chain, pos)) in chains.into_iter().enumerate() {
            let Some(key) = keys.get(index).cloned() else {
                let message = format!(
                    "no \"ssl_certificate_key\" is defined for certificate \"{}\"",
                    chain.display()
                );
                return Err(Error::new(Kind::Value, message, &pos));
            };
            pairs.push(Certificate { chain, key, pos });
        }
        Ok(pairs)
    }

    fn client_check(&self) -> Result<Option<ClientCheck>, Error> {
        let Some((Some(mode), pos)) = self.verify_client.clone() else {
            return Ok(None);
        };
        let authorities = self.client_authorities.clone().or(self.trusted.clone());
        if authorities.is_none() && mode != ClientMode::AnySigner {
            let message = "no ssl_client_certificate for ssl_verify_client";
            return Err(Error::new(Kind::Value, message, &pos));
        }
        Ok(Some(ClientCheck {
            mode,
            authorities,
            crl: self.crl.clone(),
            pos,
        }))
    }
}

impl ProxyScope {
    fn one(&mut self, d: &Directive, lowering: &mut Lowering<'_>) -> Result<bool, Error> {
        match d.name.as_str() {
            "proxy_ssl" => self.on = Some(flag(d)),
            "proxy_ssl_name" => self.name = Some(plain(d)?),
            "proxy_ssl_server_name" => self.server_name = Some(flag(d)),
            "proxy_ssl_verify" => self.verify = Some(flag(d)),
            "proxy_ssl_trusted_certificate" => self.trusted = Some(path(d, lowering)?),
            "proxy_ssl_crl" => self.crl = Some(path(d, lowering)?),
            "proxy_ssl_certificate" => {
                self.certificate = Some((path(d, lowering)?, d.pos.clone()));
            }
            "proxy_ssl_certificate_key" => self.key = Some(path(d, lowering)?),
            "proxy_ssl_protocols" => self.protocols = Some(protocols(d, lowering)?),
            "proxy_ssl_ciphers" => self.ciphers = Some(cipher_list(d, lowering)?),
            "proxy_ssl_session_reuse" => self.session_reuse = Some(flag(d)),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn or(self, outer: Self) -> Self {
        Self {
            on: self.on.or(outer.on),
            name: self.name.or(outer.name),
            server_name: self.server_name.or(outer.server_name),
            verify: self.verify.or(outer.verify),
            trusted: self.trusted.or(outer.trusted),
            crl: self.crl.or(outer.crl),
            certificate: self.certificate.or(outer.certificate),
            key: self.key.or(outer.key),
            protocols: self.protocols.or(outer.protocols),
            ciphers: self.ciphers.or(outer.ciphers),
            session_reuse: self.session_reuse.or(outer.session_reuse),
        }
    }

    /// What holds for a `proxy_pass` to `host` that stands at `pos`.
    pub(super) fn client(&self, host: &str, pos: &Pos) -> Result<ProxyTls, Error> {
        let verify = self.verify.unwrap_or(false);
        if verify && self.trusted.is_none() {
            let message = "no proxy_ssl_trusted_certificate for proxy_ssl_verify";
            return Err(Error::new(Kind::Value, message, pos));
        }
        let certificate = match (self.certificate.clone(), self.key.clone()) {
            (None, _) => None,
            (Some((chain, pos)), Some(key)) => Some(Certificate { chain, key, pos }),
            (Some((chain, pos)), None) => {
                let message = format!(
                    "no \"proxy_ssl_certificate_key\" is defined for certificate \"{}\"",
                    chain.display()
                );
                return Err(Error::new(Kind::Value, message, &pos));
            }
        };
        Ok(ProxyTls {
            name: self.name.clone().unwrap_or_else(|| without_port(host)),
            server_name: self.server_name.unwrap_or(false),
            authorities: self.trusted.clone().filter(|_| verify),
            crl: self.crl.clone(),
            certificate,
            protocols: self.protocols.unwrap_or_default(),
            ciphers: self.ciphers.clone().unwrap_or_else(all_ciphers),
            session_reuse: self.session_reuse.unwrap_or(true),
            pos: pos.clone(),
        })
    }
}

fn all_ciphers() -> Vec<Cipher> {
    ciphers::ALL.iter().map(|(cipher, _)| *cipher).collect()
}

/// The host of `host:port`.
fn without_port(host: &str) -> String {
    let port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match host.rsplit_once(':') {
        Some((name, tail)) if port(tail) && !name.ends_with(':') => name.to_owned(),
        _ => host.to_owned(),
    }
}

/// A word without variables.
fn plain(d: &Directive) -> Result<String, Error> {
    let text = d.arg(0).unwrap_or_default();
    if text.contains('$') {
        let message = format!("variables in \"{}\" are not supported by weir yet", d.name);
        return Err(d.fault(Kind::Unsupported, message));
    }
    Ok(text.to_owned())
}

/// A file, relative to the directory of the main file.
fn path(d: &Directive, lowering: &Lowering<'_>) -> Result<PathBuf, Error> {
    let text = plain(d)?;
    if text.starts_with("data:") || text.starts_with("engine:") || text.starts_with("store:") {
        let message = format!("\"{text}\" in \"{}\" is not supported by weir yet", d.name);
        return Err(d.fault(Kind::Unsupported, message));
    }
    Ok(lowering.conf_prefix.join(text))
}

fn protocols(d: &Directive, lowering: &mut Lowering<'_>) -> Result<Protocols, Error> {
    let mut found = Protocols {
        tls12: false,
        tls13: false,
    };
    for token in &d.args {
        match token.text.as_str() {
            "TLSv1.2" => found.tls12 = true,
            "TLSv1.3" => found.tls13 = true,
            old @ ("SSLv2" | "SSLv3" | "TLSv1" | "TLSv1.1") => {
                let what = format!("{old} in {}", d.name);
                lowering.no_op(d, what, "it is not safe and not spoken (RFC 8996)");
            }
            other => return Err(d.fault(Kind::Value, format!("invalid value \"{other}\""))),
        }
    }
    if !found.tls12 && !found.tls13 {
        let message = format!(
            "no protocol in \"{}\" is spoken: TLSv1.2 and TLSv1.3 are",
            d.name
        );
        return Err(d.fault(Kind::Unsupported, message));
    }
    Ok(found)
}

fn cipher_list(d: &Directive, lowering: &mut Lowering<'_>) -> Result<Vec<Cipher>, Error> {
    let list = plain(d)?;
    let chosen = ciphers::choose(&list);
    if chosen.ciphers.is_empty() {
        let message = format!("no cipher of \"{list}\" in \"{}\" is supported", d.name);
        return Err(d.fault(Kind::Unsupported, message));
    }
    for name in chosen.missing {
        let what = format!("the cipher {name} in {}", d.name);
        lowering.no_op(d, what, "it is not spoken");
    }
    Ok(chosen.ciphers)
}

/// `off`, `none`, `builtin[:size]`, `shared:name:size`: how many sessions are kept.
fn session_cache(d: &Directive) -> Result<usize, Error> {
    let mut entries = 0;
    for token in &d.args {
        let text = token.text.as_str();
        let invalid = || {
            let message = format!("invalid session cache \"{text}\"");
            d.fault(Kind::Value, message)
        };
        let size = match text.split(':').collect::<Vec<_>>().as_slice() {
            ["off" | "none"] => 0,
            ["builtin"] => 20_480,
            ["builtin", count] => values::number(count).ok_or_else(invalid)?,
            ["shared", name, size] if !name.is_empty() => {
                let bytes = values::size_bytes(size).ok_or_else(invalid)?;
                if bytes < 8 * 4096 {
                    let message = format!("session cache \"{name}\" is too small");
                    return Err(d.fault(Kind::Value, message));
                }
                usize::try_from(bytes / SESSION_BYTES).unwrap_or(SESSIONS_MAX)
            }
            _ => return Err(invalid()),
        };
        entries = entries.max(size.min(SESSIONS_MAX));
    }
    Ok(entries)
}

fn client_mode(d: &Directive) -> Result<Option<ClientMode>, Error> {
    match d.arg(0).unwrap_or_default() {
        "off" => Ok(None),
        "on" => Ok(Some(ClientMode::Required)),
        "optional" => Ok(Some(ClientMode::Optional)),
        "optional_no_ca" => Ok(Some(ClientMode::AnySigner)),
        other => Err(d.fault(Kind::Value, format!("invalid value \"{other}\""))),
    }
}

fn alpn(d: &Directive) -> Result<Vec<String>, Error> {
    let names = d.args.iter().map(|token| token.text.clone());
    let all: Vec<String> = names.collect();
    if all.iter().any(|name| name.is_empty() || name.len() > 255) {
        return Err(invalid_value(d));
    }
    Ok(all)
}
