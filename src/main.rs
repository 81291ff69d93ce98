//! The binary `weir`: reads the command line and the settings, runs the roles, ends in one line.
//!
//! Exit codes: 0 after a clean stop or a successful test, 1 for anything that a user can mend
//! (a bad file, a port in use, a store held by another process), 2 for a bad command line.

mod api;
mod apps;
mod banner;
mod cli;
mod doors;
mod figures;
mod files;
mod house;
mod last_seen;
mod logging;
mod network;
mod nginx;
mod recordings;
mod roles;
mod rooms;
mod settings;
mod signals;
mod static_origins;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Every TLS user in the process takes this provider; none may pick its own.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if let Some(words) = nginx::asked(std::env::args_os()) {
        return nginx::run(words);
    }
    let cli = cli::Cli::parse();
    if let Some(cli::Task::Load(args)) = cli.task {
        return weir_load::run(*args, files::raise());
    }
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in format!("{error:#}").lines() {
                banner::complain(line);
            }
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &cli::Cli) -> anyhow::Result<()> {
    let settings = settings::load(cli)?;
    if cli.test {
        settings.warn();
        banner::say(&format!(
            "weir: configuration {} test is successful",
            settings.source
        ));
        return Ok(());
    }
    let rust_log = std::env::var("RUST_LOG").ok();
    let log = &settings.config.log;
    logging::start(log.level.as_str(), log.format, rust_log.as_deref())?;
    settings.warn();
    files::raise_limit(settings.config.http.max_connections);
    house::run(settings)
}
