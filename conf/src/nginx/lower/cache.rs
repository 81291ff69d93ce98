//! `proxy_cache_path`, and the values of the `proxy_cache` family that `http`, `server` and
//! `location` may each set. Inheritance as in [`super::scope`].

use super::super::error::{Error, Kind};
use super::super::model::cache::{CachePath, CacheValid, CacheZone, ProxyCache, UseStale};
use super::super::parse::Directive;
use super::super::template::Template;
use super::super::value as values;
use super::http::Refs;
use super::scope::value;
use super::{Lowering, Once, flag, invalid_value, number, size_bytes, time_ms, web};

/// nginx's default for `inactive`, ten minutes.
const INACTIVE_MS: u64 = 600_000;

/// The least `keys_zone` that nginx takes: two pages.
const KEYS_BYTES_MIN: u64 = 8192;

const IN_RAM: &str = "answers are kept in memory, not on disk";

/// Every `proxy_cache_path` of the block.
pub(super) fn paths(
    block: &Directive,
    lowering: &mut Lowering<'_>,
) -> Result<Vec<CachePath>, Error> {
    let mut all: Vec<CachePath> = Vec::new();
    let children = block.children().iter();
    for child in children.filter(|child| child.name == "proxy_cache_path") {
        let path = path(child, lowering)?;
        if all.iter().any(|other| other.name == path.name) {
            let message = format!("duplicate zone \"{}\"", path.name);
            return Err(child.fault(Kind::Value, message));
        }
        all.push(path);
    }
    Ok(all)
}

fn path(d: &Directive, lowering: &mut Lowering<'_>) -> Result<CachePath, Error> {
    let mut path = CachePath {
        name: String::new(),
        path: web::absolute(&lowering.prefix, d.arg(0).unwrap_or_default()),
        levels: Vec::new(),
        keys_bytes: 0,
        inactive_ms: INACTIVE_MS,
        bytes_max: None,
        pos: d.pos.clone(),
    };
    let bad = |what: &str, value: &str| {
        let message = format!("invalid {what} value \"{value}\"");
        d.fault(Kind::Value, message)
    };
    for token in d.args.iter().skip(1) {
        let text = token.text.as_str();
        let Some((name, given)) = text.split_once('=') else {
            return Err(super::invalid_parameter(d, text));
        };
        let time = || values::time_ms(given).ok_or_else(|| bad(name, given));
        let size = || values::size_bytes(given).ok_or_else(|| bad(name, given));
        match name {
            "keys_zone" => (path.name, path.keys_bytes) = keys_zone(d, given)?,
            "levels" => path.levels = levels(d, given)?,
            "inactive" => path.inactive_ms = time()?,
            "max_size" => path.bytes_max = Some(size()?),
            "min_free" => drop(size()?),
            "loader_files" | "manager_files" => {
                values::number::<u32>(given).ok_or_else(|| bad(name, given))?;
            }
            "loader_sleep" | "loader_threshold" | "manager_sleep" | "manager_threshold" => {
                time()?;
            }
            "use_temp_path" if !matches!(given, "on" | "off") => {
                let message = format!(
                    "invalid use_temp_path value \"{given}\", it must be \"on\" or \"off\""
                );
                return Err(d.fault(Kind::Value, message));
            }
            "use_temp_path" => {}
            _ => return Err(super::invalid_parameter(d, text)),
        }
        if !matches!(name, "keys_zone" | "inactive" | "max_size") {
            let what = format!("the \"{name}\" parameter of proxy_cache_path");
            lowering.no_op(d, what, IN_RAM);
        }
    }
    if path.name.is_empty() {
        let message = "\"proxy_cache_path\" must have \"keys_zone\" parameter";
        return Err(d.fault(Kind::Value, message));
    }
    let what = format!("the directory {} of proxy_cache_path", path.path);
    lowering.no_op(d, what, IN_RAM);
    Ok(path)
}

fn keys_zone(d: &Directive, given: &str) -> Result<(String, u64), Error> {
    let (name, size) = given.split_once(':').unwrap_or((given, ""));
    let size = values::size_bytes(size).filter(|size| *size >= KEYS_BYTES_MIN);
    match size {
        Some(size) if !name.is_empty() => Ok((name.to_owned(), size)),
        _ => {
            let message = format!("invalid keys zone size \"keys_zone={given}\"");
            Err(d.fault(Kind::Value, message))
        }
    }
}

/// One to three numbers, each 1 or 2.
fn levels(d: &Directive, given: &str) -> Result<Vec<u8>, Error> {
    let levels: Option<Vec<u8>> = given
        .split(':')
        .map(|level| match level {
            "1" => Some(1),
            "2" => Some(2),
            _ => None,
        })
        .collect();
    levels.filter(|levels| levels.len() <= 3).ok_or_else(|| {
        let message = format!("invalid \"levels\" \"levels={given}\"");
        d.fault(Kind::Value, message)
    })
}

/// What one block sets itself.
#[derive(Debug, Clone, Default)]
pub(super) struct CacheScope {
    zone: Option<Option<CacheZone>>,
    key: Option<Template>,
    valid: Option<Vec<CacheValid>>,
    bypass: Option<Vec<Template>>,
    no_cache: Option<Vec<Template>>,
    post: Option<bool>,
    min_uses: Option<u32>,
    use_stale: Option<UseStale>,
    lock: Option<bool>,
    lock_age_ms: Option<u64>,
    lock_timeout_ms: Option<u64>,
    background_update: Option<bool>,
    revalidate: Option<bool>,
    convert_head: Option<bool>,
    max_range_offset: Option<u64>,
    force_ranges: Option<bool>,
}

impl CacheScope {
    /// Reads one directive. Says whether it was one of these.
    pub(super) fn read(
        &mut self,
        d: &Directive,
        refs: &Refs,
        once: &mut Once,
    ) -> Result<bool, Error> {
        match d.name.as_str() {
            "proxy_cache_valid" => {
                self.valid.get_or_insert_default().push(valid(d)?);
                return Ok(true);
            }
            "proxy_cache_bypass" => {
                predicates(d, refs, self.bypass.get_or_insert_default())?;
                return Ok(true);
            }
            "proxy_no_cache" => {
                predicates(d, refs, self.no_cache.get_or_insert_default())?;
                return Ok(true);
            }
            "proxy_cache" => self.zone = Some(zone(d, refs)?),
            "proxy_cache_key" => self.key = Some(value(d, 0, refs)?),
            "proxy_cache_methods" => self.post = Some(methods(d)?),
            "proxy_cache_min_uses" => self.min_uses = Some(number(d, 0)?),
            "proxy_cache_use_stale" => self.use_stale = Some(use_stale(d)?),
            "proxy_cache_lock" => self.lock = Some(flag(d)),
            "proxy_cache_lock_age" => self.lock_age_ms = Some(time_ms(d, 0)?),
            "proxy_cache_lock_timeout" => self.lock_timeout_ms = Some(time_ms(d, 0)?),
            "proxy_cache_background_update" => self.background_update = Some(flag(d)),
            "proxy_cache_revalidate" => self.revalidate = Some(flag(d)),
            "proxy_cache_convert_head" => self.convert_head = Some(flag(d)),
            "proxy_cache_max_range_offset" => self.max_range_offset = Some(size_bytes(d, 0)?),
            "proxy_force_ranges" => self.force_ranges = Some(flag(d)),
            "proxy_store" => store(d)?,
            _ => return Ok(false),
        }
        once.first(d)?;
        Ok(true)
    }

    /// The values inside a block that sets `self`, in one of `outer`.
    pub(super) fn within(self, outer: &Self) -> Self {
        let outer = outer.clone();
        Self {
            zone: self.zone.or(outer.zone),
            key: self.key.or(outer.key),
            valid: self.valid.or(outer.valid),
            bypass: self.bypass.or(outer.bypass),
            no_cache: self.no_cache.or(outer.no_cache),
            post: self.post.or(outer.post),
            min_uses: self.min_uses.or(outer.min_uses),
            use_stale: self.use_stale.or(outer.use_stale),
            lock: self.lock.or(outer.lock),
            lock_age_ms: self.lock_age_ms.or(outer.lock_age_ms),
            lock_timeout_ms: self.lock_timeout_ms.or(outer.lock_timeout_ms),
            background_update: self.background_update.or(outer.background_update),
            revalidate: self.revalidate.or(outer.revalidate),
            convert_head: self.convert_head.or(outer.convert_head),
            max_range_offset: self.max_range_offset.or(outer.max_range_offset),
            force_ranges: self.force_ranges.or(outer.force_ranges),
        }
    }

    /// With nginx's defaults; `None` if nothing of it holds here.
    pub(super) fn cache(&self) -> Option<Box<ProxyCache>> {
        let zone = self.zone.clone().flatten();
        let force_ranges = self.force_ranges.unwrap_or(false);
        if zone.is_none() && !force_ranges {
            return None;
        }
        Some(Box::new(ProxyCache {
            zone,
            key: self.key.clone(),
            valid: self.valid.clone().unwrap_or_default(),
            bypass: self.bypass.clone().unwrap_or_default(),
            no_cache: self.no_cache.clone().unwrap_or_default(),
            post: self.post.unwrap_or(false),
            min_uses: self.min_uses.unwrap_or(1),
            use_stale: self.use_stale.clone().unwrap_or_default(),
            lock: self.lock.unwrap_or(false),
            lock_age_ms: self.lock_age_ms.unwrap_or(5000),
            lock_timeout_ms: self.lock_timeout_ms.unwrap_or(5000),
            background_update: self.background_update.unwrap_or(false),
            revalidate: self.revalidate.unwrap_or(false),
            convert_head: self.convert_head.unwrap_or(true),
            max_range_offset: self.max_range_offset.unwrap_or(u64::MAX),
            force_ranges,
        }))
    }
}

/// `None` is `off`.
fn zone(d: &Directive, refs: &Refs) -> Result<Option<CacheZone>, Error> {
    let name = d.arg(0).unwrap_or_default();
    if name == "off" {
        return Ok(None);
    }
    if name.contains('$') {
        return Ok(Some(CacheZone::Named(value(d, 0, refs)?)));
    }
    if name.is_empty() {
        return Err(invalid_value(d));
    }
    let place = refs.caches.iter().position(|path| path.name == name);
    let Some(place) = place else {
        let message = format!("\"proxy_cache\" zone \"{name}\" is unknown");
        return Err(d.fault(Kind::Value, message));
    };
    Ok(Some(CacheZone::At(place)))
}

fn predicates(d: &Directive, refs: &Refs, all: &mut Vec<Template>) -> Result<(), Error> {
    for arg in 0..d.args.len() {
        all.push(value(d, arg, refs)?);
    }
    Ok(())
}

fn valid(d: &Directive) -> Result<CacheValid, Error> {
    let (time, statuses) = match d.args.split_last() {
        Some((time, statuses)) => (time.text.as_str(), statuses),
        None => return Err(invalid_value(d)),
    };
    let time_ms = values::time_ms(time)
        .ok_or_else(|| d.fault(Kind::Value, format!("invalid time value \"{time}\"")))?;
    if statuses.is_empty() {
        let statuses = vec![200, 301, 302];
        return Ok(CacheValid { statuses, time_ms });
    }
    let mut all = Vec::with_capacity(statuses.len());
    for token in statuses {
        if token.text == "any" {
            let statuses = Vec::new();
            return Ok(CacheValid { statuses, time_ms });
        }
        let status = values::number::<u16>(&token.text).filter(|it| (100..600).contains(it));
        let message = || format!("invalid status \"{}\"", token.text);
        all.push(status.ok_or_else(|| d.fault(Kind::Value, message()))?);
    }
    Ok(CacheValid {
        statuses: all,
        time_ms,
    })
}

/// Whether POST is among them; GET and HEAD always are.
fn methods(d: &Directive) -> Result<bool, Error> {
    let mut post = false;
    for token in &d.args {
        match token.text.as_str() {
            "GET" | "HEAD" => {}
            "POST" => post = true,
            other => return Err(d.fault(Kind::Value, format!("invalid value \"{other}\""))),
        }
    }
    Ok(post)
}

fn use_stale(d: &Directive) -> Result<UseStale, Error> {
    let mut stale = UseStale::default();
    for token in &d.args {
        match token.text.as_str() {
            "off" => return Ok(UseStale::default()),
            "error" => stale.error = true,
            "timeout" => stale.timeout = true,
            "invalid_header" => stale.invalid_header = true,
            "updating" => stale.updating = true,
            "http_403" => stale.statuses.push(403),
            "http_404" => stale.statuses.push(404),
            "http_429" => stale.statuses.push(429),
            "http_500" => stale.statuses.push(500),
            "http_502" => stale.statuses.push(502),
            "http_503" => stale.statuses.push(503),
            "http_504" => stale.statuses.push(504),
            other => return Err(d.fault(Kind::Value, format!("invalid value \"{other}\""))),
        }
    }
    Ok(stale)
}

fn store(d: &Directive) -> Result<(), Error> {
    if d.arg(0) == Some("off") {
        return Ok(());
    }
    let message = "\"proxy_store\" is not supported by weir yet: \"proxy_cache\" keeps answers";
    Err(d.fault(Kind::Unsupported, message))
}
