//! `Set-Cookie` as the client gets it: `proxy_cookie_domain`, `proxy_cookie_path`,
//! `proxy_cookie_flags`. A cookie that none of them touches goes on as it came.

use http::HeaderValue;
use http::header::SET_COOKIE;
use pingora::http::ResponseHeader;
use weir_conf::nginx::model::proxy::{CookieFlags, Flags, Passing, Pattern};

use super::rewritten::replace;
use super::vars::Values;

/// Rewrites every cookie of an answer.
pub(super) fn cookies(
    response: &mut ResponseHeader,
    passing: &Passing,
    values: &Values<'_>,
) -> pingora::Result<()> {
    let untouched = passing.cookie_domains.is_empty()
        && passing.cookie_paths.is_empty()
        && passing.cookie_flags.is_empty();
    if untouched || !response.headers.contains_key(SET_COOKIE) {
        return Ok(());
    }
    let all = response.headers.get_all(SET_COOKIE).iter();
    let rewritten: Vec<Vec<u8>> = all
        .map(|it| {
            let line = it.as_bytes();
            cookie(line, passing, values).unwrap_or_else(|| line.to_vec())
        })
        .collect();
    response.remove_header(&SET_COOKIE);
    for line in rewritten {
        if let Ok(value) = HeaderValue::from_bytes(&line) {
            response.append_header("Set-Cookie", value)?;
        }
    }
    Ok(())
}

/// A cookie's line anew, if something of it changes.
fn cookie(line: &[u8], passing: &Passing, values: &Values<'_>) -> Option<Vec<u8>> {
    let mut parts = line.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let pair = parts.next().unwrap_or_default();
    let mut attributes: Vec<Vec<u8>> = parts.map(<[u8]>::to_vec).collect();
    let mut changed = false;
    for attribute in &mut attributes {
        let found = if let Some(domain) = value_of(attribute, b"domain") {
            new_domain(domain, passing, values)
        } else if let Some(path) = value_of(attribute, b"path") {
            replace(path, &passing.cookie_paths, values)
        } else {
            None
        };
        if let Some(found) = found {
            let name = attribute.split(|byte| *byte == b'=').next();
            *attribute = [name.unwrap_or_default(), b"=", &found].concat();
            changed = true;
        }
    }
    let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
    let name = name.trim_ascii();
    let mut rules = passing.cookie_flags.iter();
    let rule = rules.find(|(other, _)| match other {
        Pattern::Text(other) => values.value(other).eq_ignore_ascii_case(name),
        Pattern::Regex(regex) => values.matches(regex, name),
    });
    if let Some((_, flags)) = rule {
        flag(&mut attributes, &worked_out(flags, values));
        changed = true;
    }
    attributes.insert(0, pair.to_vec());
    changed.then(|| attributes.join(&b"; "[..]))
}

/// What takes the place of a cookie's domain. A leading dot stays what it was.
fn new_domain(domain: &[u8], passing: &Passing, values: &Values<'_>) -> Option<Vec<u8>> {
    let (dot, bare) = match domain.strip_prefix(b".") {
        Some(bare) => (&b"."[..], bare),
        None => (&b""[..], domain),
    };
    let mut rules = passing.cookie_domains.iter();
    rules.find_map(|(from, to)| match from {
        Pattern::Text(from) => {
            let same = values.value(from).eq_ignore_ascii_case(bare);
            same.then(|| [dot, &*values.value(to)].concat())
        }
        Pattern::Regex(regex) => values
            .matches(regex, domain)
            .then(|| values.value(to).into_owned()),
    })
}

fn worked_out(flags: &Flags, values: &Values<'_>) -> CookieFlags {
    match flags {
        Flags::Fixed(flags) => flags.clone(),
        Flags::Words(words) => {
            let mut flags = CookieFlags::default();
            for word in words {
                let word = values.value(word);
                let word = String::from_utf8_lossy(&word);
                if !word.is_empty() && !flags.set(&word) {
                    tracing::warn!("invalid proxy_cookie_flags flag \"{word}\"");
                }
            }
            flags
        }
    }
}

fn value_of<'a>(attribute: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let at = attribute.iter().position(|byte| *byte == b'=')?;
    let (key, value) = attribute.split_at(at);
    let found = key.trim_ascii().eq_ignore_ascii_case(name);
    found.then(|| value.get(1..).unwrap_or_default().trim_ascii())
}

fn flag(attributes: &mut Vec<Vec<u8>>, flags: &CookieFlags) {
    let mut set = |name: &[u8], wanted: Option<bool>| {
        let Some(wanted) = wanted else { return };
        let here = attributes.iter().any(|it| it.eq_ignore_ascii_case(name));
        if wanted && !here {
            attributes.push(name.to_vec());
        } else if !wanted {
            attributes.retain(|it| !it.eq_ignore_ascii_case(name));
        }
    };
    set(b"Secure", flags.secure);
    set(b"HttpOnly", flags.http_only);
    if let Some(word) = &flags.same_site {
        attributes.retain(|it| value_of(it, b"samesite").is_none());
        if !word.is_empty() {
            attributes.push(format!("SameSite={word}").into_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_come_and_go() {
        let all = |text: &str| text.split(' ').map(|it| it.as_bytes().to_vec()).collect();
        let mut attributes: Vec<Vec<u8>> = all("path=/ httponly SameSite=Lax");
        let flags = CookieFlags {
            secure: Some(true),
            http_only: Some(false),
            same_site: Some("Strict".to_owned()),
        };
        flag(&mut attributes, &flags);
        assert_eq!(attributes, all("path=/ Secure SameSite=Strict"));
    }
}
