//! Every node's task: reads the log to its end and on, and tells what it says.

use super::cut::Cut;
use super::event::{self, Event};
use super::log::{self, Log};
use super::pipeline::OF_THE_CLUSTER;
use super::{REFUSED_RETRY, RETRY, Shared, WORD_PERIOD};
use crate::mongo::{CALL_TIMEOUT, documents};
use crate::names::{AppName, StreamId, StreamKey};
use crate::records::{Kind, Place, RecordChange};
use crate::store::StreamChange;
use mongodb::bson::{Document, doc};
use mongodb::{Client, Cursor};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::time::{sleep, timeout};

/// Where ids of records are learned at the start, at most so many a collection.
const PRIMED_MAX: i64 = 1_000;

/// Runs for ever.
pub(super) async fn run(client: Client, shared: &Shared) {
    let log = Log::new(client.clone());
    // The last entry read and told; `None` = begin with those to come.
    let mut place: Option<log::Place> = None;
    let mut pause = RETRY.0;
    loop {
        let cut = match open(&client, &log, place.as_ref(), shared).await {
            Ok(entries) => {
                pause = RETRY.0;
                read(entries, &mut place, shared).await
            }
            Err(cut) => cut,
        };
        match cut {
            Cut::Away | Cut::Overtaken => {
                tracing::debug!(?pause, "the log of changes is cut");
                sleep(pause).await;
                pause = (pause * 2).min(RETRY.1);
            }
            Cut::Lost => {
                if place.take().is_some() {
                    tracing::warn!("changes were missed: everything known is read again");
                }
                shared.close();
                sleep(pause).await;
                pause = (pause * 2).min(RETRY.1);
            }
            Cut::Refused => {
                place = None;
                shared.close();
                sleep(REFUSED_RETRY).await;
            }
        }
    }
}

async fn open(
    client: &Client,
    log: &Log,
    place: Option<&log::Place>,
    shared: &Shared,
) -> Result<Cursor<Document>, Cut> {
    if let Some(place) = place {
        let entries = log.follow(place).await?;
        shared.resumed.fetch_add(1, Ordering::Relaxed);
        tracing::info!("the log of changes goes on where it was cut");
        return Ok(entries);
    }
    // Nobody has written yet: soon somebody will.
    let newest = log.newest().await?.ok_or(Cut::Away)?;
    // Learned before anybody can be told of a deletion.
    prime(client, shared).await;
    log.follow(&newest.place).await
}

/// Hands on what comes until it stops coming.
async fn read(
    mut entries: Cursor<Document>,
    place: &mut Option<log::Place>,
    shared: &Shared,
) -> Cut {
    let patience = WORD_PERIOD + CALL_TIMEOUT;
    // What stops it needs no judging: opening it again shows whether the place is still there.
    while let Ok(Ok(true)) = timeout(patience, entries.advance()).await {
        let entry = entries.deserialize_current().ok().and_then(log::entry);
        let Some(entry) = entry else {
            return Cut::Lost;
        };
        // The first entry is what shows that there is somebody who writes them.
        let first = place.is_none();
        if first {
            shared.open();
            tracing::info!("changes are told by the database");
        }
        for event in entry.told {
            let missed = event == Event::Dropped && first;
            if !missed && !take(event, shared) {
                return Cut::Lost;
            }
        }
        *place = Some(entry.place);
        shared.heard();
    }
    Cut::Away
}

/// Tells what an event says; false when it says that more has gone than it names.
fn take(event: Event, shared: &Shared) -> bool {
    match event {
        Event::Epoch { key, over } => {
            shared.names.learn(&key.app);
            if over {
                let broadcast = None;
                shared.tell_stream(StreamChange { key, broadcast });
            }
        }
        Event::Record {
            kind,
            database,
            id,
            document,
        } => {
            let key = match &document {
                Some(document) => event::key_of(kind, document),
                None => shared.names.gone(kind, id.clone()),
            };
            if let (Some(key), Some(_)) = (&key, &document) {
                shared.names.seen(kind, id, key.clone());
            }
            match database {
                None => {
                    if let (Kind::AppSettings, Some([name])) = (kind, key.as_deref()) {
                        learn_name(name, shared);
                    }
                    tell(kind, None, key, document.as_ref(), shared);
                }
                Some(database) => {
                    for app in shared.names.apps_of(&database) {
                        tell(kind, Some(app), key.clone(), document.as_ref(), shared);
                    }
                }
            }
        }
        Event::Dropped => return false,
        Event::Other => {}
    }
    true
}

fn tell(
    kind: Kind,
    app: Option<AppName>,
    key: Option<Vec<String>>,
    document: Option<&Document>,
    shared: &Shared,
) {
    if document.is_some() && key.is_none() {
        // Not a record of ours: it has no name.
        return;
    }
    if let (Kind::Broadcast, Some(app), Some([id])) = (kind, &app, key.as_deref()) {
        tell_stream(app, id, document, shared);
    }
    let key = key.unwrap_or_default();
    shared.tell_record(RecordChange {
        place: Place { kind, app, key },
        fields: None,
    });
}

fn tell_stream(app: &AppName, id: &str, document: Option<&Document>, shared: &Shared) {
    let Ok(id) = StreamId::parse(id) else { return };
    let key = StreamKey {
        app: app.clone(),
        id,
    };
    let broadcast = document.map(|document| Arc::new(documents::broadcast(document.clone())));
    shared.tell_stream(StreamChange { key, broadcast });
}

fn learn_name(name: &str, shared: &Shared) {
    if let Ok(app) = AppName::parse(name) {
        shared.names.learn(&app);
    }
}

/// Reads which `_id` is which in the small collections; what fails is learned from events.
async fn prime(client: &Client, shared: &Shared) {
    for (database, collection, kind) in OF_THE_CLUSTER {
        let fields = kind.key_fields().iter();
        let names: Document = fields
            .map(|field| ((*field).to_owned(), 1.into()))
            .collect();
        let all = client.database(database).collection::<Document>(collection);
        let found = all.find(doc! {}).projection(names).limit(PRIMED_MAX);
        let Ok(Ok(mut cursor)) = timeout(CALL_TIMEOUT, found).await else {
            continue;
        };
        while let Ok(Ok(true)) = timeout(CALL_TIMEOUT, cursor.advance()).await {
            let Ok(document) = cursor.deserialize_current() else {
                continue;
            };
            if let (Some(id), Some(key)) = (document.get("_id"), event::key_of(kind, &document)) {
                if kind == Kind::AppSettings {
                    learn_name(&key.concat(), shared);
                }
                shared.names.seen(kind, id.to_string(), key);
            }
        }
    }
}
