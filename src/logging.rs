//! The log: lines for people or JSON for machines, on stderr; start-up lines go to stdout.
//!
//! Pingora logs through the `log` crate: its records are taken in as well. `RUST_LOG`, when set,
//! outranks the level of the settings, in the usual syntax (`info,weir_origin::access=debug`).

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use weir_conf::node::LogFormat;

/// Who says too much for the level chosen: libraries, whose words an operator has no use for, and
/// below `debug` the balancer's line a request. Pingora's proxy says an error for each client that
/// goes away inside a header; the balancer logs upstreams' failures itself. `RUST_LOG` asks for
/// more.
const QUIET: &str = "pingora_core=warn,pingora_proxy=off,hyper=warn";
const NO_ACCESS_LINES: &str = "weir_lb::access=warn";

/// Starts the log. Called once; a second call changes nothing.
pub(crate) fn start(level: &str, format: LogFormat, rust_log: Option<&str>) -> anyhow::Result<()> {
    let filter = match rust_log.filter(|text| !text.is_empty()) {
        Some(text) => EnvFilter::try_new(text)
            .map_err(|e| anyhow::anyhow!("environment variable RUST_LOG: {e}"))?,
        None if matches!(level, "debug" | "trace") => {
            EnvFilter::try_new(format!("{level},{QUIET}"))?
        }
        None => EnvFilter::try_new(format!("{level},{QUIET},{NO_ACCESS_LINES}"))?,
    };
    let base = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| Both)
        .with_ansi(false);
    // Fails only when a log was started before.
    let _ = match format {
        LogFormat::Json => base.with(lines.json()).try_init(),
        LogFormat::Text => base.with(lines).try_init(),
    };
    Ok(())
}

/// The most of the log that is kept for the management REST, bytes.
const KEPT_BYTES_MAX: usize = 1 << 20;

static KEPT: Mutex<Tail> = Mutex::new(Tail {
    bytes: VecDeque::new(),
    written: 0,
});

/// The last of the log.
struct Tail {
    bytes: VecDeque<u8>,
    /// Bytes since the process began.
    written: u64,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        let kept = &bytes[bytes.len().saturating_sub(KEPT_BYTES_MAX)..];
        let over = (self.bytes.len() + kept.len()).saturating_sub(KEPT_BYTES_MAX);
        self.bytes.drain(..over);
        self.bytes.extend(kept);
        self.written += bytes.len() as u64;
    }

    fn read(&self, offset: Option<u64>, size: usize) -> Vec<u8> {
        let begins = self.written - self.bytes.len() as u64;
        let skip = match offset {
            Some(offset) => usize::try_from(offset.saturating_sub(begins)).unwrap_or(usize::MAX),
            None => self.bytes.len().saturating_sub(size),
        };
        self.bytes.iter().skip(skip).take(size).copied().collect()
    }
}

/// Writes a line to stderr and keeps it.
struct Both;

impl Write for Both {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // A panic elsewhere left whole bytes behind.
        KEPT.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(bytes);
        std::io::stderr().write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// What is kept, for the management REST.
#[derive(Debug)]
pub(crate) struct Kept;

impl weir_api::LogTail for Kept {
    fn size(&self) -> u64 {
        KEPT.lock().unwrap_or_else(PoisonError::into_inner).written
    }

    fn read(&self, offset: Option<u64>, size: usize) -> Vec<u8> {
        let tail = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        tail.read(offset, size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_the_log_is_kept_and_no_more() {
        let mut tail = Tail {
            bytes: VecDeque::new(),
            written: 0,
        };
        tail.push(b"0123456789");
        assert_eq!(tail.read(None, 3), b"789");
        assert_eq!(tail.read(Some(2), 3), b"234");
        assert_eq!(tail.read(Some(99), 3), b"");
        tail.push(&vec![b'x'; KEPT_BYTES_MAX - 4]);
        assert_eq!(tail.written, KEPT_BYTES_MAX as u64 + 6);
        assert_eq!(tail.read(Some(0), 5), b"6789x", "what is gone is left out");
        tail.push(&vec![b'y'; 2 * KEPT_BYTES_MAX]);
        assert_eq!(tail.bytes.len(), KEPT_BYTES_MAX);
    }
}
