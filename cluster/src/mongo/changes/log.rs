//! The log of changes: a capped collection that one node writes and every node reads to its end.
//!
//! | field | meaning |
//! |---|---|
//! | `_id` | one more than the entry before |
//! | `relay` | who wrote it: another value each time somebody took the turn |
//! | `token` | where in the server's own log it ends |
//! | `told` | what happened ([`super::notice`]); empty = nothing new |
//!
//! `_id` is what keeps it one log: of two who want to write the same entry one is refused, and so
//! learns that its turn is over. An entry is confirmed by a majority; a reader may see it a moment
//! before. If that moment was its primary's last, the entry is not there when the reader comes
//! back, or is another's: then the reader has lost its [`Place`].

use super::super::{CALL_TIMEOUT, CLUSTER_DATABASE, is_duplicate, majority};
use super::cut::{self, Cut};
use super::event::Event;
use super::notice;
use super::{LOG_BYTES_MAX, WORD_PERIOD};
use mongodb::bson::{Bson, Document, deserialize_from_bson, doc, serialize_to_bson};
use mongodb::change_stream::event::ResumeToken;
use mongodb::error::{Error, ErrorKind};
use mongodb::options::{CollectionOptions, CursorType};
use mongodb::{Client, Collection, Cursor};
use std::future::IntoFuture;
use tokio::time::timeout;

/// The collection, in `clusterdb`.
pub(super) const NAME: &str = "weirchange";
/// MongoDB's code for a collection that is there.
const EXISTS: i32 = 48;

/// Which entry was read or written last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) number: i64,
    relay: String,
}

/// An entry as read.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) token: Option<ResumeToken>,
    pub(super) told: Vec<Event>,
}

/// The log on one server.
#[derive(Clone, Debug)]
pub(super) struct Log {
    client: Client,
    entries: Collection<Document>,
}

impl Log {
    pub(super) fn new(client: Client) -> Self {
        let options = CollectionOptions::builder().write_concern(majority());
        let database = client.database(CLUSTER_DATABASE);
        Self {
            entries: database.collection_with_options(NAME, options.build()),
            client,
        }
    }

    /// Makes the collection where there is none, or one that is not capped: somebody dropped it,
    /// and a writer's next entry made it anew.
    pub(super) async fn ensure(&self) -> Result<(), Cut> {
        let database = self.client.database(CLUSTER_DATABASE);
        let create = doc! { "create": NAME, "capped": true, "size": LOG_BYTES_MAX };
        match in_time(database.run_command(create.clone())).await? {
            Ok(_) => return Ok(()),
            Err(error) if is_there(&error) => {}
            Err(error) => return Err(cut::judge(&error, false)),
        }
        let named = database.list_collections().filter(doc! { "name": NAME });
        let mut named = done(named).await?;
        while done(named.advance()).await? {
            let found = named.deserialize_current();
            let found = found.map_err(|error| cut::judge(&error, false))?;
            if found.options.capped == Some(true) {
                return Ok(());
            }
        }
        done(self.entries.drop()).await?;
        done(database.run_command(create)).await.map(drop)
    }

    /// The last entry.
    pub(super) async fn newest(&self) -> Result<Option<Entry>, Cut> {
        let newest = self.entries.find_one(doc! {}).sort(doc! { "$natural": -1 });
        let newest = done(newest).await?;
        Ok(newest.and_then(entry))
    }

    /// What comes after `place`, as it comes. [`Cut::Lost`] when that entry is no longer there.
    pub(super) async fn follow(&self, place: &Place) -> Result<Cursor<Document>, Cut> {
        let same = doc! { "_id": place.number, "relay": &place.relay };
        if done(self.entries.find_one(same)).await?.is_none() {
            return Err(Cut::Lost);
        }
        let later = self
            .entries
            .find(doc! { "_id": { "$gt": place.number } })
            .cursor_type(CursorType::TailableAwait)
            .max_await_time(WORD_PERIOD);
        done(later).await
    }

    /// Writes the entry after `number`; [`Cut::Overtaken`] when somebody else has.
    pub(super) async fn append(
        &self,
        number: i64,
        relay: &str,
        token: Option<&ResumeToken>,
        told: &[Event],
    ) -> Result<(), Cut> {
        let token = token.and_then(|token| serialize_to_bson(token).ok());
        let told: Vec<Bson> = told.iter().filter_map(notice::of).map(Bson::from).collect();
        let next = doc! {
            "_id": number.saturating_add(1),
            "relay": relay,
            "token": token.unwrap_or(Bson::Null),
            "told": told,
        };
        match in_time(self.entries.insert_one(next)).await? {
            Err(error) if is_duplicate(&error) => Err(Cut::Overtaken),
            other => other.map(drop).map_err(|error| cut::judge(&error, false)),
        }
    }
}

/// Reads an entry; `None` for a document that is none.
pub(super) fn entry(mut document: Document) -> Option<Entry> {
    let place = Place {
        number: document.get_i64("_id").ok()?,
        relay: document.get_str("relay").ok()?.to_owned(),
    };
    let token = document.remove("token").filter(|t| *t != Bson::Null);
    let Some(Bson::Array(told)) = document.remove("told") else {
        return None;
    };
    Some(Entry {
        place,
        token: token.and_then(|token| deserialize_from_bson(token).ok()),
        told: told.into_iter().map(notice::read).collect(),
    })
}

/// A call's answer, or that the server is away.
pub(super) async fn in_time<T>(
    call: impl IntoFuture<Output = Result<T, Error>>,
) -> Result<Result<T, Error>, Cut> {
    let call = timeout(CALL_TIMEOUT, call.into_future());
    call.await.map_err(|_| Cut::Away)
}

/// A call's answer; what went wrong is only whether it passes.
pub(super) async fn done<T>(call: impl IntoFuture<Output = Result<T, Error>>) -> Result<T, Cut> {
    in_time(call).await?.map_err(|e| cut::judge(&e, false))
}

fn is_there(error: &Error) -> bool {
    matches!(&*error.kind, ErrorKind::Command(command) if command.code == EXISTS)
}
