//! From a checked configuration to a process that serves, and to its end.
//!
//! Order: logs, addresses, pid file, another user, threads: what needs root comes first, and
//! threads last. TERM and INT end at once, QUIT when the last request is answered; HUP takes the
//! file anew, and leaves everything as it was if that cannot be done; USR2 runs another binary
//! beside this one ([`super::upgrade`]).

use super::cluster::{At, Cluster};
use super::errors::ErrorLog;
use super::pid::{PidFile, open_failed};
use super::places::Places;
use super::upgrade::Upgrade;
use super::user::Becomes;
use super::{Args, Fault, daemon, inherit, os_text};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use weir_conf::nginx::Config;
use weir_conf::nginx::process::LogLevel;
use weir_lb::{AccessLogs, Bound, Lb, LbOptions, Running};

/// QUIT waits as long as it takes, unless `worker_shutdown_timeout` says otherwise.
const DRAIN_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// Serves until told to end.
pub(super) fn live(args: &Args, places: &Places, config: Config) -> Result<ExitCode, Fault> {
    let upgrade = Upgrade::new();
    let process = config.main.process.clone();
    let threads = config.main.worker_processes;
    if daemon::is_behind() {
        daemon::settle();
    }
    // For who looks for it by name (`pidof`, `killall`), however it was called.
    let _ = rustix::thread::set_name(c"nginx");
    let log = ErrorLog::new(super::sinks(&config, places)?);
    // Fails only when a log was started before.
    let _ = tracing_subscriber::registry().with(log.clone()).try_init();
    crate::files::limit(process.files_max);
    let registry = prometheus::Registry::new();
    let (access_logs, writer) = AccessLogs::new(Path::new(&places.prefix));
    let at = At::read(&config)?;
    let cluster = Cluster::new();
    let options = LbOptions {
        access_logs: Some(access_logs.clone()),
        ..cluster.options()
    };
    let bound = Lb::new(config.clone(), options, &registry)
        .and_then(|lb| lb.bind_with(inherit::take()))
        .map_err(|error| Fault::of(&error))?;
    let becomes = Becomes::find(process.user.as_ref()).map_err(Fault::emerg)?;
    let pid = places.pid(process.pid.as_deref()).map(PidFile::write);
    let pid = pid.transpose().map_err(Fault::emerg)?;
    if let Some(at) = &at {
        at.make_dir(becomes.as_ref());
    }
    if let Some(becomes) = &becomes {
        for sink in log.sinks().iter() {
            if let Some((_, file)) = sink.file() {
                becomes.own(file);
            }
        }
        access_logs.each(|file| becomes.own(file));
        becomes.become_it().map_err(Fault::emerg)?;
    }
    let mut builder = Builder::new_multi_thread();
    if let Some(threads) = threads {
        builder.worker_threads(usize::try_from(threads.clamp(1, 1024)).unwrap_or(1));
    }
    let runtime = builder
        .enable_all()
        .thread_name("nginx")
        .build()
        .map_err(|error| Fault::emerg(format!("cannot start threads ({})", os_text(&error))))?;
    runtime.spawn_blocking(|| writer.run());
    let logs = access_logs.clone();
    let mut life = Life {
        args,
        places,
        log,
        access_logs,
        config,
        pid,
        upgrade,
        cluster,
    };
    let result = runtime.block_on(life.serve(bound, at));
    let pid = life.pid.take();
    logs.flush();
    runtime.shutdown_background();
    if let Some(pid) = pid {
        pid.remove();
    }
    result.map_err(|error| Fault::emerg(os_text(&error)))?;
    tracing::info!(severity = "notice", "exit");
    Ok(ExitCode::SUCCESS)
}

/// A process that serves.
struct Life<'a> {
    args: &'a Args,
    places: &'a Places,
    log: ErrorLog,
    access_logs: AccessLogs,
    /// What it serves by.
    config: Config,
    pid: Option<PidFile>,
    upgrade: Upgrade,
    cluster: Cluster,
}

impl Life<'_> {
    async fn serve(&mut self, bound: Bound, at: Option<At>) -> std::io::Result<()> {
        let mut signals = Signals::new()?;
        self.cluster.follow(at);
        let mut running = bound.start();
        tracing::info!(severity = "notice", "start worker processes");
        if daemon::is_behind() {
            let sinks = self.log.sinks();
            daemon::ready(sinks.iter().find_map(|sink| sink.file()).map(|it| it.1))?;
        }
        loop {
            let told = tokio::select! {
                told = signals.next() => told,
                () = self.upgrade.ended() => Told::Alone,
            };
            match told {
                Told::End(name) => {
                    said(name, "exiting");
                    running.end().await;
                    return Ok(());
                }
                Told::Quit => {
                    said("3 (SIGQUIT)", "gracefully shutting down");
                    break;
                }
                // As nginx: while another binary runs, it comes back as it was.
                Told::Reload if self.upgrade.is_on() => {
                    said("1 (SIGHUP)", "starting workers again");
                    self.resume(&mut running);
                }
                Told::Reload => {
                    said("1 (SIGHUP)", "reconfiguring");
                    self.reload(&mut running);
                }
                Told::Upgrade if self.upgrade.is_on() => {
                    said("12 (SIGUSR2)", "the changing binary signal is ignored");
                }
                Told::Upgrade => {
                    said("12 (SIGUSR2)", "changing binary");
                    self.upgrade.start(&running.sockets(), self.pid.as_mut());
                    running.leave_paths(self.upgrade.is_on());
                }
                Told::Alone => self.alone(&mut running),
                Told::Reopen => {
                    said("10 (SIGUSR1)", "reopening logs");
                    self.reopen();
                }
                Told::Pause => {
                    said("28 (SIGWINCH)", "gracefully shutting down workers");
                    running.pause();
                }
            }
        }
        let drain = running.drain(DRAIN_MAX);
        tokio::pin!(drain);
        loop {
            tokio::select! {
                () = &mut drain => return Ok(()),
                told = signals.next() => match told {
                    Told::End(name) => {
                        said(name, "exiting");
                        return Ok(());
                    }
                    Told::Reopen => self.reopen(),
                    Told::Quit | Told::Reload | Told::Pause | Told::Upgrade | Told::Alone => {}
                }
            }
        }
    }

    fn reopen(&self) {
        self.log.reopen();
        for (path, error) in self.access_logs.reopen() {
            let why = open_failed(&path, &error);
            tracing::error!(severity = "emerg", "{why}");
        }
    }

    /// The other binary has ended: this process is as before.
    fn alone(&mut self, running: &mut Running) {
        self.upgrade.over(self.pid.as_mut());
        running.leave_paths(false);
        if running.is_paused() {
            self.resume(running);
        }
    }

    /// Serves again by the file it has, after it was told to accept no more.
    fn resume(&self, running: &mut Running) {
        match tokio::task::block_in_place(|| running.reload(&self.config)) {
            Ok(()) => tracing::info!(severity = "notice", "start worker processes"),
            Err(error) => {
                let fault = Fault::of(&error);
                self.log.say(fault.level, &fault.message);
            }
        }
    }

    /// Takes the file as it is now; if anything is wrong with it, the process goes on as it was.
    fn reload(&mut self, running: &mut Running) {
        // Names in the file may have to be resolved, which blocks.
        let outcome = tokio::task::block_in_place(|| {
            let config = super::load(self.args, self.places)?;
            let sinks = super::sinks(&config, self.places)?;
            let at = At::read(&config)?;
            for warning in &config.warnings {
                let plain = warning.strip_prefix("[warn] ").unwrap_or(warning);
                self.log.say(LogLevel::Warn, plain);
            }
            running.reload(&config).map_err(|error| Fault::of(&error))?;
            Ok::<_, Fault>((sinks, at, config))
        });
        match outcome {
            Ok((sinks, at, config)) => {
                self.cluster.follow(at);
                self.log.set(sinks);
                self.config = config;
                tracing::info!(severity = "notice", "start worker processes");
            }
            Err(fault) => self.log.say(fault.level, &fault.message),
        }
    }
}

/// What a signal asks for.
enum Told {
    /// TERM or INT: at once.
    End(&'static str),
    Quit,
    Reload,
    Reopen,
    /// WINCH: nothing new, until the next reload.
    Pause,
    /// USR2: another binary.
    Upgrade,
    /// The other binary's process has ended.
    Alone,
}

/// The signals, taken in from now on.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hang_up: Signal,
    reopen: Signal,
    pause: Signal,
    upgrade: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hang_up: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
            pause: signal(SignalKind::window_change())?,
            upgrade: signal(SignalKind::user_defined2())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::End("15 (SIGTERM)"),
            _ = self.interrupt.recv() => Told::End("2 (SIGINT)"),
            _ = self.quit.recv() => Told::Quit,
            _ = self.hang_up.recv() => Told::Reload,
            _ = self.reopen.recv() => Told::Reopen,
            _ = self.pause.recv() => Told::Pause,
            _ = self.upgrade.recv() => Told::Upgrade,
        }
    }
}

fn said(signal: &str, what: &str) {
    tracing::info!(severity = "notice", "signal {signal} received, {what}");
}
