//! USR2: another binary takes over, with the sockets this process listens on.
//!
//! nginx's way: the pid file is renamed to `.oldbin`, the program that now stands where this one
//! was started from is run with the same words and `NGINX=FD;FD;`, and both accept. Whoever drives
//! it sends this one QUIT when the other does well (or WINCH first, and HUP to come back); if the
//! other ends, its pid file's name comes back to this one. Limits: one at a time. Failures: said
//! in the error log, and this process goes on as it was.

use super::inherit::{OF_SYSTEMD, VARIABLE};
use super::pid::PidFile;
use rustix::thread::{CapabilitySet, capabilities, configure_capability_in_ambient_set};
use std::ffi::OsString;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tokio::sync::Notify;

/// What is renamed to when another process takes the name.
pub(super) const OLD: &str = ".oldbin";

/// Another binary's process, if there is one.
pub(super) struct Upgrade {
    program: Option<PathBuf>,
    new: Option<u32>,
    /// Told when it has ended.
    ended: Arc<Notify>,
}

impl Upgrade {
    /// To be made when the process starts: later the program's place may hold another.
    pub(super) fn new() -> Self {
        Self {
            program: std::env::current_exe().ok(),
            new: None,
            ended: Arc::new(Notify::new()),
        }
    }

    /// Whether another binary runs.
    pub(super) fn is_on(&self) -> bool {
        self.new.is_some()
    }

    /// Waits until the other process ends.
    pub(super) fn ended(&self) -> impl Future<Output = ()> + use<> {
        let ended = Arc::clone(&self.ended);
        async move { ended.notified().await }
    }

    /// Starts the other process; `pid` is this one's file.
    pub(super) fn start(&mut self, sockets: &[BorrowedFd<'_>], pid: Option<&mut PidFile>) {
        let Some(program) = self.program.clone() else {
            tracing::error!(severity = "alert", "the program's own place is not known");
            return;
        };
        let shown = program.display();
        let mut pid = pid;
        if let Some(file) = pid.as_deref_mut()
            && let Err(why) = file.make_old()
        {
            let what = format!("{why} before executing new binary process \"{shown}\"");
            tracing::error!(severity = "alert", "{what}");
            return;
        }
        match spawn(&program, sockets) {
            Ok(child) => {
                tracing::info!(
                    severity = "notice",
                    "start new binary process {}",
                    child.id()
                );
                self.new = Some(child.id());
                let ended = Arc::clone(&self.ended);
                tokio::task::spawn_blocking(move || wait(child, &ended));
            }
            Err(error) => {
                let why = super::os_text(&error);
                tracing::error!(severity = "alert", "execve() \"{shown}\" failed ({why})");
                if let Some(file) = pid {
                    file.make_current();
                }
            }
        }
    }

    /// The other process has ended: this one has the name again.
    pub(super) fn over(&mut self, pid: Option<&mut PidFile>) {
        self.new = None;
        if let Some(file) = pid {
            file.make_current();
        }
    }
}

fn wait(mut child: Child, ended: &Notify) {
    let id = child.id();
    match child.wait() {
        Ok(status) => tracing::info!(severity = "notice", "new binary process {id}: {status}"),
        Err(error) => tracing::error!(%error, "new binary process {id} cannot be waited for"),
    }
    ended.notify_one();
}

fn spawn(program: &std::path::Path, sockets: &[BorrowedFd<'_>]) -> std::io::Result<Child> {
    // Copies are inherited, as originals are not.
    let copies = sockets.iter().map(rustix::io::dup);
    let copies = copies.collect::<Result<Vec<_>, _>>()?;
    let list: String = copies
        .iter()
        .map(|socket| format!("{};", socket.as_raw_fd()))
        .collect();
    let mut words = std::env::args_os();
    let mut command = Command::new(program);
    command
        .arg0(words.next().unwrap_or_else(|| OsString::from("nginx")))
        .args(words)
        .env(VARIABLE, list)
        .stdin(Stdio::null());
    for name in OF_SYSTEMD {
        command.env_remove(name);
    }
    // Rights go from thread to process: what is set for it stays with this one thread.
    std::thread::scope(|scope| {
        let work = scope.spawn(move || {
            hand_on_rights();
            command.spawn()
        });
        work.join()
            .unwrap_or_else(|_| Err(std::io::Error::other("the thread that starts it died")))
    })
}

/// The rights that a process of root's keeps (see [`super::user`]), for the other one too.
fn hand_on_rights() {
    let wanted = [
        CapabilitySet::NET_BIND_SERVICE,
        CapabilitySet::DAC_READ_SEARCH,
    ];
    let Ok(mut sets) = capabilities(None) else {
        return;
    };
    if rustix::process::geteuid().is_root() {
        return;
    }
    for right in wanted
        .into_iter()
        .filter(|right| sets.permitted.contains(*right))
    {
        sets.inheritable |= right;
        // Without it the other can bind no new port below 1024, and says so when it has to.
        let _ = rustix::thread::set_capabilities(None, sets);
        let _ = configure_capability_in_ambient_set(right, true);
    }
}
