//! Records by kind and key, in Ant Media's databases and collections.

use super::MongoStore;
use crate::names::AppName;
use crate::records::{Fields, Kind, Place, Query, Records};
use crate::store::StoreError;
use async_trait::async_trait;

fn absent<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable {
        operation: "record",
        reason: "not in MongoDB yet".to_owned(),
    })
}

#[async_trait]
impl Records for MongoStore {
    async fn get(&self, _: &Place) -> Result<Option<Fields>, StoreError> {
        absent()
    }
    async fn insert(&self, _: &Place, _: Fields) -> Result<bool, StoreError> {
        absent()
    }
    async fn put(&self, _: &Place, _: Fields) -> Result<(), StoreError> {
        absent()
    }
    async fn patch(&self, _: &Place, _: Fields) -> Result<Option<Fields>, StoreError> {
        absent()
    }
    async fn delete(&self, _: &Place) -> Result<bool, StoreError> {
        absent()
    }
    async fn list(&self, _: &Query) -> Result<Vec<Fields>, StoreError> {
        absent()
    }
    async fn count(&self, _: &Query) -> Result<u64, StoreError> {
        absent()
    }
    async fn delete_matching(&self, _: &Query) -> Result<u64, StoreError> {
        absent()
    }
    async fn add(&self, _: &Place, _: &[(&'static str, i64)]) -> Result<(), StoreError> {
        absent()
    }
    async fn append(&self, _: Kind, _: &AppName, _: Fields) -> Result<(), StoreError> {
        absent()
    }
}
