//! The one node that watches for all: whose turn it is, and what it writes into the log.
//!
//! **Whose turn** is decided by one conditional write on `clusterdb.weirduty`, renewed each second
//! and free [`TURN_MS`] after its last renewal. A node tries for it when it starts, and then only
//! when the log has been silent for [`SILENCE`] and a little, another little for each. The turn keeps
//! the others from watching in vain; it is the log itself that keeps a second writer out.
//!
//! **What is written.** Changes that come within [`GATHER`] are one entry, so that readers are not
//! woken for each. Where nothing changes there is an entry each [`WORD_PERIOD`], which says that the
//! log is complete up to there. The next writer goes on from the last entry's token. When the
//! server cannot go on from there, the first entry says that changes were missed.
//!
//! **Limits.** [`WAITING_MAX`] changes between the server and the log; [`ENTRY_MAX`] in an entry.

use super::cut::{self, Cut};
use super::event::{self, Event};
use super::log::{Log, done, in_time};
use super::{REFUSED_RETRY, RETRY, Shared, WORD_PERIOD, pipeline};
use crate::mongo::{CALL_TIMEOUT, CLUSTER_DATABASE};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, doc};
use mongodb::change_stream::ChangeStream;
use mongodb::change_stream::event::ResumeToken;
use mongodb::options::FullDocumentType;
use mongodb::{Client, Collection};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

/// How long a turn lasts without being renewed, ms by the server's clock.
const TURN_MS: i64 = 2_500;
/// How long the log must have been silent before a node tries for the turn.
const SILENCE: Duration = Duration::from_secs(2);
/// How often a node looks whether it is.
const LOOK: Duration = Duration::from_millis(500);
/// How long changes are gathered into one entry.
const GATHER: Duration = Duration::from_millis(5);
/// Changes in an entry.
const ENTRY_MAX: usize = 500;
/// Changes read and not yet written.
const WAITING_MAX: usize = 2_000;
/// How often a place in the server's log is tried that the server does not answer from.
const PLACE_TRIES: u32 = 3;

/// Runs for ever: a relay when it must be, else one in waiting.
pub(super) async fn run(client: Client, shared: &Shared) {
    let mut relay = Relay {
        log: Log::new(client.clone()),
        turns: client.database(CLUSTER_DATABASE).collection("weirduty"),
        client,
        me: ObjectId::new().to_hex(),
        said_refused: false,
        tries: 0,
    };
    let jitter = RandomState::new().hash_one(&relay.me) % 1_000;
    let patience = SILENCE + Duration::from_millis(jitter);
    let (mut pause, mut wanted) = (RETRY.0, true);
    loop {
        if !wanted && !shared.is_silent_for(patience) {
            sleep(LOOK).await;
            continue;
        }
        let began = Instant::now();
        let cut = match relay.turn().await {
            Ok(true) => relay.relay().await,
            Ok(false) => Cut::Overtaken,
            Err(cut) => cut,
        };
        if began.elapsed() > CALL_TIMEOUT {
            pause = RETRY.0;
        }
        // Whoever had the turn a moment ago goes on with it, if nobody else has taken it.
        wanted = matches!(cut, Cut::Away | Cut::Lost);
        match cut {
            Cut::Overtaken => sleep(LOOK).await,
            Cut::Refused => relay.refused().await,
            Cut::Away | Cut::Lost => {
                sleep(pause).await;
                pause = (pause * 2).min(RETRY.1);
            }
        }
    }
}

struct Relay {
    client: Client,
    log: Log,
    turns: Collection<Document>,
    me: String,
    said_refused: bool,
    /// How often the last entry's place was tried in vain.
    tries: u32,
}

/// What came from the server: a change, or that there is none.
type Heard = (Option<Event>, Option<ResumeToken>);

impl Relay {
    /// Takes the turn or renews it; whether it is this node's.
    async fn turn(&self) -> Result<bool, Cut> {
        let free = doc! { "$lt": ["$at", { "$subtract": ["$$NOW", TURN_MS] }] };
        let mine = doc! { "_id": "changes", "$or": [{ "relay": &self.me }, { "$expr": free }] };
        let take = vec![doc! { "$set": { "at": "$$NOW", "relay": &self.me } }];
        let taken = done(self.turns.update_one(mine.clone(), take.clone())).await?;
        if taken.matched_count > 0 {
            return Ok(true);
        }
        let first = doc! { "_id": "changes", "at": DateTime::from_millis(0) };
        // There may be one, and another's.
        if in_time(self.turns.insert_one(first)).await?.is_err() {
            return Ok(false);
        }
        let taken = done(self.turns.update_one(mine, take)).await?;
        Ok(taken.matched_count > 0)
    }

    /// Watches and writes until something stops it.
    async fn relay(&mut self) -> Cut {
        match self.begin().await {
            Ok((stream, number, id)) => {
                tracing::info!("this node relays the database's changes to the others");
                self.said_refused = false;
                let (sender, receiver) = mpsc::channel(WAITING_MAX);
                let cut = tokio::select! {
                    cut = listen(stream, sender) => cut,
                    cut = self.write(receiver, number, &id) => cut,
                };
                tracing::debug!(?cut, "this node relays no longer");
                cut
            }
            Err(cut) => cut,
        }
    }

    /// The change stream from where the log ends, that end, and this relay's name.
    async fn begin(&mut self) -> Result<(ChangeStream<Document>, i64, String), Cut> {
        self.log.ensure().await?;
        let newest = self.log.newest().await?;
        let number = newest.as_ref().map_or(0, |entry| entry.place.number);
        let id = ObjectId::new().to_hex();
        let token = newest.and_then(|entry| entry.token);
        let Some(token) = token.filter(|_| self.tries < PLACE_TRIES) else {
            return self.anew(number, id).await;
        };
        self.tries += 1;
        match self.watch(Some(token)).await {
            Ok(stream) => Ok((stream, number, id)),
            Err(Cut::Lost) => self.anew(number, id).await,
            Err(cut) => Err(cut),
        }
    }

    /// The change stream from now on; what came before is said to be missed.
    async fn anew(
        &mut self,
        number: i64,
        id: String,
    ) -> Result<(ChangeStream<Document>, i64, String), Cut> {
        let stream = self.watch(None).await?;
        if number > 0 {
            tracing::warn!("changes were missed: every node reads anew what it knows");
        }
        let missed: &[Event] = if number > 0 { &[Event::Dropped] } else { &[] };
        let token = stream.resume_token();
        self.log.append(number, &id, token.as_ref(), missed).await?;
        self.tries = 0;
        Ok((stream, number.saturating_add(1), id))
    }

    async fn watch(&self, token: Option<ResumeToken>) -> Result<ChangeStream<Document>, Cut> {
        let resumes = token.is_some();
        let mut watch = self
            .client
            .watch()
            .pipeline(pipeline::stages())
            .full_document(FullDocumentType::UpdateLookup)
            .max_await_time(WORD_PERIOD);
        if let Some(token) = token {
            watch = watch.resume_after(token);
        }
        match in_time(watch).await? {
            Ok(stream) => Ok(stream.with_type::<Document>()),
            Err(error) => Err(cut::judge(&error, resumes)),
        }
    }

    /// Writes what comes, as long as the turn is this node's.
    async fn write(&mut self, mut heard: mpsc::Receiver<Heard>, mut number: i64, id: &str) -> Cut {
        let mut renewed = Instant::now();
        while let Some((event, mut token)) = heard.recv().await {
            let mut told: Vec<Event> = event.into_iter().collect();
            if !told.is_empty() {
                sleep(GATHER).await;
            }
            while told.len() < ENTRY_MAX
                && let Ok((event, newer)) = heard.try_recv()
            {
                told.extend(event);
                token = newer;
            }
            if renewed.elapsed() >= WORD_PERIOD {
                match self.turn().await {
                    Ok(true) => renewed = Instant::now(),
                    Ok(false) => return Cut::Overtaken,
                    Err(cut) => return cut,
                }
            }
            let appended = self.log.append(number, id, token.as_ref(), &told).await;
            if let Err(cut) = appended {
                return cut;
            }
            number = number.saturating_add(1);
            self.tries = 0;
            if told.contains(&Event::Dropped) {
                // It may have been the log that was dropped.
                return Cut::Away;
            }
        }
        Cut::Away
    }

    async fn refused(&mut self) {
        if !std::mem::replace(&mut self.said_refused, true) {
            tracing::info!(
                "the database tells no changes (no replica set, or no right to watch the cluster): \
                 it is polled"
            );
        }
        sleep(REFUSED_RETRY).await;
    }
}

/// Hands on what comes from the server until it stops coming.
async fn listen(mut stream: ChangeStream<Document>, heard: mpsc::Sender<Heard>) -> Cut {
    let patience = WORD_PERIOD + CALL_TIMEOUT;
    while stream.is_alive() {
        let event = match timeout(patience, stream.next_if_any()).await {
            Ok(Ok(event)) => event.map(event::read),
            Ok(Err(error)) => return cut::judge(&error, true),
            Err(_) => return Cut::Away,
        };
        if heard.send((event, stream.resume_token())).await.is_err() {
            return Cut::Away;
        }
    }
    Cut::Away
}
