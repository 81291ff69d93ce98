//! `server_name`, in `http` and in `stream`.

use super::super::error::{Error, Kind};
use super::super::parse::Directive;
use super::super::regex::Regex;
use super::variable;

/// A server's name, lower case (a wildcard only as a whole first or last label): as it is looked up, and the expression if it is one.
pub(super) fn host_name(
    directive: &Directive,
    text: &str,
) -> Result<(String, Option<Regex>), Error> {
    if let Some(pattern) = text.strip_prefix('~') {
        if pattern.is_empty() {
            let message = "empty regex in server name \"~\"";
            return Err(directive.fault(Kind::Value, message));
        }
        // As nginx: an expression with a capital letter in it is not made lower case, but hosts
        // are, so that case never counts.
        let regex =
            Regex::new(pattern, true).map_err(|message| directive.fault(Kind::Value, message))?;
        return Ok((text.to_owned(), Some(regex)));
    }
    if !variable::is_host_name(text) {
        return Err(directive.fault(Kind::Value, format!("server name \"{text}\" is invalid")));
    }
    let name = if text == "$hostname" {
        hostname()
    } else {
        text.to_ascii_lowercase()
    };
    Ok((name, None))
}

/// The machine's name, lower case.
fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_ascii_lowercase()
}
