//! What the cache of upstreams' answers is told: `proxy_cache_path` and the `proxy_cache` family.

use super::super::error::Pos;
use super::super::template::Template;

/// `proxy_cache_path`: one cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachePath {
    /// The zone's name.
    pub name: String,
    /// The directory, absolute.
    pub path: String,
    /// `levels`: how many digits of a key's digest name the directories, outermost first.
    pub levels: Vec<u8>,
    /// `keys_zone`: what bounds the number of answers.
    pub keys_bytes: u64,
    /// `inactive`: what nobody asks for that long is forgotten, fresh or not.
    pub inactive_ms: u64,
    /// `max_size`; `None` if it does not say.
    pub bytes_max: Option<u64>,
    /// Where it stands.
    pub pos: Pos,
}

/// What a location says of caching an upstream's answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyCache {
    /// `proxy_cache`; `None` if answers only have ranges cut out of them.
    pub zone: Option<CacheZone>,
    /// `proxy_cache_key`; `None` is scheme, host and path as the upstream is asked.
    pub key: Option<Template>,
    /// `proxy_cache_valid`, in order: the first that fits holds.
    pub valid: Vec<CacheValid>,
    /// `proxy_cache_bypass`: not looked up if one of these is neither empty nor `0`.
    pub bypass: Vec<Template>,
    /// `proxy_no_cache`: not stored if one of these is neither empty nor `0`.
    pub no_cache: Vec<Template>,
    /// `proxy_cache_methods` has `POST`.
    pub post: bool,
    /// `proxy_cache_min_uses`: asked so often before it is stored.
    pub min_uses: u32,
    /// `proxy_cache_use_stale`
    pub use_stale: UseStale,
    /// `proxy_cache_lock`: one request at a time fetches an answer.
    pub lock: bool,
    /// `proxy_cache_lock_age`: after that another may.
    pub lock_age_ms: u64,
    /// `proxy_cache_lock_timeout`: who has waited that long fetches for itself.
    pub lock_timeout_ms: u64,
    /// `proxy_cache_background_update`
    pub background_update: bool,
    /// `proxy_cache_revalidate`
    pub revalidate: bool,
    /// `proxy_cache_convert_head`
    pub convert_head: bool,
    /// `proxy_cache_max_range_offset`: a range that begins further in is not cached.
    pub max_range_offset: u64,
    /// `proxy_force_ranges`
    pub force_ranges: bool,
}

/// Which cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheZone {
    /// By its place in [`super::Http::caches`].
    At(usize),
    /// Its name is worked out for each request.
    Named(Template),
}

/// `proxy_cache_valid`: how long an answer of some statuses is good that does not say so itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheValid {
    /// Empty is any.
    pub statuses: Vec<u16>,
    /// How long; zero is not at all.
    pub time_ms: u64,
}

/// `proxy_cache_use_stale`: when an answer past its time stands in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UseStale {
    /// `error`
    pub error: bool,
    /// `timeout`
    pub timeout: bool,
    /// `invalid_header`
    pub invalid_header: bool,
    /// `updating`
    pub updating: bool,
    /// `http_500` and so on.
    pub statuses: Vec<u16>,
}
