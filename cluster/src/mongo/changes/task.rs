//! The task that follows the change stream: opens it, reads it, resumes it, gives it up.

use super::event::{self, Event};
use super::pipeline::{self, OF_THE_CLUSTER};
use super::{REFUSED_RETRY, RETRY, Shared, WORD_PERIOD};
use crate::mongo::{CALL_TIMEOUT, documents, is_away, records};
use crate::names::{AppName, StreamId, StreamKey};
use crate::records::{Kind, Place, RecordChange};
use crate::store::StreamChange;
use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::change_stream::ChangeStream;
use mongodb::change_stream::event::ResumeToken;
use mongodb::error::{Error, ErrorKind};
use mongodb::options::FullDocumentType;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Why the stream stopped, and what helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// The server is away, or electing: go on from the token.
    Away,
    /// The token leads nowhere: start from now.
    Lost,
    /// The server tells no changes.
    Refused,
}

/// Codes of servers that start, stop or change who is primary.
const PASSING: [i32; 17] = [
    6, 7, 43, 50, 64, 89, 91, 133, 134, 189, 234, 262, 9001, 10_107, 11_600, 11_602, 13_436,
];
/// Codes of servers that have no change streams, or keep them from this user.
const REFUSALS: [i32; 6] = [8_000, 13, 59, 115, 303, 40_573];
/// Where ids of records are learned at the start, at most so many a collection.
const PRIMED_MAX: i64 = 1_000;

/// Runs until `stop`.
pub(super) async fn run(client: Client, shared: Arc<Shared>, stop: CancellationToken) {
    // The driver's futures are large.
    let following = Box::pin(follow_for_ever(client, &shared));
    tokio::select! {
        () = stop.cancelled() => {}
        () = following => {}
    }
    shared.close();
}

async fn follow_for_ever(client: Client, shared: &Shared) {
    let mut token: Option<ResumeToken> = None;
    let (mut pause, mut refused) = (RETRY.0, false);
    loop {
        let cut = match open(&client, token.clone()).await {
            Ok(stream) => {
                if token.is_some() {
                    shared.resumed.fetch_add(1, Ordering::Relaxed);
                    tracing::info!("the change stream goes on where it was cut");
                } else {
                    // Learned before anybody can be told of a deletion.
                    prime(&client, shared).await;
                    shared.open();
                    tracing::info!("changes are told by the database");
                }
                (pause, refused) = (RETRY.0, false);
                read(stream, &mut token, shared).await
            }
            Err(cut) => cut,
        };
        match cut {
            Cut::Away => {
                tracing::debug!(?pause, "the change stream is cut");
                sleep(pause).await;
                pause = (pause * 2).min(RETRY.1);
            }
            Cut::Lost => {
                tracing::warn!("changes were missed: everything known is read again");
                token = None;
                shared.close();
                sleep(pause).await;
                pause = (pause * 2).min(RETRY.1);
            }
            Cut::Refused => {
                if !refused {
                    tracing::info!(
                        "the database tells no changes (no replica set, or no right to watch the \
                         cluster): it is polled"
                    );
                }
                (token, refused) = (None, true);
                shared.close();
                sleep(REFUSED_RETRY).await;
            }
        }
    }
}

async fn open(client: &Client, token: Option<ResumeToken>) -> Result<ChangeStream<Document>, Cut> {
    let resumes = token.is_some();
    let mut watch = client
        .watch()
        .pipeline(pipeline::stages())
        .full_document(FullDocumentType::UpdateLookup)
        .max_await_time(WORD_PERIOD);
    if let Some(token) = token {
        watch = watch.resume_after(token);
    }
    match timeout(CALL_TIMEOUT, watch).await {
        Ok(Ok(stream)) => Ok(stream.with_type::<Document>()),
        Ok(Err(error)) => Err(judge(&error, resumes)),
        Err(_) => Err(Cut::Away),
    }
}

/// Hands on what comes until it stops coming.
async fn read(
    mut stream: ChangeStream<Document>,
    token: &mut Option<ResumeToken>,
    shared: &Shared,
) -> Cut {
    let patience: Duration = WORD_PERIOD + CALL_TIMEOUT;
    *token = stream.resume_token();
    while stream.is_alive() {
        match timeout(patience, stream.next_if_any()).await {
            Ok(Ok(event)) => {
                if let Some(event) = event
                    && !take(event, shared)
                {
                    return Cut::Lost;
                }
                *token = stream.resume_token();
                shared.heard();
            }
            Ok(Err(error)) => return judge(&error, token.is_some()),
            Err(_) => return Cut::Away,
        }
    }
    Cut::Lost
}

/// Tells what an event says; false when it says that more has gone than it names.
fn take(event: Document, shared: &Shared) -> bool {
    match event::read(event) {
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
    let fields = document.map(|document| Arc::new(records::shown(kind, document.clone())));
    let key = key.unwrap_or_default();
    shared.tell_record(RecordChange {
        place: Place { kind, app, key },
        fields,
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

fn judge(error: &Error, resumes: bool) -> Cut {
    let code = match &*error.kind {
        ErrorKind::Command(command) => command.code,
        ErrorKind::MissingResumeToken => return Cut::Lost,
        _ if is_away(error) => return Cut::Away,
        // A reply that cannot be read would come again and again.
        _ if resumes => return Cut::Lost,
        _ => return Cut::Away,
    };
    if PASSING.contains(&code) || error.contains_label("ResumableChangeStreamError") {
        Cut::Away
    } else if REFUSALS.contains(&code) {
        Cut::Refused
    } else if resumes {
        // History lost (286, 136), a fatal event (280), a token of another log (260) and what
        // there may be else: none of it passes by waiting.
        Cut::Lost
    } else {
        Cut::Away
    }
}
