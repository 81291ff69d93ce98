//! The owner task: waits for what happens to its stream, and does what its machine says.
//!
//! Everything but waiting is synchronous, so between two waits the stream is always in a state
//! that makes sense. Order of attention: stop, store, askers, timers, media; media is taken in
//! batches of at most [`PUBLISH_EVENTS_MAX`], so none of the others waits for long.

mod media;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;
use weir_cluster::{Claim, EpochEnd, Ownership, StreamKey};

use super::Context;
use super::calls::{self, StoreCall, StoreReply};
use super::event::{Action, EpochKind, Event};
use super::packager::Packager;
use super::record::Record;
use super::state::{Limits, StreamState};
use crate::ingest::{PublishEvent, PublishRefusal, Publisher};
use crate::options::{AppOptions, PUBLISH_EVENTS_MAX};
use crate::streams::{Ask, StreamHandle};
use crate::window::{Window, WindowOptions};

/// Far enough to be never, near enough not to overflow, ms.
const NEVER_MS: u64 = 365 * 24 * 3_600 * 1_000;

/// What woke the task.
enum Input {
    Shutdown,
    Store(StoreReply),
    Asked(Ask),
    Due,
    /// That many events are in the batch; none: the session is gone.
    Media(usize),
}

/// The connected publisher's end.
struct Connected {
    events: mpsc::Receiver<PublishEvent>,
    peer: SocketAddr,
}

pub(super) struct Owner {
    context: Arc<Context>,
    key: StreamKey,
    app: AppOptions,
    handle: Arc<StreamHandle>,
    state: StreamState,
    window: Window,
    window_bytes: i64,
    started: Instant,
    asker: Option<Ask>,
    publisher: Option<Connected>,
    packager: Option<Packager>,
    media_started: bool,
    record: Option<Record>,
    claimed: Option<Ownership>,
    epoch: u64,
    store_call: Option<StoreCall>,
    batch: Vec<PublishEvent>,
    stopping: bool,
    done: bool,
}

impl Owner {
    pub(super) fn new(
        context: Arc<Context>,
        key: StreamKey,
        app: AppOptions,
        handle: Arc<StreamHandle>,
    ) -> Self {
        let options = &context.options;
        let state = StreamState::new(Limits {
            publish_grace_ms: options.publish_grace_ms,
            ended_linger_ms: options.ended_linger_ms,
            first_keyframe_timeout_ms: options.first_keyframe_timeout_ms,
            checkpoint_interval_ms: options.checkpoint_interval_ms,
        });
        let window = Window::new(WindowOptions {
            stream_id: key.id.as_str().to_owned(),
            playlist_segments: app.playlist_segments,
            bytes_max: options.window_bytes_max,
        });
        Self {
            context,
            key,
            app,
            handle,
            state,
            window,
            window_bytes: 0,
            started: Instant::now(),
            asker: None,
            publisher: None,
            packager: None,
            media_started: false,
            record: None,
            claimed: None,
            epoch: 0,
            store_call: None,
            batch: Vec::with_capacity(PUBLISH_EVENTS_MAX),
            stopping: false,
            done: false,
        }
    }

    /// Runs until the stream is forgotten or the node stops.
    pub(super) async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        let mut sleep = pin!(tokio::time::sleep(Duration::ZERO));
        // Kept over the turns: making it anew for each frame would take a shared lock each time.
        let mut stop = pin!(self.context.shutdown.clone().cancelled_owned());
        let mut armed_ms = None;
        while !self.done {
            let due_ms = self.state.deadline_ms();
            if armed_ms != Some(due_ms) {
                let due = Duration::from_millis(due_ms.unwrap_or(NEVER_MS));
                sleep.as_mut().reset(self.started + due);
                armed_ms = Some(due_ms);
            }
            match self.next(&mut asks, sleep.as_mut(), stop.as_mut()).await {
                Input::Shutdown => {
                    self.stopping = true;
                    self.dispatch(Event::Shutdown);
                }
                Input::Store(reply) => self.store_replied(reply),
                Input::Asked(ask) => self.asked(ask),
                Input::Due => {
                    armed_ms = None;
                    self.dispatch(Event::Tick);
                }
                Input::Media(0) => {
                    self.log_left("publisher lost");
                    self.dispatch(Event::ConnectionLost);
                }
                Input::Media(_) => self.media(),
            }
        }
    }

    /// Waits for the next input. Dropped before it ends, it has taken nothing.
    async fn next(
        &mut self,
        asks: &mut mpsc::Receiver<Ask>,
        sleep: Pin<&mut Sleep>,
        stop: Pin<&mut WaitForCancellationFutureOwned>,
    ) -> Input {
        let publisher = self.publisher.as_mut().map(|p| &mut p.events);
        tokio::select! {
            biased;
            () = stop, if !self.stopping => Input::Shutdown,
            reply = wait_for(self.store_call.as_mut()) => {
                self.store_call = None;
                Input::Store(reply)
            }
            Some(ask) = asks.recv() => Input::Asked(ask),
            () = sleep => Input::Due,
            count = receive(publisher, &mut self.batch) => Input::Media(count),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn wall_ms(&self) -> i64 {
        self.context.clock.now_ms()
    }

    fn asked(&mut self, ask: Ask) {
        match self.state.ask(self.now_ms()) {
            Err(refusal) => refuse(ask, refusal),
            Ok(actions) => {
                self.asker = Some(ask);
                for action in actions {
                    self.act(action);
                }
            }
        }
    }

    fn store_replied(&mut self, reply: StoreReply) {
        let event = match reply {
            StoreReply::Claimed(outcome, ownership) => {
                self.claimed = ownership;
                Event::ClaimDone(outcome)
            }
            StoreReply::Checkpointed(outcome) => Event::CheckpointDone(outcome),
            StoreReply::Released(outcome) => Event::ReleaseDone(outcome),
        };
        self.dispatch(event);
    }

    /// Tells the machine, does what it says, and tells it what came of that, until it is content.
    fn dispatch(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in self.state.handle(event, self.now_ms()) {
                events.extend(self.act(action));
            }
        }
    }

    fn act(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Claim => self.claim(),
            Action::Checkpoint => self.checkpoint(),
            Action::Release => self.release(),
            Action::Admit(kind) => return self.admit(kind),
            Action::RefuseAsker(refusal) => {
                if let Some(ask) = self.asker.take() {
                    refuse(ask, refusal);
                }
            }
            Action::ClosePublisher(reason) => self.close_publisher(reason),
            Action::FinishSegment => return self.finish_segment(),
            Action::EndPlaylists => {
                self.window.end();
                self.record = None;
                self.show();
                tracing::info!(app = %self.key.app, stream = %self.key.id, "stream ended");
            }
            Action::WithdrawPlaylists => {
                self.drop_publisher();
                self.packager = None;
                self.window.withdraw();
                self.record = None;
                self.show();
            }
            Action::Forget => {
                self.done = true;
                self.context.streams.remove(&self.key, &self.handle);
                self.context.metrics.window_bytes.sub(self.window_bytes);
            }
            Action::Stop => self.done = true,
        }
        None
    }

    fn claim(&mut self) {
        let Some(ask) = &self.asker else { return };
        let now_ms = self.wall_ms();
        let options = &self.context.options;
        // A publisher that is back carries the broadcast on; its figures are not begun anew.
        let broadcast = match &self.record {
            Some(record) => record.broadcast(),
            None => {
                let adress = &options.origin_adress;
                Record::new(&self.key, &ask.request, adress, now_ms).broadcast()
            }
        };
        let claim = Claim {
            key: self.key.clone(),
            node_id: options.node_id.clone(),
            origin_adress: options.origin_adress.clone(),
            now_ms,
            segment_duration_ms: self.app.segment_duration_ms,
            broadcast,
        };
        self.store_call = Some(calls::claim(&self.context, claim));
    }

    fn checkpoint(&mut self) {
        let (now_ms, media_time_ms) = (self.wall_ms(), self.window.media_time_ms());
        let (key, epoch, end) = (self.key.clone(), self.epoch, self.end_at(now_ms));
        let Some(record) = self.record.as_mut() else {
            return;
        };
        let broadcast = record.at(now_ms, media_time_ms);
        let call = calls::checkpoint(&self.context, key, epoch, broadcast, end);
        self.store_call = Some(call);
    }

    fn release(&mut self) {
        let end = self.end_at(self.wall_ms());
        let call = calls::release(&self.context, self.key.clone(), self.epoch, end);
        self.store_call = Some(call);
    }

    const fn end_at(&self, wall_clock_ms: i64) -> EpochEnd {
        EpochEnd {
            next_sequence_number: self.window.next_sequence_number(),
            next_discontinuity_sequence: self.window.next_discontinuity_sequence(),
            media_time_ms: self.window.media_time_ms(),
            wall_clock_ms,
        }
    }

    fn admit(&mut self, kind: EpochKind) -> Option<Event> {
        let ask = self.asker.take()?;
        let now_ms = self.wall_ms();
        self.start_epoch(kind);
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
        self.media_started = false;
        self.packager = Some(Packager::new(&self.app, number, media_time_ms));
        self.show();
        tracing::info!(
            peer = %ask.request.peer, app = %self.key.app, stream = %self.key.id,
            epoch = self.epoch, sequence_number = number, ?kind, "publisher admitted"
        );
        let (events, receiver) = mpsc::channel(PUBLISH_EVENTS_MAX);
        self.publisher = Some(Connected {
            events: receiver,
            peer: ask.request.peer,
        });
        self.context.metrics.publishers.inc();
        let gone = ask.reply.send(Ok(Publisher { events })).is_err();
        gone.then_some(Event::ConnectionLost)
    }

    /// Numbers and media time of our own window outrank the store's when a publisher is back: it
    /// knows them from our last checkpoint, and this node has cut every segment since.
    fn start_epoch(&mut self, kind: EpochKind) {
        let (number, media_time_ms) = (
            self.window.next_sequence_number(),
            self.window.media_time_ms(),
        );
        let claimed = self.claimed.take();
        if let Some(ownership) = &claimed {
            self.epoch = ownership.epoch;
        }
        if let Some(claimed) = &claimed {
            let counted = claimed.first_discontinuity_sequence;
            self.window.count_discontinuities_from(counted);
        }
        match (kind, claimed) {
            (EpochKind::Fresh, Some(claimed)) => self.window.start_afresh(
                claimed.epoch,
                claimed.first_sequence_number.max(number),
                claimed.media_time_ms.max(media_time_ms),
            ),
            _ => self.window.start_epoch(self.epoch, number, media_time_ms),
        }
    }
}

async fn wait_for(call: Option<&mut StoreCall>) -> StoreReply {
    match call {
        Some(call) => call.await,
        None => std::future::pending().await,
    }
}

async fn receive(
    events: Option<&mut mpsc::Receiver<PublishEvent>>,
    batch: &mut Vec<PublishEvent>,
) -> usize {
    match events {
        Some(events) => events.recv_many(batch, PUBLISH_EVENTS_MAX).await,
        None => std::future::pending().await,
    }
}

fn refuse(ask: Ask, refusal: PublishRefusal) {
    // A session that went away meanwhile needs no answer.
    let _ = ask.reply.send(Err(refusal));
}
