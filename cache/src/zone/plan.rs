//! Whether an answer may be kept and how long, by nginx's rules, pure.
//!
//! nginx's and not RFC 9111's: `X-Accel-Expires` outranks `Cache-Control`, which outranks
//! `Expires`; all three outrank what the file says (`proxy_cache_valid`). `no-cache`, `no-store`
//! and `private` are looked for anywhere in `Cache-Control`, and there is no revalidation that
//! they would ask for. `Age` and `Date` do not count. An answer that sets a cookie is not kept.
//!
//! Units: header fields in seconds, all else in milliseconds since 1970.

use http::{HeaderMap, header};

/// Longer lists of names in `Vary` are not kept, as in nginx.
const VARY_BYTES_MAX: usize = 128;

/// `proxy_ignore_headers`: what is not looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignored {
    /// `X-Accel-Expires`
    pub x_accel_expires: bool,
    /// `Cache-Control`
    pub cache_control: bool,
    /// `Expires`
    pub expires: bool,
    /// `Set-Cookie`
    pub set_cookie: bool,
    /// `Vary`
    pub vary: bool,
}

/// What an answer's header says of keeping it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Whether it may be kept, if a time for it is found.
    pub may_keep: bool,
    /// Until when it is fresh, ms since 1970; `None` if it does not say.
    pub fresh_until_ms: Option<u64>,
    /// `stale-while-revalidate`, ms.
    pub updating_ms: u64,
    /// `stale-if-error`, ms.
    pub error_ms: u64,
    /// The names of the headers it varies by.
    pub vary: Option<String>,
}

impl Plan {
    /// Reads a header.
    #[must_use]
    pub fn read(headers: &HeaderMap, ignored: Ignored, now_ms: u64) -> Self {
        let mut plan = Self {
            may_keep: true,
            ..Self::default()
        };
        if !ignored.set_cookie && headers.contains_key(header::SET_COOKIE) {
            plan.may_keep = false;
        }
        let mut refused = false;
        if !ignored.cache_control {
            refused = plan.cache_control(headers, now_ms);
        }
        if !ignored.expires && plan.fresh_until_ms.is_none() {
            refused |= plan.expires(headers, now_ms);
        }
        let accel = headers.get("x-accel-expires");
        if let Some(accel) = accel.filter(|_| !ignored.x_accel_expires) {
            match accel_expires(accel.as_bytes(), now_ms) {
                Some(0) => plan.may_keep = false,
                Some(until_ms) => {
                    plan.fresh_until_ms = Some(until_ms);
                    refused = false;
                }
                None => {}
            }
        }
        if !ignored.vary {
            plan.vary(headers);
        }
        plan.may_keep &= !refused;
        plan
    }

    /// What a request has of the headers that the answer varies by.
    #[must_use]
    pub fn variant(&self, request: &HeaderMap) -> String {
        let names = self.vary.as_deref().unwrap_or_default();
        variant(names, request)
    }

    /// Whether it forbids keeping.
    fn cache_control(&mut self, headers: &HeaderMap, now_ms: u64) -> bool {
        let Some(text) = joined(headers, &header::CACHE_CONTROL) else {
            return false;
        };
        let text = text.to_ascii_lowercase();
        self.updating_ms = seconds_after(&text, "stale-while-revalidate=")
            .unwrap_or(0)
            .saturating_mul(1000);
        self.error_ms = seconds_after(&text, "stale-if-error=")
            .unwrap_or(0)
            .saturating_mul(1000);
        let forbids = ["no-cache", "no-store", "private"];
        if forbids.iter().any(|word| text.contains(word)) {
            return true;
        }
        for name in ["s-maxage=", "max-age="] {
            if text.contains(name) {
                return match seconds_after(&text, name) {
                    None | Some(0) => true,
                    Some(seconds) => {
                        self.fresh_until_ms = Some(later(now_ms, seconds));
                        false
                    }
                };
            }
        }
        false
    }

    /// Whether it is past.
    fn expires(&mut self, headers: &HeaderMap, now_ms: u64) -> bool {
        let Some(value) = headers.get(header::EXPIRES) else {
            return false;
        };
        let date_s = value.to_str().ok().and_then(seconds);
        // Dates have no milliseconds: one of this second is not past.
        let date_s = date_s.filter(|date_s| *date_s >= now_ms / 1000);
        self.fresh_until_ms = date_s.map(|date_s| date_s.saturating_mul(1000));
        date_s.is_none()
    }

    fn vary(&mut self, headers: &HeaderMap) {
        let Some(names) = joined(headers, &header::VARY) else {
            return;
        };
        if names.len() > VARY_BYTES_MAX || names.split(',').any(|name| name.trim() == "*") {
            self.may_keep = false;
        }
        self.vary = Some(names);
    }
}

/// What a request has of the headers that `vary` names, in one spelling: lists without empty
/// items and without spaces around them.
pub(super) fn variant(vary: &str, headers: &HeaderMap) -> String {
    let mut out = String::new();
    let names = vary.split([',', ' ', '\t']).filter(|name| !name.is_empty());
    for name in names {
        out.push_str(&name.to_ascii_lowercase());
        out.push(':');
        let mut first = true;
        for value in headers.get_all(name) {
            for item in value.as_bytes().split(|byte| *byte == b',') {
                let item = item.trim_ascii();
                if item.is_empty() {
                    continue;
                }
                if !first {
                    out.push(',');
                }
                first = false;
                // Bytes that are no text stay told apart.
                for chunk in item.utf8_chunks() {
                    out.push_str(chunk.valid());
                    for byte in chunk.invalid() {
                        out.push_str(&format!("\u{1}{byte:02x}"));
                    }
                }
            }
        }
        out.push('\n');
    }
    out
}

/// `@` and a time, or a number of seconds; zero forbids. `None` if it cannot be read.
fn accel_expires(value: &[u8], now_ms: u64) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    let digits = |text: &str| -> Option<u64> {
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match text.strip_prefix('@') {
        Some(time) => digits(time).map(|seconds| seconds.saturating_mul(1000)),
        None => match digits(text)? {
            0 => Some(0),
            seconds => Some(later(now_ms, seconds)),
        },
    }
}

/// The number behind `name`; `None` if it is not there, or no number.
fn seconds_after(text: &str, name: &str) -> Option<u64> {
    let at = text.find(name)?;
    let rest = text.get(at + name.len()..)?;
    let end = rest.find([',', ';', ' ']).unwrap_or(rest.len());
    let digits = rest.get(..end)?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // One that is too large is very large.
    Some(digits.parse().unwrap_or(u64::MAX))
}

fn later(now_ms: u64, seconds: u64) -> u64 {
    now_ms.saturating_add(seconds.saturating_mul(1000))
}

fn joined(headers: &HeaderMap, name: &header::HeaderName) -> Option<String> {
    let mut all = headers.get_all(name).iter();
    let mut text = String::from_utf8_lossy(all.next()?.as_bytes()).into_owned();
    for value in all {
        text.push_str(", ");
        text.push_str(&String::from_utf8_lossy(value.as_bytes()));
    }
    Some(text)
}

/// A date of HTTP, since 1970. As nginx: which day of the week it says, and the case of letters, do
/// not count.
fn seconds(text: &str) -> Option<u64> {
    let since = |time: std::time::SystemTime| time.duration_since(std::time::UNIX_EPOCH).ok();
    if let Ok(time) = httpdate::parse_http_date(text) {
        return since(time).map(|since| since.as_secs());
    }
    let words: Vec<&str> = text.split(' ').collect();
    let (day, month, year, time) = match words.as_slice() {
        [name, day, month, year, time, zone]
            if name.ends_with(',') && zone.eq_ignore_ascii_case("gmt") =>
        {
            (*day, *month, *year, *time)
        }
        [_, month, day, time, year] | [_, month, "", day, time, year] => {
            (*day, *month, *year, *time)
        }
        _ => return None,
    };
    let month = title(month)?;
    let day: u8 = day.parse().ok()?;
    // The one that fits is among them.
    ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
        .iter()
        .map(|name| format!("{name}, {day:02} {month} {year} {time} GMT"))
        .find_map(|text| httpdate::parse_http_date(&text).ok())
        .and_then(since)
        .map(|since| since.as_secs())
}

fn title(word: &str) -> Option<String> {
    let (first, rest) = word.split_at_checked(1)?;
    Some(first.to_ascii_uppercase() + &rest.to_ascii_lowercase())
}
