//! Leases as documents of `clusterdb.weirlease`, written and read by the server's own clock.
//!
//! | field | meaning |
//! |---|---|
//! | `_id` | node id |
//! | `since` | since when it has not lapsed, date |
//! | `renewed` | last renewal, date; 1970 when the node gave the lease up |
//! | `renewals` | the last renewals, dates, the newest first |
//! | `forgetAt` | when the server itself deletes the document, date |
//!
//! The time is `$$NOW`, which the server puts in; no node's clock is asked. A renewal is one write
//! to one document, acknowledged by the primary alone (w:1): a primary that has lost its majority may
//! take it, and then all leases lapse together at the next one, where nobody judges until all had
//! time to renew. Judging reads what the primary has (local), the newest there is; a primary that
//! was replaced without knowing may mislead, but what is done upon it is a write to a majority, which
//! that primary cannot make.

use super::{MongoStore, documents, failed};
use crate::clock::WallClock;
use crate::lease::{LEASE_KEPT_MS, LEASE_MS, Lease, Leases, RENEWALS_KEPT, Sight};
use crate::store::StoreError;
use mongodb::Collection;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::options::{ReadConcern, ReturnDocument, WriteConcern};
use std::sync::Arc;

/// The most leases one call reads.
const LEASES_MAX: i32 = 10_000;

/// What tells the time of the store's writes.
#[derive(Debug)]
pub(super) enum StoreTime {
    /// The server.
    Server,
    /// A clock handed in, in its place: for tests, which cannot set a server's.
    Given(Arc<dyn WallClock>),
}

impl StoreTime {
    /// The time as an expression, a date.
    pub(super) fn expression(&self) -> Bson {
        match self {
            Self::Server => Bson::from("$$NOW"),
            Self::Given(clock) => Bson::DateTime(DateTime::from_millis(clock.now_ms())),
        }
    }

    /// The time as an expression, ms since the Unix epoch.
    pub(super) fn expression_ms(&self) -> Bson {
        Bson::from(doc! { "$toLong": self.expression() })
    }
}

impl MongoStore {
    fn lease_documents(&self) -> Collection<Document> {
        self.cluster_collection("weirlease", WriteConcern::nodes(1))
    }

    /// The store's `renew_lease`: [`Lease::renewed`] as one write.
    pub(super) async fn renew(&self, node_id: &str) -> Result<Lease, StoreError> {
        let now = self.time.expression();
        let never = DateTime::from_millis(0);
        let gap_ms = doc! { "$subtract": [&now, { "$ifNull": ["$renewed", never] }] };
        let went_back = doc! { "$lt": [&gap_ms, 0_i64] };
        let unbroken = doc! { "$and": [
            { "$gte": [&gap_ms, 0_i64] },
            { "$lte": [&gap_ms, LEASE_MS] },
        ] };
        let kept = i32::try_from(RENEWALS_KEPT).unwrap_or(i32::MAX);
        let more = doc! { "$concatArrays": [[&now], { "$ifNull": ["$renewals", []] }] };
        let more = doc! { "$slice": [more, kept] };
        let renewal = doc! { "$set": {
            "since": { "$cond": [unbroken, "$since", &now] },
            "renewed": &now,
            "renewals": { "$cond": [went_back, [&now], more] },
            "forgetAt": { "$add": [&now, LEASE_KEPT_MS] },
        } };
        let leases = self.lease_documents();
        let renewed = leases
            .find_one_and_update(doc! { "_id": node_id }, vec![renewal])
            .upsert(true)
            .return_document(ReturnDocument::After);
        let renewed = renewed.await.map_err(|e| failed("renew_lease", &e))?;
        let renewed = renewed.as_ref().ok_or_else(|| unreadable("renew_lease"))?;
        let now_ms = date_ms(renewed, "renewed");
        lease(renewed, now_ms).ok_or_else(|| unreadable("renew_lease"))
    }

    /// The store's `end_lease`: [`Lease::ended`].
    pub(super) async fn give_up(&self, node_id: &str) -> Result<(), StoreError> {
        let never = DateTime::from_millis(0);
        let ended = doc! { "$set": { "since": never, "renewed": never, "renewals": [] } };
        let leases = self.lease_documents();
        let ended = leases.update_one(doc! { "_id": node_id }, ended).await;
        ended.map(drop).map_err(|error| failed("end_lease", &error))
    }

    /// The leases that `which` names, and the time.
    pub(super) async fn read_leases(&self, which: Document) -> Result<Leases, StoreError> {
        // One document whatever there is, so that the time comes also without any lease.
        let pipeline = vec![
            doc! { "$facet": { "leases": [
                { "$match": which },
                { "$project": { "since": 1, "renewed": 1, "renewals": 1 } },
                { "$limit": LEASES_MAX },
            ] } },
            doc! { "$set": { "now": self.time.expression() } },
        ];
        let read = self.lease_documents();
        let read = read.aggregate(pipeline).read_concern(ReadConcern::local());
        let cursor = read.await.map_err(|error| failed("leases", &error))?;
        let found = self.list(cursor).await?;
        let found = found.first().ok_or_else(|| unreadable("leases"))?;
        let now_ms = date_ms(found, "now");
        let documents = found
            .get_array("leases")
            .map_err(|_| unreadable("leases"))?;
        let documents = documents.iter().filter_map(Bson::as_document);
        Ok(Leases {
            now_ms,
            leases: documents.filter_map(|d| lease(d, now_ms)).collect(),
        })
    }

    /// The store's time, ms since the Unix epoch.
    pub(super) async fn now_ms(&self) -> Result<i64, StoreError> {
        let none = self.read_leases(doc! { "_id": Bson::Null }).await?;
        Ok(none.now_ms)
    }

    /// What can be seen of `owner` by `asker`.
    pub(super) async fn sight(&self, asker: &str, owner: &str) -> Result<Sight, StoreError> {
        let leases = self
            .read_leases(doc! { "_id": { "$in": [asker, owner] } })
            .await?;
        let heartbeat_ms = match leases.of(owner) {
            Some(_) => None,
            None => self.heartbeat_of(owner).await?,
        };
        Ok(Sight {
            now_ms: leases.now_ms,
            own: leases.of(asker).cloned(),
            owner: leases.of(owner).cloned(),
            heartbeat_ms,
        })
    }

    async fn heartbeat_of(&self, node_id: &str) -> Result<Option<i64>, StoreError> {
        let nodes = self.cluster_nodes(super::majority());
        let found = nodes.find_one(doc! { "_id": node_id }).await;
        let found = found.map_err(|error| failed("node", &error))?;
        let node = found.as_ref().and_then(documents::read_node);
        Ok(node.map(|node| node.last_update_time))
    }
}

fn lease(document: &Document, now_ms: i64) -> Option<Lease> {
    Some(Lease {
        node_id: document.get_str("_id").ok()?.to_owned(),
        since_ms: date_ms(document, "since"),
        renewed_ms: date_ms(document, "renewed"),
        renewals_ms: dates_ms(document, "renewals"),
        now_ms,
    })
}

/// A date, 1970 when it is none: a lease without its times has lapsed.
fn date_ms(document: &Document, name: &str) -> i64 {
    let date = document.get_datetime(name);
    date.map_or(0, |date| date.timestamp_millis())
}

fn dates_ms(document: &Document, name: &str) -> Vec<i64> {
    let dates = document.get_array(name).map_or([].as_slice(), |d| d);
    let dates = dates.iter().filter_map(Bson::as_datetime);
    let dates = dates.map(|date| date.timestamp_millis());
    dates.take(RENEWALS_KEPT).collect()
}

fn unreadable(operation: &'static str) -> StoreError {
    StoreError::Unavailable {
        operation,
        reason: "an answer without a lease in it".to_owned(),
    }
}
