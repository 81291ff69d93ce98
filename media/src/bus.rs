//! The frame bus: one producer's frames to any number of consumers in the same process.
//!
//! A ring bounded in frames and bytes. The producer never waits: what does not fit pushes the
//! oldest out. A consumer joins at the start of the current group of pictures when the ring still
//! holds it, else at the next key frame; one that falls behind the ring is moved the same way, is
//! told how many frames it lost, and the loss is counted. A stream without pictures can be joined
//! at any frame. Parameters come before the first frame they apply to.
//!
//! Cost a frame: one short lock and one wake-up for the producer, one lock and a reference count
//! for each consumer. Payloads are shared, never copied.

mod ring;
#[cfg(test)]
mod tests;

use crate::frame::Frame;
use crate::params::TrackParams;
use ring::{BothParams, Entry, JoinPoint, Ring, slot};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Bounds of a bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusOptions {
    /// Most frames (and parameter changes) kept.
    pub frames_max: usize,
    /// Most payload bytes kept; the newest frame is kept even when it alone is larger.
    pub bytes_max: usize,
}

impl Default for BusOptions {
    /// Ten seconds of 60 pictures and 94 AAC frames a second; 32 MiB is that at 26 Mbit/s.
    fn default() -> Self {
        Self {
            frames_max: 2048,
            bytes_max: 32 << 20,
        }
    }
}

/// What a consumer is given.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BusEvent {
    /// A track's parameters, before the first frame they apply to.
    Params(Arc<TrackParams>),
    /// One frame.
    Frame(Frame),
    /// The consumer was too slow: this many frames were skipped. The next frame is a key frame.
    Lost {
        /// How many.
        frames: u64,
    },
}

/// Counts of a bus's life so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BusStats {
    /// Frames pushed.
    pub frames: u64,
    /// Frames lost, summed over all consumers there ever were.
    pub lost_frames: u64,
    /// Consumers there are now.
    pub consumers: usize,
}

/// A stream's bus: where consumers come from. Clones are the same bus.
#[derive(Clone, Debug)]
pub struct Bus {
    shared: Arc<Shared>,
}

/// The writing end. Dropping it ends the stream: consumers get what is left, then `None`.
#[derive(Debug)]
pub struct Producer {
    shared: Arc<Shared>,
}

/// One reading end.
#[derive(Debug)]
pub struct Consumer {
    shared: Arc<Shared>,
    /// Number of the next entry to read.
    next: u64,
    /// Frames pushed before that entry.
    frames_before: u64,
    /// Whether frames are skipped until one at which decoding can start.
    waits_for_key: bool,
    /// Frames skipped since the consumer was last told.
    untold: u64,
    lost_frames: u64,
    /// Parameters to hand over before anything else.
    pending: BothParams,
    /// Parameters handed over last.
    seen: BothParams,
}

#[derive(Debug, Default)]
struct Shared {
    ring: Mutex<Ring>,
    changed: Notify,
}

impl Bus {
    /// A bus and its only producer.
    pub fn new(options: BusOptions) -> (Producer, Self) {
        let shared = Arc::new(Shared::default());
        shared.lock().options = Some(options);
        let producer = Producer {
            shared: Arc::clone(&shared),
        };
        (producer, Self { shared })
    }

    /// A new consumer, at the start of the current group of pictures when the ring has it.
    pub fn subscribe(&self) -> Consumer {
        let mut ring = self.shared.lock();
        ring.stats.consumers = ring.stats.consumers.saturating_add(1);
        let mut consumer = Consumer {
            shared: Arc::clone(&self.shared),
            next: 0,
            frames_before: 0,
            waits_for_key: false,
            untold: 0,
            lost_frames: 0,
            pending: [None, None],
            seen: [None, None],
        };
        consumer.join(&ring);
        consumer
    }

    /// Counts so far.
    pub fn stats(&self) -> BusStats {
        self.shared.lock().stats
    }
}

impl Producer {
    /// Tells a track's parameters; the same again are not passed on.
    pub fn set_params(&self, params: TrackParams) {
        let mut ring = self.shared.lock();
        let slot = slot(&mut ring.params, &params);
        if slot.as_deref() == Some(&params) {
            return;
        }
        let params = Arc::new(params);
        *slot = Some(Arc::clone(&params));
        ring.push(Entry::Params(params));
        drop(ring);
        self.shared.changed.notify_waiters();
    }

    /// Gives a frame to all consumers. Never waits.
    pub fn push(&self, frame: Frame) {
        let mut ring = self.shared.lock();
        if ring.joinable(&frame) {
            ring.key = Some(JoinPoint {
                number: ring.end(),
                frames_before: ring.stats.frames,
                params: ring.params.clone(),
            });
        }
        ring.stats.frames = ring.stats.frames.saturating_add(1);
        ring.push(Entry::Frame(frame));
        drop(ring);
        self.shared.changed.notify_waiters();
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.changed.notify_waiters();
    }
}

impl Consumer {
    /// The next event; waits for one. `None` once the producer is gone and everything was read.
    /// Cancel-safe: a future dropped early loses nothing.
    pub async fn recv(&mut self) -> Option<BusEvent> {
        let shared = Arc::clone(&self.shared);
        loop {
            // Registered before looking, so that no push between the two is missed.
            let changed = shared.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            match self.read() {
                Read::Event(event) => return Some(event),
                Read::Ended => return None,
                Read::Nothing => changed.await,
            }
        }
    }

    /// The next event, if it is there already: for a reader in the producer's own task, which
    /// needs no waking.
    pub fn try_recv(&mut self) -> Option<BusEvent> {
        match self.read() {
            Read::Event(event) => Some(event),
            Read::Nothing | Read::Ended => None,
        }
    }

    /// Frames this consumer has lost by being slow.
    pub fn lost_frames(&self) -> u64 {
        self.lost_frames
    }

    fn read(&mut self) -> Read {
        let shared = Arc::clone(&self.shared);
        let mut ring = shared.lock();
        if self.next < ring.front {
            self.fall_behind(&mut ring);
        }
        loop {
            if !self.waits_for_key
                && let Some(event) = self.overdue()
            {
                return Read::Event(event);
            }
            let index = usize::try_from(self.next.saturating_sub(ring.front)).ok();
            let Some(entry) = index.and_then(|index| ring.entries.get(index)) else {
                return if ring.ended {
                    Read::Ended
                } else {
                    Read::Nothing
                };
            };
            match entry {
                Entry::Params(params) => {
                    let params = Arc::clone(params);
                    self.next = self.next.saturating_add(1);
                    let slot = slot(&mut self.pending, &params);
                    *slot = Some(params);
                }
                Entry::Frame(frame) if self.waits_for_key && !ring.joinable(frame) => {
                    self.next = self.next.saturating_add(1);
                    self.frames_before = self.frames_before.saturating_add(1);
                    // Whoever never had a frame has not lost any yet.
                    if self.untold > 0 {
                        self.lose(&mut ring, 1);
                    }
                }
                Entry::Frame(_) if self.waits_for_key => self.waits_for_key = false,
                Entry::Frame(frame) => {
                    let frame = frame.clone();
                    self.next = self.next.saturating_add(1);
                    self.frames_before = self.frames_before.saturating_add(1);
                    return Read::Event(BusEvent::Frame(frame));
                }
            }
        }
    }

    /// What must be said before the next frame.
    fn overdue(&mut self) -> Option<BusEvent> {
        if self.untold > 0 {
            let frames = std::mem::take(&mut self.untold);
            return Some(BusEvent::Lost { frames });
        }
        for (pending, seen) in self.pending.iter_mut().zip(&mut self.seen) {
            if let Some(params) = pending.take()
                && seen.as_ref() != Some(&params)
            {
                *seen = Some(Arc::clone(&params));
                return Some(BusEvent::Params(params));
            }
        }
        None
    }

    /// Moves on past what the ring no longer holds.
    fn fall_behind(&mut self, ring: &mut Ring) {
        let before = self.frames_before;
        self.join(ring);
        self.lose(ring, self.frames_before.saturating_sub(before));
    }

    fn lose(&mut self, ring: &mut Ring, frames: u64) {
        self.untold = self.untold.saturating_add(frames);
        self.lost_frames = self.lost_frames.saturating_add(frames);
        ring.stats.lost_frames = ring.stats.lost_frames.saturating_add(frames);
    }

    /// Goes to the newest key frame, or to the ring's end to wait for one.
    fn join(&mut self, ring: &Ring) {
        let (next, frames_before, params) = match &ring.key {
            Some(key) => (key.number, key.frames_before, &key.params),
            None => (ring.end(), ring.stats.frames, &ring.params),
        };
        self.next = next;
        self.frames_before = frames_before;
        self.pending = params.clone();
        self.waits_for_key = ring.key.is_none();
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let mut ring = self.shared.lock();
        ring.stats.consumers = ring.stats.consumers.saturating_sub(1);
    }
}

enum Read {
    Event(BusEvent),
    Nothing,
    Ended,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Ring> {
        // Nothing panics while holding it; if it did, the ring would still be whole.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
