//! Listening sockets that this process was started with: from the one it takes over from
//! (`NGINX=FD;FD;`, as nginx passes them at USR2) or from systemd (`LISTEN_FDS` from number 3 on,
//! if `LISTEN_PID` is this process).
//!
//! Limits: [`SOCKETS_MAX`]. Failures: numbers that are no open files are passed over, as nginx
//! does, and said; which of the sockets are of use the balancer finds out by their addresses.

use std::collections::BTreeSet;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// nginx's own.
pub(super) const VARIABLE: &str = "NGINX";

/// systemd's (`sd_listen_fds(3)`), which are not for those that come after.
pub(super) const OF_SYSTEMD: [&str; 3] = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];

/// The first of systemd's.
const FIRST: RawFd = 3;

/// Most sockets taken.
const SOCKETS_MAX: usize = 4096;

/// Whether another process handed its sockets on: then this one is behind the terminal as the
/// other was.
pub(super) fn is_heir() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// The numbers to take, in order; each once.
pub(super) fn numbers() -> Vec<RawFd> {
    let text = |name: &str| std::env::var(name).unwrap_or_default();
    let mut seen = BTreeSet::new();
    let mut found = listed(&text(VARIABLE));
    found.extend(of_systemd(
        &text("LISTEN_PID"),
        &text("LISTEN_FDS"),
        std::process::id(),
    ));
    found.retain(|fd| seen.insert(*fd));
    found.truncate(SOCKETS_MAX);
    found
}

/// The sockets. Those of a second call would be others' by then, so it gets none.
#[expect(
    unsafe_code,
    reason = "a file that is known by its number alone cannot be had otherwise"
)]
pub(super) fn take() -> Vec<OwnedFd> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::SeqCst) {
        return Vec::new();
    }
    let open = |fd: &RawFd| std::fs::exists(format!("/proc/self/fd/{fd}")).unwrap_or(false);
    let (open, gone): (Vec<_>, Vec<_>) = numbers().into_iter().partition(open);
    for fd in gone {
        tracing::error!(severity = "emerg", "inherited socket #{fd} is not open");
    }
    let own = |fd| {
        // SAFETY: the file is open, whoever started this process says that it is for it to have,
        // and it is asked for once in the process's life, before anything else opens files that
        // could have got the number.
        unsafe { OwnedFd::from_raw_fd(fd) }
    };
    let sockets: Vec<OwnedFd> = open.into_iter().map(own).collect();
    for socket in &sockets {
        // Nobody who is started by us inherits it unasked.
        let _ = rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::CLOEXEC);
    }
    sockets
}

/// `FD;FD;`
fn listed(text: &str) -> Vec<RawFd> {
    let parts = text.split([';', ':']).filter(|part| !part.is_empty());
    let mut found = Vec::new();
    for part in parts {
        match part.parse::<RawFd>().ok().filter(|fd| *fd >= FIRST) {
            Some(fd) => found.push(fd),
            None => {
                tracing::error!(
                    severity = "emerg",
                    "invalid socket number \"{part}\" in {VARIABLE} environment variable, ignoring \
                     the rest of the variable"
                );
                break;
            }
        }
    }
    found
}

fn of_systemd(pid: &str, count: &str, own: u32) -> Vec<RawFd> {
    if pid.parse() != Ok(own) {
        return Vec::new();
    }
    let count: RawFd = count.parse().unwrap_or(0);
    (FIRST..FIRST.saturating_add(count))
        .take(SOCKETS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_passed() {
        assert_eq!(listed("7;9;"), [7, 9]);
        assert_eq!(listed("7;x;9;"), [7], "the rest is not to be trusted");
        for text in ["", ";", "-1;", "2;", "99999999999;"] {
            assert_eq!(listed(text), [0; 0], "{text}");
        }
        assert_eq!(of_systemd("42", "2", 42), [3, 4]);
        assert_eq!(of_systemd("41", "2", 42), [0; 0], "for another process");
        assert_eq!(of_systemd("42", "-1", 42), [0; 0]);
        assert_eq!(of_systemd("42", "999999999", 42).len(), SOCKETS_MAX);
    }
}
