//! Who serves many streams, asked in one query for each application and [`BATCH_MAX`] streams:
//! how known streams are kept fresh where the server tells no changes.

use super::{MongoStore, documents, failed, layout, majority};
use crate::names::{AppName, StreamKey};
use crate::store::StoreError;
use crate::types::Broadcast;
use mongodb::bson::{Document, doc};
use std::collections::{BTreeMap, BTreeSet};

/// Streams in one query, at most.
const BATCH_MAX: usize = 1_000;

impl MongoStore {
    /// The store's `whereabouts`.
    pub(super) async fn find_whereabouts(
        &self,
        keys: &[StreamKey],
    ) -> Result<Vec<(StreamKey, Option<Broadcast>)>, StoreError> {
        let mut by_app: BTreeMap<&AppName, BTreeSet<&str>> = BTreeMap::new();
        for key in keys {
            by_app.entry(&key.app).or_default().insert(key.id.as_str());
        }
        let mut records: BTreeMap<(&AppName, String), Broadcast> = BTreeMap::new();
        for (app, ids) in by_app {
            let ids: Vec<&str> = ids.into_iter().collect();
            for batch in ids.chunks(BATCH_MAX) {
                for document in self.batch(app, batch).await? {
                    let id = document.get_str("streamId").unwrap_or_default().to_owned();
                    records.insert((app, id), documents::broadcast(document));
                }
            }
        }
        for (app, _) in records.keys() {
            self.watch.learn(app);
        }
        let answers = keys.iter().map(|key| {
            let record = records.get(&(&key.app, key.id.as_str().to_owned()));
            (key.clone(), record.cloned())
        });
        Ok(answers.collect())
    }

    async fn batch(&self, app: &AppName, ids: &[&str]) -> Result<Vec<Document>, StoreError> {
        let wanted = doc! {
            "_id": 0, "streamId": 1, "status": 1, "updateTime": 1, "originAdress": 1,
            layout::ORIGIN: 1, "owner": 1, "zombi": 1,
        };
        let broadcasts = self.broadcasts_of(app, majority());
        let find = broadcasts.find(doc! { "streamId": { "$in": ids } });
        let size = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        // One more than can come, so that the first reply is known to be the last.
        let find = find.projection(wanted).batch_size(size.saturating_add(1));
        let cursor = find.await.map_err(|error| failed("whereabouts", &error))?;
        self.list(cursor).await
    }
}
