//! The owner task: waits for what happens to its stream, and does what its machine says.
//!
//! Everything but waiting is synchronous, so between two waits the stream is always in a state
//! that makes sense. Order of attention: stop, store, other nodes, askers, timers, media; media is
//! taken in batches of at most [`PUBLISH_EVENTS_MAX`], so none of the others waits for long.

mod epochs;
mod media;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;
use weir_cluster::{Broadcast, Ownership, StreamKey};

use super::Context;
use super::calls::{self, Asked, PeerCall, StoreCall, StoreReply};
use super::event::{Action, ClaimOutcome, Event};
use super::packager::Packager;
use super::record::Record;
use super::state::{Limits, StreamState};
use crate::ingest::{Farewell, PublishEvent, PublishRefusal};
use crate::options::{AppOptions, PUBLISH_EVENTS_MAX};
use crate::peers::Given;
use crate::streams::{Ask, PublishAsk, StreamHandle, YieldReply};
use crate::window::{Window, WindowOptions};

/// Far enough to be never, near enough not to overflow, ms.
const NEVER_MS: u64 = 365 * 24 * 3_600 * 1_000;

/// What woke the task.
enum Input {
    Shutdown,
    Store(StoreReply),
    Owner(Asked),
    Asked(Ask),
    Due,
    /// That many events are in the batch; none: the session is gone.
    Media(usize),
}

/// The connected publisher's end.
struct Connected {
    events: mpsc::Receiver<PublishEvent>,
    farewell: Farewell,
    peer: SocketAddr,
    /// When it last sent something; when it was let in, at first.
    heard_ms: u64,
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
    asker: Option<PublishAsk>,
    /// Nodes that wait for this one to yield.
    yielding: Vec<oneshot::Sender<YieldReply>>,
    publisher: Option<Connected>,
    packager: Option<Packager>,
    media_started: bool,
    record: Option<Record>,
    claimed: Option<Ownership>,
    /// What came of a claim too late.
    late: Option<Ownership>,
    /// Where the former owner said that it ended, when it yielded to the present asker.
    given: Option<Given>,
    /// And where it is.
    former: Option<String>,
    /// The present epoch, as it began.
    begun: Option<Ownership>,
    /// The record of a broadcast that has ended, for a store that has not heard of it yet.
    ended: Option<Broadcast>,
    epoch: u64,
    /// The last claim found the store away.
    away: bool,
    store_call: Option<StoreCall>,
    peer_call: Option<PeerCall>,
    batch: Vec<PublishEvent>,
    stopping: bool,
    done: bool,
}

impl Owner {
    pub(super) fn new(context: Arc<Context>, key: StreamKey, handle: Arc<StreamHandle>) -> Self {
        let app = AppOptions::default();
        let options = &context.options;
        let state = StreamState::new(Limits {
            publish_grace_ms: options.publish_grace_ms,
            ended_linger_ms: options.ended_linger_ms,
            first_keyframe_timeout_ms: options.first_keyframe_timeout_ms,
            checkpoint_interval_ms: options.checkpoint_interval_ms,
            takeover_timeout_ms: options.takeover_timeout_ms,
            yield_silence_ms: options.yield_silence_ms,
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
            yielding: Vec::new(),
            publisher: None,
            packager: None,
            media_started: false,
            record: None,
            claimed: None,
            late: None,
            given: None,
            former: None,
            begun: None,
            ended: None,
            epoch: 0,
            away: false,
            store_call: None,
            peer_call: None,
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
                Input::Owner(asked) => {
                    (self.given, self.former) = (asked.given, asked.given.and(asked.adress));
                    self.dispatch(Event::OwnerAnswered(asked.answer));
                }
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
            asked = wait_for(self.peer_call.as_mut()) => {
                self.peer_call = None;
                Input::Owner(asked)
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
        match ask {
            Ask::Publish(ask) => match self.state.ask(self.now_ms()) {
                Err(refusal) => refuse(ask, refusal),
                Ok(actions) => {
                    self.asker = Some(ask);
                    (self.given, self.former) = (None, None);
                    for action in actions {
                        self.act(action);
                    }
                }
            },
            Ask::Yield(reply) => {
                self.yielding.push(reply);
                let heard_ms = self.publisher.as_ref().map_or(0, |p| p.heard_ms);
                let silent_ms = self.now_ms().saturating_sub(heard_ms);
                self.dispatch(Event::AskedToYield { silent_ms });
            }
            Ask::Superseded { epoch } if epoch > self.epoch => {
                tracing::warn!(
                    app = %self.key.app, stream = %self.key.id, own = self.epoch, epoch,
                    "another node has begun a newer epoch"
                );
                self.dispatch(Event::Superseded);
            }
            Ask::Superseded { .. } => {}
            Ask::AppDeleted => self.dispatch(Event::AppDeleted),
        }
    }

    fn store_replied(&mut self, reply: StoreReply) {
        let event = match reply {
            StoreReply::Claimed(outcome, ownership) => {
                self.claimed = ownership;
                self.away = outcome == ClaimOutcome::Away;
                Event::ClaimDone(outcome)
            }
            StoreReply::ClaimLate(rest) => {
                self.away = true;
                self.store_call = Some(rest);
                Event::ClaimDone(ClaimOutcome::Unknown)
            }
            StoreReply::LateClaimed(late) => {
                let taken = late.is_some();
                self.late = late;
                Event::LateClaimDone(taken)
            }
            StoreReply::Adopted(outcome) => Event::AdoptDone(outcome),
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
            Action::AskOwner => {
                let ask = calls::ask_owner(&self.context, self.key.clone(), self.away);
                self.peer_call = Some(ask);
            }
            Action::Adopt => self.adopt(),
            Action::GiveBack => self.give_back(),
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
                self.close_record();
                tracing::info!(app = %self.key.app, stream = %self.key.id, "stream ended");
            }
            Action::WithdrawPlaylists => {
                self.drop_publisher();
                self.packager = None;
                self.window.withdraw();
                self.close_record();
            }
            Action::AnswerYield(answer) => self.answer_yield(answer),
            Action::DropMedia => {
                self.window.clear();
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
}

async fn wait_for<F: Future + Unpin>(call: Option<&mut F>) -> F::Output {
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

fn refuse(ask: PublishAsk, refusal: PublishRefusal) {
    // A session that went away meanwhile needs no answer.
    let _ = ask.reply.send(Err(refusal));
}
