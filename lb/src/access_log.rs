//! Access logs in files, as `access_log` and `log_format` say: lines from requests to one thread
//! that writes them.
//!
//! Why a thread: a request must not wait for a disk. Limits: [`LINES_MAX`] lines wait; when the
//! disk is slower than that for long, lines are dropped, and the log of errors says how many.
//! Lines that wait are written together. A file is opened for appending at the start and anew at
//! [`AccessLogs::reopen`]; one that cannot be then is written on as it is.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;

/// Lines that wait to be written, in all files together.
const LINES_MAX: usize = 16_384;
/// Most bytes written at once.
const BATCH_BYTES_MAX: usize = 64 << 10;
/// How long [`AccessLogs::flush`] waits for the disk.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);

/// The access logs of a process; clones share them.
#[derive(Debug, Clone)]
pub struct AccessLogs(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// What relative paths are relative to.
    prefix: PathBuf,
    files: Mutex<BTreeMap<PathBuf, Weak<LogFile>>>,
    queue: SyncSender<Job>,
    lost: AtomicU64,
}

/// An open file.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    file: ArcSwap<File>,
}

enum Job {
    Line(Arc<LogFile>, Vec<u8>),
    Flush(SyncSender<()>),
}

/// What writes the lines: to be run on a thread of its own.
#[derive(Debug)]
pub struct AccessLogWriter(Receiver<Job>);

impl AccessLogs {
    /// The logs of a process whose relative paths are relative to `prefix`, and their writer.
    #[must_use]
    pub fn new(prefix: &Path) -> (Self, AccessLogWriter) {
        let (queue, jobs) = sync_channel(LINES_MAX);
        let inner = Inner {
            prefix: prefix.to_path_buf(),
            files: Mutex::default(),
            queue,
            lost: AtomicU64::new(0),
        };
        (Self(Arc::new(inner)), AccessLogWriter(jobs))
    }

    /// Opens the files anew: they were moved away. Says which could not be, and why.
    pub fn reopen(&self) -> Vec<(PathBuf, std::io::Error)> {
        let mut failed = Vec::new();
        for file in self.open_files() {
            match append_to(&file.path) {
                Ok(fresh) => file.file.store(Arc::new(fresh)),
                Err(error) => failed.push((file.path.clone(), error)),
            }
        }
        failed
    }

    /// Does something with every file, to give it to another user, say.
    pub fn each(&self, work: impl Fn(&File)) {
        for file in self.open_files() {
            work(&file.file.load());
        }
    }

    /// Waits until what was logged is written, for a process that ends.
    pub fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.0.queue.send(Job::Flush(done)).is_ok() {
            // The disk hangs, or the writer never ran: nothing is left to be done.
            let _ = written.recv_timeout(FLUSH_LIMIT);
        }
    }

    /// Opens a file of the configuration, once however many name it.
    pub(crate) fn open(&self, path: &str) -> Result<Arc<LogFile>, (PathBuf, std::io::Error)> {
        let path = self.0.prefix.join(path);
        let mut files = self.lock();
        files.retain(|_, file| file.strong_count() > 0);
        if let Some(file) = files.get(&path).and_then(Weak::upgrade) {
            return Ok(file);
        }
        let opened = append_to(&path).map_err(|error| (path.clone(), error))?;
        let file = Arc::new(LogFile {
            path: path.clone(),
            file: ArcSwap::from_pointee(opened),
        });
        files.insert(path, Arc::downgrade(&file));
        Ok(file)
    }

    /// Has a line written, its end included; or drops it if too many wait.
    pub(crate) fn write(&self, file: &Arc<LogFile>, line: Vec<u8>) {
        match self.0.queue.try_send(Job::Line(Arc::clone(file), line)) {
            Ok(()) => {
                let lost = self.0.lost.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    tracing::warn!(lost, "access log lines dropped: the disk is too slow");
                }
            }
            Err(TrySendError::Full(_)) => {
                self.0.lost.fetch_add(1, Ordering::Relaxed);
            }
            Err(TrySendError::Disconnected(_)) => {}
        }
    }

    fn open_files(&self) -> Vec<Arc<LogFile>> {
        self.lock().values().filter_map(Weak::upgrade).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<PathBuf, Weak<LogFile>>> {
        self.0.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AccessLogWriter {
    /// Writes until every [`AccessLogs`] is gone.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "there is one writer, and it runs to its end"
    )]
    pub fn run(self) {
        let mut held: Option<Job> = None;
        loop {
            let Some(job) = held.take().or_else(|| self.0.recv().ok()) else {
                return;
            };
            match job {
                Job::Flush(done) => {
                    // Who asked may have gone.
                    let _ = done.try_send(());
                }
                Job::Line(file, mut batch) => {
                    while batch.len() < BATCH_BYTES_MAX {
                        match self.0.try_recv() {
                            Ok(Job::Line(other, line)) if Arc::ptr_eq(&other, &file) => {
                                batch.extend_from_slice(&line);
                            }
                            Ok(other) => {
                                held = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    if let Err(error) = (&**file.file.load()).write_all(&batch) {
                        let path = file.path.display();
                        tracing::error!(severity = "alert", %error, "write() to \"{path}\" failed");
                    }
                }
            }
        }
    }
}

fn append_to(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_written_in_order_and_files_opened_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (logs, writer) = AccessLogs::new(dir.path());
        let file = logs.open("a.log").unwrap();
        let same = logs.open("a.log").unwrap();
        assert!(Arc::ptr_eq(&file, &same));
        let writing = std::thread::spawn(|| writer.run());
        logs.write(&file, b"1\n".to_vec());
        logs.write(&same, b"2\n".to_vec());
        logs.flush();
        let path = dir.path().join("a.log");
        std::fs::rename(&path, dir.path().join("old")).unwrap();
        assert!(logs.reopen().is_empty());
        logs.write(&file, b"3\n".to_vec());
        logs.flush();
        let text = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(
            (text("old").as_str(), text("a.log").as_str()),
            ("1\n2\n", "3\n")
        );
        assert!(logs.open("none/a.log").is_err());
        drop(logs);
        writing.join().unwrap();
    }

    #[test]
    fn what_nobody_writes_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let (logs, _writer) = AccessLogs::new(dir.path());
        let file = logs.open("a.log").unwrap();
        for _ in 0..LINES_MAX + 5 {
            logs.write(&file, b"x\n".to_vec());
        }
        assert_eq!(logs.0.lost.load(Ordering::Relaxed), 5);
    }
}
