//! Variables that the file makes: which there are, and `map`, `geo` and `split_clients` blocks.
//!
//! Why names come first: as in nginx a variable may be used before the line that makes it, so
//! the whole `http` block is looked through for names before any value is read.

use std::collections::BTreeMap;

use ipnet::{IpNet, Ipv4Net};

use super::super::error::{Error, Kind};
use super::super::model::names::HostTable;
use super::super::model::variable::{Define, Geo, GeoTable, Map, Split, Variable};
use super::super::parse::Directive;
use super::super::regex::{Regex, group_names};
use super::super::template::{self, Names, Template};
use super::super::value as values;

/// How values are read: `stream` has variables of its own.
#[derive(Clone, Copy)]
pub(super) struct Words<'a> {
    /// What the file makes.
    pub(super) names: &'a Names,
    pub(super) parse: fn(&str, &Names) -> Result<Template, String>,
    /// Whether they are of requests, which name proxies they came by.
    pub(super) of_requests: bool,
}

/// The names of all variables the block makes.
pub(super) fn names(block: &Directive) -> Result<Names, Error> {
    let mut names = Names::default();
    let is_own = if block.name == "stream" {
        template::is_own_of_stream
    } else {
        template::is_own
    };
    collect(block, &mut names, is_own)?;
    Ok(names)
}

/// Every variable, with its definition if it has one. Of two for one name the last holds, as
/// in nginx.
pub(super) fn all(block: &Directive, words: Words<'_>) -> Result<Vec<Variable>, Error> {
    let names = words.names;
    let plain = |name: &String| Variable {
        name: name.clone(),
        define: None,
    };
    let mut out: Vec<Variable> = names.all().iter().map(plain).collect();
    for child in block.children() {
        let define = match child.name.as_str() {
            "map" => Define::Map(Box::new(map(child, words)?)),
            "geo" => Define::Geo(Box::new(geo(child, words)?)),
            "split_clients" => Define::Split(Box::new(split(child, words)?)),
            _ => continue,
        };
        let name = made(child, child.args.len().saturating_sub(1))?;
        let place = names.find(&name.to_ascii_lowercase());
        if let Some(variable) = place.and_then(|place| out.get_mut(place)) {
            variable.define = Some(define);
        }
    }
    Ok(out)
}

/// The name of the variable that word `arg` makes, without `$`.
pub(super) fn made(directive: &Directive, arg: usize) -> Result<&str, Error> {
    let word = directive.arg(arg).unwrap_or_default();
    match word.strip_prefix('$').filter(|name| !name.is_empty()) {
        Some(name) => Ok(name),
        None => {
            let message = format!("invalid variable name \"{word}\"");
            Err(directive.fault(Kind::Value, message))
        }
    }
}

fn collect(block: &Directive, names: &mut Names, is_own: fn(&str) -> bool) -> Result<(), Error> {
    for child in block.children() {
        let last = child.args.len().saturating_sub(1);
        match child.name.as_str() {
            "map" | "geo" | "split_clients" => add(child, made(child, last)?, names, is_own)?,
            "set" | "auth_request_set" => match made(child, 0)? {
                "args" | "limit_rate" => {}
                name => add(child, name, names, is_own)?,
            },
            "location"
            | "if"
            | "rewrite"
            | "server_name"
            | "proxy_redirect"
            | "proxy_cookie_domain"
            | "proxy_cookie_path"
            | "proxy_cookie_flags" => {
                let patterns = child.args.iter();
                for name in patterns.flat_map(|token| group_names(&token.text)) {
                    add(child, &name, names, is_own)?;
                }
            }
            _ => {}
        }
        if child.name == "map" {
            let keys = child
                .children()
                .iter()
                .filter(|key| key.name.starts_with('~'));
            for name in keys.flat_map(|key| group_names(&key.name)) {
                add(child, &name, names, is_own)?;
            }
        } else if child.block.is_some() {
            collect(child, names, is_own)?;
        }
    }
    Ok(())
}

fn add(
    directive: &Directive,
    name: &str,
    names: &mut Names,
    is_own: fn(&str) -> bool,
) -> Result<(), Error> {
    if is_own(&name.to_ascii_lowercase()) {
        let message = format!("the duplicate \"{name}\" variable");
        return Err(directive.fault(Kind::Value, message));
    }
    names.add(name);
    Ok(())
}

/// A word as a value with variables.
fn template(directive: &Directive, text: &str, words: Words<'_>) -> Result<Template, Error> {
    (words.parse)(text, words.names).map_err(|message| directive.fault(Kind::Value, message))
}

fn map(block: &Directive, words: Words<'_>) -> Result<Map, Error> {
    let flag = |name: &str| {
        let mut entries = block.children().iter();
        entries.any(|entry| entry.name == name && entry.args.is_empty())
    };
    let mut map = Map {
        source: template(block, block.arg(0).unwrap_or_default(), words)?,
        hostnames: flag("hostnames"),
        volatile: flag("volatile"),
        ..Map::default()
    };
    let mut has_default = false;
    for entry in block.children() {
        if entry.args.is_empty() && matches!(entry.name.as_str(), "hostnames" | "volatile") {
            continue;
        }
        let [target] = entry.args.as_slice() else {
            return Err(entry.fault(Kind::Value, "invalid number of the map parameters"));
        };
        let value = template(entry, &target.text, words)?;
        if entry.name == "default" {
            if has_default {
                return Err(entry.fault(Kind::Value, "duplicate default map parameter"));
            }
            has_default = true;
            map.default = value;
        } else if let Some(pattern) = entry.name.strip_prefix('~') {
            let star = pattern.strip_prefix('*');
            let regex = Regex::new(star.unwrap_or(pattern), star.is_some())
                .map_err(|message| entry.fault(Kind::Value, message))?;
            map.regexes.push((regex, value));
        } else {
            let hostnames = map.hostnames;
            key(entry, &mut map.keys, value, hostnames)?;
        }
    }
    Ok(map)
}

fn key(
    entry: &Directive,
    keys: &mut HostTable<Template>,
    value: Template,
    hostnames: bool,
) -> Result<(), Error> {
    let key = entry.name.strip_prefix('\\').unwrap_or(&entry.name);
    let key = key.to_ascii_lowercase();
    if hostnames && !is_host_name(&key) {
        let message = format!("invalid hostname or wildcard \"{key}\"");
        return Err(entry.fault(Kind::Value, message));
    }
    let fresh = if hostnames {
        keys.insert(&key, value)
    } else {
        keys.insert_exact(key.as_bytes(), value)
    };
    if fresh {
        return Ok(());
    }
    let message = format!("conflicting parameter \"{key}\"");
    Err(entry.fault(Kind::Value, message))
}

/// Whether a star, or a dot in front, stands only where nginx has a wildcard.
pub(super) fn is_host_name(text: &str) -> bool {
    let stars = text.bytes().filter(|byte| *byte == b'*').count();
    !text.contains("..")
        && match text.as_bytes() {
            [b'*', b'.', _, ..] => stars == 1,
            [b'.', _, ..] => stars == 0,
            [b'.'] | [b'*', ..] => false,
            _ => stars == 0 || (stars == 1 && text.ends_with(".*")),
        }
}

fn geo(block: &Directive, words: Words<'_>) -> Result<Geo, Error> {
    let mut geo = Geo::default();
    if block.args.len() > 1 {
        made(block, 0)?;
        let source = block.arg(0).unwrap_or_default();
        geo.source = Some(template(block, source, words)?);
    }
    for entry in block.children() {
        let value = entry.arg(0);
        match (entry.name.as_str(), value) {
            ("ranges", None) => {
                if !matches!(&geo.table, GeoTable::Nets(nets) if nets.is_empty()) {
                    let message = "the \"ranges\" directive must be the first directive inside \
                                   \"geo\" block";
                    return Err(entry.fault(Kind::Value, message));
                }
                geo.table = GeoTable::Ranges(BTreeMap::new());
            }
            ("volatile", None) => geo.volatile = true,
            ("proxy_recursive", None) if words.of_requests => geo.recursive = true,
            ("default", Some(value)) => value.clone_into(&mut geo.default),
            ("proxy", Some(value)) if words.of_requests => geo.proxies.push(network(entry, value)?),
            ("delete", Some(what)) => {
                geo_entry(entry, what, None, &mut geo.table)?;
            }
            (what, Some(value)) if entry.args.len() == 1 => {
                geo_entry(entry, what, Some(value), &mut geo.table)?;
            }
            _ => {
                let message = "invalid number of the geo parameters";
                return Err(entry.fault(Kind::Value, message));
            }
        }
    }
    Ok(geo)
}

/// One network or range; no value takes it away.
fn geo_entry(
    entry: &Directive,
    what: &str,
    value: Option<&str>,
    table: &mut GeoTable,
) -> Result<(), Error> {
    if !matches!(table, GeoTable::Ranges(_)) {
        let net = network(entry, what)?;
        match value {
            Some(value) => table.insert_net(net, value),
            None => drop(table.remove_net(net)),
        }
        return Ok(());
    }
    let range = what.split_once('-').and_then(|(first, last)| {
        let number = |text: &str| text.parse::<std::net::Ipv4Addr>().ok().map(u32::from);
        let (first, last) = (number(first)?, number(last)?);
        (first <= last).then_some((first, last))
    });
    let Some((first, last)) = range else {
        let message = format!("invalid range \"{what}\"");
        return Err(entry.fault(Kind::Value, message));
    };
    match value {
        Some(value) => table.insert_range(first, last, value),
        None => table.remove_range(first, last),
    }
    Ok(())
}

/// An address or a network.
pub(super) fn network(entry: &Directive, text: &str) -> Result<IpNet, Error> {
    let bare = text.parse::<std::net::IpAddr>().map(IpNet::from);
    let masked = |text: &str| {
        // nginx takes a mask in full as well.
        let (addr, mask) = text.split_once('/')?;
        let mask: std::net::Ipv4Addr = mask.parse().ok()?;
        Some(IpNet::V4(
            Ipv4Net::with_netmask(addr.parse().ok()?, mask).ok()?,
        ))
    };
    let net = bare
        .ok()
        .or_else(|| text.parse().ok())
        .or_else(|| masked(text));
    net.map(|net| net.trunc())
        .ok_or_else(|| entry.fault(Kind::Value, format!("invalid network \"{text}\"")))
}

fn split(block: &Directive, words: Words<'_>) -> Result<Split, Error> {
    let mut split = Split {
        source: template(block, block.arg(0).unwrap_or_default(), words)?,
        parts: Vec::new(),
    };
    // Hundredths of a percent.
    let mut sum = 0_u64;
    for entry in block.children() {
        let [value] = entry.args.as_slice() else {
            let message = "invalid number of the split_clients parameters";
            return Err(entry.fault(Kind::Value, message));
        };
        let below = if entry.name == "*" {
            None
        } else {
            let percent = hundredths(&entry.name).ok_or_else(|| {
                let message = format!("invalid percent value \"{}\"", entry.name);
                entry.fault(Kind::Value, message)
            })?;
            sum = sum.saturating_add(percent);
            if sum > 10_000 {
                return Err(entry.fault(Kind::Value, "percent total is greater than 100%"));
            }
            u32::try_from(sum * u64::from(u32::MAX) / 10_000).ok()
        };
        split.parts.push((below, value.text.clone()));
    }
    Ok(split)
}

/// `12.5%` as 1250.
fn hundredths(text: &str) -> Option<u64> {
    let number = text.strip_suffix('%')?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if part.len() > 2 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part: u64 = format!("{part:0<2}").parse().ok()?;
    let percent = values::number::<u64>(whole)?
        .checked_mul(100)?
        .checked_add(part)?;
    (percent > 0).then_some(percent)
}
