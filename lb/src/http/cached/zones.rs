//! The caches that a file names, and what its locations say of using them.
//!
//! nginx keeps answers in files, and the kernel keeps those in memory; here they are in memory
//! alone. `max_size` may therefore be more than there is: all caches of a file together get half
//! of the machine's memory at most, in equal shares. One that says no `max_size` gets
//! [`BYTES_DEFAULT`], or its share if that is less.
//!
//! A cache outlives a reload: the next configuration takes it over by name.

use std::sync::{Arc, OnceLock};

use http::HeaderValue;
use pingora::http::ResponseHeader;
use prometheus::IntCounter;
use weir_cache::zone::{self, Ignored, ZoneOptions};
use weir_conf::nginx::model::cache::{CachePath, CacheZone, ProxyCache};
use weir_conf::nginx::model::{self, Http};
use weir_conf::nginx::template::Var;

use crate::metrics::Metrics;

/// What a cache without `max_size` may hold, bytes.
const BYTES_DEFAULT: u64 = 512 << 20;

/// So many bytes of `keys_zone` are one answer, as nginx reckons: 8,000 a megabyte.
const KEY_BYTES: u64 = 128;

/// The memory that is reckoned with where the system does not say, bytes.
const MEMORY_BYTES_DEFAULT: u64 = 1 << 30;

/// A cache of answers.
pub(crate) type Zone = zone::Zone<Head>;

/// An answer in it.
pub(crate) type Kept = zone::Kept<Head>;

/// The head of a kept answer.
#[derive(Debug)]
pub(crate) struct Head {
    /// As the upstream sent it, without what is between two neighbours only.
    pub(crate) header: ResponseHeader,
    /// The validators it may be asked about again with: a 200's or 206's only.
    pub(crate) etag: Option<HeaderValue>,
    pub(crate) modified: Option<HeaderValue>,
    /// It is no answer: the upstream failed, and the client is told this status.
    pub(crate) failed: bool,
    /// It came for a HEAD: its length is of a body that is not here.
    pub(crate) bodiless: bool,
}

/// `$upstream_cache_status`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Miss,
    Bypass,
    Expired,
    Stale,
    Updating,
    Revalidated,
    Hit,
}

impl Status {
    const WORDS: [&str; 7] = [
        "MISS",
        "BYPASS",
        "EXPIRED",
        "STALE",
        "UPDATING",
        "REVALIDATED",
        "HIT",
    ];

    fn place(self) -> usize {
        match self {
            Self::Miss => 0,
            Self::Bypass => 1,
            Self::Expired => 2,
            Self::Stale => 3,
            Self::Updating => 4,
            Self::Revalidated => 5,
            Self::Hit => 6,
        }
    }

    fn word(self) -> &'static str {
        Self::WORDS.get(self.place()).copied().unwrap_or_default()
    }
}

/// What a request knows of the cache.
#[derive(Debug, Default, Clone)]
pub(crate) struct State {
    pub(crate) status: Option<Status>,
    /// `$upstream_cache_key`
    pub(crate) key: String,
    /// `$upstream_cache_etag`, `$upstream_cache_last_modified`
    pub(crate) etag: Option<HeaderValue>,
    pub(crate) modified: Option<HeaderValue>,
}

impl State {
    /// The value of a variable.
    pub(crate) fn write(&self, var: &Var, out: &mut Vec<u8>) {
        let header = |value: &Option<HeaderValue>| {
            let value = value.as_ref();
            value.map(|value| value.as_bytes().to_vec())
        };
        let value = match var {
            Var::UpstreamCacheStatus => self.status.map(|status| status.word().into()),
            Var::UpstreamCacheKey => Some(self.key.clone().into_bytes()),
            Var::UpstreamCacheEtag => header(&self.etag),
            Var::UpstreamCacheLastModified => header(&self.modified),
            _ => None,
        };
        out.extend_from_slice(&value.unwrap_or_default());
    }
}

/// All caches of a file.
#[derive(Debug)]
pub(crate) struct Caches {
    all: Vec<Named>,
    /// Whether any location needs what is done for caching.
    pub(crate) any: bool,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Named {
    name: String,
    path: String,
    options: ZoneOptions,
    metrics: zone::ZoneMetrics,
    statuses: [IntCounter; 7],
    /// Made at the first request, unless it is taken over.
    zone: OnceLock<Arc<Zone>>,
}

impl Caches {
    pub(crate) fn new(http: &Http, metrics: &Metrics) -> Self {
        let share = memory_bytes() / 2 / (http.caches.len().max(1) as u64);
        let named = |path: &CachePath| {
            let (zone_metrics, statuses) = metrics.cache.zone(&path.name, Status::WORDS);
            let bytes_max = path.bytes_max.unwrap_or(BYTES_DEFAULT).min(share);
            Named {
                name: path.name.clone(),
                path: path.path.clone(),
                options: ZoneOptions {
                    bytes_max,
                    keys_max: (path.keys_bytes / KEY_BYTES).max(1),
                    object_bytes_max: bytes_max / 2,
                    inactive_ms: path.inactive_ms,
                },
                metrics: zone_metrics,
                statuses,
                zone: OnceLock::new(),
            }
        };
        let mut locations = http.servers.iter().flat_map(|server| &server.locations);
        Self {
            all: http.caches.iter().map(named).collect(),
            any: locations.any(
                |it| matches!(&it.action, model::Action::Proxy(proxy) if proxy.cache.is_some()),
            ),
        }
    }

    pub(crate) fn at(&self, place: usize) -> Option<&Named> {
        self.all.get(place)
    }

    pub(crate) fn named(&self, name: &[u8]) -> Option<&Named> {
        self.all.iter().find(|it| it.name.as_bytes() == name)
    }

    /// Takes the caches of these names over from the configuration before.
    pub(crate) fn learn(&self, before: &Self) {
        for old in &before.all {
            let Some(zone) = old.zone.get() else { continue };
            let heir = self.all.iter().find(|it| it.name == old.name);
            let Some(heir) = heir.filter(|heir| heir.path == old.path) else {
                old.empty();
                continue;
            };
            if heir.options == old.options {
                // It has none yet: nothing has been asked of it.
                let _ = heir.zone.set(Arc::clone(zone));
            } else {
                old.empty();
                heir.zone().adopt(zone);
            }
        }
    }
}

impl Named {
    pub(crate) fn zone(&self) -> &Arc<Zone> {
        self.zone
            .get_or_init(|| Zone::new(self.options, self.metrics.clone()))
    }

    pub(crate) fn count(&self, status: Status) {
        if let Some(count) = self.statuses.get(status.place()) {
            count.inc();
        }
    }

    /// Nobody will ask it any more.
    fn empty(&self) {
        self.metrics.objects.set(0);
        self.metrics.stored_bytes.set(0);
    }
}

/// What a location says of caching, made ready.
#[derive(Debug)]
pub(crate) struct Caching {
    pub(crate) model: ProxyCache,
    pub(crate) ignored: Ignored,
}

impl Caching {
    pub(crate) fn new(proxy: &model::Proxy) -> Option<Self> {
        let model = proxy.cache.as_deref()?.clone();
        let names = &proxy.passing.ignore_headers;
        let has = |name: &str| names.iter().any(|other| other == name);
        Some(Self {
            model,
            ignored: Ignored {
                x_accel_expires: has("x-accel-expires"),
                cache_control: has("cache-control"),
                expires: has("expires"),
                set_cookie: has("set-cookie"),
                vary: has("vary"),
            },
        })
    }

    /// `proxy_cache_valid`; `None` or zero is not at all.
    pub(crate) fn valid_ms(&self, status: u16) -> Option<u64> {
        let mut all = self.model.valid.iter();
        let fits = |statuses: &[u16]| statuses.is_empty() || statuses.contains(&status);
        let found = all.find(|valid| fits(&valid.statuses))?;
        (found.time_ms > 0).then_some(found.time_ms)
    }

    /// The zone, if the file names it; else what names it.
    pub(crate) fn zone(&self) -> Option<&CacheZone> {
        self.model.zone.as_ref()
    }
}

fn memory_bytes() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
    kib.map_or(MEMORY_BYTES_DEFAULT, |kib| kib.saturating_mul(1024))
}
