//! What each call on records does to the memory.
//!
//! A broadcast is the record of a stream ([`super::view::Stream`]), so that REST and the stream's
//! owner meet in one document; every other kind lives in [`super::table::Records`].

use super::ops::{self, Outcome};
use super::table::records_max;
use super::view::{Stage, Stream};
use crate::names::{AppName, StreamKey};
use crate::record;
use crate::records::select::Filter;
use crate::records::{Fields, Kind, Place, Query, check};
use crate::store::StoreError;
use serde_json::Value;
use std::sync::Arc;

/// A call.
#[derive(Debug)]
pub(super) enum RecordOp {
    Insert(Place, Fields),
    Put(Place, Fields),
    Patch(Place, Fields),
    Delete(Place),
    DeleteMatching(Query),
    Add(Place, Vec<(&'static str, i64)>),
    Append(AppName, Fields),
}

impl RecordOp {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Insert(..) => "insert",
            Self::Put(..) => "put",
            Self::Patch(..) => "patch",
            Self::Delete(_) => "delete",
            Self::DeleteMatching(_) => "delete_matching",
            Self::Add(..) => "add",
            Self::Append(..) => "append",
        }
    }

    pub(super) fn is_durable(&self) -> bool {
        !matches!(self, Self::Add(..) | Self::Append(..))
    }

    /// Carries the call out on `stage`. On an error, `stage` is unchanged.
    pub(super) fn run(&self, stage: &mut Stage<'_>) -> Result<Outcome, StoreError> {
        match self {
            Self::Insert(place, fields) => {
                let new = !exists(stage, place)?;
                if new {
                    write(stage, place, fields.clone())?;
                }
                Ok(Outcome::Existed(!new))
            }
            Self::Put(place, fields) => {
                write(stage, place, fields.clone())?;
                Ok(Outcome::Done)
            }
            Self::Patch(place, set) => run_patch(stage, place, set),
            Self::Delete(place) => {
                let existed = exists(stage, place)?;
                if existed {
                    remove(stage, place)?;
                }
                Ok(Outcome::Existed(existed))
            }
            Self::DeleteMatching(query) => run_delete_matching(stage, query),
            Self::Add(place, by) => run_add(stage, place, by),
            Self::Append(app, fields) => {
                run_append(stage, app, fields);
                Ok(Outcome::Done)
            }
        }
    }
}

pub(super) fn stream_key(place: &Place) -> Result<StreamKey, StoreError> {
    let app = place.app.as_ref().map_or("", AppName::as_str);
    let id = place.key.first().map_or("", String::as_str);
    StreamKey::parse(app, id).map_err(|error| StoreError::Invalid {
        what: "streamId".to_owned(),
        reason: error.to_string(),
    })
}

pub(super) fn fields_of(key: &StreamKey, stream: &Stream) -> Result<Option<Fields>, StoreError> {
    match (&stream.record, &stream.damaged) {
        (Some(document), _) => Ok(Some(record::to_fields(document))),
        (None, Some(reason)) => Err(StoreError::Damaged {
            key: key.to_string(),
            reason: reason.to_string(),
        }),
        (None, None) => Ok(None),
    }
}

fn exists(stage: &Stage<'_>, place: &Place) -> Result<bool, StoreError> {
    if place.kind == Kind::Broadcast {
        let stream = stage.stream(&stream_key(place)?);
        return Ok(stream.is_some_and(|s| s.record.is_some() || s.damaged.is_some()));
    }
    Ok(stage.record(place).is_some())
}

/// Makes `fields`, without key, the whole record.
fn write(stage: &mut Stage<'_>, place: &Place, mut fields: Fields) -> Result<(), StoreError> {
    for (name, value) in place.kind.key_fields().iter().zip(&place.key) {
        fields.insert((*name).to_owned(), Value::from(value.as_str()));
    }
    if place.kind != Kind::Broadcast {
        if stage.record(place).is_none() {
            check_room(stage, place.kind)?;
        }
        stage.put_record(place.clone(), Some(Arc::new(fields)));
        return Ok(());
    }
    let key = stream_key(place)?;
    let before = stage.stream(&key).cloned();
    if before.is_none() {
        ops::make_room(stage)?;
    }
    let before = before.unwrap_or_default();
    let mut document = record::from_fields(fields);
    document.known.owner = before.record.and_then(|before| before.known.owner.clone());
    let stream = Stream {
        record: Some(Arc::new(document)),
        timeline: before.timeline,
        damaged: None,
    };
    stage.put_stream(key, stream);
    Ok(())
}

fn remove(stage: &mut Stage<'_>, place: &Place) -> Result<(), StoreError> {
    if place.kind != Kind::Broadcast {
        stage.put_record(place.clone(), None);
        return Ok(());
    }
    let key = stream_key(place)?;
    let timeline = stage.stream(&key).and_then(|s| s.timeline.clone());
    let stream = Stream {
        timeline,
        ..Stream::default()
    };
    stage.put_stream(key, stream);
    Ok(())
}

fn run_patch(stage: &mut Stage<'_>, place: &Place, set: &Fields) -> Result<Outcome, StoreError> {
    let existing = match place.kind {
        Kind::Broadcast => {
            let key = stream_key(place)?;
            let stream = stage.stream(&key);
            stream.map_or(Ok(None), |stream| fields_of(&key, stream))?
        }
        _ => stage.record(place).map(|fields| Fields::clone(fields)),
    };
    let Some(mut fields) = existing else {
        return Ok(Outcome::Record(None));
    };
    fields.extend(
        set.iter()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    check::size(&fields)?;
    write(stage, place, fields.clone())?;
    Ok(Outcome::Record(Some(fields)))
}

fn run_add(
    stage: &mut Stage<'_>,
    place: &Place,
    by: &[(&'static str, i64)],
) -> Result<Outcome, StoreError> {
    let mut fields = match place.kind {
        Kind::Broadcast => {
            let key = stream_key(place)?;
            let stream = stage.stream(&key);
            stream.map_or(Ok(None), |stream| fields_of(&key, stream))?
        }
        _ => stage.record(place).map(|fields| Fields::clone(fields)),
    }
    .unwrap_or_default();
    for (name, by) in by {
        let sum = match fields.get(*name) {
            Some(Value::Number(was)) => match was.as_i64() {
                Some(was) => Value::from(was.saturating_add(*by)),
                #[allow(clippy::cast_precision_loss, reason = "a sum with a float is a float")]
                None => Value::from(was.as_f64().unwrap_or_default() + *by as f64),
            },
            _ => Value::from(*by),
        };
        fields.insert((*name).to_owned(), sum);
    }
    write(stage, place, fields)?;
    Ok(Outcome::Done)
}

fn run_append(stage: &mut Stage<'_>, app: &AppName, fields: &Fields) {
    const KIND: Kind = Kind::ConnectionEvent;
    let staged = stage.changed().records.iter();
    let staged = staged.filter(|(place, fields)| place.kind == KIND && fields.is_some());
    let newest = staged.map(|(place, _)| &place.key).max();
    let newest = newest.max(stage.view().records().newest_key(KIND));
    let newest = newest.and_then(|key| key.first()?.parse::<u64>().ok());
    let number = newest.map_or(0, |newest| newest.saturating_add(1));
    // As wide as the greatest number, so that texts sort as numbers do.
    let key = format!("{number:020}");
    if check_room(stage, KIND).is_err()
        && let Some(oldest) = oldest(stage, KIND)
    {
        stage.put_record(oldest, None);
    }
    let place = Place::in_app(KIND, app, [&*key]);
    stage.put_record(place, Some(Arc::new(fields.clone())));
}

/// The oldest record that no call of this batch has touched.
fn oldest(stage: &Stage<'_>, kind: Kind) -> Option<Place> {
    let records = stage.view().records();
    let oldest = records.oldest(kind)?;
    if stage.record(&oldest).is_some() {
        return Some(oldest);
    }
    let untouched = records.of(kind, oldest.app.as_ref()).map(|(key, _)| Place {
        key: key.clone(),
        ..oldest.clone()
    });
    untouched
        .into_iter()
        .find(|place| stage.record(place).is_some())
}

fn run_delete_matching(stage: &mut Stage<'_>, query: &Query) -> Result<Outcome, StoreError> {
    let filter = Filter::of(query);
    let mut gone = Vec::new();
    if query.kind == Kind::Broadcast {
        for key in stage.keys() {
            let record = stage.stream(&key).and_then(|stream| stream.record.as_ref());
            let Some(record) = record.filter(|_| Some(&key.app) == query.app.as_ref()) else {
                continue;
            };
            if filter.takes_all() || filter.matches(&record::to_fields(record)) {
                gone.push(Place::in_app(Kind::Broadcast, &key.app, [key.id.as_str()]));
            }
        }
    } else {
        let app = query.app.as_ref();
        let kept = stage.view().records().of(query.kind, app);
        for (key, fields) in kept {
            let place = Place {
                kind: query.kind,
                app: query.app.clone(),
                key: key.clone(),
            };
            let staged = stage.changed().records.contains_key(&place);
            if !staged && filter.matches(fields) {
                gone.push(place);
            }
        }
        for (place, fields) in &stage.changed().records {
            let here = place.kind == query.kind && place.app == query.app;
            if here && fields.as_ref().is_some_and(|fields| filter.matches(fields)) {
                gone.push(place.clone());
            }
        }
    }
    for place in &gone {
        remove(stage, place)?;
    }
    Ok(Outcome::Count(gone.len()))
}

fn check_room(stage: &Stage<'_>, kind: Kind) -> Result<(), StoreError> {
    let records = stage.view().records();
    let staged = stage.changed().records.iter();
    let staged = staged.filter(|(place, _)| place.kind == kind);
    let mut count = records.count(kind);
    for (place, fields) in staged {
        match (records.get(place), fields) {
            (None, Some(_)) => count += 1,
            (Some(_), None) => count = count.saturating_sub(1),
            _ => {}
        }
    }
    let max = records_max(kind);
    if count < max {
        return Ok(());
    }
    Err(StoreError::Limit {
        what: kind.plural(),
        max,
    })
}
