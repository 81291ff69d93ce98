//! `ssl_*` and `proxy_ssl_*`, read in each block and inherited as nginx does.
//!
//! Files are named here and read when the balancer is made. Old protocol versions and ciphers
//! that are not spoken are told among what has no effect, and refused when nothing is left.

mod proxied;
mod words;

use std::path::PathBuf;

use super::super::error::{Error, Kind, Pos};
use super::super::model::tls::{Certificate, Cipher, ClientCheck, ClientMode, Protocols, Tls};
use super::super::parse::Directive;
use super::{Lowering, Once, flag, number, time_ms};
use proxied::ProxyScope;
use words::{
    alpn, cipher_list, client_mode, conf_command, path, plain, protocols, session_cache, suites,
};

/// What one block says of TLS, both sides.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    certificates: Option<Vec<(PathBuf, Pos)>>,
    keys: Option<Vec<PathBuf>>,
    protocols: Option<Protocols>,
    ciphers: Option<(Vec<Cipher>, String)>,
    curves: Option<String>,
    passwords: Option<PathBuf>,
    conf_commands: Option<Vec<(String, String)>>,
    depth: Option<u32>,
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
                "ssl_conf_command" => {
                    let command = conf_command(d, lowering)?;
                    scope.conf_commands.get_or_insert_default().push(command);
                }
                "proxy_ssl_conf_command" => scope.proxy.command(d, lowering)?,
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
            "ssl_password_file" => self.passwords = Some(path(d, lowering)?),
            "ssl_verify_depth" => self.depth = Some(number(d, 0)?),
            "ssl_ecdh_curve" => self.curves = Some(plain(d)?),
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
            curves: self.curves.or(outer.curves),
            passwords: self.passwords.or(outer.passwords),
            conf_commands: self.conf_commands.or(outer.conf_commands),
            depth: self.depth.or(outer.depth),
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
            ciphers: suites(self.ciphers.as_ref()),
            cipher_list: self.ciphers.as_ref().map(|(_, text)| text.clone()),
            curves: self.curves.clone().filter(|text| text != "auto"),
            conf_commands: self.conf_commands.clone().unwrap_or_default(),
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
            pairs.push(Certificate {
                chain,
                key,
                passwords: self.passwords.clone(),
                pos,
            });
        }
        Ok(pairs)
    }

    fn client_check(&self) -> Result<Option<ClientCheck>, Error> {
        let Some((Some(mode), pos)) = self.verify_client.clone() else {
            return Ok(None);
        };
        let (authorities, trusted) = (self.client_authorities.clone(), self.trusted.clone());
        if authorities.is_none() && trusted.is_none() && mode != ClientMode::AnySigner {
            let message = "no ssl_client_certificate for ssl_verify_client";
            return Err(Error::new(Kind::Value, message, &pos));
        }
        Ok(Some(ClientCheck {
            mode,
            authorities,
            trusted,
            crl: self.crl.clone(),
            depth: self.depth.unwrap_or(1),
            pos,
        }))
    }
}
