//! What the main context says of the process itself: its pid file, user and error logs.
//!
//! Why apart: only a process that runs as nginx does what these say (`weir nginx`); beside other
//! roles they are the node's own settings, and are listed as without effect. Paths are kept as
//! written: what a relative one is relative to is known by whoever was given the prefix.

use super::error::{Error, Kind};
use super::lower::{Once, flag, number};
use super::parse::Directive;

/// The process, as the main context wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// `pid`; `None` is the built-in place, an empty one (`off`) is none.
    pub pid: Option<String>,
    /// `daemon`
    pub daemon: bool,
    /// `user`, with the group if it is named.
    pub user: Option<(String, Option<String>)>,
    /// `error_log`s; none is the built-in place at `error`.
    pub error_logs: Vec<ErrorLog>,
    /// `worker_rlimit_nofile`
    pub files_max: Option<u64>,
}

impl Default for Process {
    fn default() -> Self {
        Self {
            pid: None,
            daemon: true,
            user: None,
            error_logs: Vec::new(),
            files_max: None,
        }
    }
}

/// An `error_log`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorLog {
    /// Where lines go.
    pub target: LogTarget,
    /// The least important line that is written.
    pub level: LogLevel,
}

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// A file, as written.
    File(String),
    /// `stderr`
    Stderr,
}

/// How important a line is, the most important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// The process cannot run.
    Emerg,
    /// Something that should never be.
    Alert,
    /// Critical.
    Crit,
    /// A request could not be served.
    Error,
    /// Worth a look.
    Warn,
    /// What the process does: starts, reloads, ends.
    Notice,
    /// What clients do.
    Info,
    /// Everything.
    Debug,
}

impl LogLevel {
    /// As nginx writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Emerg => "emerg",
            Self::Alert => "alert",
            Self::Crit => "crit",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Notice => "notice",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }

    /// A level's word; the debug levels of single modules are `debug`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "emerg" => Self::Emerg,
            "alert" => Self::Alert,
            "crit" => Self::Crit,
            "error" => Self::Error,
            "warn" => Self::Warn,
            "notice" => Self::Notice,
            "info" => Self::Info,
            "debug" | "debug_core" | "debug_alloc" | "debug_mutex" | "debug_event"
            | "debug_http" | "debug_mail" | "debug_stream" => Self::Debug,
            _ => return None,
        })
    }
}

impl Process {
    /// Takes a directive in. Says whether it was one of these.
    pub(super) fn read(&mut self, d: &Directive, seen: &mut Once) -> Result<bool, Error> {
        let first = d.arg(0).unwrap_or_default();
        match d.name.as_str() {
            "error_log" => {
                self.error_logs.push(error_log(d)?);
                return Ok(true);
            }
            "pid" => self.pid = Some(if first == "off" { "" } else { first }.to_owned()),
            "daemon" => self.daemon = flag(d),
            "user" => self.user = Some((first.to_owned(), d.arg(1).map(str::to_owned))),
            "worker_rlimit_nofile" => self.files_max = Some(number(d, 0)?),
            _ => return Ok(false),
        }
        seen.first(d)?;
        Ok(true)
    }
}

/// `error_log`, wherever it stands.
pub(super) fn error_log(d: &Directive) -> Result<ErrorLog, Error> {
    let target = match d.arg(0).unwrap_or_default() {
        "stderr" => LogTarget::Stderr,
        text if text.starts_with("syslog:") || text.starts_with("memory:") => {
            let message = format!("\"{text}\" of \"error_log\" is not supported by weir yet");
            return Err(d.fault(Kind::Unsupported, message));
        }
        text => LogTarget::File(text.to_owned()),
    };
    let mut level = None;
    for token in d.args.iter().skip(1) {
        let Some(found) = LogLevel::parse(&token.text) else {
            let message = format!("invalid log level \"{}\"", token.text);
            return Err(d.fault(Kind::Value, message));
        };
        level = level.max(Some(found));
    }
    Ok(ErrorLog {
        target,
        level: level.unwrap_or(LogLevel::Error),
    })
}
