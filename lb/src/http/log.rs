//! A finished request as lines of its access logs.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Local, TimeZone as _};
use pingora::proxy::Session;
use weir_cluster::{SystemClock, WallClock as _};
use weir_conf::nginx::log::{AccessLog, Escape, LogFormat, LogPart};
use weir_conf::nginx::model::Http;
use weir_conf::nginx::template::Template;

use super::proxy::{Ctx, Gateway};
use super::vars::Values;
use crate::access_log::{AccessLogs, LogFile};
use crate::error::LbError;

/// The access logs of an `http` block, open.
#[derive(Debug)]
pub(crate) struct Logs {
    formats: Vec<LogFormat>,
    /// Those that a server or a location logs to.
    files: Vec<Option<Arc<LogFile>>>,
    all: AccessLogs,
}

impl Logs {
    pub(crate) fn open(http: &Http, all: &AccessLogs) -> Result<Self, LbError> {
        let places = http.servers.iter().flat_map(|server| {
            let inner = server.locations.iter().map(|it| &it.common);
            std::iter::once(&server.common).chain(inner)
        });
        let used: BTreeSet<usize> = places
            .flat_map(|common| common.access_logs.iter().map(|log| log.file))
            .collect();
        let files = http.logs.files.iter().enumerate().map(|(place, path)| {
            if !used.contains(&place) {
                return Ok(None);
            }
            let opened = all.open(path).map_err(|(path, source)| LbError::Log {
                path: path.display().to_string(),
                source,
            });
            opened.map(Some)
        });
        Ok(Self {
            formats: http.logs.formats.clone(),
            files: files.collect::<Result<_, _>>()?,
            all: all.clone(),
        })
    }
}

/// What a line tells of a finished request beside its variables.
pub(crate) struct Finished<'f> {
    pub(crate) status: u16,
    pub(crate) body_bytes_sent: u64,
    pub(crate) request_ms: u128,
    /// The header of that name.
    pub(crate) authorization: Option<&'f str>,
}

impl Logs {
    /// Writes a line; `value` appends what a template comes to.
    pub(crate) fn write(
        &self,
        log: &AccessLog,
        finished: &Finished<'_>,
        value: impl Fn(&Template, &mut Vec<u8>),
    ) {
        let format = self.formats.get(log.format);
        if let (Some(format), Some(Some(file))) = (format, self.files.get(log.file)) {
            self.all.write(file, line(format, finished, value));
        }
    }
}

impl Gateway {
    /// Writes a finished request where its location's `access_log`s say.
    pub(crate) fn write_access(&self, session: &Session, ctx: &Ctx, status: u16) {
        let Some(logs) = &self.logs else { return };
        for log in &self.common(ctx).access_logs {
            let values = self.values(session, ctx);
            if is_wanted(log, &values) {
                let authorization = session.req_header().headers.get("authorization");
                let finished = Finished {
                    status,
                    body_bytes_sent: session.body_bytes_sent() as u64,
                    request_ms: ctx.elapsed_ms(),
                    authorization: authorization.and_then(|it| it.to_str().ok()),
                };
                logs.write(log, &finished, |template, out| {
                    out.extend_from_slice(&values.value(template));
                });
            }
        }
    }
}

/// `if=`
fn is_wanted(log: &AccessLog, values: &Values<'_>) -> bool {
    log.condition.as_ref().is_none_or(|condition| {
        let value = values.value(condition);
        !value.is_empty() && *value != *b"0"
    })
}

fn line(
    format: &LogFormat,
    finished: &Finished<'_>,
    value: impl Fn(&Template, &mut Vec<u8>),
) -> Vec<u8> {
    let mut out = String::with_capacity(256);
    let mut bytes = Vec::new();
    let now_ms = SystemClock.now_ms();
    let now: Option<DateTime<Local>> = Local.timestamp_millis_opt(now_ms).single();
    for part in &format.parts {
        // Writing to a String does not fail.
        let _ = match part {
            LogPart::Text(text) => out.write_str(text),
            LogPart::TimeLocal => stamp(&mut out, now.as_ref(), "%d/%b/%Y:%H:%M:%S %z"),
            LogPart::TimeIso8601 => stamp(&mut out, now.as_ref(), "%Y-%m-%dT%H:%M:%S%:z"),
            LogPart::Msec => write!(out, "{}.{:03}", now_ms / 1000, now_ms % 1000),
            LogPart::RequestTime => {
                let ms = finished.request_ms;
                write!(out, "{}.{:03}", ms / 1000, ms % 1000)
            }
            LogPart::Status => write!(out, "{:03}", finished.status),
            LogPart::BodyBytesSent => write!(out, "{}", finished.body_bytes_sent),
            LogPart::RemoteUser => {
                let user = finished.authorization.and_then(remote_user);
                escape(&mut out, &user.unwrap_or_default(), format.escape);
                Ok(())
            }
            LogPart::Value(template) => {
                bytes.clear();
                value(template, &mut bytes);
                escape(&mut out, &bytes, format.escape);
                Ok(())
            }
        };
    }
    out.push('\n');
    out.into_bytes()
}

fn stamp(out: &mut String, now: Option<&DateTime<Local>>, form: &str) -> std::fmt::Result {
    now.map_or(Ok(()), |now| write!(out, "{}", now.format(form)))
}

/// The name of `Authorization: Basic`, whether or not anybody asked for it.
fn remote_user(authorization: &str) -> Option<Vec<u8>> {
    let (scheme, rest) = authorization.split_once(' ')?;
    let plain = STANDARD.decode(rest.trim()).ok()?;
    let name = plain.split(|byte| *byte == b':').next()?;
    scheme.eq_ignore_ascii_case("basic").then(|| name.to_vec())
}

/// A value as the format has it; one that is missing is a `-` unless told otherwise.
fn escape(out: &mut String, value: &[u8], how: Escape) {
    match how {
        Escape::Default if value.is_empty() => out.push('-'),
        Escape::Default => {
            for byte in value {
                match byte {
                    b'"' | b'\\' | 0..=31 | 127..=255 => {
                        let _ = write!(out, "\\x{byte:02X}");
                    }
                    _ => out.push(char::from(*byte)),
                }
            }
        }
        Escape::Json => {
            for letter in String::from_utf8_lossy(value).chars() {
                match letter {
                    '"' => out.push_str("\\\""),
                    '\\' => out.push_str("\\\\"),
                    '\n' => out.push_str("\\n"),
                    '\r' => out.push_str("\\r"),
                    '\t' => out.push_str("\\t"),
                    '\u{8}' => out.push_str("\\b"),
                    '\u{c}' => out.push_str("\\f"),
                    control if control < ' ' => {
                        let _ = write!(out, "\\u{:04X}", u32::from(control));
                    }
                    plain => out.push(plain),
                }
            }
        }
        Escape::None => out.push_str(&String::from_utf8_lossy(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_as_nginx_does() {
        for (how, value, wanted) in [
            (
                Escape::Default,
                &b"a\"b\\c\n\xff"[..],
                "a\\x22b\\x5Cc\\x0A\\xFF",
            ),
            (Escape::Default, b"", "-"),
            (Escape::Json, b"a\"b\\c\n\x01", "a\\\"b\\\\c\\n\\u0001"),
            (Escape::Json, b"", ""),
            (Escape::None, b"a\"b", "a\"b"),
        ] {
            let mut out = String::new();
            escape(&mut out, value, how);
            assert_eq!(out, wanted);
        }
    }
}
