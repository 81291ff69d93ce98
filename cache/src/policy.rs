//! How long an answer is good for: RFC 9111 as pure functions.
//!
//! The cache is a shared one that sends no request header of a viewer to the origin, so every
//! variant of an answer is the same one and `Vary` matters only as `*`. There is no revalidation
//! yet: an answer that may not be used without it is passed on, not stored. No heuristic freshness
//! (section 4.2.2): an answer that names no lifetime is passed on, too.
//!
//! Units: milliseconds; header fields are in seconds. Fields that cannot be read count as stale
//! (section 4.2.1), never as an error.

use http::{HeaderMap, StatusCode, header};

/// The largest delta-seconds value (RFC 9111 section 1.2.2): greater ones mean this one.
const DELTA_SECONDS_MAX: u64 = 1 << 31;

/// The directives of a response's Cache-Control (RFC 9111 section 5.2.2) that are acted upon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheControl {
    /// Must not be stored.
    pub no_store: bool,
    /// Must not be used without asking the origin.
    pub no_cache: bool,
    /// Not for a shared cache.
    pub private: bool,
    /// Must not be served stale (`must-revalidate` or `proxy-revalidate`).
    pub must_revalidate: bool,
    /// Store only if the status is understood; then `no-store` does not count.
    pub must_understand: bool,
    /// Never changes while fresh (RFC 8246).
    pub immutable: bool,
    /// `max-age`, seconds.
    pub max_age_s: Option<u64>,
    /// `s-maxage`, seconds; outranks `max-age` in a shared cache.
    pub s_maxage_s: Option<u64>,
    /// `stale-if-error`, seconds (RFC 5861 section 4).
    pub stale_if_error_s: Option<u64>,
}

impl CacheControl {
    /// Reads all Cache-Control fields. Unknown directives are ignored (section 5.2.3); of a
    /// directive given twice the first counts (section 4.2.1).
    pub fn parse(headers: &HeaderMap) -> Self {
        let mut seen = Self::default();
        for value in headers.get_all(header::CACHE_CONTROL) {
            for part in split_unquoted(value.as_bytes()) {
                seen.directive(part);
            }
        }
        seen
    }

    fn directive(&mut self, part: &[u8]) {
        let part = part.trim_ascii();
        let (name, argument) = match part.iter().position(|b| *b == b'=') {
            Some(at) => (part.get(..at), part.get(at + 1..)),
            None => (Some(part), None),
        };
        let name = name.unwrap_or_default().trim_ascii();
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
        // Forms that name fields (`no-cache="set-cookie"`) are read as the plain ones, as sections
        // 5.2.2.4 and 5.2.2.7 allow.
        if is("no-store") {
            self.no_store = true;
        } else if is("no-cache") {
            self.no_cache = true;
        } else if is("private") {
            self.private = true;
        } else if is("must-revalidate") || is("proxy-revalidate") {
            self.must_revalidate = true;
        } else if is("must-understand") {
            self.must_understand = true;
        } else if is("immutable") {
            self.immutable = true;
        } else if is("max-age") {
            self.max_age_s.get_or_insert(lifetime_seconds(argument));
        } else if is("s-maxage") {
            self.s_maxage_s.get_or_insert(lifetime_seconds(argument));
        } else if is("stale-if-error") {
            self.stale_if_error_s
                .get_or_insert(lifetime_seconds(argument));
        }
    }
}

/// What the operator rules, beside what the answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Lifetime of a 200 instead of the one it names; does not make a forbidden answer storable.
    pub ttl_override_ms: Option<u64>,
    /// How long a "not there" (404, 410) is believed; a shorter max-age counts.
    pub negative_ttl_ms: u64,
    /// How long beyond its lifetime an answer may stand in for an origin that does not answer.
    pub stale_if_error_ms: u64,
}

/// A stored answer's time, all relative to the moment its head arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Freshness lifetime (section 4.2.1).
    pub fresh_ms: u64,
    /// Age it already had (section 4.2.3, `corrected_initial_age`).
    pub initial_age_ms: u64,
    /// How long after its lifetime it may be served when the origin fails.
    pub stale_if_error_ms: u64,
    /// It says that there is nothing.
    pub negative: bool,
}

/// Whether to store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes, and for how long.
    Store(Lifetime),
    /// No, and why.
    Pass(PassReason),
}

/// Why an answer is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassReason {
    /// `no-store`.
    NoStore,
    /// `private`.
    Private,
    /// `no-cache`: every use would have to ask the origin.
    NoCache,
    /// A status this cache does not store.
    Status,
    /// `Vary: *`.
    VaryAny,
    /// No lifetime named, or one already over.
    NoLifetime,
    /// The cache is switched off.
    Disabled,
}

impl PassReason {
    /// Whether requests that waited together may still share this one answer. A private one may
    /// not be handed to anybody but the one who asked.
    pub fn may_share(self) -> bool {
        matches!(self, Self::Status | Self::NoLifetime)
    }
}

/// Whether and how long to store an answer (RFC 9111 sections 3 and 4.2.1).
///
/// `response_delay_ms` is the time from asking to the head (section 4.2.3). The answer's own
/// `Date` is left out of its age: it would need both machines' clocks to agree.
pub fn judge(
    status: StatusCode,
    headers: &HeaderMap,
    response_delay_ms: u64,
    rules: &Rules,
) -> Verdict {
    let control = CacheControl::parse(headers);
    let negative = matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE);
    let understood = status == StatusCode::OK || negative;
    if !understood {
        return Verdict::Pass(PassReason::Status);
    }
    if control.no_store && !control.must_understand {
        return Verdict::Pass(PassReason::NoStore);
    }
    if control.private {
        return Verdict::Pass(PassReason::Private);
    }
    if control.no_cache {
        return Verdict::Pass(PassReason::NoCache);
    }
    let vary_any = headers.get_all(header::VARY).iter().any(|v| {
        v.as_bytes()
            .split(|b| *b == b',')
            .any(|f| f.trim_ascii() == b"*")
    });
    if vary_any {
        return Verdict::Pass(PassReason::VaryAny);
    }
    let named_ms = control
        .s_maxage_s
        .or(control.max_age_s)
        .map(|s| s.saturating_mul(1000));
    let fresh_ms = if negative {
        named_ms.map_or(rules.negative_ttl_ms, |ms| ms.min(rules.negative_ttl_ms))
    } else {
        match rules.ttl_override_ms.or(named_ms) {
            Some(ms) => ms,
            None => return Verdict::Pass(PassReason::NoLifetime),
        }
    };
    let initial_age_ms = age_ms(headers).saturating_add(response_delay_ms);
    // s-maxage implies proxy-revalidate (section 5.2.2.10): stale is forbidden.
    let stale_forbidden = control.must_revalidate || control.s_maxage_s.is_some() || negative;
    let stale_if_error_ms = match (stale_forbidden, control.stale_if_error_s) {
        (true, _) => 0,
        (false, Some(s)) => s.saturating_mul(1000).min(rules.stale_if_error_ms),
        (false, None) => rules.stale_if_error_ms,
    };
    if fresh_ms == 0 && stale_if_error_ms == 0 {
        return Verdict::Pass(PassReason::NoLifetime);
    }
    Verdict::Store(Lifetime {
        fresh_ms,
        initial_age_ms,
        stale_if_error_ms,
        negative,
    })
}

/// How usable a stored answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// As good as the origin's.
    Fresh,
    /// Only if the origin fails (section 4.2.4).
    StaleIfError,
    /// Not at all.
    Expired,
}

impl Lifetime {
    /// Current age (section 4.2.3) `resident_ms` after the head arrived.
    pub fn age_ms(&self, resident_ms: u64) -> u64 {
        self.initial_age_ms.saturating_add(resident_ms)
    }

    /// What it may be used for, `resident_ms` after its head arrived.
    pub fn standing(&self, resident_ms: u64) -> Standing {
        let age_ms = self.age_ms(resident_ms);
        if age_ms < self.fresh_ms {
            Standing::Fresh
        } else if age_ms < self.fresh_ms.saturating_add(self.stale_if_error_ms) {
            Standing::StaleIfError
        } else {
            Standing::Expired
        }
    }
}

/// The Age field (section 5.1), ms; one that cannot be read is ignored.
fn age_ms(headers: &HeaderMap) -> u64 {
    headers
        .get(header::AGE)
        .and_then(|v| delta_seconds(v.as_bytes()))
        .map_or(0, |s| s.saturating_mul(1000))
}

/// A lifetime that cannot be read counts as over (section 4.2.1).
fn lifetime_seconds(argument: Option<&[u8]>) -> u64 {
    argument.and_then(delta_seconds).unwrap_or(0)
}

fn delta_seconds(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    let text = text
        .strip_prefix(b"\"")
        .and_then(|t| t.strip_suffix(b"\""))
        .unwrap_or(text);
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = text.iter().fold(0_u64, |sum, digit| {
        sum.saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    });
    Some(value.min(DELTA_SECONDS_MAX))
}

/// Splits at commas that stand outside quoted strings.
fn split_unquoted(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let mut escaped = false;
    value.split(move |byte| {
        match (quoted, escaped, byte) {
            (true, true, _) => escaped = false,
            (true, false, b'\\') => escaped = true,
            (_, false, b'"') => quoted = !quoted,
            _ => {}
        }
        *byte == b',' && !quoted
    })
}

#[cfg(test)]
mod tests;
