//! `map` blocks: exact keys, `default`, values with variables. Regular expressions and
//! `hostnames` are refused for now.

use std::collections::HashSet;

use super::super::error::{Error, Kind};
use super::super::model::Map;
use super::super::parse::Directive;
use super::super::template::{self, Template};

/// One `map`; it may use the variables of the maps `before` it, so that none can loop.
pub(super) fn map(block: &Directive, before: &[Map]) -> Result<Map, Error> {
    map_with(block, before, template::parse)
}

/// One `map` whose values are read by `parse`: `stream` has variables of its own.
pub(super) fn map_with(
    block: &Directive,
    before: &[Map],
    parse: impl Fn(&str, &[&str]) -> Result<Template, String>,
) -> Result<Map, Error> {
    let names: Vec<&str> = before.iter().map(|map| map.name.as_str()).collect();
    let value = |directive: &Directive, text: &str| {
        parse(text, &names).map_err(|message| directive.fault(Kind::Value, message))
    };
    let variable = block.arg(1).unwrap_or_default();
    let Some(name) = variable.strip_prefix('$').filter(|name| !name.is_empty()) else {
        let message = format!("invalid variable name \"{variable}\"");
        return Err(block.fault(Kind::Value, message));
    };
    let mut map = Map {
        name: name.to_ascii_lowercase(),
        source: value(block, block.arg(0).unwrap_or_default())?,
        entries: Vec::new(),
        default: Template::default(),
    };
    let mut has_default = false;
    let mut keys = HashSet::new();
    for entry in block.children() {
        if entry.args.is_empty() && matches!(entry.name.as_str(), "hostnames" | "volatile") {
            if entry.name == "volatile" {
                // Values are never cached, so this holds already.
                continue;
            }
            let message = "\"hostnames\" in \"map\" is not supported by weir yet";
            return Err(entry.fault(Kind::Unsupported, message));
        }
        let [target] = entry.args.as_slice() else {
            return Err(entry.fault(Kind::Value, "invalid number of the map parameters"));
        };
        let target = value(entry, &target.text)?;
        let key = entry.name.strip_prefix('\\').unwrap_or(&entry.name);
        if entry.name == "default" {
            if has_default {
                return Err(entry.fault(Kind::Value, "duplicate default map parameter"));
            }
            has_default = true;
            map.default = target;
        } else if entry.name.starts_with('~') {
            let message = "regular expressions in \"map\" are not supported by weir yet";
            return Err(entry.fault(Kind::Unsupported, message));
        } else {
            let key = key.to_ascii_lowercase();
            if !keys.insert(key.clone()) {
                let message = format!("conflicting parameter \"{key}\"");
                return Err(entry.fault(Kind::Value, message));
            }
            map.entries.push((key, target));
        }
    }
    Ok(map)
}
