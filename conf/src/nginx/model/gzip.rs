//! Compression of answers: `gzip`, `gunzip`, `gzip_static`.

use std::collections::HashSet;
use std::sync::Arc;

use crate::nginx::Regex;

/// The values of one place.
#[derive(Debug, Clone)]
pub struct Gzip {
    /// `gzip`
    pub on: bool,
    /// `gzip_types`, lower case; `*` is any.
    pub types: Arc<HashSet<String>>,
    /// `gzip_comp_level`: 1 to 9.
    pub level: u32,
    /// `gzip_min_length`
    pub min_bytes: u64,
    /// `gzip_proxied`
    pub proxied: Proxied,
    /// `gzip_vary`
    pub vary: bool,
    /// `gzip_http_version 1.0`
    pub http_1_0: bool,
    /// `gzip_disable`: clients by their `User-Agent`.
    pub disabled: Vec<Regex>,
    /// `gunzip`
    pub gunzip: bool,
    /// `gzip_static`
    pub made: Made,
}

/// `gzip_proxied`: what is compressed for a client behind a proxy, which says so by `Via`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are nginx's words")]
pub struct Proxied {
    /// `any`
    pub any: bool,
    /// `expired`: `Expires` is not in the future.
    pub expired: bool,
    /// `Cache-Control` has `no-cache`.
    pub no_cache: bool,
    /// `Cache-Control` has `no-store`.
    pub no_store: bool,
    /// `Cache-Control` has `private`.
    pub private: bool,
    /// There is no `Last-Modified`.
    pub no_last_modified: bool,
    /// There is no `ETag`.
    pub no_etag: bool,
    /// The request has `Authorization`.
    pub auth: bool,
}

/// `gzip_static`: files that are compressed already, with `.gz` at the end of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Made {
    /// `off`
    #[default]
    Off,
    /// `on`: for clients that take them.
    On,
    /// `always`
    Always,
}

impl Default for Gzip {
    fn default() -> Self {
        Self {
            on: false,
            types: Arc::new(HashSet::from(["text/html".to_owned()])),
            level: 1,
            min_bytes: 20,
            proxied: Proxied::default(),
            vary: false,
            http_1_0: false,
            disabled: Vec::new(),
            gunzip: false,
            made: Made::Off,
        }
    }
}

impl Gzip {
    /// Whether anything is to be done at all.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.on || self.gunzip || self.made != Made::Off
    }

    /// Whether answers of a type are compressed.
    #[must_use]
    pub fn takes(&self, content_type: &str) -> bool {
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        self.types.contains("*") || self.types.contains(&kind.to_ascii_lowercase())
    }
}
