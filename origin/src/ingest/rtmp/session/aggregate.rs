//! Aggregate messages: several FLV tags in one (Adobe's RTMP 1.0 specification, 7.1.6).
//!
//! Parts that are not audio, video or data are passed over.
//!
//! Each part is an FLV tag header (type, 24-bit size, 24+8-bit timestamp, stream id), a body and a
//! back pointer. Part timestamps count from their own origin: the first part's time is the
//! aggregate's.

use bytes::{Buf, Bytes};

use super::DropReason;
use crate::ingest::rtmp::chunk::Message;
use crate::ingest::rtmp::message::kind;

/// FLV tag header length, bytes.
const TAG_HEADER_BYTES: usize = 11;
/// Length of the back pointer after a body, bytes.
const BACK_POINTER_BYTES: usize = 4;

/// The parts of an aggregate not yet handed out.
#[derive(Debug)]
pub(super) struct Aggregate {
    stream: u32,
    timestamp_ms: u32,
    first_part_ms: Option<u32>,
    rest: Bytes,
}

impl Aggregate {
    pub(super) fn new(message: Message) -> Self {
        Self {
            stream: message.stream,
            timestamp_ms: message.timestamp_ms,
            first_part_ms: None,
            rest: message.payload,
        }
    }
}

impl Iterator for Aggregate {
    type Item = Result<Message, DropReason>;

    /// The next part; an error when what is left is no tag (the rest is
    /// lost then).
    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            match self.part() {
                Ok(part) if matches!(part.kind, kind::AUDIO | kind::VIDEO | kind::DATA_AMF0) => {
                    return Some(Ok(part));
                }
                Ok(_) => {}
                Err(reason) => {
                    self.rest.clear();
                    return Some(Err(reason));
                }
            }
        }
        None
    }
}

impl Aggregate {
    fn part(&mut self) -> Result<Message, DropReason> {
        let rest = &mut self.rest;
        let Some(header) = rest.first_chunk::<TAG_HEADER_BYTES>() else {
            return Err(DropReason::BadAggregate);
        };
        let [kind, s0, s1, s2, t0, t1, t2, t3, ..] = *header;
        let body_bytes = u32::from_be_bytes([0, s0, s1, s2]) as usize;
        let part_ms = u32::from_be_bytes([t3, t0, t1, t2]);
        rest.advance(TAG_HEADER_BYTES);
        if rest.len() < body_bytes {
            return Err(DropReason::BadAggregate);
        }
        // A copy: a part kept for long shall not keep the whole aggregate.
        let payload = Bytes::copy_from_slice(&rest.split_to(body_bytes));
        rest.advance(rest.len().min(BACK_POINTER_BYTES));
        let first_ms = *self.first_part_ms.get_or_insert(part_ms);
        let since_first_ms = part_ms.wrapping_sub(first_ms);
        Ok(Message {
            kind,
            stream: self.stream,
            timestamp_ms: self.timestamp_ms.wrapping_add(since_first_ms),
            payload,
        })
    }
}
