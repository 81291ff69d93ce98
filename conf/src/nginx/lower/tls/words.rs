//! What the directives of TLS are made of: files, protocols, ciphers, sizes of caches.

use std::path::PathBuf;

use crate::nginx::error::{Error, Kind};
use crate::nginx::lower::{Lowering, ciphers, invalid_value};
use crate::nginx::model::tls::{Cipher, ClientMode, Protocols};
use crate::nginx::parse::Directive;
use crate::nginx::value as values;

/// nginx keeps about 4000 sessions in a mebibyte of a shared cache.
const SESSION_BYTES: u64 = 256;
/// Most sessions kept, whatever the size asked for: some 1 KiB each.
const SESSIONS_MAX: usize = 1 << 20;

/// The suites of a list; all of them without one.
pub(super) fn suites(list: Option<&(Vec<Cipher>, String)>) -> Vec<Cipher> {
    match list {
        Some((suites, _)) => suites.clone(),
        None => ciphers::ALL.iter().map(|(cipher, _)| *cipher).collect(),
    }
}

/// `ssl_conf_command NAME VALUE`
pub(super) fn conf_command(
    d: &Directive,
    lowering: &Lowering<'_>,
) -> Result<(String, String), Error> {
    if !lowering.options.openssl {
        let message = format!("\"{}\" is supported by builds with OpenSSL alone", d.name);
        return Err(d.fault(Kind::Unsupported, message));
    }
    let word = |arg| d.arg(arg).unwrap_or_default().to_owned();
    let (name, mut value) = (word(0), word(1));
    // Those that name a file are of the same place as others.
    if name.ends_with("File") || matches!(name.as_str(), "Certificate" | "PrivateKey") {
        value = lowering.conf_prefix.join(value).display().to_string();
    }
    Ok((name, value))
}

/// The host of `host:port`.
pub(super) fn without_port(host: &str) -> String {
    let port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match host.rsplit_once(':') {
        Some((name, tail)) if port(tail) && !name.ends_with(':') => name.to_owned(),
        _ => host.to_owned(),
    }
}

/// A word without variables.
pub(super) fn plain(d: &Directive) -> Result<String, Error> {
    let text = d.arg(0).unwrap_or_default();
    if text.contains('$') {
        let message = format!("variables in \"{}\" are not supported by weir yet", d.name);
        return Err(d.fault(Kind::Unsupported, message));
    }
    Ok(text.to_owned())
}

/// A file, relative to the directory of the main file.
pub(super) fn path(d: &Directive, lowering: &Lowering<'_>) -> Result<PathBuf, Error> {
    let text = plain(d)?;
    if text.starts_with("data:") || text.starts_with("engine:") || text.starts_with("store:") {
        let message = format!("\"{text}\" in \"{}\" is not supported by weir yet", d.name);
        return Err(d.fault(Kind::Unsupported, message));
    }
    Ok(lowering.conf_prefix.join(text))
}

pub(super) fn protocols(d: &Directive, lowering: &mut Lowering<'_>) -> Result<Protocols, Error> {
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

pub(super) fn cipher_list(
    d: &Directive,
    lowering: &mut Lowering<'_>,
) -> Result<(Vec<Cipher>, String), Error> {
    let list = plain(d)?;
    let chosen = ciphers::choose(&list);
    // OpenSSL reads its own lists.
    if lowering.options.openssl {
        return Ok((chosen.ciphers, list));
    }
    if chosen.ciphers.is_empty() {
        let message = format!("no cipher of \"{list}\" in \"{}\" is supported", d.name);
        return Err(d.fault(Kind::Unsupported, message));
    }
    for name in chosen.missing {
        let what = format!("the cipher {name} in {}", d.name);
        lowering.no_op(d, what, "it is not spoken");
    }
    Ok((chosen.ciphers, list))
}

/// `off`, `none`, `builtin[:size]`, `shared:name:size`: how many sessions are kept.
pub(super) fn session_cache(d: &Directive) -> Result<usize, Error> {
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

pub(super) fn client_mode(d: &Directive) -> Result<Option<ClientMode>, Error> {
    match d.arg(0).unwrap_or_default() {
        "off" => Ok(None),
        "on" => Ok(Some(ClientMode::Required)),
        "optional" => Ok(Some(ClientMode::Optional)),
        "optional_no_ca" => Ok(Some(ClientMode::AnySigner)),
        other => Err(d.fault(Kind::Value, format!("invalid value \"{other}\""))),
    }
}

pub(super) fn alpn(d: &Directive) -> Result<Vec<String>, Error> {
    let names = d.args.iter().map(|token| token.text.clone());
    let all: Vec<String> = names.collect();
    if all.iter().any(|name| name.is_empty() || name.len() > 255) {
        return Err(invalid_value(d));
    }
    Ok(all)
}
