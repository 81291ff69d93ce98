//! The calls of [`Records`], counted and timed as `record_…`.

use super::MeteredStore;
use crate::names::AppName;
use crate::records::{Fields, Kind, Place, Query, RecordChange, Records};
use crate::store::StoreError;
use async_trait::async_trait;
use tokio::sync::broadcast;

#[async_trait]
impl Records for MeteredStore {
    async fn get(&self, place: &Place) -> Result<Option<Fields>, StoreError> {
        self.timed("record_get", self.inner.get(place)).await
    }

    async fn insert(&self, place: &Place, fields: Fields) -> Result<bool, StoreError> {
        let call = self.inner.insert(place, fields);
        self.timed("record_insert", call).await
    }

    async fn put(&self, place: &Place, fields: Fields) -> Result<(), StoreError> {
        self.timed("record_put", self.inner.put(place, fields))
            .await
    }

    async fn patch(&self, place: &Place, set: Fields) -> Result<Option<Fields>, StoreError> {
        self.timed("record_patch", self.inner.patch(place, set))
            .await
    }

    async fn delete(&self, place: &Place) -> Result<bool, StoreError> {
        self.timed("record_delete", self.inner.delete(place)).await
    }

    async fn list(&self, query: &Query) -> Result<Vec<Fields>, StoreError> {
        self.timed("record_list", self.inner.list(query)).await
    }

    async fn count(&self, query: &Query) -> Result<u64, StoreError> {
        self.timed("record_count", self.inner.count(query)).await
    }

    async fn delete_matching(&self, query: &Query) -> Result<u64, StoreError> {
        let call = self.inner.delete_matching(query);
        self.timed("record_delete_matching", call).await
    }

    async fn add(&self, place: &Place, by: &[(&'static str, i64)]) -> Result<(), StoreError> {
        self.timed("record_add", self.inner.add(place, by)).await
    }

    async fn append(&self, kind: Kind, app: &AppName, fields: Fields) -> Result<(), StoreError> {
        let call = self.inner.append(kind, app, fields);
        self.timed("record_append", call).await
    }

    fn record_changes(&self) -> Option<broadcast::Receiver<RecordChange>> {
        self.inner.record_changes()
    }
}
