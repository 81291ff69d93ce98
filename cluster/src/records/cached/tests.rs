//! Records from memory, over the embedded store and one that counts, stalls and fails.

use super::super::{Query, Token};
use super::*;
use crate::clock::ManualClock;
use crate::embedded::EmbeddedStore;
use crate::names::AppName;
use async_trait::async_trait;
use serde_json::json;
use tokio::sync::{Notify, broadcast};
use tokio::time::advance;

/// The embedded store behind a counter; with `tells` off it tells no changes.
#[derive(Debug)]
struct Counting {
    store: EmbeddedStore,
    reads: AtomicU64,
    away: AtomicBool,
    tells: AtomicBool,
    gate: Option<Notify>,
    _folder: tempfile::TempDir,
}

#[async_trait]
impl Records for Counting {
    async fn get(&self, place: &Place) -> Result<Option<Fields>, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        if let Some(gate) = &self.gate {
            gate.notified().await;
        }
        if self.away.load(Ordering::SeqCst) {
            return Err(StoreError::too_long("get"));
        }
        self.store.get(place).await
    }
    async fn insert(&self, place: &Place, fields: Fields) -> Result<bool, StoreError> {
        self.store.insert(place, fields).await
    }
    async fn put(&self, place: &Place, fields: Fields) -> Result<(), StoreError> {
        self.store.put(place, fields).await
    }
    async fn patch(&self, place: &Place, set: Fields) -> Result<Option<Fields>, StoreError> {
        self.store.patch(place, set).await
    }
    async fn delete(&self, place: &Place) -> Result<bool, StoreError> {
        self.store.delete(place).await
    }
    async fn list(&self, query: &Query) -> Result<Vec<Fields>, StoreError> {
        self.store.list(query).await
    }
    async fn count(&self, query: &Query) -> Result<u64, StoreError> {
        self.store.count(query).await
    }
    async fn delete_matching(&self, query: &Query) -> Result<u64, StoreError> {
        self.store.delete_matching(query).await
    }
    async fn add(&self, place: &Place, by: &[(&'static str, i64)]) -> Result<(), StoreError> {
        self.store.add(place, by).await
    }
    async fn append(&self, kind: Kind, app: &AppName, fields: Fields) -> Result<(), StoreError> {
        self.store.append(kind, app, fields).await
    }
    fn record_changes(&self) -> Option<broadcast::Receiver<RecordChange>> {
        let tells = self.tells.load(Ordering::SeqCst);
        tells.then(|| self.store.record_changes()).flatten()
    }
}

fn bench(tells: bool, gate: Option<Notify>) -> (Arc<Counting>, CachedRecords) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(1));
    let counting = Arc::new(Counting {
        store: EmbeddedStore::open(&folder.path().join("s"), clock).unwrap(),
        reads: AtomicU64::new(0),
        away: AtomicBool::new(false),
        tells: AtomicBool::new(tells),
        gate,
        _folder: folder,
    });
    let (registry, stop) = (Registry::new(), CancellationToken::new());
    let cached = CachedRecords::spawn(counting.clone(), Options::default(), &registry, stop);
    (counting, cached.unwrap())
}

fn settings() -> Place {
    Place::of_cluster(Kind::AppSettings, "LiveApp")
}

fn value(value: i64) -> Fields {
    Fields::from_iter([("value".to_owned(), json!(value))])
}

async fn read(cached: &CachedRecords, place: &Place) -> Option<(i64, bool)> {
    let found = cached.get(place).await.unwrap()?;
    Some((found.fields["value"].as_i64().unwrap(), found.stale))
}

/// Lets every task that can run do so; the store's thread is waited for by its own calls.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_told_is_read_once_and_is_as_new_as_its_last_change() {
    let (store, cached) = bench(true, None);
    settle().await;
    store.put(&settings(), value(1)).await.unwrap();
    for _ in 0..100 {
        assert_eq!(read(&cached, &settings()).await, Some((1, false)));
    }
    for change in 2..20 {
        store
            .patch(&settings(), value(change))
            .await
            .unwrap()
            .unwrap();
        settle().await;
        assert_eq!(read(&cached, &settings()).await, Some((change, false)));
    }
    assert_eq!(store.reads.load(Ordering::SeqCst), 1);
    store.delete(&settings()).await.unwrap();
    settle().await;
    assert_eq!(read(&cached, &settings()).await, None);
    store.put(&settings(), value(30)).await.unwrap();
    settle().await;
    assert_eq!(
        read(&cached, &settings()).await,
        Some((30, false)),
        "no second's wait"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_told_is_a_second_old_at_most() {
    let (store, cached) = bench(false, None);
    let vod = Place::in_app(Kind::Vod, &AppName::parse("LiveApp").unwrap(), ["v"]);
    for place in [settings(), vod] {
        let before = store.reads.load(Ordering::SeqCst);
        for _ in 0..50 {
            assert_eq!(read(&cached, &place).await, None);
        }
        assert_eq!(store.reads.load(Ordering::SeqCst) - before, 1);
        // Waiting for the store's thread lets the clock run on.
        store.put(&place, value(1)).await.unwrap();
        advance(Duration::from_millis(1_001)).await;
        let before = store.reads.load(Ordering::SeqCst);
        for _ in 0..50 {
            assert_eq!(read(&cached, &place).await, Some((1, false)));
        }
        assert_eq!(store.reads.load(Ordering::SeqCst) - before, 1);
        store.patch(&place, value(2)).await.unwrap().unwrap();
        advance(Duration::from_millis(1_001)).await;
        assert_eq!(read(&cached, &place).await, Some((2, false)));
    }
}

#[tokio::test]
async fn those_who_ask_at_once_share_a_read() {
    let (store, cached) = bench(true, Some(Notify::new()));
    store.put(&settings(), value(1)).await.unwrap();
    let asking: Vec<_> = (0..500)
        .map(|_| {
            let cached = cached.clone();
            tokio::spawn(async move { read(&cached, &settings()).await })
        })
        .collect();
    settle().await;
    store.gate.as_ref().unwrap().notify_one();
    for found in asking {
        assert_eq!(found.await.unwrap(), Some((1, false)));
    }
    assert_eq!(store.reads.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn with_the_store_away_what_was_read_is_given_and_marked() {
    let (store, cached) = bench(false, None);
    store.put(&settings(), value(1)).await.unwrap();
    read(&cached, &settings()).await;
    store.away.store(true, Ordering::SeqCst);
    advance(Duration::from_secs(5)).await;
    for _ in 0..100 {
        assert_eq!(read(&cached, &settings()).await, Some((1, true)));
    }
    assert_eq!(
        store.reads.load(Ordering::SeqCst),
        2,
        "tried once, then left alone"
    );
    let other = Place::of_cluster(Kind::User, "e");
    assert!(cached.get(&other).await.unwrap_err().is_retryable());
    store.away.store(false, Ordering::SeqCst);
    advance(Duration::from_millis(1_001)).await;
    assert_eq!(read(&cached, &settings()).await, Some((1, false)));
}

#[tokio::test]
async fn a_token_is_used_up_once_however_often_it_was_read() {
    let (store, cached) = bench(true, None);
    let app = AppName::parse("LiveApp").unwrap();
    let place = Place::in_app(Kind::Token, &app, ["t"]);
    let token = super::super::kinds::write(&Token::default());
    store.put(&place, token).await.unwrap();
    for _ in 0..10 {
        assert!(cached.get(&place).await.unwrap().is_some());
    }
    let mut used = 0;
    for _ in 0..10 {
        used += u32::from(store.delete(&place).await.unwrap());
    }
    assert_eq!(used, 1);
}
