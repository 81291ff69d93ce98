//! `daemon on`: the process leaves the terminal and goes on behind it.
//!
//! Why a second process started anew, and no fork: a fork in the middle of a program is sound only
//! while it has one thread, which no compiler checks. The first process waits until the second
//! serves, and ends with its exit code if it does not: whoever calls `nginx` in a script knows, as
//! with nginx, whether the addresses could be had.

use super::inherit;
use rustix::process::setsid;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};

/// Set for the process that goes on.
pub(super) const MARK: &str = "WEIR_NGINX_DAEMON";

/// What it says on its stdout when it serves.
const READY: &[u8] = b"+";

/// Whether this process is the one that goes on.
pub(super) fn is_behind() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Starts the process that goes on, and waits until it serves or ends.
///
/// # Errors
/// No process could be started.
pub(super) fn leave() -> std::io::Result<ExitCode> {
    let mut words = std::env::args_os();
    let mut child = Command::new("/proc/self/exe")
        .arg0(words.next().unwrap_or_else(|| "nginx".into()))
        .args(words)
        .env(MARK, "1")
        .envs(handed_on())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let _ = stdout.take(READY.len() as u64).read_to_end(&mut said);
    }
    if said == READY {
        return Ok(ExitCode::SUCCESS);
    }
    let code = child
        .wait()?
        .code()
        .and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// systemd names the process that its sockets are for: that is not the one that goes on.
fn handed_on() -> Option<(&'static str, String)> {
    let numbers = inherit::numbers();
    let list: String = numbers.iter().map(|fd| format!("{fd};")).collect();
    (!list.is_empty()).then_some((inherit::VARIABLE, list))
}

/// Makes the process that goes on its own session's first.
pub(super) fn settle() {
    // Fails only for one that is first already.
    let _ = setsid();
}

/// Tells the waiting process that this one serves, and lets the terminal go: what is still written
/// to stderr (a panic's message) goes to the error log.
pub(super) fn ready(log: Option<&File>) -> std::io::Result<()> {
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(READY).and_then(|()| stdout.flush());
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(log.unwrap_or(&null))?;
    Ok(())
}
