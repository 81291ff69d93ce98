//! Access logs: what `log_format` and `access_log` say, checked.
//!
//! Why parts and not one value: each variable is escaped by itself, and one that has no value is a
//! `-`. What only a finished request has (its time, its status) is known here alone, as in nginx.

use super::error::{Error, Kind};
use super::lower::invalid_parameter;
use super::parse::Directive;
use super::template::Template;
use super::value;

/// The name of the format that is always there.
const COMBINED: &str = "combined";

/// The access logs of an `http` block.
#[derive(Debug, Clone, Default)]
pub struct Logs {
    /// Formats, the built-in one first.
    pub formats: Vec<LogFormat>,
    /// Files that any `access_log` names, as written, each once.
    pub files: Vec<String>,
}

/// A `log_format`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFormat {
    /// Its name.
    pub name: String,
    /// What is done to values.
    pub escape: Escape,
    /// The line, without its end.
    pub parts: Vec<LogPart>,
}

/// `escape=`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Escape {
    /// `\xXX` for quotes, backslashes and what is not printable; `-` for no value.
    #[default]
    Default,
    /// As a JSON string has it.
    Json,
    /// Nothing.
    None,
}

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogPart {
    /// Text as it stands.
    Text(String),
    /// `$time_local`
    TimeLocal,
    /// `$time_iso8601`
    TimeIso8601,
    /// `$msec`
    Msec,
    /// `$request_time`
    RequestTime,
    /// `$status`
    Status,
    /// `$body_bytes_sent`
    BodyBytesSent,
    /// `$remote_user`
    RemoteUser,
    /// Any other variable, by itself.
    Value(Template),
}

/// An `access_log` that is not `off`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// Its file, by its place in [`Logs::files`].
    pub file: usize,
    /// Its format, by its place in [`Logs::formats`].
    pub format: usize,
    /// `if=`: nothing is written while this is empty or `0`.
    pub condition: Option<Template>,
}

/// How a value of the file is read where it stands.
pub(super) type ReadValue<'a> = &'a dyn Fn(&Directive, &str) -> Result<Template, Error>;

impl Logs {
    /// With the format that is always there.
    pub(super) fn new(read: ReadValue<'_>, at: &Directive) -> Result<Self, Error> {
        let combined = [
            "$remote_addr - $remote_user [$time_local] ",
            "\"$request\" $status $body_bytes_sent ",
            "\"$http_referer\" \"$http_user_agent\"",
        ];
        Ok(Self {
            formats: vec![LogFormat {
                name: COMBINED.to_owned(),
                escape: Escape::Default,
                parts: parts(at, &combined.concat(), read)?,
            }],
            files: Vec::new(),
        })
    }

    /// `log_format`
    pub(super) fn format(&mut self, d: &Directive, read: ReadValue<'_>) -> Result<(), Error> {
        let name = d.arg(0).unwrap_or_default();
        if self.formats.iter().any(|it| it.name == name) {
            let message = format!("duplicate \"log_format\" name \"{name}\"");
            return Err(d.fault(Kind::Value, message));
        }
        let mut words = d.args.iter().skip(1).map(|it| it.text.as_str()).peekable();
        let mut escape = Escape::Default;
        if let Some(text) = words.peek().and_then(|it| it.strip_prefix("escape=")) {
            escape = match text {
                "default" => Escape::Default,
                "json" => Escape::Json,
                "none" => Escape::None,
                other => {
                    let message = format!("unknown log format escaping \"{other}\"");
                    return Err(d.fault(Kind::Value, message));
                }
            };
            words.next();
        }
        let text: String = words.collect();
        self.formats.push(LogFormat {
            name: name.to_owned(),
            escape,
            parts: parts(d, &text, read)?,
        });
        Ok(())
    }

    /// `access_log`, unless it is `off`.
    pub(super) fn log(&mut self, d: &Directive, read: ReadValue<'_>) -> Result<AccessLog, Error> {
        let path = d.arg(0).unwrap_or_default();
        if path.starts_with("syslog:") || path.contains('$') {
            let message = format!("\"{path}\" of \"access_log\" is not supported by weir yet");
            return Err(d.fault(Kind::Unsupported, message));
        }
        let mut log = AccessLog {
            file: self.file(path),
            format: 0,
            condition: None,
        };
        for (place, token) in d.args.iter().enumerate().skip(1) {
            let text = token.text.as_str();
            if let Some(condition) = text.strip_prefix("if=") {
                log.condition = Some(read(d, condition)?);
            } else if let Some(size) = text.strip_prefix("buffer=") {
                let size = value::size_bytes(size).filter(|bytes| *bytes > 0);
                size.ok_or_else(|| bad(d, "buffer size", text))?;
            } else if let Some(time) = text.strip_prefix("flush=") {
                value::time_ms(time).ok_or_else(|| bad(d, "flush time", text))?;
            } else if text == "gzip" || text.starts_with("gzip=") {
                let message = "\"gzip\" of \"access_log\" is not supported by weir yet";
                return Err(d.fault(Kind::Unsupported, message));
            } else if place == 1 {
                let named = self.formats.iter().position(|it| it.name == text);
                let unknown = || format!("unknown log format \"{text}\"");
                log.format = named.ok_or_else(|| d.fault(Kind::Value, unknown()))?;
            } else {
                return Err(invalid_parameter(d, text));
            }
        }
        Ok(log)
    }

    /// A log in the format that is always there.
    pub(super) fn plain(&mut self, path: &str) -> AccessLog {
        AccessLog {
            file: self.file(path),
            format: 0,
            condition: None,
        }
    }

    fn file(&mut self, path: &str) -> usize {
        let found = self.files.iter().position(|it| it == path);
        found.unwrap_or_else(|| {
            self.files.push(path.to_owned());
            self.files.len() - 1
        })
    }
}

fn bad(d: &Directive, what: &str, text: &str) -> Error {
    d.fault(Kind::Value, format!("invalid {what} \"{text}\""))
}

/// The pieces of a line: each variable by itself.
fn parts(d: &Directive, text: &str, read: ReadValue<'_>) -> Result<Vec<LogPart>, Error> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (plain, variable) = rest.split_at(at);
        if !plain.is_empty() {
            parts.push(LogPart::Text(plain.to_owned()));
        }
        let name_at = if variable.starts_with("${") { 2 } else { 1 };
        let inside = variable.get(name_at..).unwrap_or_default();
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let length = inside.bytes().take_while(is_name).count();
        let end = name_at + length + usize::from(name_at == 2 && inside[length..].starts_with('}'));
        let (whole, after) = variable.split_at(end);
        parts.push(match inside.get(..length).unwrap_or_default() {
            "time_local" => LogPart::TimeLocal,
            "time_iso8601" => LogPart::TimeIso8601,
            "msec" => LogPart::Msec,
            "request_time" => LogPart::RequestTime,
            "status" => LogPart::Status,
            "body_bytes_sent" => LogPart::BodyBytesSent,
            "remote_user" => LogPart::RemoteUser,
            _ => LogPart::Value(read(d, whole)?),
        });
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(LogPart::Text(rest.to_owned()));
    }
    Ok(parts)
}
