//! Being nginx: the process that `nginx` or `weir nginx` starts from one nginx.conf, with nginx's
//! options, signals, files and complaints.
//!
//! Why apart from [`crate::house`]: people, systemd, logrotate and certbot drive nginx by its own
//! contract, and need nothing else for a balancer: no properties, no store, no node. Exit codes are
//! nginx's: 0, or 1 with the reason on stderr and in the error log.

mod args;
mod cluster;
mod daemon;
mod errors;
mod inherit;
mod life;
mod pid;
mod places;
mod upgrade;
mod user;
mod version;

use args::Args;
use errors::{ErrorLog, Sink};
use places::Places;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use weir_conf::nginx::process::{LogLevel, LogTarget};
use weir_conf::nginx::{self, Config};

pub(crate) use args::asked;

/// Does what the words after `nginx` say.
pub(crate) fn run(words: Vec<OsString>) -> ExitCode {
    let args = match args::parse(words) {
        Ok(args) => args,
        Err(why) => {
            complain(&why);
            return ExitCode::FAILURE;
        }
    };
    if args.version {
        say(&version::line());
        if args.help {
            say(&Places::usage());
        }
        if args.configure {
            say(&version::configure());
        }
        if !args.test {
            return ExitCode::SUCCESS;
        }
    }
    let places = Places::new(&args);
    let early = early_log(&places);
    let outcome = go(&args, &places, &early);
    if let Err(fault) = &outcome {
        fault.tell(&early);
    }
    if args.test {
        let file = places.file.display();
        if outcome.is_err() {
            complain(&format!("configuration file {file} test failed"));
        } else if !args.quiet {
            complain(&format!("configuration file {file} test is successful"));
        }
    }
    match outcome {
        Ok(code) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Why the process ends, for stderr and the error log.
#[derive(Debug)]
struct Fault {
    level: LogLevel,
    message: String,
}

impl Fault {
    fn emerg(message: impl Into<String>) -> Self {
        let level = LogLevel::Emerg;
        let message = message.into();
        Self { level, message }
    }

    /// Of an error that may carry its level already, as those of the configuration do.
    fn of(error: &dyn std::fmt::Display) -> Self {
        let text = error.to_string();
        Self::emerg(text.strip_prefix("[emerg] ").unwrap_or(&text))
    }

    fn tell(&self, log: &ErrorLog) {
        log.say(self.level, &self.message);
        // The log may be stderr itself, which then has the line already.
        if log.sinks().iter().all(|sink| sink.file().is_some()) {
            complain(&format!("[{}] {}", self.level.as_str(), self.message));
        }
    }
}

fn go(args: &Args, places: &Places, early: &ErrorLog) -> Result<ExitCode, Fault> {
    let config = load(args, places)?;
    for warning in warnings(&config) {
        early.say(LogLevel::Warn, &warning);
        complain(&format!("[warn] {warning}"));
    }
    if args.test {
        test(args, places, &config)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(order) = args.signal {
        early.say(LogLevel::Notice, "signal process started");
        let path = places.pid(config.main.process.pid.as_deref());
        let path = path.ok_or_else(|| Fault::emerg("there is no pid file: \"pid off\""))?;
        pid::send(&path, order).map_err(|message| Fault {
            level: LogLevel::Error,
            message,
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    if config.main.process.daemon && !daemon::is_behind() && !inherit::is_heir() {
        return daemon::leave().map_err(|error| {
            Fault::emerg(format!("cannot start a process ({})", os_text(&error)))
        });
    }
    life::live(args, places, config)
}

/// Reads the file and what `-g` says.
fn load(args: &Args, places: &Places) -> Result<Config, Fault> {
    let options = nginx::LoadOptions {
        as_nginx: true,
        openssl: cfg!(feature = "openssl"),
        access_log: Some(places::ACCESS_LOG.to_owned()),
        globals: args.globals.clone(),
        ..nginx::LoadOptions::default()
    };
    nginx::load(&places.file, &options).map_err(|error| Fault::of(&error))
}

/// What is worth a word, without its level.
fn warnings(config: &Config) -> Vec<String> {
    let plain = |it: &String| it.strip_prefix("[warn] ").unwrap_or(it).to_owned();
    let mut all: Vec<String> = config.warnings.iter().map(plain).collect();
    if config.main.process.user.is_some() && !rustix::process::geteuid().is_root() {
        all.push(
            "the \"user\" directive makes sense only if the master process runs with super-user \
             privileges, ignored"
                .to_owned(),
        );
    }
    all
}

/// `-t`, `-T`: everything that can be tried without listening.
fn test(args: &Args, places: &Places, config: &Config) -> Result<(), Fault> {
    sinks(config, places)?;
    cluster::At::read(config)?;
    user::Becomes::find(config.main.process.user.as_ref()).map_err(Fault::emerg)?;
    let registry = prometheus::Registry::new();
    let (access_logs, _) = weir_lb::AccessLogs::new(Path::new(&places.prefix));
    let cluster = cluster::Cluster::new();
    let options = weir_lb::LbOptions {
        access_logs: Some(access_logs),
        ..cluster.options()
    };
    weir_lb::Lb::new(config.clone(), options, &registry).map_err(|error| Fault::of(&error))?;
    if !args.quiet {
        let file = places.file.display();
        complain(&format!("the configuration file {file} syntax is ok"));
    }
    if args.dump {
        dump(config).map_err(|error| Fault::emerg(os_text(&error)))?;
    }
    Ok(())
}

/// `-T`: the files as they were read, and after them, as comments, what has no effect here.
fn dump(config: &Config) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let mut shown: Vec<&PathBuf> = Vec::new();
    for path in &config.files {
        if shown.contains(&path) {
            continue;
        }
        shown.push(path);
        writeln!(out, "# configuration file {}:", path.display())?;
        out.write_all(&std::fs::read(path)?)?;
        writeln!(out)?;
    }
    if !config.noops().is_empty() {
        writeln!(out, "# accepted without effect:")?;
    }
    for no_op in config.noops() {
        writeln!(out, "# {} in {}: {}", no_op.what, no_op.pos, no_op.why)?;
    }
    out.flush()
}

/// The error logs that a configuration names, opened.
fn sinks(config: &Config, places: &Places) -> Result<Vec<Sink>, Fault> {
    let logs = &config.main.process.error_logs;
    if logs.is_empty() {
        let path = &places.error_log;
        let path = (!path.is_empty()).then(|| places.full(path));
        return Ok(vec![
            Sink::open(path, LogLevel::Error).map_err(Fault::emerg)?,
        ]);
    }
    let open = |log: &nginx::process::ErrorLog| {
        let path = match &log.target {
            LogTarget::File(path) => Some(places.full(path)),
            LogTarget::Stderr => None,
        };
        Sink::open(path, log.level).map_err(Fault::emerg)
    };
    logs.iter().map(open).collect()
}

/// The log until the file is read. One that cannot be opened is told of and done without.
fn early_log(places: &Places) -> ErrorLog {
    let path = &places.error_log;
    let path = (!path.is_empty()).then(|| places.full(path));
    let sink = Sink::open(path, LogLevel::Notice);
    ErrorLog::new(match sink {
        Ok(sink) => vec![sink],
        Err(why) => {
            complain(&format!("[alert] could not open error log file: {why}"));
            // Said on stderr in any case.
            Vec::new()
        }
    })
}

fn complain(line: &str) {
    say(&format!("nginx: {line}\n"));
}

fn say(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// The system's reason as nginx writes it: `2: No such file or directory`.
fn os_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    let Some(code) = error.raw_os_error() else {
        return text;
    };
    let plain = text.strip_suffix(&format!(" (os error {code})"));
    format!("{code}: {}", plain.unwrap_or(&text))
}
