//! What following costs, and that it mends itself.

use super::*;
use crate::clock::ManualClock;
use crate::embedded::EmbeddedStore;
use crate::metered::MeteredStore;
use crate::records::Query;
use prometheus::Registry;

fn store(folder: &std::path::Path) -> EmbeddedStore {
    let clock = Arc::new(ManualClock::at(1));
    EmbeddedStore::open(&folder.join("s"), clock).unwrap()
}

fn lists(registry: &Registry) -> u64 {
    let families = registry.gather();
    let metrics = families.iter().flat_map(|family| family.get_metric());
    let is_list = |metric: &&prometheus::proto::Metric| {
        let labels = metric.get_label();
        labels.iter().any(|label| label.value() == "record_list")
    };
    let lists = metrics.filter(is_list);
    lists.map(|m| m.get_histogram().get_sample_count()).sum()
}

#[tokio::test(start_paused = true)]
async fn following_a_store_that_tells_costs_one_list_a_check() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::new();
    let store = MeteredStore::new(Arc::new(store(folder.path())), &registry).unwrap();
    let shutdown = CancellationToken::new();
    let apps = Apps::open(Arc::new(store), Vec::new(), shutdown.clone()).await;
    assert_eq!(lists(&registry), 1);
    tokio::time::sleep(CHECK_PERIOD * 10 + POLL_PERIOD).await;
    // The follower's own first look, and one a period.
    assert_eq!(lists(&registry), 1 + 1 + 10);
    assert!(apps.list().is_empty());
    shutdown.cancel();
}

#[tokio::test]
async fn events_and_states_are_the_records() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(store(folder.path()));
    let shutdown = CancellationToken::new();
    let clock = Arc::new(ManualClock::at(7));
    let apps = Apps::open_at(store.clone(), Vec::new(), clock, shutdown.clone()).await;
    let name = AppName::parse("live").unwrap();
    let mut events = apps.subscribe();
    let made = apps.create(&name).await.unwrap();
    let sent = made.to_json();
    assert_eq!(
        (&sent["appName"], &sent["updateTime"]),
        (&"live".into(), &7.into())
    );
    assert!(
        !sent.contains_key("toBeDeleted"),
        "that is the record's affair"
    );
    assert!(matches!(events.recv().await.unwrap(), AppEvent::Created(_)));
    apps.delete(&name).await.unwrap();
    assert!(matches!(events.recv().await.unwrap(), AppEvent::Deleted(_)));
    let records = store.list(&Query::all(Kind::AppSettings, None)).await;
    let records = records.unwrap();
    assert_eq!(
        (records.len(), &records[0]["toBeDeleted"]),
        (1, &true.into())
    );
    assert_eq!(records[0]["appStatus"], "deleted");
    let again = apps.create(&name).await.unwrap();
    assert_eq!(again.settings, made.settings);
    shutdown.cancel();
}
