//! Variables that requests and sessions of `stream` both have: the time, the machine, the version.
//!
//! Written to bytes, as nginx writes them. Nothing here fails: a time that cannot be is 1970's.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use chrono::{DateTime, Local, TimeZone as _};
use weir_cluster::{SystemClock, WallClock as _};
use weir_conf::nginx::template::Var;

/// `$nginx_version`: the nginx whose configuration this reads.
pub(crate) const NGINX_VERSION: &str = "1.31.5";

/// `$msec`, `$time_local`, `$time_iso8601`
pub(crate) fn of_time(var: &Var, out: &mut Vec<u8>) {
    let ms = SystemClock.now_ms();
    let local: DateTime<Local> = Local
        .timestamp_millis_opt(ms)
        .single()
        .unwrap_or_else(|| DateTime::UNIX_EPOCH.into());
    // Writing to a Vec does not fail.
    let _ = match var {
        Var::Msec => write!(out, "{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000)),
        Var::TimeLocal => write!(out, "{}", local.format("%d/%b/%Y:%H:%M:%S %z")),
        _ => write!(out, "{}", local.format("%Y-%m-%dT%H:%M:%S%:z")),
    };
}

/// `$hostname`: the machine's name, lower case.
pub(crate) fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_ascii_lowercase()
}

/// `$binary_remote_addr`
pub(crate) fn binary(client: Option<SocketAddr>, out: &mut Vec<u8>) {
    match client.map(|addr| addr.ip()) {
        Some(IpAddr::V4(addr)) => out.extend_from_slice(&addr.octets()),
        Some(IpAddr::V6(addr)) => out.extend_from_slice(&addr.octets()),
        None => out.extend_from_slice(b"unix:"),
    }
}
