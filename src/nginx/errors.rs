//! The error log, in nginx's lines: what happens while the process runs, for people and for what
//! reads nginx's logs.
//!
//! `2026/11/22 20:15:00 [error] 12#13: *7 connect() failed …, client: 127.0.0.1, server: a.b, …`
//!
//! Events of `tracing` become lines: `severity` names a level that tracing has not (`notice`,
//! `crit`, `alert`, `emerg`), `connection` is the number after the star, every other field is told
//! after the message. One line is one write to a file opened for appending, so that no lock is
//! held and lines of two processes do not mix. A line that cannot be written is lost, as nginx's.

use super::pid::open_failed;
use chrono::{Local, TimeZone as _};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use weir_cluster::{SystemClock, WallClock as _};
use weir_conf::nginx::process::LogLevel;

/// Fields that nginx writes in quotes.
const QUOTED: [&str; 4] = ["request", "upstream", "host", "referrer"];

/// Where lines go now; clones share it.
#[derive(Debug, Clone)]
pub(super) struct ErrorLog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sinks: RwLock<Arc<Vec<Sink>>>,
    /// The least important level that any of them takes.
    level: AtomicU8,
}

/// One `error_log`.
#[derive(Debug)]
pub(super) struct Sink {
    level: LogLevel,
    /// `None` is stderr.
    file: Option<(PathBuf, File)>,
}

impl Sink {
    /// Opens a file for appending; no path is stderr.
    ///
    /// # Errors
    /// nginx's words.
    pub(super) fn open(path: Option<PathBuf>, level: LogLevel) -> Result<Self, String> {
        let file = match path {
            Some(path) => {
                let file = append_to(&path).map_err(|error| open_failed(&path, &error))?;
                Some((path, file))
            }
            None => None,
        };
        Ok(Self { level, file })
    }

    pub(super) fn file(&self) -> Option<(&Path, &File)> {
        let (path, file) = self.file.as_ref()?;
        Some((path, file))
    }

    fn write(&self, line: &[u8]) {
        let _ = match &self.file {
            Some((_, file)) => (&*file).write_all(line),
            None => std::io::stderr().write_all(line),
        };
    }
}

impl ErrorLog {
    pub(super) fn new(sinks: Vec<Sink>) -> Self {
        let log = Self(Arc::new(Inner {
            sinks: RwLock::default(),
            level: AtomicU8::new(0),
        }));
        log.set(sinks);
        log
    }

    /// From now on lines go there.
    pub(super) fn set(&self, sinks: Vec<Sink>) {
        let level = sinks.iter().map(|sink| sink.level).max();
        let level = level.unwrap_or(LogLevel::Emerg);
        self.0.level.store(tracing_level(level), Ordering::Relaxed);
        *self.0.sinks.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(sinks);
        tracing::callsite::rebuild_interest_cache();
    }

    /// Opens the files anew: they were moved away. One that cannot be is kept as it is.
    pub(super) fn reopen(&self) {
        let mut fresh = Vec::new();
        for sink in self.sinks().iter() {
            let file = match &sink.file {
                None => None,
                Some((path, old)) => match append_to(path).or_else(|error| {
                    let why = open_failed(path, &error);
                    tracing::error!(severity = "emerg", "{why}");
                    old.try_clone()
                }) {
                    Ok(file) => Some((path.clone(), file)),
                    Err(_) => continue,
                },
            };
            let level = sink.level;
            fresh.push(Sink { level, file });
        }
        self.set(fresh);
    }

    /// A line of the process itself.
    pub(super) fn say(&self, level: LogLevel, message: &str) {
        let mut line = head(level, None);
        line.push_str(message);
        line.push('\n');
        self.write(level, &line);
    }

    /// Those written to now.
    pub(super) fn sinks(&self) -> Arc<Vec<Sink>> {
        let sinks = self.0.sinks.read();
        Arc::clone(&sinks.unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, level: LogLevel, line: &str) {
        for sink in self.sinks().iter().filter(|sink| level <= sink.level) {
            sink.write(line.as_bytes());
        }
    }

    fn takes(&self, metadata: &Metadata<'_>) -> bool {
        let own = metadata.target().starts_with("weir") && metadata.target() != "weir_lb::access";
        // Of libraries, only what is worth a look.
        let least = if own {
            self.0.level.load(Ordering::Relaxed)
        } else {
            self.0.level.load(Ordering::Relaxed).min(1)
        };
        rank(*metadata.level()) <= least && metadata.target() != "weir_lb::access"
    }
}

impl<S: Subscriber> Layer<S> for ErrorLog {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.takes(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.takes(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.0.level.load(Ordering::Relaxed) {
            0 => LevelFilter::ERROR,
            1 => LevelFilter::WARN,
            2 => LevelFilter::INFO,
            _ => LevelFilter::TRACE,
        })
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        if fields.is_noise {
            return;
        }
        let level = fields.severity.unwrap_or(match *event.metadata().level() {
            Level::ERROR => LogLevel::Error,
            Level::WARN => LogLevel::Warn,
            Level::INFO => LogLevel::Info,
            _ => LogLevel::Debug,
        });
        let mut line = head(level, fields.connection.as_deref());
        line.push_str(&fields.message);
        line.push_str(&fields.others);
        line.push('\n');
        self.write(level, &line);
    }
}

/// What an event says.
#[derive(Default)]
struct Fields {
    message: String,
    connection: Option<String>,
    severity: Option<LogLevel>,
    others: String,
    is_noise: bool,
}

impl Fields {
    fn take(&mut self, name: &str, value: String) {
        match name {
            "message" => self.message = one_line(value),
            "connection" => self.connection = Some(value),
            "severity" => self.severity = LogLevel::parse(&value),
            // The balancer tells of upstreams' failures itself.
            "log.target" => self.is_noise = value.starts_with("pingora_proxy"),
            name if name.starts_with("log.") => {}
            name if QUOTED.contains(&name) => {
                let _ = write!(self.others, ", {name}: \"{}\"", one_line(value));
            }
            name => {
                let _ = write!(self.others, ", {name}: {}", one_line(value));
            }
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.take(field.name(), format!("{value:?}"));
    }
}

/// A line's beginning.
fn head(level: LogLevel, connection: Option<&str>) -> String {
    let now = Local.timestamp_millis_opt(SystemClock.now_ms()).single();
    let now = now.map(|now| now.format("%Y/%m/%d %H:%M:%S").to_string());
    let mut line = format!(
        "{} [{}] {}#{}: ",
        now.unwrap_or_default(),
        level.as_str(),
        std::process::id(),
        rustix::thread::gettid().as_raw_nonzero()
    );
    if let Some(connection) = connection {
        let _ = write!(line, "*{connection} ");
    }
    line
}

/// What a client sent must not begin a line of its own.
fn one_line(text: String) -> String {
    if !text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return text;
    }
    let escaped = text.chars().map(|letter| {
        if letter.is_ascii_control() {
            format!("\\x{:02X}", u32::from(letter))
        } else {
            letter.to_string()
        }
    });
    escaped.collect()
}

fn append_to(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

fn rank(level: Level) -> u8 {
    match level {
        Level::ERROR => 0,
        Level::WARN => 1,
        Level::INFO => 2,
        _ => 3,
    }
}

/// The least important level of tracing that may hold lines of this one. A notice is an `INFO`.
fn tracing_level(level: LogLevel) -> u8 {
    match level {
        LogLevel::Emerg | LogLevel::Alert | LogLevel::Crit | LogLevel::Error => 0,
        LogLevel::Warn => 1,
        LogLevel::Notice | LogLevel::Info => 2,
        LogLevel::Debug => 3,
    }
}
