//! The owner's epochs: claimed or begun without the store, written of, ended, handed over.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;
use weir_cluster::{Broadcast, Claim, EpochEnd, Ownership};

use super::{Connected, Event, Owner};
use crate::ingest::{Farewell, Publisher};
use crate::options::PUBLISH_EVENTS_MAX;
use crate::peers::Given;
use crate::stream::calls;
use crate::stream::event::{EpochKind, Yield};
use crate::stream::packager::Packager;
use crate::stream::provisional::{self, Known};
use crate::stream::record::Record;
use crate::streams::YieldReply;

impl Owner {
    pub(super) fn claim(&mut self) {
        let Some(ask) = &self.asker else { return };
        let now_ms = self.wall_ms();
        // A publisher that is back carries the broadcast on; its figures are not begun anew.
        let broadcast = match &self.record {
            Some(record) => record.broadcast(),
            None => {
                let adress = &self.context.options.origin_adress;
                Record::new(&self.key, &ask.request, adress, now_ms).broadcast()
            }
        };
        let claim = self.claim_of(broadcast, ask.app.segment_duration_ms, now_ms);
        self.store_call = Some(calls::claim(&self.context, claim));
    }

    /// Tells the store of the epoch that it does not know.
    pub(super) fn adopt(&mut self) {
        let (now_ms, media_time_ms) = (self.wall_ms(), self.window.media_time_ms());
        let broadcast = match (self.record.as_mut(), &self.ended) {
            (Some(record), _) => record.at(now_ms, media_time_ms),
            (None, Some(ended)) => ended.clone(),
            (None, None) => Broadcast::new(&self.key.id, now_ms),
        };
        let broadcast = Broadcast {
            owner: self.begun.clone(),
            ..broadcast
        };
        let claim = self.claim_of(broadcast, self.app.segment_duration_ms, now_ms);
        let end = self.end_at(now_ms);
        self.store_call = Some(calls::adopt(&self.context, claim, self.epoch, end));
    }

    pub(super) fn give_back(&mut self) {
        // Without one there is nothing to do, and that is done.
        let late = self.late.take().unwrap_or_default();
        let call = calls::give_back(&self.context, self.key.clone(), &late);
        self.store_call = Some(call);
    }

    pub(super) fn checkpoint(&mut self) {
        let (now_ms, media_time_ms) = (self.wall_ms(), self.window.media_time_ms());
        let (key, epoch, end) = (self.key.clone(), self.epoch, self.end_at(now_ms));
        // A record is there whenever a checkpoint is due.
        let broadcast = match self.record.as_mut() {
            Some(record) => {
                record.watched(self.handle.tally().sum(Instant::now()));
                record.at(now_ms, media_time_ms)
            }
            None => Broadcast::new(&self.key.id, now_ms),
        };
        let call = calls::checkpoint(&self.context, key, epoch, broadcast, end);
        self.store_call = Some(call);
    }

    pub(super) fn release(&mut self) {
        let end = self.end_at(self.wall_ms());
        let call = calls::release(&self.context, self.key.clone(), self.epoch, end);
        self.store_call = Some(call);
    }

    pub(super) fn admit(&mut self, kind: EpochKind) -> Option<Event> {
        let ask = self.asker.take()?;
        let now_ms = self.wall_ms();
        self.app = ask.app;
        self.window.set_playlist_segments(ask.app.playlist_segments);
        self.start_epoch(kind, now_ms);
        let (media_time_ms, number) = (
            self.window.media_time_ms(),
            self.window.next_sequence_number(),
        );
        let adress = &self.context.options.origin_adress;
        let record = match self.record.take() {
            Some(record) => record,
            None => Record::new(&self.key, &ask.request, adress, now_ms),
        };
        let record = self.record.insert(record);
        record.publisher(&ask.request);
        record.start_epoch(now_ms, media_time_ms);
        self.ended = None;
        // What an epoch elsewhere cut is still there, for those who are behind.
        self.handle.former.store(self.former.take().map(Arc::new));
        self.media_started = false;
        self.packager = Some(Packager::new(&self.app, number, media_time_ms));
        self.show();
        tracing::info!(
            peer = %ask.request.peer, app = %self.key.app, stream = %self.key.id,
            epoch = self.epoch, sequence_number = number, ?kind, "publisher admitted"
        );
        let (events, receiver) = mpsc::channel(PUBLISH_EVENTS_MAX);
        let farewell = Farewell::default();
        self.publisher = Some(Connected {
            events: receiver,
            farewell: farewell.clone(),
            peer: ask.request.peer,
            heard_ms: self.now_ms(),
        });
        self.context.metrics.publishers.inc();
        let publisher = Publisher { events, farewell };
        let gone = ask.reply.send(Ok(publisher)).is_err();
        gone.then_some(Event::ConnectionLost)
    }

    /// The broadcast is over here; its record is kept for a store that may not have heard of it.
    pub(super) fn close_record(&mut self) {
        if let Some(record) = self.record.take() {
            self.ended = Some(record.broadcast());
        }
        self.show();
    }

    pub(super) fn answer_yield(&mut self, answer: Yield) {
        let reply = match answer {
            Yield::Given { released } => YieldReply::Given(Given {
                epoch: self.epoch,
                end: self.end_at(self.wall_ms()),
                released,
            }),
            Yield::Kept => YieldReply::Kept,
            Yield::NotHeld => YieldReply::NotHeld,
        };
        tracing::info!(app = %self.key.app, stream = %self.key.id, ?reply, "asked to yield");
        for node in self.yielding.drain(..) {
            // A node that does not wait any more asks again.
            let _ = node.send(reply);
        }
    }

    const fn end_at(&self, wall_clock_ms: i64) -> EpochEnd {
        EpochEnd {
            next_sequence_number: self.window.next_sequence_number(),
            next_discontinuity_sequence: self.window.discontinuities(),
            media_time_ms: self.window.media_time_ms(),
            wall_clock_ms,
        }
    }

    fn claim_of(&self, broadcast: Broadcast, segment_duration_ms: u32, now_ms: i64) -> Claim {
        let options = &self.context.options;
        Claim {
            key: self.key.clone(),
            node_id: options.node_id.clone(),
            origin_adress: options.origin_adress.clone(),
            now_ms,
            segment_duration_ms,
            broadcast,
        }
    }

    /// Numbers and media time of our own window outrank the store's when a publisher is back: it
    /// knows them from our last checkpoint, and this node has cut every segment since.
    fn start_epoch(&mut self, kind: EpochKind, now_ms: i64) {
        let own = self.end_at(now_ms);
        let begun = match kind {
            EpochKind::Kept => None,
            EpochKind::Fresh | EpochKind::Resumed => self.claimed.take(),
            EpochKind::Provisional | EpochKind::ProvisionalResumed => {
                Some(self.provisional(now_ms))
            }
        };
        if let Some(begun) = &begun {
            self.epoch = begun.epoch;
            self.begun = Some(begun.clone());
        }
        match (kind, begun) {
            (EpochKind::Fresh | EpochKind::Provisional, Some(begun)) => {
                if begun.first_sequence_number > 0 {
                    self.window.continues(begun.first_discontinuity_sequence);
                }
                self.window.start_afresh(
                    begun.epoch,
                    begun.first_sequence_number.max(own.next_sequence_number),
                    begun.media_time_ms.max(own.media_time_ms),
                );
            }
            _ => self
                .window
                .start_epoch(self.epoch, own.next_sequence_number, own.media_time_ms),
        }
    }

    fn provisional(&mut self, now_ms: i64) -> Ownership {
        let given = self.given.take();
        let known = Known {
            epoch: given.map_or(self.epoch, |given| given.epoch.max(self.epoch)),
            own_end: self.end_at(now_ms),
            yielded: given.map(|given| given.end),
        };
        let begun = provisional::begin(&self.context.options.node_id, &known, now_ms);
        tracing::warn!(
            app = %self.key.app, stream = %self.key.id, epoch = begun.epoch,
            "the store is away: an epoch begins without it"
        );
        begun
    }
}
