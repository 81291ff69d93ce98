//! The pid file: written when the process serves, taken away when it ends.

use super::args::Order;
use super::upgrade::OLD;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Longest file that can be a pid file, bytes.
const BYTES_MAX: u64 = 64;

/// A pid file that is this process's.
#[derive(Debug)]
pub(super) struct PidFile {
    pub(super) path: PathBuf,
    file: File,
}

impl PidFile {
    /// Writes it.
    ///
    /// # Errors
    /// nginx's words.
    pub(super) fn write(path: PathBuf) -> Result<Self, String> {
        let fail = |error: std::io::Error| open_failed(&path, &error);
        let mut file = File::create(&path).map_err(fail)?;
        file.write_all(format!("{}\n", std::process::id()).as_bytes())
            .map_err(fail)?;
        Ok(Self { path, file })
    }

    /// Gives the name up for another process: nginx's `.oldbin`.
    ///
    /// # Errors
    /// nginx's words.
    pub(super) fn make_old(&mut self) -> Result<(), String> {
        let mut name = self.path.clone().into_os_string();
        name.push(OLD);
        let old = PathBuf::from(name);
        std::fs::rename(&self.path, &old)
            .map_err(|error| rename_failed(&self.path, &old, &error))?;
        self.path = old;
        Ok(())
    }

    /// Takes the name back.
    pub(super) fn make_current(&mut self) {
        let name = self.path.to_string_lossy().into_owned();
        let Some(current) = name.strip_suffix(OLD).map(PathBuf::from) else {
            return;
        };
        match std::fs::rename(&self.path, &current) {
            Ok(()) => self.path = current,
            Err(error) => {
                let why = rename_failed(&self.path, &current, &error);
                tracing::error!(severity = "alert", "{why}");
            }
        }
    }

    /// Takes it away. Who may not any more (privileges were dropped, and the folder is root's)
    /// leaves it without a number, so that nobody else is sent this process's signals.
    pub(super) fn remove(self) {
        if let Err(error) = std::fs::remove_file(&self.path)
            && self.file.set_len(0).is_err()
        {
            let (path, why) = (self.path.display(), super::os_text(&error));
            tracing::error!(severity = "alert", "unlink() \"{path}\" failed ({why})");
        }
    }
}

/// Sends the process of a pid file what `-s` asked for.
///
/// # Errors
/// nginx's words.
pub(super) fn send(path: &Path, order: Order) -> Result<(), String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(BYTES_MAX).read_to_string(&mut text));
    read.map_err(|error| open_failed(path, &error))?;
    let text = text.trim();
    let pid = text.parse::<i32>().ok().filter(|pid| *pid > 0);
    let pid = pid
        .and_then(Pid::from_raw)
        .ok_or_else(|| format!("invalid PID number \"{text}\" in \"{}\"", path.display()))?;
    let signal = match order {
        Order::Stop => Signal::TERM,
        Order::Quit => Signal::QUIT,
        Order::Reopen => Signal::USR1,
        Order::Reload => Signal::HUP,
    };
    kill_process(pid, signal).map_err(|error| {
        let (raw, text) = (pid.as_raw_nonzero(), super::os_text(&error.into()));
        format!("kill({raw}, {}) failed ({text})", signal.as_raw())
    })
}

fn rename_failed(from: &Path, to: &Path, error: &std::io::Error) -> String {
    let why = super::os_text(error);
    let (from, to) = (from.display(), to.display());
    format!("rename() {from} to {to} failed ({why})")
}

/// nginx's words for a file that cannot be opened.
pub(super) fn open_failed(path: &Path, error: &std::io::Error) -> String {
    let (path, why) = (path.display(), super::os_text(error));
    format!("open() \"{path}\" failed ({why})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_is_sent_a_signal() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nginx.pid");
        let why = send(&path, Order::Quit).unwrap_err();
        assert!(
            why.ends_with("failed (2: No such file or directory)"),
            "{why}"
        );
        for text in ["", "-1\n", "0\n", "x", "99999999999"] {
            std::fs::write(&path, text).unwrap();
            let why = send(&path, Order::Quit).unwrap_err();
            assert!(why.starts_with("invalid PID number"), "{text:?}: {why}");
        }
        let mut own = PidFile::write(path.clone()).unwrap();
        own.make_old().unwrap();
        assert!(!path.exists() && dir.path().join("nginx.pid.oldbin").exists());
        own.make_current();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
        own.remove();
        assert!(!path.exists());
    }
}
