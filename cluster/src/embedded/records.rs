//! The embedded store's door to its records. Lists are made outside the lock, of records that are
//! shared, not copied.

use super::EmbeddedStore;
use super::ops::{Op, Outcome};
use super::record_ops::{RecordOp, fields_of, stream_key};
use crate::names::AppName;
use crate::record::{self, Document};
use crate::records::select::{Filter, page};
use crate::records::{Fields, Kind, LIST_MAX, Place, Query, RecordChange, Records, check};
use crate::store::StoreError;
use crate::types::Broadcast;
use async_trait::async_trait;
use std::sync::Arc;
use tokio::sync::broadcast;

/// As many records are looked at where the call is made: some milliseconds.
const LOOKED_AT_IN_PLACE_MAX: usize = 1_000;

#[async_trait]
impl Records for EmbeddedStore {
    async fn get(&self, place: &Place) -> Result<Option<Fields>, StoreError> {
        check::place(place)?;
        let view = self.shared.read();
        if place.kind == Kind::Broadcast {
            let key = stream_key(place)?;
            return match view.stream(&key) {
                Some(stream) => fields_of(&key, stream),
                None => Ok(None),
            };
        }
        Ok(view
            .records()
            .get(place)
            .map(|fields| Fields::clone(fields)))
    }

    async fn insert(&self, place: &Place, fields: Fields) -> Result<bool, StoreError> {
        let fields = checked(place, fields)?;
        match self
            .record_call(RecordOp::Insert(place.clone(), fields))
            .await?
        {
            Outcome::Existed(existed) => Ok(!existed),
            other => Err(other.unexpected("insert")),
        }
    }

    async fn put(&self, place: &Place, fields: Fields) -> Result<(), StoreError> {
        let fields = checked(place, fields)?;
        let put = RecordOp::Put(place.clone(), fields);
        self.record_call(put).await.map(drop)
    }

    async fn patch(&self, place: &Place, set: Fields) -> Result<Option<Fields>, StoreError> {
        let set = checked(place, set)?;
        match self
            .record_call(RecordOp::Patch(place.clone(), set))
            .await?
        {
            Outcome::Record(fields) => Ok(fields),
            other => Err(other.unexpected("patch")),
        }
    }

    async fn delete(&self, place: &Place) -> Result<bool, StoreError> {
        check::place(place)?;
        match self.record_call(RecordOp::Delete(place.clone())).await? {
            Outcome::Existed(existed) => Ok(existed),
            other => Err(other.unexpected("delete")),
        }
    }

    async fn list(&self, query: &Query) -> Result<Vec<Fields>, StoreError> {
        check::query(query)?;
        let candidates = self.candidates(query);
        if let (Candidates::Streams(streams), None) = (&candidates, query.sort)
            && Filter::of(query).takes_all()
        {
            let page = streams.iter().skip(query.offset);
            let page = page.take(query.size.min(LIST_MAX));
            return Ok(page.map(|stream| record::to_fields(stream)).collect());
        }
        let found = candidates.matching(query).await?;
        let found = page(query, found).into_iter();
        Ok(found.map(Arc::unwrap_or_clone).collect())
    }

    async fn count(&self, query: &Query) -> Result<u64, StoreError> {
        check::query(query)?;
        let candidates = self.candidates(query);
        if Filter::of(query).takes_all() {
            return Ok(candidates.len() as u64);
        }
        Ok(candidates.matching(query).await?.len() as u64)
    }

    async fn delete_matching(&self, query: &Query) -> Result<u64, StoreError> {
        check::query(query)?;
        let call = RecordOp::DeleteMatching(query.clone());
        match self.record_call(call).await? {
            Outcome::Count(count) => Ok(count as u64),
            other => Err(other.unexpected("delete_matching")),
        }
    }

    async fn add(&self, place: &Place, by: &[(&'static str, i64)]) -> Result<(), StoreError> {
        check::place(place)?;
        let add = RecordOp::Add(place.clone(), by.to_vec());
        self.record_call(add).await.map(drop)
    }

    async fn append(&self, kind: Kind, app: &AppName, fields: Fields) -> Result<(), StoreError> {
        check::appended(kind)?;
        let fields = check::writable(kind, fields)?;
        let append = RecordOp::Append(app.clone(), fields);
        self.record_call(append).await.map(drop)
    }

    fn record_changes(&self) -> Option<broadcast::Receiver<RecordChange>> {
        Some(self.shared.subscribe_records())
    }
}

impl EmbeddedStore {
    async fn record_call(&self, op: RecordOp) -> Result<Outcome, StoreError> {
        self.call(Op::Record(op)).await
    }

    /// Records of the query's kind and application, in the order of the key.
    fn candidates(&self, query: &Query) -> Candidates {
        let (view, app) = (self.shared.read(), query.app.as_ref());
        if query.kind == Kind::Broadcast {
            let streams = app.map(|app| view.stream_records(app));
            return Candidates::Streams(streams.unwrap_or_default());
        }
        let all = view.records().of(query.kind, app);
        Candidates::Records(all.map(|(_, fields)| Arc::clone(fields)).collect())
    }
}

/// Records a query may mean, taken out of the memory for looking at them without its lock.
enum Candidates {
    Streams(Vec<Arc<Document<Broadcast>>>),
    Records(Vec<Arc<Fields>>),
}

impl Candidates {
    fn len(&self) -> usize {
        match self {
            Self::Streams(streams) => streams.len(),
            Self::Records(records) => records.len(),
        }
    }

    /// Those that match; of many, on a thread where it keeps nobody waiting.
    async fn matching(self, query: &Query) -> Result<Vec<Arc<Fields>>, StoreError> {
        if self.len() <= LOOKED_AT_IN_PLACE_MAX {
            return Ok(self.filtered(query));
        }
        let query = query.clone();
        let task = tokio::task::spawn_blocking(move || self.filtered(&query));
        task.await.map_err(|error| StoreError::Unavailable {
            operation: "list",
            reason: error.to_string(),
        })
    }

    fn filtered(self, query: &Query) -> Vec<Arc<Fields>> {
        let filter = Filter::of(query);
        let mut records = match self {
            Self::Streams(streams) => {
                let fields = streams.iter().map(|stream| record::to_fields(stream));
                fields.map(Arc::new).collect()
            }
            Self::Records(records) => records,
        };
        records.retain(|fields| filter.matches(fields));
        records
    }
}

fn checked(place: &Place, fields: Fields) -> Result<Fields, StoreError> {
    check::place(place)?;
    if place.kind == Kind::Broadcast {
        stream_key(place)?;
    }
    check::writable(place.kind, fields)
}
