//! A disk that is full, and one that may not be written, for real: a small tmpfs in a mount
//! namespace of its own.
//!
//! The tests start themselves again inside the namespace. Where the system does not permit that,
//! they say so and pass.

use crate::contract::{START_MS, claim, end, key, made_by_rest, node};
use crate::embedded::open;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use weir_cluster::embedded::{EmbeddedStore, OpenError};
use weir_cluster::{BroadcastStatus, ManualClock, Ownership, Store, StoreError};

const NOT_PERMITTED: i32 = 77;

#[test]
fn on_a_full_disk_it_reads_on_and_recovers() {
    in_small_disk("disk::full_inside", "true");
}

#[test]
fn a_read_only_disk_is_named() {
    in_small_disk(
        "disk::read_only_inside",
        "mount -o remount,ro \"$WEIR_SMALL_DISK\"",
    );
}

fn in_small_disk(test: &str, prepare: &str) {
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "mount -t tmpfs -o size=2m tmpfs \"$WEIR_SMALL_DISK\" || exit {NOT_PERMITTED}
         {prepare} || exit {NOT_PERMITTED}
         exec \"$0\" --exact {test} --ignored --nocapture"
    );
    let status = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env("WEIR_SMALL_DISK", folder.path())
        .status();
    match status.map(|s| s.code()) {
        Ok(Some(0)) => {}
        Ok(Some(NOT_PERMITTED | 1)) if !permitted() => {
            eprintln!("{test} was not run: mounting in a namespace is not permitted here");
        }
        other => panic!("{test}: {other:?}"),
    }
}

fn permitted() -> bool {
    let args = [
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        "mount -t tmpfs tmpfs /mnt",
    ];
    Command::new("unshare")
        .args(args)
        .status()
        .is_ok_and(|status| status.success())
}

fn small_disk() -> Option<PathBuf> {
    std::env::var_os("WEIR_SMALL_DISK").map(PathBuf::from)
}

/// Leaves not a byte free.
fn fill(disk: &Path) -> PathBuf {
    let path = disk.join("ballast");
    let mut file = File::create(&path).unwrap();
    for chunk in [64 * 1024, 4 * 1024, 1] {
        let bytes = vec![0; chunk];
        while file.write_all(&bytes).is_ok() {}
    }
    path
}

#[tokio::test]
#[ignore = "started by the test above, in a namespace"]
async fn full_inside() {
    let Some(disk) = small_disk() else { return };
    let path = disk.join("weir.redb");
    let clock = ManualClock::at(START_MS);
    let store = open(&path, &clock);
    let live = made_by_rest(claim("live", "a", START_MS));
    let live = store.claim(live).await.unwrap();
    let ballast = fill(&disk);
    let acknowledged = claim_until_full(&store).await;
    clock.advance(5_000);
    goes_on_in_memory(&store, &acknowledged, &live).await;
    let second = EmbeddedStore::open(&disk.join("other.redb"), Arc::new(clock.clone()));
    let error = second.err().unwrap();
    assert!(matches!(error, OpenError::DiskFull { .. }), "{error:?}");

    std::fs::remove_file(ballast).unwrap();
    let at = end(5, START_MS + 10_000);
    let recovered = tokio::time::timeout(Duration::from_secs(20), async {
        while let Err(error) = store.release(&key("live"), live.epoch, at).await {
            assert!(error.is_retryable(), "{error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    recovered.await.expect("it recovers when there is room");
    assert_eq!(store.degraded(), None);
    drop(store);
    let store = open(&path, &clock);
    all_there(&store, &acknowledged).await;
    let heartbeat = [node("a", START_MS + 5_000)];
    assert_eq!(store.nodes(0, 9).await.unwrap(), heartbeat);
    let record = store.broadcast(&key("live")).await.unwrap().unwrap();
    assert_eq!(record.status, BroadcastStatus::Finished);
}

async fn claim_until_full(store: &EmbeddedStore) -> Vec<(String, Ownership)> {
    let mut acknowledged = Vec::new();
    let error = loop {
        let id = format!("s{}", acknowledged.len());
        match store.claim(claim(&id, "a", START_MS)).await {
            Ok(owned) => acknowledged.push((id, owned)),
            Err(error) => break error,
        }
        assert!(acknowledged.len() < 20_000, "2 MiB never fill");
    };
    println!("full after {} more claims: {error}", acknowledged.len());
    let full = matches!(error, StoreError::DiskFull { operation, .. } if operation == "claim");
    assert!(full, "{error:?}");
    assert!(error.is_retryable());
    assert!(store.degraded().is_some());
    acknowledged
}

/// Reads, reports and heartbeats work; what must be durable is refused and not done.
async fn goes_on_in_memory(
    store: &EmbeddedStore,
    acknowledged: &[(String, Ownership)],
    live: &Ownership,
) {
    all_there(store, acknowledged).await;
    store.heartbeat(node("a", START_MS + 5_000)).await.unwrap();
    let report = claim("live", "a", START_MS).broadcast;
    let at = end(5, START_MS + 10_000);
    let reported = store.update(&key("live"), live.epoch, report, at).await;
    reported.unwrap();
    let record = store.broadcast(&key("live")).await.unwrap().unwrap();
    assert_eq!(
        record.update_time,
        START_MS + 5_000,
        "live streams stay live"
    );
    let released = store.release(&key("live"), live.epoch, at).await;
    assert!(matches!(released, Err(StoreError::DiskFull { .. })));
    let record = store.broadcast(&key("live")).await.unwrap().unwrap();
    assert_eq!(record.owner.as_ref(), Some(live), "refused means not done");
}

async fn all_there(store: &EmbeddedStore, acknowledged: &[(String, Ownership)]) {
    for (id, owned) in acknowledged {
        let record = store.broadcast(&key(id)).await.unwrap().unwrap();
        assert_eq!(record.owner.as_ref(), Some(owned));
    }
    let refused = key(&format!("s{}", acknowledged.len()));
    assert_eq!(store.broadcast(&refused).await.unwrap(), None);
}

#[tokio::test]
#[ignore = "started by the test above, in a namespace"]
async fn read_only_inside() {
    let Some(disk) = small_disk() else { return };
    let clock = Arc::new(ManualClock::at(START_MS));
    let error = EmbeddedStore::open(&disk.join("weir.redb"), clock)
        .err()
        .unwrap();
    assert!(matches!(error, OpenError::NotWritable { .. }), "{error:?}");
}
