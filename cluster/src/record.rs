//! Stored documents, and what each call of the store does to a stream's document.
//!
//! A document is a known type and, beside it, the fields this version does not know: another
//! version, or Ant Media, wrote them, and they are written back as they were.
//! Pure; shared by the stores.

use crate::records::{Fields, kinds};
use crate::store::Claim;
use crate::types::{Broadcast, BroadcastStatus, Ownership};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Fields that say what a record is; its owner's reports leave them alone.
const OF_THE_RECORD: [&str; 3] = ["zombi", "date", "name"];

/// A record and the fields beside it that this version does not know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document<T> {
    /// The part with a meaning here.
    #[serde(flatten)]
    pub known: T,
    /// The rest, kept.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl<T> Document<T> {
    /// A document with nothing unknown in it.
    pub(crate) fn of(known: T) -> Self {
        Self {
            known,
            extra: Map::new(),
        }
    }
}

/// A broadcast's record as its fields. What [`Document::known`] could not say is as it was written.
#[must_use]
pub fn to_fields(document: &Document<Broadcast>) -> Fields {
    let mut fields = kinds::write(&document.known);
    for (name, value) in &document.extra {
        fields.insert(name.clone(), value.clone());
    }
    fields
}

/// A broadcast's record from its fields. A known field whose value means nothing here (the wrong
/// type, a way to publish of another version) reads as its default, and is kept beside it until
/// its owner writes that field.
#[must_use]
pub fn from_fields(mut fields: Fields) -> Document<Broadcast> {
    let known: Broadcast = kinds::read(&fields);
    for (name, said) in kinds::write(&known) {
        if fields.get(&name).is_none_or(|value| *value == said) {
            fields.remove(&name);
        }
    }
    Document {
        known,
        extra: fields,
    }
}

/// What a stream's record is after `claim` was granted as `ownership` at `now_ms`, the store's time.
#[must_use]
pub fn claimed(
    existing: Option<&Document<Broadcast>>,
    claim: &Claim,
    ownership: &Ownership,
    now_ms: i64,
) -> Document<Broadcast> {
    let mut document = merged(existing, &claim.broadcast);
    let record = &mut document.known;
    record.stream_id = claim.key.id.as_str().to_owned();
    record.origin_adress = Some(claim.origin_adress.clone());
    record.owner = Some(ownership.clone());
    record.update_time = now_ms;
    if !record.status.is_live() {
        record.status = BroadcastStatus::Preparing;
    }
    if record.start_time == 0 {
        record.start_time = claim.now_ms;
    }
    if record.date == 0 {
        record.date = claim.now_ms;
    }
    said_anew(document)
}

/// What a stream's record is after its owner's report at `now_ms`, the store's time. A record
/// somebody deleted while the stream is live comes back.
#[must_use]
pub fn updated(
    existing: Option<&Document<Broadcast>>,
    report: &Broadcast,
    ownership: &Ownership,
    now_ms: i64,
) -> Document<Broadcast> {
    let mut document = merged_report(existing, report);
    document.known.owner = Some(ownership.clone());
    document.known.update_time = now_ms;
    said_anew(document)
}

/// What is left of a stream's record after its epoch ended at `now_ms`, the store's time: nothing
/// when publishing had made it.
#[must_use]
pub fn ended(existing: &Document<Broadcast>, now_ms: i64) -> Option<Document<Broadcast>> {
    let mut document = without_owner(existing, BroadcastStatus::Finished)?;
    document.known.update_time = now_ms;
    Some(document)
}

/// What is left of a stream's record after its owner was found gone for good: nothing when
/// publishing had made it, else what time had made of it already.
#[must_use]
pub fn abandoned(existing: &Document<Broadcast>) -> Option<Document<Broadcast>> {
    without_owner(existing, BroadcastStatus::TerminatedUnexpectedly)
}

fn without_owner(
    existing: &Document<Broadcast>,
    status: BroadcastStatus,
) -> Option<Document<Broadcast>> {
    if existing.known.zombi {
        return None;
    }
    let mut document = existing.clone();
    document.known.status = status;
    document.known.owner = None;
    document.known.hls_viewer_count = 0;
    for name in ["status", "owner", "updateTime", "hlsViewerCount"] {
        document.extra.remove(name);
    }
    Some(document)
}

fn merged(existing: Option<&Document<Broadcast>>, report: &Broadcast) -> Document<Broadcast> {
    let mut document = merged_report(existing, report);
    if existing.is_some() {
        // A new publish starts its figures anew; the old ones are history.
        document.known.start_time = report.start_time;
    }
    document
}

/// The owner's fields from `report`, the record's own from `existing`.
fn merged_report(
    existing: Option<&Document<Broadcast>>,
    report: &Broadcast,
) -> Document<Broadcast> {
    let Some(existing) = existing else {
        return Document::of(report.clone());
    };
    let was = &existing.known;
    let known = Broadcast {
        stream_id: was.stream_id.clone(),
        name: was.name.clone().or_else(|| report.name.clone()),
        zombi: was.zombi,
        date: was.date,
        publish_type: report.publish_type.or(was.publish_type),
        origin_adress: newer(report.origin_adress.as_ref(), was.origin_adress.as_ref()),
        remote_ip: newer(report.remote_ip.as_ref(), was.remote_ip.as_ref()),
        user_agent: newer(report.user_agent.as_ref(), was.user_agent.as_ref()),
        ..report.clone()
    };
    Document {
        known,
        extra: existing.extra.clone(),
    }
}

/// Forgets what [`from_fields`] kept of fields that the owner has written now.
fn said_anew(mut document: Document<Broadcast>) -> Document<Broadcast> {
    if !document.extra.is_empty() {
        for (name, value) in kinds::write(&document.known) {
            if !value.is_null() && !OF_THE_RECORD.contains(&name.as_str()) {
                document.extra.remove(&name);
            }
        }
    }
    document
}

fn newer(report: Option<&String>, was: Option<&String>) -> Option<String> {
    report.or(was).cloned()
}

#[cfg(test)]
mod tests;
