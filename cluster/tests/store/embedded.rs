//! The embedded store: the contract, and what is its own.

use crate::contract::{
    Fixture, START_MS, claim, contract_tests, end, key, made_by_rest, node, with_every_clause,
};
use std::path::Path;
use std::sync::Arc;
use weir_cluster::embedded::{EmbeddedStore, OpenError};
use weir_cluster::{BroadcastStatus, ManualClock, Store, StoreError};

with_every_clause!(contract_tests);

async fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(START_MS);
    let store = open(&folder.path().join("weir.redb"), &clock);
    Fixture {
        store: Arc::new(store),
        clock,
        _keep: Box::new(folder),
    }
}

pub(crate) fn open(path: &Path, clock: &ManualClock) -> EmbeddedStore {
    EmbeddedStore::open(path, Arc::new(clock.clone())).unwrap()
}

#[tokio::test]
async fn everything_is_there_after_a_clean_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.redb");
    let clock = ManualClock::at(START_MS);
    let store = open(&path, &clock);
    let live = store.claim(claim("live", "a", START_MS)).await.unwrap();
    let report = claim("live", "a", START_MS).broadcast;
    let at = end(7, START_MS + 14_000);
    store
        .update(&key("live"), live.epoch, report, at)
        .await
        .unwrap();
    let ended = store
        .claim(made_by_rest(claim("ended", "a", START_MS)))
        .await
        .unwrap();
    store
        .release(&key("ended"), ended.epoch, end(3, START_MS))
        .await
        .unwrap();
    store.heartbeat(node("a", START_MS)).await.unwrap();
    let before = store.broadcast(&key("live")).await.unwrap();
    drop(store);

    let store = open(&path, &clock);
    assert_eq!(store.broadcast(&key("live")).await.unwrap(), before);
    let record = store.broadcast(&key("ended")).await.unwrap().unwrap();
    assert_eq!(record.status, BroadcastStatus::Finished);
    assert_eq!(store.nodes(0, 9).await.unwrap(), [node("a", START_MS)]);
    let again = store
        .claim(claim("live", "a", START_MS + 20_000))
        .await
        .unwrap();
    assert_eq!(
        again.first_sequence_number, 7,
        "the last report was written at the end"
    );
}

#[tokio::test]
async fn a_timeline_is_forgotten_a_day_after_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.redb");
    let clock = ManualClock::at(START_MS);
    let store = open(&path, &clock);
    let first = store.claim(claim("s", "a", START_MS)).await.unwrap();
    store
        .release(&key("s"), first.epoch, end(3, START_MS))
        .await
        .unwrap();
    store.claim(claim("left", "gone", START_MS)).await.unwrap();
    drop(store);

    let day_ms = 24 * 3_600_000;
    clock.advance(day_ms + 1);
    let store = open(&path, &clock);
    // Old timelines are looked for when the thread starts; a call shows that it has.
    let deadline = std::time::Duration::from_secs(10);
    let freed = tokio::time::timeout(deadline, async {
        while store.broadcast(&key("left")).await.unwrap().is_some() {
            tokio::task::yield_now().await;
        }
    });
    freed
        .await
        .expect("a stream of a node gone for a day is freed");
    let now_ms = START_MS + day_ms + 1;
    let next = store.claim(claim("s", "a", now_ms)).await.unwrap();
    assert_eq!(next.first_sequence_number, 0);
    assert_eq!(next.epoch, now_ms.unsigned_abs());
}

#[tokio::test]
async fn a_second_store_on_the_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.redb");
    let clock = ManualClock::at(START_MS);
    let first = open(&path, &clock);
    let second = EmbeddedStore::open(&path, Arc::new(clock.clone()));
    let error = second.err().unwrap();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    assert!(
        error.to_string().starts_with("another weir uses "),
        "{error}"
    );
    drop(first);
    drop(open(&path, &clock));
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.redb");
    let clock = Arc::new(ManualClock::at(START_MS));
    for content in [
        b"not a store".to_vec(),
        vec![0; 100_000],
        vec![0xff; 100_000],
    ] {
        std::fs::write(&path, &content).unwrap();
        let error = EmbeddedStore::open(&path, clock.clone()).err().unwrap();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
        assert!(
            error.to_string().contains("weir.redb is damaged"),
            "{error}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), content, "left as it was");
    }
    let error = EmbeddedStore::open(folder.path(), clock.clone())
        .err()
        .unwrap();
    assert!(matches!(error, OpenError::Io { .. }), "a folder: {error:?}");
    let missing = folder.path().join("no/such/weir.redb");
    let error = EmbeddedStore::open(&missing, clock).err().unwrap();
    assert!(error.to_string().contains("no/such/weir.redb"), "{error}");
}

#[tokio::test]
async fn a_damaged_file_never_panics_and_never_lies() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.redb");
    let clock = ManualClock::at(START_MS);
    let store = open(&path, &clock);
    for i in 0..40 {
        store
            .claim(claim(&format!("s{i}"), "a", START_MS))
            .await
            .unwrap();
    }
    drop(store);
    let whole = std::fs::read(&path).unwrap();
    let mut refused = 0;
    for step in 0..48 {
        let mut content = whole.clone();
        let at = step * whole.len() / 48;
        if step % 4 == 3 {
            content.truncate(at);
        } else {
            let upto = whole.len().min(at + 700);
            content[at..upto].iter_mut().for_each(|byte| *byte ^= 0x5a);
        }
        std::fs::write(&path, &content).unwrap();
        match EmbeddedStore::open(&path, Arc::new(clock.clone())) {
            Err(OpenError::Damaged { .. }) => refused += 1,
            Err(other) => panic!("step {step}: {other}"),
            Ok(store) => {
                // Whatever it opened as, each record is whole, or absent, or said to be damaged.
                for i in 0..40 {
                    match store.broadcast(&key(&format!("s{i}"))).await {
                        Ok(Some(record)) => assert_eq!(record.stream_id, format!("s{i}")),
                        Ok(None) | Err(StoreError::Damaged { .. }) => {}
                        Err(other) => panic!("step {step}: {other}"),
                    }
                }
            }
        }
    }
    assert!(refused > 0, "some of that must be noticed");
}

#[tokio::test]
async fn a_damaged_record_costs_that_record_alone() {
    use redb::{Database, TableDefinition};
    const BROADCASTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("broadcasts");
    const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.redb");
    let clock = ManualClock::at(START_MS);
    let store = open(&path, &clock);
    store.claim(claim("good", "a", START_MS)).await.unwrap();
    drop(store);
    let change = |edit: &dyn Fn(&redb::WriteTransaction)| {
        let database = Database::open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        edit(&transaction);
        transaction.commit().unwrap();
    };
    change(&|transaction| {
        let mut table = transaction.open_table(BROADCASTS).unwrap();
        table
            .insert("LiveApp/bad", &br#"{"streamId":"bad""#[..])
            .unwrap();
        let odd = br#"{"streamId":7,"width":"wide","name":"Odd"}"#;
        table.insert("LiveApp/odd", &odd[..]).unwrap();
        table.insert("no key", &b"{}"[..]).unwrap();
        let foreign = br#"{"streamId":"foreign","hlsViewerLimit":-1,"status":"created"}"#;
        table.insert("LiveApp/foreign", &foreign[..]).unwrap();
    });
    let store = open(&path, &clock);
    assert!(store.broadcast(&key("good")).await.unwrap().is_some());
    let error = store.broadcast(&key("bad")).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    let app = key("x").app;
    let odd = store.broadcast(&key("odd")).await.unwrap().unwrap();
    assert_eq!(odd.name.as_deref(), Some("Odd"), "a bad field costs itself");
    assert_eq!((odd.stream_id.as_str(), odd.width), ("odd", 0));
    assert_eq!(store.broadcasts(&app, 0, 9).await.unwrap().len(), 3);
    store.claim(claim("bad", "a", START_MS)).await.unwrap();
    assert!(
        store.broadcast(&key("bad")).await.unwrap().is_some(),
        "a publisher mends it"
    );
    store.claim(claim("foreign", "a", START_MS)).await.unwrap();
    drop(store);

    let database = Database::open(&path).unwrap();
    let reading = redb::ReadableDatabase::begin_read(&database).unwrap();
    let table = reading.open_table(BROADCASTS).unwrap();
    let foreign = table.get("LiveApp/foreign").unwrap().unwrap();
    let foreign = String::from_utf8(foreign.value().to_vec()).unwrap();
    assert!(
        foreign.contains(r#""hlsViewerLimit":-1"#),
        "kept: {foreign}"
    );
    drop((table, reading, database));

    change(&|transaction| {
        let mut table = transaction.open_table(META).unwrap();
        table.insert("schema", &b"99"[..]).unwrap();
    });
    let error = EmbeddedStore::open(&path, Arc::new(clock)).err().unwrap();
    assert!(
        matches!(error, OpenError::Newer { found: 99, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn calls_beyond_the_queue_wait_and_are_answered() {
    let fixture = fixture().await;
    let tasks: Vec<_> = (0..3_000)
        .map(|i| {
            let store = Arc::clone(&fixture.store);
            tokio::spawn(async move { store.claim(claim(&format!("s{i}"), "a", START_MS)).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let app = key("x").app;
    assert_eq!(
        fixture
            .store
            .broadcasts(&app, 0, 5_000)
            .await
            .unwrap()
            .len(),
        3_000
    );
}
