//! Following a store: its changes where it tells them, a regular "look again" where it does not.
//!
//! Whoever keeps a copy of something in the store has the same three cases to handle: changes
//! come; changes were lost (the reader lagged, or the store lost its place); the store cannot tell
//! changes at all, or not now. [`Follower`] makes two words of them: [`News::Changed`] and
//! [`News::Reload`], "take your whole copy for old and read it again". Where nothing is told,
//! `Reload` comes each period, so that one loop serves both kinds of store.
//!
//! **Limits.** The channel behind it is bounded; who lags gets a `Reload`. A source that breaks
//! off again and again is asked for a new channel [`STEPS`] times a period at most.

use std::fmt;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};

/// A source that has said nothing, not even "nothing new", for longer than this is not relied on:
/// who follows it reads by himself until it speaks again. Longer than an election of a primary
/// commonly takes.
pub const SILENCE_MAX: Duration = Duration::from_secs(5);
/// The shortest period: "always as new as can be" must not become asking without a pause.
pub const PERIOD_MIN: Duration = Duration::from_millis(100);
/// How many times a period a source that does not tell is asked whether it does now.
pub const STEPS: u32 = 10;

/// How well a store's changes are being told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangesHealth {
    /// How long ago it was last certain that everything had been told. Zero for a store that
    /// cannot fall behind.
    pub age: Duration,
    /// Times it was taken up again after a cut, with nothing lost.
    pub resumed: u64,
    /// Times it had to start anew, so that every copy counted as old.
    pub lost: u64,
}

/// What a follower hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News<T> {
    /// One change.
    Changed(T),
    /// Take the whole copy for old.
    Reload {
        /// Changes from now on will be told; if not, the next `Reload` comes after a period.
        told: bool,
        /// Changes missed by not listening quickly enough; 0 for every other reason.
        missed: u64,
    },
}

/// Follows one kind of changes. [`Follower::next`] may be dropped and called again.
pub struct Follower<T> {
    subscribe: Box<dyn Fn() -> Option<Receiver<T>> + Send + Sync>,
    health: Box<dyn Fn() -> ChangesHealth + Send + Sync>,
    period: Duration,
    receiver: Option<Receiver<T>>,
    silent: bool,
    /// When to look next whether the source tells, and how it does.
    look: Instant,
    /// When the next `Reload` is due where nothing is told.
    due: Instant,
}

impl<T> fmt::Debug for Follower<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower")
            .field("told", &self.told())
            .finish_non_exhaustive()
    }
}

impl<T: Clone> Follower<T> {
    /// Follows what `subscribe` gives a channel of (`None` = cannot tell now), judged by `health`;
    /// where nothing is told, a reload each `period`, at least [`PERIOD_MIN`].
    pub fn new(
        subscribe: impl Fn() -> Option<Receiver<T>> + Send + Sync + 'static,
        health: impl Fn() -> ChangesHealth + Send + Sync + 'static,
        period: Duration,
    ) -> Self {
        let (now, period) = (Instant::now(), period.max(PERIOD_MIN));
        Self {
            subscribe: Box::new(subscribe),
            health: Box::new(health),
            period,
            receiver: None,
            silent: false,
            look: now,
            due: now + period,
        }
    }

    /// The next word. The first one of a source that tells is a `Reload`.
    pub async fn next(&mut self) -> News<T> {
        loop {
            let change = match &mut self.receiver {
                Some(receiver) => tokio::select! {
                    biased;
                    change = receiver.recv() => Some(change),
                    () = sleep_until(self.look) => None,
                },
                None => {
                    sleep_until(self.look).await;
                    None
                }
            };
            match change {
                Some(Ok(change)) => return News::Changed(change),
                Some(Err(RecvError::Lagged(missed))) => {
                    let told = self.told();
                    return News::Reload { told, missed };
                }
                Some(Err(RecvError::Closed)) => {
                    self.receiver = None;
                    self.look = Instant::now() + self.period / STEPS;
                }
                None => {
                    if let Some(told) = self.look() {
                        return News::Reload { told, missed: 0 };
                    }
                }
            }
        }
    }
}

impl<T> Follower<T> {
    const fn told(&self) -> bool {
        self.receiver.is_some() && !self.silent
    }

    /// Whether a reload is due now, and whether changes are told after it.
    fn look(&mut self) -> Option<bool> {
        let (now, was_told) = (Instant::now(), self.told());
        self.look = now + self.period / STEPS;
        if self.receiver.is_none() {
            self.receiver = (self.subscribe)();
        }
        self.silent = (self.health)().age > SILENCE_MAX;
        let told = self.told();
        if told {
            self.due = now + self.period;
            return (!was_told).then_some(true);
        }
        if was_told || now >= self.due {
            self.due = now + self.period;
            return Some(false);
        }
        None
    }
}

#[cfg(test)]
mod tests;
