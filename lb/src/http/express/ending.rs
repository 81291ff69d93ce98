//! How a plain request ends: answered, broken off, or handed on to Pingora with word of why.

use std::sync::atomic::Ordering;

use super::exchange::{Done, Failed, Try};
use super::logged::Ended;
use super::relay::Stop;
use crate::balance::Outcome;
use crate::http::tries::Tries;
use crate::metrics::UpstreamFault;

impl Try<'_> {
    /// Whether the answer's status sends the request to the next peer, if there is one.
    pub(super) fn is_passed_over(&self) -> bool {
        let model = &self.proxy.model;
        model.next.statuses.contains(&self.status) && {
            let tries = match model.next_tries {
                0 => self.group.tries(),
                tries => self.group.tries().min(tries as usize),
            };
            let limit_ms = u128::from(model.next_timeout_ms);
            let left = limit_ms == 0 || self.started.elapsed().as_millis() < limit_ms;
            let goes_on = tries > 1 && left;
            let may = !goes_on || self.group.may_retry();
            if !may {
                self.group.metrics.retries_refused.inc();
            }
            goes_on && may
        }
    }

    pub(super) fn pass_over(self) -> Done {
        let harmless = matches!(self.status, 403 | 404);
        let failed = self.failed(UpstreamFault::Status, String::new(), Some(self.status));
        self.lease.observe(self.status < 500);
        self.lease.finish(if harmless {
            Outcome::Abandoned
        } else {
            Outcome::Failed
        });
        Done::Over(Some(failed))
    }

    /// The answer is for the long way, which asks once more; and so will the next requests go.
    pub(super) fn leave(self) -> Done {
        if let Some((express, _)) = self.short.way(self.location) {
            express.closed.store(true, Ordering::Relaxed);
        }
        self.lease.finish(Outcome::Abandoned);
        Done::Over(None)
    }

    /// A try failed before an answer began.
    pub(super) fn fail(self, stop: Stop, connecting: bool) -> Done {
        let (fault, reason) = match stop {
            Stop::Client => {
                self.end(Outcome::Abandoned);
                return Done::Close;
            }
            Stop::Timeout => (UpstreamFault::Timeout, String::new()),
            Stop::Invalid => (UpstreamFault::Invalid, String::new()),
            // No socket to be had: no peer's fault, and the long way says so.
            Stop::Broken(error) if connecting && is_ours(&error) => {
                self.lease.finish(Outcome::Abandoned);
                return Done::Over(None);
            }
            Stop::Broken(error) if connecting => (UpstreamFault::Connect, error.to_string()),
            Stop::Broken(error) => (UpstreamFault::Broken, error.to_string()),
        };
        let failed = self.failed(fault, reason, None);
        self.lease.observe(false);
        self.lease.finish(Outcome::Failed);
        Done::Over(Some(failed))
    }

    fn failed(&self, fault: UpstreamFault, reason: String, status: Option<u16>) -> Box<Failed> {
        let peer = self.lease.peer();
        let mut tries = Tries::default();
        tries.begin_at(&peer.name, self.started);
        if let Some(status) = status {
            tries.answered(status, 0);
        }
        Box::new(Failed {
            peer: peer.number,
            name: peer.name.clone(),
            fault,
            reason,
            started: self.started,
            tries,
        })
    }

    /// An answer ended before its end.
    pub(super) fn broke_off(&self, stop: &Stop) {
        let (fault, reason) = match stop {
            Stop::Client => return,
            Stop::Timeout => (UpstreamFault::Timeout, None),
            Stop::Invalid => (UpstreamFault::Invalid, None),
            Stop::Broken(error) => (UpstreamFault::Broken, Some(error)),
        };
        self.group.metrics.failed(fault);
        let what = match fault {
            UpstreamFault::Timeout => "upstream timed out (110: Connection timed out)",
            _ => "upstream prematurely closed connection",
        };
        tracing::error!(
            connection = self.conn.serial,
            client = %self.conn.remote_text,
            group = %self.group.name,
            upstream = %self.lease.peer().name,
            reason = reason.map(tracing::field::display),
            "{what} while reading upstream"
        );
    }

    /// Gives the peer back, counts and logs.
    pub(super) fn end(self, outcome: Outcome) {
        self.group.metrics.answered(self.status);
        self.short.site.metrics.plain.inc();
        self.short.logged(&Ended {
            down: self.down,
            conn: self.conn,
            job: self.job,
            location: self.location,
            peer: &self.lease.peer().name,
            status: self.status,
            sent: self.sent,
            started: self.started,
        });
        self.lease.finish(outcome);
    }
}

fn is_ours(error: &std::io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc_errno::EMFILE | libc_errno::ENFILE | libc_errno::EADDRNOTAVAIL)
    )
}

/// Linux's numbers of what a socket can fail for before anything goes to the network.
mod libc_errno {
    pub(super) const ENFILE: i32 = 23;
    pub(super) const EMFILE: i32 = 24;
    pub(super) const EADDRNOTAVAIL: i32 = 99;
}
