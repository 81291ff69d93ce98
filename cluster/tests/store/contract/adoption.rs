//! Clauses on epochs that began while the store was away, and on discontinuity numbers.

use super::{Fixture, START_MS, claim, end, key, record};
use weir_cluster::ownership::CRASH_DISCONTINUITY_MARGIN;
use weir_cluster::{Claim, EpochEnd, Ownership, StoreError};

const EPOCH: u64 = START_MS.unsigned_abs();

/// What a node says of an epoch that it began by itself.
fn begun(node: &str, epoch: u64) -> Claim {
    let mut claim = claim("s", node, START_MS);
    claim.broadcast.owner = Some(Ownership {
        node_id: node.to_owned(),
        epoch,
        first_sequence_number: 3,
        wall_clock_ms: START_MS,
        ..Ownership::default()
    });
    claim
}

pub(crate) async fn an_epoch_begun_without_the_store_is_adopted(f: &Fixture) {
    let told = begun("a", EPOCH + 7);
    let at = end(9, START_MS + 12_000);
    let adopted = f.store.adopt(told.clone(), EPOCH + 7, at).await.unwrap();
    assert_eq!(Some(&adopted), told.broadcast.owner.as_ref());
    assert_eq!(record(&*f.store, "s").await.owner, Some(adopted.clone()));
    let later = end(11, START_MS + 16_000);
    let again = f.store.adopt(told.clone(), EPOCH + 7, later).await.unwrap();
    assert_eq!(again, adopted, "telling it twice does no harm");
    let other = f.store.claim(claim("s", "b", START_MS)).await;
    assert!(matches!(other, Err(StoreError::Owned { .. })), "{other:?}");
    let report = claim("s", "a", START_MS).broadcast;
    let at = end(12, START_MS + 20_000);
    f.store
        .update(&key("s"), EPOCH + 7, report, at)
        .await
        .unwrap();
    f.store.release(&key("s"), EPOCH + 7, at).await.unwrap();
    let ended = f.store.adopt(told, EPOCH + 7, at).await;
    assert!(
        matches!(ended, Err(StoreError::NotHeld { .. })),
        "{ended:?}"
    );
    let next = f.store.claim(claim("s", "b", START_MS)).await.unwrap();
    assert_eq!(next.epoch, EPOCH + 8);
    assert_eq!(next.first_sequence_number, 12);
}

pub(crate) async fn of_two_epochs_begun_without_the_store_the_higher_wins(f: &Fixture) {
    let at = end(50, START_MS + 60_000);
    let low = f.store.adopt(begun("a", EPOCH + 1), EPOCH + 1, at).await;
    low.unwrap();
    let at = end(20, START_MS + 60_000);
    let high = f.store.adopt(begun("b", EPOCH + 2), EPOCH + 2, at).await;
    assert_eq!(high.unwrap().node_id, "b", "though the other is there");
    let at = end(60, START_MS + 70_000);
    let fenced = |result: Result<(), StoreError>| match result {
        Err(StoreError::Fenced { epoch, newest }) => {
            assert_eq!((epoch, newest), (EPOCH + 1, EPOCH + 2));
        }
        other => panic!("{other:?}"),
    };
    let report = claim("s", "a", START_MS).broadcast;
    fenced(f.store.update(&key("s"), EPOCH + 1, report, at).await);
    let again = f.store.adopt(begun("a", EPOCH + 1), EPOCH + 1, at).await;
    fenced(again.map(drop));
    let same = f.store.adopt(begun("a", EPOCH + 2), EPOCH + 2, at).await;
    assert!(matches!(same, Err(StoreError::Fenced { .. })), "{same:?}");
    assert_eq!(record(&*f.store, "s").await.owner.unwrap().node_id, "b");
    let at = end(24, START_MS + 68_000);
    f.store.release(&key("s"), EPOCH + 2, at).await.unwrap();
    let next = f.store.claim(claim("s", "c", START_MS)).await.unwrap();
    assert!(next.first_sequence_number >= 50, "beyond both: {next:?}");
}

pub(crate) async fn discontinuities_run_on(f: &Fixture) {
    let at = |next_discontinuity_sequence| EpochEnd {
        next_discontinuity_sequence,
        ..end(10, START_MS + 1_000)
    };
    let first = f.store.claim(claim("s", "a", START_MS)).await.unwrap();
    assert_eq!(first.first_discontinuity_sequence, 0);
    let report = claim("s", "a", START_MS).broadcast;
    let reported = f.store.update(&key("s"), first.epoch, report, at(4)).await;
    reported.unwrap();
    let second = f.store.claim(claim("s", "a", START_MS)).await.unwrap();
    assert_eq!(second.first_discontinuity_sequence, 4);
    f.store
        .release(&key("s"), second.epoch, at(6))
        .await
        .unwrap();
    let third = f.store.claim(claim("s", "b", START_MS)).await.unwrap();
    assert_eq!(third.first_discontinuity_sequence, 6);
    f.store.release_all_of("b", START_MS).await.unwrap();
    let fourth = f.store.claim(claim("s", "c", START_MS)).await.unwrap();
    let beyond = 6 + CRASH_DISCONTINUITY_MARGIN;
    assert_eq!(fourth.first_discontinuity_sequence, beyond);
}
