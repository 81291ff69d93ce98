//! `limit_req`, `limit_conn`, and the zones that they count in.

use super::super::error::{Error, Kind};
use super::super::model::guard::{LimitConn, LimitReq, RequestZone, Zone};
use super::super::parse::Directive;
use super::super::process::LogLevel;
use super::super::template::Template;
use super::super::value as values;
use super::invalid_parameter;

/// nginx's least zone: eight pages.
const ZONE_BYTES_MIN: u64 = 8 * 4096;
/// Most requests in hand that nginx counts to.
const CONNECTIONS_MAX: u32 = 65_535;

/// The zones of a block, by place.
#[derive(Debug, Clone, Default)]
pub(super) struct Zones {
    pub(super) requests: Vec<RequestZone>,
    pub(super) connections: Vec<Zone>,
}

/// How a value of the file is read where it stands.
type Read<'a> = &'a dyn Fn(&Directive, &str) -> Result<Template, Error>;

impl Zones {
    /// Every zone that the block has, wherever it stands in it.
    pub(super) fn of(block: &Directive, read: Read<'_>) -> Result<Self, Error> {
        let mut zones = Self::default();
        for d in block.children() {
            match d.name.as_str() {
                "limit_req_zone" => {
                    let zone = requests(d, read)?;
                    let taken = zones.requests.iter().map(|it| &it.zone);
                    check_taken(d, &zone.zone, taken)?;
                    zones.requests.push(zone);
                }
                "limit_conn_zone" => {
                    let zone = connections(d, read)?;
                    check_taken(d, &zone, zones.connections.iter())?;
                    zones.connections.push(zone);
                }
                _ => {}
            }
        }
        Ok(zones)
    }

    /// `limit_req`
    pub(super) fn limit_req(&self, d: &Directive) -> Result<LimitReq, Error> {
        let (mut zone, mut burst, mut delay) = (None, 0, Some(0));
        let thousandths = |text: &str| values::number::<u64>(text)?.checked_mul(1000);
        for token in &d.args {
            let text = token.text.as_str();
            if let Some(name) = text.strip_prefix("zone=") {
                zone = Some(name);
            } else if let Some(count) = text.strip_prefix("burst=") {
                let found = thousandths(count).filter(|it| *it > 0);
                burst = found.ok_or_else(|| bad(d, "burst value", text))?;
            } else if let Some(count) = text.strip_prefix("delay=") {
                let found = thousandths(count).filter(|it| *it > 0);
                delay = Some(found.ok_or_else(|| bad(d, "delay value", text))?);
            } else if text == "nodelay" {
                delay = None;
            } else {
                return Err(invalid_parameter(d, text));
            }
        }
        let all = self.requests.iter().map(|it| &it.zone);
        Ok(LimitReq {
            zone: find(d, zone, all)?,
            burst_milli: burst,
            delay_milli: delay,
        })
    }

    /// `limit_conn`
    pub(super) fn limit_conn(&self, d: &Directive) -> Result<LimitConn, Error> {
        let text = d.arg(1).unwrap_or_default();
        let max = values::number::<u32>(text).filter(|max| *max > 0);
        let max = max.ok_or_else(|| bad(d, "number of connections", text))?;
        if max > CONNECTIONS_MAX {
            let message = "connection limit must be less 65536";
            return Err(d.fault(Kind::Value, message));
        }
        Ok(LimitConn {
            zone: find(d, d.arg(0), self.connections.iter())?,
            max,
        })
    }
}

/// The status of what is refused.
pub(super) fn status(d: &Directive) -> Result<u16, Error> {
    let status = super::number(d, 0)?;
    if (400..=599).contains(&status) {
        return Ok(status);
    }
    Err(d.fault(Kind::Value, "value must be between 400 and 599"))
}

pub(super) fn log_level(d: &Directive) -> Result<LogLevel, Error> {
    let text = d.arg(0).unwrap_or_default();
    match text {
        "info" | "notice" | "warn" | "error" => {
            Ok(LogLevel::parse(text).unwrap_or(LogLevel::Error))
        }
        _ => Err(d.fault(Kind::Value, format!("invalid value \"{text}\""))),
    }
}

fn requests(d: &Directive, read: Read<'_>) -> Result<RequestZone, Error> {
    let (mut zone, mut rate_milli) = (None, 1000);
    for token in d.args.iter().skip(1) {
        let text = token.text.as_str();
        if let Some(text) = text.strip_prefix("zone=") {
            zone = Some(text);
        } else if let Some(rate) = text.strip_prefix("rate=") {
            rate_milli = rate_of(rate).ok_or_else(|| bad(d, "rate", text))?;
        } else {
            return Err(invalid_parameter(d, text));
        }
    }
    Ok(RequestZone {
        zone: make(d, zone, read)?,
        rate_milli,
    })
}

fn connections(d: &Directive, read: Read<'_>) -> Result<Zone, Error> {
    let text = d.arg(1).unwrap_or_default();
    let Some(zone) = text.strip_prefix("zone=") else {
        return Err(invalid_parameter(d, text));
    };
    make(d, Some(zone), read)
}

/// `10r/s` or `30r/m`, in thousandths of a request a second.
fn rate_of(text: &str) -> Option<u64> {
    let (count, seconds) = match text.strip_suffix("r/s") {
        Some(count) => (count, 1),
        None => (text.strip_suffix("r/m")?, 60),
    };
    let count = values::number::<u64>(count).filter(|count| *count > 0)?;
    Some(count.checked_mul(1000)? / seconds)
}

fn make(d: &Directive, text: Option<&str>, read: Read<'_>) -> Result<Zone, Error> {
    let Some(text) = text else {
        let message = format!("\"{}\" must have \"zone\" parameter", d.name);
        return Err(d.fault(Kind::Value, message));
    };
    let size = text.split_once(':');
    let size = size.and_then(|(name, size)| Some((name, values::size_bytes(size)?)));
    let (name, bytes_max) = size
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| bad(d, "zone size", &format!("zone={text}")))?;
    if bytes_max < ZONE_BYTES_MIN {
        return Err(d.fault(Kind::Value, format!("zone \"zone={text}\" is too small")));
    }
    Ok(Zone {
        name: name.to_owned(),
        key: read(d, d.arg(0).unwrap_or_default())?,
        bytes_max,
    })
}

fn check_taken<'a>(
    d: &Directive,
    zone: &Zone,
    mut others: impl Iterator<Item = &'a Zone>,
) -> Result<(), Error> {
    if others.any(|other| other.name == zone.name) {
        let message = format!("{} \"{}\" is already bound to a key", d.name, zone.name);
        return Err(d.fault(Kind::Value, message));
    }
    Ok(())
}

fn find<'a>(
    d: &Directive,
    name: Option<&str>,
    mut all: impl Iterator<Item = &'a Zone>,
) -> Result<usize, Error> {
    let Some(name) = name else {
        let message = format!("\"{}\" must have \"zone\" parameter", d.name);
        return Err(d.fault(Kind::Value, message));
    };
    all.position(|zone| zone.name == name).ok_or_else(|| {
        let message = format!("zero size shared memory zone \"{name}\"");
        d.fault(Kind::Value, message)
    })
}

fn bad(d: &Directive, what: &str, text: &str) -> Error {
    d.fault(Kind::Value, format!("invalid {what} \"{text}\""))
}
