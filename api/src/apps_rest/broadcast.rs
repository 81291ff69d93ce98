//! A stream's record: what a client's body makes of it, and how it is answered.
//!
//! Pure: records, bodies and a time in, fields out. A body sets what [`BROADCAST`] says clients may set; everything
//! else in it is passed over, because clients send back whole objects that they were given. Fields that the table
//! does not know are another version's: they are kept and given back as they are, except those of the store itself.
//! Times are ms since the Unix epoch unless Ant Media counts otherwise.

use super::shape::{self, By, Misfit};
use super::tables::BROADCAST;
use crate::state::NodeInfo;
use serde::Serialize;
use serde_json::Value;
use weir_cluster::{AppName, BroadcastStatus, Fields};

/// Fields of a record that are the store's and its owner's: never told, never set by a body.
const INTERNAL: &[&str] = &["owner", "weirCheckpoint", "forgetAt", "dbId"];
/// Schemes of URLs that can be pulled.
const PULL_SCHEMES: &[&str] = &[
    "http", "https", "rtmp", "rtmps", "rtsp", "rtsps", "udp", "srt",
];

/// A stream as it is answered: every key of Ant Media's `Broadcast`, nulls included.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Broadcast(Fields);

/// What a client may say of a stream.
pub(crate) struct BroadcastBody;

/// Who watches, by protocol.
const VIEWER_COUNTS: [&str; 4] = [
    "hlsViewerCount",
    "dashViewerCount",
    "webRTCViewerCount",
    "rtmpViewerCount",
];

shape::described!(Broadcast, BROADCAST, Answer);

shape::described!(BroadcastBody, BROADCAST, Body);

impl Broadcast {
    /// The record as seen at `now_ms` by `node`.
    pub(crate) fn new(app: &AppName, record: &Fields, node: &NodeInfo, now_ms: i64) -> Self {
        let mut fields = shape::filled(BROADCAST, record);
        fields.extend(shape::unknown(is_known, record));
        let mut set = |name: &str, value: Value| {
            fields.insert(name.to_owned(), value);
        };
        if let Some(status) = status_at(record, now_ms) {
            set("status", status.into());
        }
        if !record.contains_key("absoluteStartTimeMs") {
            set("absoluteStartTimeMs", number(record, "startTime").into());
        }
        if let Some(address) = text(record, "originAdress") {
            set("originAdress", host_of(address, node).into());
        }
        let id = text(record, "streamId").unwrap_or_default();
        let rtmp = node.rtmp.base_url(&node.ip);
        set("rtmpURL", format!("{rtmp}/{app}/{id}").into());
        // An owner that ended without a word left its last count behind.
        let live = is_live(record, now_ms);
        if !live {
            VIEWER_COUNTS.iter().for_each(|count| set(count, 0.into()));
        }
        let watched = VIEWER_COUNTS.iter().any(|count| number(record, count) > 0);
        set("anyoneWatching", (live && watched).into());
        Self(fields)
    }
}

/// The record that `body` makes at `now_ms`.
///
/// # Errors
/// [`Misfit`] names the field that cannot be.
pub(crate) fn born(body: &Fields, id: &str, now_ms: i64) -> Result<Fields, Misfit> {
    let mut record = given(body, &[By::Client, By::Birth])?;
    check_source(&record)?;
    for (name, value) in [
        ("streamId", Value::from(id)),
        ("status", "created".into()),
        ("date", now_ms.into()),
        ("zombi", false.into()),
    ] {
        record.insert(name.to_owned(), value);
    }
    for field in BROADCAST {
        let fixed = matches!(field.name, "type" | "publish" | "publicStream");
        if fixed && !record.contains_key(field.name) {
            record.insert(field.name.to_owned(), field.default.value());
        }
    }
    Ok(record)
}

/// What an update of `record` by `body` sets. Empty when it changes nothing: nulls and fields that are not the
/// client's say nothing.
///
/// # Errors
/// [`Misfit`] names the field that cannot be.
pub(crate) fn changes(record: &Fields, body: &Fields) -> Result<Fields, Misfit> {
    let mut set = given(body, &[By::Client])?;
    for (name, url) in &set {
        let source = matches!(text(record, "type"), Some("streamSource" | "VoD"));
        if name == "streamUrl" && source {
            check_url("streamUrl", url.as_str().unwrap_or_default())?;
        }
    }
    set.retain(|name, value| record.get(name) != Some(value));
    Ok(set)
}

/// What replacing `record` by `body` sets: all that a client may say, what it did not say as if it never had.
///
/// # Errors
/// [`Misfit`] names the field that cannot be.
pub(crate) fn replaced(body: &Fields) -> Result<Fields, Misfit> {
    let mut set: Fields = BROADCAST
        .iter()
        .filter(|field| field.by != By::Server && field.name != "streamId")
        .map(|field| (field.name.to_owned(), field.default.value()))
        .collect();
    let given = given(body, &[By::Client, By::Birth])?;
    check_source(&given)?;
    set.extend(given.into_iter().filter(|(name, _)| name != "streamId"));
    Ok(set)
}

/// The record's state at `now_ms`, `None` when it has none that is known.
pub(crate) fn status_at(record: &Fields, now_ms: i64) -> Option<&str> {
    let status = text(record, "status")?;
    let stored = match status {
        "preparing" => BroadcastStatus::Preparing,
        "broadcasting" => BroadcastStatus::Broadcasting,
        other => return super::tables::STATUSES.contains(&other).then_some(other),
    };
    let now = stored.at(number(record, "updateTime"), now_ms);
    Some(if now == BroadcastStatus::TerminatedUnexpectedly {
        "terminated_unexpectedly"
    } else {
        status
    })
}

/// Whether somebody publishes it at `now_ms`.
pub(crate) fn is_live(record: &Fields, now_ms: i64) -> bool {
    matches!(
        status_at(record, now_ms),
        Some("preparing" | "broadcasting")
    )
}

pub(crate) fn text<'a>(record: &'a Fields, name: &str) -> Option<&'a str> {
    record.get(name).and_then(Value::as_str)
}

pub(crate) fn number(record: &Fields, name: &str) -> i64 {
    record.get(name).and_then(Value::as_i64).unwrap_or_default()
}

/// What `body` says that these may set.
fn given(body: &Fields, by: &[By]) -> Result<Fields, Misfit> {
    let mut set = shape::given(BROADCAST, body, by)?;
    if text(&set, "subFolder").is_some_and(|folder| folder.contains("..")) {
        return Err(Misfit {
            field: "subFolder".to_owned(),
            found: "a path with \"..\"".to_owned(),
            expected: "a path below the application's folder".to_owned(),
        });
    }
    set.extend(shape::unknown(is_known, body));
    Ok(set)
}

fn check_source(record: &Fields) -> Result<(), Misfit> {
    match text(record, "type") {
        Some("streamSource") => {
            check_url("streamUrl", text(record, "streamUrl").unwrap_or_default())
        }
        Some("ipCamera") => {
            let address = text(record, "ipAddr").unwrap_or_default();
            let bad = address.is_empty()
                || address.contains(|c: char| c.is_whitespace() || c.is_control());
            if bad {
                return Err(Misfit {
                    field: "ipAddr".to_owned(),
                    found: if address.is_empty() {
                        "nothing"
                    } else {
                        "white space"
                    }
                    .to_owned(),
                    expected: "the camera's address, for example 192.0.2.7:8080".to_owned(),
                });
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn check_url(field: &str, url: &str) -> Result<(), Misfit> {
    let parts = url.split_once("://");
    let good = parts.is_some_and(|(scheme, rest)| {
        let known = PULL_SCHEMES.iter().any(|s| s.eq_ignore_ascii_case(scheme));
        known && !rest.is_empty() && !rest.contains(|c: char| c.is_whitespace() || c.is_control())
    });
    if good {
        return Ok(());
    }
    Err(Misfit {
        field: field.to_owned(),
        found: if url.is_empty() {
            "nothing"
        } else {
            "something else"
        }
        .to_owned(),
        expected: format!("a URL; its scheme one of {}", PULL_SCHEMES.join(", ")),
    })
}

fn is_known(name: &str) -> bool {
    INTERNAL.contains(&name) || BROADCAST.iter().any(|field| field.name == name)
}

/// The host in an object address: Ant Media's clients expect no port, and a path of this machine concerns nobody.
pub(crate) fn host_of<'a>(address: &'a str, node: &'a NodeInfo) -> &'a str {
    if address.starts_with("unix:") {
        return &node.ip;
    }
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[')
        .and_then(|v6| v6.strip_suffix(']'))
        .unwrap_or(host)
}

#[cfg(test)]
mod tests;
