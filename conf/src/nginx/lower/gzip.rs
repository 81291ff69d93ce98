//! Values of [`Gzip`] that `http`, `server` and `location` may each set. Inheritance as in
//! [`super::scope`].

use std::collections::HashSet;
use std::sync::Arc;

use super::super::error::{Error, Kind};
use super::super::model::gzip::{Gzip, Made, Proxied};
use super::super::parse::Directive;
use super::super::regex::Regex;
use super::{Once, flag, number, size_bytes};

/// Internet Explorer 4 to 6, but for what calls itself so and is not.
const MSIE6: &str = r"MSIE [4-6]\.(?!.*SV1)";

/// What one block sets itself.
#[derive(Debug, Clone, Default)]
pub(super) struct GzipScope {
    on: Option<bool>,
    types: Option<HashSet<String>>,
    level: Option<u32>,
    min_bytes: Option<u64>,
    proxied: Option<Proxied>,
    vary: Option<bool>,
    http_1_0: Option<bool>,
    disabled: Option<Vec<Regex>>,
    gunzip: Option<bool>,
    made: Option<Made>,
}

impl GzipScope {
    /// Reads one directive. Says whether it was one of these.
    pub(super) fn read(&mut self, d: &Directive, once: &mut Once) -> Result<bool, Error> {
        match d.name.as_str() {
            "gzip_types" => {
                let usual = || HashSet::from(["text/html".to_owned()]);
                let types = self.types.get_or_insert_with(usual);
                types.extend(d.args.iter().map(|it| it.text.to_ascii_lowercase()));
                return Ok(true);
            }
            "gzip_disable" => {
                let found = disabled(d)?;
                self.disabled.get_or_insert_default().extend(found);
                return Ok(true);
            }
            "gzip" => self.on = Some(flag(d)),
            "gzip_comp_level" => {
                let level = number(d, 0)?;
                if !(1..=9).contains(&level) {
                    return Err(d.fault(Kind::Value, "value must be between 1 and 9"));
                }
                self.level = Some(level);
            }
            "gzip_min_length" => self.min_bytes = Some(size_bytes(d, 0)?),
            "gzip_proxied" => self.proxied = Some(proxied(d)?),
            "gzip_vary" => self.vary = Some(flag(d)),
            "gzip_http_version" => {
                self.http_1_0 = Some(word(d, &[("1.0", true), ("1.1", false)])?);
            }
            "gunzip" => self.gunzip = Some(flag(d)),
            "gzip_static" => {
                let words = [
                    ("off", Made::Off),
                    ("on", Made::On),
                    ("always", Made::Always),
                ];
                self.made = Some(word(d, &words)?);
            }
            _ => return Ok(false),
        }
        once.first(d)?;
        Ok(true)
    }

    /// The values inside a block that sets these.
    pub(super) fn within(self, outer: &Self) -> Self {
        let outer = outer.clone();
        Self {
            on: self.on.or(outer.on),
            types: self.types.or(outer.types),
            level: self.level.or(outer.level),
            min_bytes: self.min_bytes.or(outer.min_bytes),
            proxied: self.proxied.or(outer.proxied),
            vary: self.vary.or(outer.vary),
            http_1_0: self.http_1_0.or(outer.http_1_0),
            disabled: self.disabled.or(outer.disabled),
            gunzip: self.gunzip.or(outer.gunzip),
            made: self.made.or(outer.made),
        }
    }

    /// With nginx's defaults for what is not set.
    pub(super) fn resolve(&self) -> Gzip {
        let usual = Gzip::default();
        Gzip {
            on: self.on.unwrap_or(usual.on),
            types: self.types.clone().map_or(usual.types, Arc::new),
            level: self.level.unwrap_or(usual.level),
            min_bytes: self.min_bytes.unwrap_or(usual.min_bytes),
            proxied: self.proxied.unwrap_or(usual.proxied),
            vary: self.vary.unwrap_or(usual.vary),
            http_1_0: self.http_1_0.unwrap_or(usual.http_1_0),
            disabled: self.disabled.clone().unwrap_or(usual.disabled),
            gunzip: self.gunzip.unwrap_or(usual.gunzip),
            made: self.made.unwrap_or(usual.made),
        }
    }
}

fn word<T: Copy>(d: &Directive, words: &[(&str, T)]) -> Result<T, Error> {
    let text = d.arg(0).unwrap_or_default();
    let found = words.iter().find(|(word, _)| *word == text);
    found
        .map(|(_, value)| *value)
        .ok_or_else(|| d.fault(Kind::Value, format!("invalid value \"{text}\"")))
}

fn disabled(d: &Directive) -> Result<Vec<Regex>, Error> {
    let mut all = Vec::new();
    for token in &d.args {
        let pattern = match token.text.as_str() {
            // The process says nothing of the kind.
            "degradation" => continue,
            "msie6" => MSIE6,
            pattern => pattern,
        };
        let regex = Regex::new(pattern, true);
        all.push(regex.map_err(|message| d.fault(Kind::Value, message))?);
    }
    Ok(all)
}

fn proxied(d: &Directive) -> Result<Proxied, Error> {
    let mut all = Proxied::default();
    for token in &d.args {
        match token.text.as_str() {
            "off" => all = Proxied::default(),
            "any" => all.any = true,
            "expired" => all.expired = true,
            "no-cache" => all.no_cache = true,
            "no-store" => all.no_store = true,
            "private" => all.private = true,
            "no_last_modified" => all.no_last_modified = true,
            "no_etag" => all.no_etag = true,
            "auth" => all.auth = true,
            other => {
                return Err(d.fault(Kind::Value, format!("invalid value \"{other}\"")));
            }
        }
    }
    Ok(all)
}
