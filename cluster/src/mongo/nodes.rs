//! Reading the nodes' records: all of them, or those that were written lately, by an index on when.

use super::{MongoStore, documents, failed, limit_of, majority};
use crate::store::{NodesSince, StoreError};
use crate::types::NodeRecord;
use mongodb::bson::doc;

impl MongoStore {
    /// The store's `nodes`.
    pub(super) async fn find_nodes(
        &self,
        offset: usize,
        size: usize,
    ) -> Result<Vec<NodeRecord>, StoreError> {
        if size == 0 {
            return Ok(Vec::new());
        }
        let find = self.cluster_nodes(majority());
        let find = find.find(doc! {}).sort(doc! { "_id": 1 });
        let find = find.skip(offset as u64).limit(limit_of(size));
        let cursor = find.await.map_err(|error| failed("nodes", &error))?;
        let documents = self.list(cursor).await?;
        Ok(documents.iter().filter_map(documents::read_node).collect())
    }

    /// The store's `nodes_since`. What there are in all is a figure that the server keeps.
    pub(super) async fn find_nodes_since(
        &self,
        since_ms: i64,
        size: usize,
    ) -> Result<NodesSince, StoreError> {
        let refused = |error| failed("nodes_since", &error);
        let nodes = self.cluster_nodes(majority());
        let wrote = doc! { documents::NODE_WROTE: { "$gte": since_ms } };
        let limit = i64::try_from(size.max(1)).unwrap_or(i64::MAX);
        // All in one reply, as far as a reply can be as large as that.
        let reply = u32::try_from(size.saturating_add(1)).unwrap_or(u32::MAX);
        let find = nodes.find(wrote).limit(limit).batch_size(reply);
        let documents = self.list(find.await.map_err(refused)?).await?;
        let total = nodes.estimated_document_count().await.map_err(refused)?;
        Ok(NodesSince {
            nodes: documents.iter().filter_map(documents::read_node).collect(),
            total,
        })
    }
}
