//! SIGTERM and SIGINT: the first asks for a clean stop, the second ends the process at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Exit code of a process that a second signal ended: 128 + SIGINT, as shells say it.
const IMPATIENT_EXIT_CODE: i32 = 130;

/// The two signals, taken in from now on.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the signals over. To be called on the runtime that will wait for them.
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for one of them; gives its name.
    pub(crate) async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// From now on one more signal ends the process without ceremony.
    pub(crate) fn end_at_the_next(mut self) {
        tokio::spawn(async move {
            let name = self.wait().await;
            crate::banner::complain(&format!("{name} again: ending at once"));
            std::process::exit(IMPATIENT_EXIT_CODE);
        });
    }
}
