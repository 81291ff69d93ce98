//! Records to documents and back, in Ant Media's layout.
//!
//! Writes name the fields they change and no others, so that whatever else a document holds stays.

use super::layout;
use super::records::fields_of;
use crate::ownership::{Tenure, Timeline};
use crate::record;
use crate::records::Kind;
use crate::store::{EpochEnd, StoreError};
use crate::types::{Broadcast, NodeRecord, NodeRole, Ownership};
use mongodb::bson::{
    Bson, DateTime, Document, deserialize_from_bson, deserialize_from_document, doc,
    serialize_to_document,
};
use serde::de::DeserializeOwned;

/// Where a stream's epoch had got to; a field of its broadcast, so that one write does for both.
pub(super) const CHECKPOINT: &str = "weirCheckpoint";
/// When a timeline may go; MongoDB itself deletes it then.
pub(super) const FORGET_AT: &str = "forgetAt";
/// Since when a timeline's end has not been told to its record, date.
pub(super) const RECORD_DUE: &str = "recordDue";

/// When a node wrote its record, ms; Ant Media's name.
pub(super) const NODE_WROTE: &str = "lastUpdateTime";

/// Fields that say what a record is: written when it is made, not by its publisher afterwards.
const OF_THE_RECORD: [&str; 4] = ["streamId", "zombi", "date", "name"];

/// `record` in two parts: fields its owner writes, fields for a new document only. Fields that are
/// not known are left out: they change nothing.
pub(super) fn parts(record: &Broadcast) -> Result<(Document, Document), StoreError> {
    let mut whole = serialize_to_document(record).map_err(|e| unwritable("broadcast", &e))?;
    layout::part_address(&mut whole);
    let known = whole.into_iter().filter(|(_, value)| *value != Bson::Null);
    Ok(known.partition(|(name, _)| !OF_THE_RECORD.contains(&name.as_str())))
}

pub(super) fn checkpoint(at: EpochEnd) -> Result<Document, StoreError> {
    serialize_to_document(&at).map_err(|e| unwritable("checkpoint", &e))
}

pub(super) fn owner(ownership: &Ownership) -> Result<Document, StoreError> {
    serialize_to_document(ownership).map_err(|e| unwritable("owner", &e))
}

/// What a document has beside, when publishing made it: what Ant Media writes into each, and looks for.
pub(super) fn at_birth() -> Document {
    let mut fields = doc! { "type": "liveStream", "publish": true, "publicStream": true };
    layout::mark(Kind::Broadcast, &mut fields);
    fields
}

/// The checkpoint in a broadcast, when it is `epoch`'s.
pub(super) fn checkpoint_of(broadcast: &Document, epoch: u64) -> Option<EpochEnd> {
    let owner = broadcast.get_document("owner").ok()?;
    let owner: Ownership = deserialize_from_document(owner.clone()).ok()?;
    let at = broadcast.get(CHECKPOINT)?.clone();
    (owner.epoch == epoch).then(|| deserialize_from_bson(at).ok())?
}

pub(super) fn timeline(
    id: &str,
    timeline: &Timeline,
    forget_at_ms: i64,
) -> Result<Document, StoreError> {
    let mut document = serialize_to_document(timeline).map_err(|e| unwritable("timeline", &e))?;
    document.insert("_id", id);
    if timeline.tenure != Tenure::Held {
        document.insert(FORGET_AT, DateTime::from_millis(forget_at_ms));
        document.insert(RECORD_DUE, DateTime::from_millis(timeline.ended_ms));
    }
    Ok(document)
}

pub(super) fn tenure(tenure: Tenure) -> &'static str {
    match tenure {
        Tenure::Held => "held",
        Tenure::Released => "released",
        Tenure::Lost => "lost",
    }
}

/// A number as MongoDB keeps it. Epochs are milliseconds: far from its limit.
pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// `fields` as an update's pipeline takes them: as they are, whatever is in them.
pub(super) fn literals(fields: Document) -> Document {
    let literal = |(name, value)| (name, Bson::from(doc! { "$literal": value }));
    fields.into_iter().map(literal).collect()
}

/// A node's fields but its time, which the store sets.
pub(super) fn node(node: &NodeRecord) -> Document {
    let mut document = serialize_to_document(node).unwrap_or_default();
    document.remove("id");
    document.remove(NODE_WROTE);
    // Ant Media keeps a number here.
    if let Ok(cpu) = node.cpu.parse::<i32>() {
        document.insert("cpu", cpu);
    }
    document
}

/// A node, also one written by Ant Media, which names no role: its nodes do everything.
pub(super) fn read_node(document: &Document) -> Option<NodeRecord> {
    let text = |name| match document.get(name) {
        Some(Bson::String(text)) => text.clone(),
        Some(Bson::Int32(number)) => number.to_string(),
        Some(Bson::Int64(number)) => number.to_string(),
        _ => String::new(),
    };
    let integer = |name| match document.get(name) {
        Some(Bson::Int32(number)) => i64::from(*number),
        Some(Bson::Int64(number)) => *number,
        _ => 0,
    };
    let role = document.get("role").cloned();
    let role = role.and_then(|role| deserialize_from_bson(role).ok());
    let number = |name| match document.get(name) {
        Some(Bson::Double(number)) => *number,
        _ => 0.0,
    };
    let optional = |name| document.get_str(name).ok().map(str::to_owned);
    let viewers = document.get("viewers").cloned();
    let viewers = viewers.and_then(|viewers| deserialize_from_bson(viewers).ok());
    Some(NodeRecord {
        id: document.get_str("_id").ok()?.to_owned(),
        ip: text("ip"),
        role: role.unwrap_or(NodeRole::All),
        last_update_time: integer(NODE_WROTE),
        memory: text("memory"),
        cpu: text("cpu"),
        db_query_average_time_ms: u32::try_from(integer("dbQueryAveargeTimeMs")).unwrap_or(0),
        version: text("version"),
        node_group: optional("nodeGroup"),
        http_address: optional("httpAddress"),
        rtmp_address: optional("rtmpAddress"),
        streams: u32::try_from(integer("streams")).unwrap_or(0),
        viewers: viewers.unwrap_or_default(),
        ingress_mbps: number("ingressMbps"),
        egress_mbps: number("egressMbps"),
        draining: document.get_bool("draining").unwrap_or(false),
    })
}

/// A broadcast, whoever wrote it: a field of the wrong type reads as its default.
pub(super) fn broadcast(mut document: Document) -> Broadcast {
    layout::join_address(&mut document);
    record::from_fields(fields_of(document)).known
}

pub(super) fn read<T: DeserializeOwned>(key: &str, document: Document) -> Result<T, StoreError> {
    deserialize_from_document(document).map_err(|error| StoreError::Damaged {
        key: key.to_owned(),
        reason: error.to_string(),
    })
}

fn unwritable(what: &str, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Damaged {
        key: what.to_owned(),
        reason: error.to_string(),
    }
}
