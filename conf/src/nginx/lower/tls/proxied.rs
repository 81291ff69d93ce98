//! `proxy_ssl_*`: TLS to upstreams.

use std::path::PathBuf;

use super::words::{cipher_list, conf_command, path, plain, protocols, suites, without_port};
use crate::nginx::error::{Error, Kind, Pos};
use crate::nginx::lower::{Lowering, flag, number};
use crate::nginx::model::tls::{Certificate, Cipher, Protocols, ProxyTls};
use crate::nginx::parse::Directive;

/// What one block says of TLS to upstreams.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct ProxyScope {
    pub(in super::super) on: Option<bool>,
    name: Option<String>,
    server_name: Option<bool>,
    verify: Option<bool>,
    trusted: Option<PathBuf>,
    crl: Option<PathBuf>,
    certificate: Option<(PathBuf, Pos)>,
    key: Option<PathBuf>,
    protocols: Option<Protocols>,
    ciphers: Option<(Vec<Cipher>, String)>,
    passwords: Option<PathBuf>,
    conf_commands: Option<Vec<(String, String)>>,
    depth: Option<u32>,
    session_reuse: Option<bool>,
}

impl ProxyScope {
    /// `proxy_ssl_conf_command`
    pub(super) fn command(&mut self, d: &Directive, lowering: &Lowering<'_>) -> Result<(), Error> {
        let command = conf_command(d, lowering)?;
        self.conf_commands.get_or_insert_default().push(command);
        Ok(())
    }

    pub(super) fn one(
        &mut self,
        d: &Directive,
        lowering: &mut Lowering<'_>,
    ) -> Result<bool, Error> {
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
            "proxy_ssl_password_file" => self.passwords = Some(path(d, lowering)?),
            "proxy_ssl_verify_depth" => self.depth = Some(number(d, 0)?),
            "proxy_ssl_session_reuse" => self.session_reuse = Some(flag(d)),
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub(super) fn or(self, outer: Self) -> Self {
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
            passwords: self.passwords.or(outer.passwords),
            conf_commands: self.conf_commands.or(outer.conf_commands),
            depth: self.depth.or(outer.depth),
            session_reuse: self.session_reuse.or(outer.session_reuse),
        }
    }

    /// What holds for a `proxy_pass` to `host` that stands at `pos`.
    pub(in super::super) fn client(&self, host: &str, pos: &Pos) -> Result<ProxyTls, Error> {
        let verify = self.verify.unwrap_or(false);
        if verify && self.trusted.is_none() {
            let message = "no proxy_ssl_trusted_certificate for proxy_ssl_verify";
            return Err(Error::new(Kind::Value, message, pos));
        }
        let certificate = match (self.certificate.clone(), self.key.clone()) {
            (None, _) => None,
            (Some((chain, pos)), Some(key)) => Some(Certificate {
                chain,
                key,
                passwords: self.passwords.clone(),
                pos,
            }),
            (Some((chain, pos)), None) => {
                let message = format!(
                    "no \"proxy_ssl_certificate_key\" is defined for certificate \"{}\"",
                    chain.display()
                );
                return Err(Error::new(Kind::Value, message, &pos));
            }
        };
        Ok(ProxyTls {
            name: without_port(self.name.as_deref().unwrap_or(host)),
            server_name: self.server_name.unwrap_or(false),
            authorities: self.trusted.clone().filter(|_| verify),
            crl: self.crl.clone(),
            certificate,
            protocols: self.protocols.unwrap_or_default(),
            ciphers: suites(self.ciphers.as_ref()),
            cipher_list: self.ciphers.as_ref().map(|(_, text)| text.clone()),
            conf_commands: self.conf_commands.clone().unwrap_or_default(),
            depth: self.depth.unwrap_or(1),
            session_reuse: self.session_reuse.unwrap_or(true),
            pos: pos.clone(),
        })
    }
}
