//! The records in memory: what readers see, and what a batch of calls would change.
//!
//! Readers hold the lock for one look-up; the writing thread holds it for applying one batch.
//! Nobody holds it across an await or a disk access.

use super::CHANGES_MAX;
use super::leases::LeaseBook;
use super::table::Records;
use crate::names::{AppName, StreamId, StreamKey};
use crate::ownership::{Tenure, Timeline};
use crate::record::Document;
use crate::records::{Fields, Kind, Place, RecordChange};
use crate::store::{StoreError, StreamChange};
use crate::types::{Broadcast, NodeRecord};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use tokio::sync::broadcast;

/// One stream: its record and its timeline, either of which may be missing.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    pub(super) record: Option<Arc<Document<Broadcast>>>,
    pub(super) timeline: Option<Timeline>,
    /// Why the record in the file could not be read, until a claim replaces it.
    pub(super) damaged: Option<Arc<str>>,
}

impl Stream {
    pub(super) fn is_empty(&self) -> bool {
        self.record.is_none() && self.timeline.is_none() && self.damaged.is_none()
    }
}

/// All records.
#[derive(Debug, Default)]
pub(super) struct View {
    apps: BTreeMap<AppName, BTreeMap<StreamId, Stream>>,
    nodes: BTreeMap<String, Document<NodeRecord>>,
    stream_count: usize,
    leases: Arc<LeaseBook>,
    records: Records,
}

impl View {
    pub(super) fn leases(&self) -> &LeaseBook {
        &self.leases
    }

    pub(super) fn records(&self) -> &Records {
        &self.records
    }

    pub(super) fn put_record(&mut self, place: Place, fields: Option<Arc<Fields>>) {
        self.records.put(place, fields);
    }

    /// Records of the streams of an application, in order; all of them is a look at each.
    pub(super) fn stream_records(&self, app: &AppName) -> Vec<Arc<Document<Broadcast>>> {
        let streams = self.apps.get(app).into_iter().flat_map(BTreeMap::values);
        streams.filter_map(|stream| stream.record.clone()).collect()
    }

    pub(super) fn stream(&self, key: &StreamKey) -> Option<&Stream> {
        self.apps.get(&key.app)?.get(&key.id)
    }

    pub(super) fn stream_count(&self) -> usize {
        self.stream_count
    }

    pub(super) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn node(&self, id: &str) -> Option<&Document<NodeRecord>> {
        self.nodes.get(id)
    }

    pub(super) fn streams(&self) -> impl Iterator<Item = (StreamKey, &Stream)> {
        self.apps.iter().flat_map(|(app, streams)| {
            streams.iter().map(|(id, stream)| {
                let (app, id) = (app.clone(), id.clone());
                (StreamKey { app, id }, stream)
            })
        })
    }

    pub(super) fn broadcast(&self, key: &StreamKey) -> Result<Option<Broadcast>, StoreError> {
        let Some(stream) = self.stream(key) else {
            return Ok(None);
        };
        match (&stream.record, &stream.damaged) {
            (Some(record), _) => Ok(Some(record.known.clone())),
            (None, Some(reason)) => Err(StoreError::Damaged {
                key: key.to_string(),
                reason: reason.to_string(),
            }),
            (None, None) => Ok(None),
        }
    }

    pub(super) fn broadcasts(&self, app: &AppName, offset: usize, size: usize) -> Vec<Broadcast> {
        let streams = self.apps.get(app).into_iter().flat_map(BTreeMap::values);
        streams
            .filter_map(|stream| stream.record.as_ref())
            .skip(offset)
            .take(size)
            .map(|record| record.known.clone())
            .collect()
    }

    pub(super) fn nodes(&self, offset: usize, size: usize) -> Vec<NodeRecord> {
        let nodes = self.nodes.values().skip(offset).take(size);
        nodes.map(|node| node.known.clone()).collect()
    }

    /// Streams of which nothing is left but a timeline that has ended, the oldest first.
    pub(super) fn oldest_ended(&self, count: usize) -> Vec<StreamKey> {
        let mut ended: Vec<(i64, StreamKey)> = self
            .streams()
            .filter(|(_, stream)| stream.record.is_none() && stream.damaged.is_none())
            .filter_map(|(key, stream)| {
                let timeline = stream.timeline.as_ref()?;
                (timeline.tenure != Tenure::Held).then_some((timeline.ended_ms, key))
            })
            .collect();
        ended.sort_unstable();
        ended.truncate(count);
        ended.into_iter().map(|(_, key)| key).collect()
    }

    pub(super) fn put_stream(&mut self, key: &StreamKey, stream: Stream) {
        let streams = self.apps.entry(key.app.clone()).or_default();
        if stream.is_empty() {
            if streams.remove(&key.id).is_some() {
                self.stream_count -= 1;
            }
            if streams.is_empty() {
                self.apps.remove(&key.app);
            }
        } else if streams.insert(key.id.clone(), stream).is_none() {
            self.stream_count += 1;
        }
    }

    pub(super) fn put_node(&mut self, id: &str, node: Option<Document<NodeRecord>>) {
        match node {
            Some(node) => {
                self.nodes.insert(id.to_owned(), node);
            }
            None => {
                self.nodes.remove(id);
            }
        }
    }
}

/// What a batch of calls would change, over a view that stays as it is.
#[derive(Debug)]
pub(super) struct Stage<'v> {
    view: &'v View,
    changed: Changed,
}

/// The new state of whatever a batch touched.
#[derive(Debug, Default)]
pub(super) struct Changed {
    pub(super) streams: BTreeMap<StreamKey, Stream>,
    pub(super) nodes: BTreeMap<String, Option<Document<NodeRecord>>>,
    pub(super) records: BTreeMap<Place, Option<Arc<Fields>>>,
}

impl Changed {
    pub(super) fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.nodes.is_empty() && self.records.is_empty()
    }
}

impl<'v> Stage<'v> {
    pub(super) fn over(view: &'v View) -> Self {
        Self {
            view,
            changed: Changed::default(),
        }
    }

    pub(super) fn view(&self) -> &'v View {
        self.view
    }

    pub(super) fn into_changed(self) -> Changed {
        self.changed
    }

    pub(super) fn stream(&self, key: &StreamKey) -> Option<&Stream> {
        let staged = self.changed.streams.get(key);
        staged.or_else(|| self.view.stream(key))
    }

    pub(super) fn node(&self, id: &str) -> Option<&Document<NodeRecord>> {
        match self.changed.nodes.get(id) {
            Some(staged) => staged.as_ref(),
            None => self.view.node(id),
        }
    }

    /// Streams after the batch so far; never fewer than there will be.
    pub(super) fn stream_count_at_most(&self) -> usize {
        let new = self.changed.streams.iter();
        let new = new.filter(|(key, stream)| !stream.is_empty() && self.view.stream(key).is_none());
        let gone = self.changed.streams.iter();
        let gone =
            gone.filter(|(key, stream)| stream.is_empty() && self.view.stream(key).is_some());
        (self.view.stream_count() + new.count()).saturating_sub(gone.count())
    }

    /// Keys of every stream, as changed so far.
    pub(super) fn keys(&self) -> Vec<StreamKey> {
        let mut keys: Vec<StreamKey> = self.view.streams().map(|(key, _)| key).collect();
        let new = self.changed.streams.keys();
        keys.extend(new.filter(|key| self.view.stream(key).is_none()).cloned());
        keys
    }

    pub(super) fn put_stream(&mut self, key: StreamKey, stream: Stream) {
        self.changed.streams.insert(key, stream);
    }

    pub(super) fn put_node(&mut self, id: String, node: Option<Document<NodeRecord>>) {
        self.changed.nodes.insert(id, node);
    }

    pub(super) fn changed(&self) -> &Changed {
        &self.changed
    }

    pub(super) fn record(&self, place: &Place) -> Option<&Arc<Fields>> {
        match self.changed.records.get(place) {
            Some(staged) => staged.as_ref(),
            None => self.view.records().get(place),
        }
    }

    pub(super) fn put_record(&mut self, place: Place, fields: Option<Arc<Fields>>) {
        self.changed.records.insert(place, fields);
    }
}

/// The view as readers and the writing thread share it.
#[derive(Debug)]
pub(super) struct Shared {
    view: RwLock<View>,
    changes: broadcast::Sender<StreamChange>,
    record_changes: broadcast::Sender<RecordChange>,
    degraded: Mutex<Option<String>>,
}

impl Shared {
    pub(super) fn new(view: View) -> Self {
        Self {
            view: RwLock::new(view),
            changes: broadcast::channel(CHANGES_MAX).0,
            record_changes: broadcast::channel(CHANGES_MAX).0,
            degraded: Mutex::new(None),
        }
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<StreamChange> {
        self.changes.subscribe()
    }

    pub(super) fn subscribe_records(&self) -> broadcast::Receiver<RecordChange> {
        self.record_changes.subscribe()
    }

    /// Makes a batch visible, then tells those who listen.
    pub(super) fn apply(&self, changed: Changed) {
        let mut told = Vec::new();
        let records_told = if self.record_changes.receiver_count() > 0 {
            record_changes(&changed)
        } else {
            Vec::new()
        };
        let listened = self.changes.receiver_count() > 0;
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        for (key, stream) in changed.streams {
            if listened {
                let record = stream.record.as_ref();
                told.push(StreamChange {
                    key: key.clone(),
                    broadcast: record.map(|document| Arc::new(document.known.clone())),
                });
            }
            view.put_stream(&key, stream);
        }
        for (id, node) in changed.nodes {
            view.put_node(&id, node);
        }
        for (place, fields) in changed.records {
            view.put_record(place, fields);
        }
        drop(view);
        // Sending fails only when the last listener has just gone.
        for change in told {
            let _ = self.changes.send(change);
        }
        for change in records_told {
            let _ = self.record_changes.send(change);
        }
    }

    pub(super) fn degraded(&self) -> Option<String> {
        let degraded = self.degraded.lock();
        degraded.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_degraded(&self, reason: Option<String>) {
        *self.degraded.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }
}

fn record_changes(changed: &Changed) -> Vec<RecordChange> {
    let streams = changed.streams.iter().map(|(key, stream)| RecordChange {
        place: Place::in_app(Kind::Broadcast, &key.app, [key.id.as_str()]),
        fields: stream
            .record
            .as_deref()
            .map(|document| Arc::new(crate::record::to_fields(document))),
    });
    let records = changed.records.iter();
    let records = records.filter(|(place, _)| place.kind.is_told());
    let records = records.map(|(place, fields)| RecordChange {
        place: place.clone(),
        fields: fields.clone(),
    });
    streams.chain(records).collect()
}
