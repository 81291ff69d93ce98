//! From a checked configuration to a process that serves, and to its end.
//!
//! Order: logs, addresses, pid file, another user, threads: what needs root comes first, and
//! threads last. TERM and INT end at once, QUIT when the last request is answered.

use super::errors::ErrorLog;
use super::pid::PidFile;
use super::places::Places;
use super::user::Becomes;
use super::{Args, Fault, daemon, os_text};
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use weir_conf::nginx::Config;
use weir_lb::{Bound, Lb, LbOptions};

/// QUIT waits as long as it takes, unless `worker_shutdown_timeout` says otherwise.
const DRAIN_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// Serves until told to end.
pub(super) fn live(_: &Args, places: &Places, config: Config) -> Result<ExitCode, Fault> {
    let process = config.main.process.clone();
    let threads = config.main.worker_processes;
    if daemon::is_behind() {
        daemon::settle();
    }
    let log = ErrorLog::new(super::sinks(&config, places)?);
    // Fails only when a log was started before.
    let _ = tracing_subscriber::registry().with(log.clone()).try_init();
    crate::files::raise();
    let registry = prometheus::Registry::new();
    let bound = Lb::new(config, LbOptions::default(), &registry)
        .and_then(Lb::bind)
        .map_err(|error| Fault::of(&error))?;
    let becomes = Becomes::find(process.user.as_ref()).map_err(Fault::emerg)?;
    let pid = places.pid(process.pid.as_deref()).map(PidFile::write);
    let pid = pid.transpose().map_err(Fault::emerg)?;
    if let Some(becomes) = &becomes {
        for sink in log.sinks().iter() {
            if let Some((_, file)) = sink.file() {
                becomes.own(file);
            }
        }
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
    let result = runtime.block_on(serve(bound, &log));
    runtime.shutdown_background();
    if let Some(pid) = pid {
        pid.remove();
    }
    result.map_err(|error| Fault::emerg(os_text(&error)))?;
    tracing::info!(severity = "notice", "exit");
    Ok(ExitCode::SUCCESS)
}

async fn serve(bound: Bound, log: &ErrorLog) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut reopen = signal(SignalKind::user_defined1())?;
    let stop = CancellationToken::new();
    let mut running = tokio::spawn(bound.run(stop.clone(), DRAIN_MAX));
    tracing::info!(severity = "notice", "start worker processes");
    if daemon::is_behind() {
        let sinks = log.sinks();
        daemon::ready(sinks.iter().find_map(|sink| sink.file()).map(|it| it.1))?;
    }
    loop {
        tokio::select! {
            _ = terminate.recv() => {
                said("15 (SIGTERM)", "exiting");
                return Ok(());
            }
            _ = interrupt.recv() => {
                said("2 (SIGINT)", "exiting");
                return Ok(());
            }
            _ = quit.recv() => {
                said("3 (SIGQUIT)", "gracefully shutting down");
                stop.cancel();
            }
            _ = reopen.recv() => {
                said("10 (SIGUSR1)", "reopening logs");
                log.reopen();
            }
            _ = &mut running => return Ok(()),
        }
    }
}

fn said(signal: &str, what: &str) {
    tracing::info!(severity = "notice", "signal {signal} received, {what}");
}
