//! Clauses on who owns a stream, and where its timeline goes on.

use super::{Fixture, START_MS, claim, end, key, made_by_rest, node, record};
use weir_cluster::ownership::CRASH_SEQUENCE_MARGIN;
use weir_cluster::{Broadcast, BroadcastStatus, Ownership, StoreError};

pub(crate) async fn unknown_streams_and_nodes_are_none(f: &Fixture) {
    assert_eq!(f.store.broadcast(&key("s")).await.unwrap(), None);
    assert!(f.store.nodes(0, 10).await.unwrap().is_empty());
    assert!(!f.store.delete_node("x").await.unwrap());
    assert!(matches!(
        f.store.release(&key("s"), 5, end(0, START_MS)).await,
        Err(StoreError::NotHeld { epoch: 5 })
    ));
    assert_eq!(f.store.release_all_of("x", START_MS).await.unwrap(), 0);
}

pub(crate) async fn a_claim_makes_a_record_and_an_epoch(f: &Fixture) {
    let ownership = f.store.claim(claim("s", "a", START_MS)).await.unwrap();
    let expected = Ownership {
        node_id: "a".to_owned(),
        epoch: START_MS.unsigned_abs(),
        wall_clock_ms: START_MS,
        ..Ownership::default()
    };
    assert_eq!(ownership, expected);
    let record = record(&*f.store, "s").await;
    assert_eq!(record.stream_id, "s");
    assert_eq!(record.status, BroadcastStatus::Broadcasting);
    assert_eq!(record.origin_adress.as_deref(), Some("a:5082"));
    assert_eq!(record.owner, Some(expected));
    assert_eq!(record.start_time, START_MS);
    assert_eq!(record.update_time, START_MS);
    assert!(record.zombi);
}

pub(crate) async fn a_living_owner_keeps_its_stream(f: &Fixture) {
    let owned = f.store.claim(claim("s", "a", START_MS)).await.unwrap();
    f.clock.advance(40_000);
    f.store.heartbeat(node("a", START_MS)).await.unwrap();
    f.clock.advance(20_000);
    let now_ms = START_MS + 60_000;
    match f.store.claim(claim("s", "b", now_ms)).await {
        Err(StoreError::Owned { node_id, epoch }) => {
            assert_eq!((node_id.as_str(), epoch), ("a", owned.epoch));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(record(&*f.store, "s").await.owner, Some(owned));
}

pub(crate) async fn a_dead_owners_stream_is_taken_beyond_its_numbers(f: &Fixture) {
    let old = f.store.claim(claim("s", "a", START_MS)).await.unwrap();
    let at = end(10, START_MS + 20_000);
    let live = claim("s", "a", START_MS).broadcast;
    f.store
        .update(&key("s"), old.epoch, live.clone(), at)
        .await
        .unwrap();
    f.clock.advance(20_000);
    f.store.heartbeat(node("a", START_MS)).await.unwrap();
    f.clock.advance(20_001);
    let now_ms = START_MS + 40_001;
    let new = f.store.claim(claim("s", "b", now_ms)).await.unwrap();
    assert!(new.epoch > old.epoch);
    assert_eq!(new.first_sequence_number, 10 + 11 + CRASH_SEQUENCE_MARGIN);
    assert_eq!(new.media_time_ms, 40_001);
    assert!(matches!(
        f.store.update(&key("s"), old.epoch, live, at).await,
        Err(StoreError::Fenced { .. })
    ));
    assert_eq!(record(&*f.store, "s").await.owner, Some(new));
}

pub(crate) async fn the_same_node_takes_its_stream_again(f: &Fixture) {
    let first = f.store.claim(claim("s", "a", START_MS)).await.unwrap();
    let at = end(4, START_MS + 8_000);
    let live = claim("s", "a", START_MS).broadcast;
    f.store
        .update(&key("s"), first.epoch, live, at)
        .await
        .unwrap();
    let again = f
        .store
        .claim(claim("s", "a", START_MS + 12_000))
        .await
        .unwrap();
    assert!(again.epoch > first.epoch);
    assert_eq!(again.first_sequence_number, 4);
    assert_eq!(again.media_time_ms, 8_000);
    let soon = f
        .store
        .claim(claim("s", "a", START_MS + 12_000))
        .await
        .unwrap();
    assert_eq!(soon.epoch, again.epoch + 1, "two in one millisecond differ");
}

pub(crate) async fn a_released_stream_runs_on_where_it_ended(f: &Fixture) {
    let first = made_by_rest(claim("s", "a", START_MS));
    let first = f.store.claim(first).await.unwrap();
    let at = end(30, START_MS + 60_000);
    f.store.release(&key("s"), first.epoch, at).await.unwrap();
    let ended = record(&*f.store, "s").await;
    assert_eq!(ended.status, BroadcastStatus::Finished);
    assert_eq!(ended.owner, None);
    f.store
        .release(&key("s"), first.epoch, end(99, START_MS))
        .await
        .unwrap();
    let next = f
        .store
        .claim(claim("s", "b", START_MS + 300_000))
        .await
        .unwrap();
    assert!(next.epoch > first.epoch);
    assert_eq!(next.first_sequence_number, 30);
    assert_eq!(next.media_time_ms, 60_000);
    let live = record(&*f.store, "s").await;
    assert_eq!(live.status, BroadcastStatus::Broadcasting);
    assert!(!live.zombi, "made by REST, and stays so");
    assert_eq!(live.start_time, START_MS + 300_000);
}

pub(crate) async fn a_zombi_ends_with_its_stream(f: &Fixture) {
    let first = f.store.claim(claim("s", "a", START_MS)).await.unwrap();
    let at = end(3, START_MS + 6_000);
    f.store.release(&key("s"), first.epoch, at).await.unwrap();
    assert_eq!(f.store.broadcast(&key("s")).await.unwrap(), None);
    let next = f
        .store
        .claim(claim("s", "a", START_MS + 7_000))
        .await
        .unwrap();
    assert_eq!(next.first_sequence_number, 3, "its timeline outlives it");
}

pub(crate) async fn reports_change_figures_only(f: &Fixture) {
    let mut first = made_by_rest(claim("s", "a", START_MS));
    first.broadcast.name = Some("Mine".to_owned());
    first.broadcast.date = 5;
    let owned = f.store.claim(first).await.unwrap();
    let report = Broadcast {
        status: BroadcastStatus::Broadcasting,
        bitrate: 4_000_000,
        zombi: true,
        stream_id: "another".to_owned(),
        date: 9,
        ..Broadcast::default()
    };
    let at = end(2, START_MS + 4_000);
    f.clock.advance(5_000);
    f.store
        .update(&key("s"), owned.epoch, report, at)
        .await
        .unwrap();
    let record = record(&*f.store, "s").await;
    assert_eq!(record.bitrate, 4_000_000);
    assert_eq!(record.update_time, START_MS + 5_000, "the store's time");
    assert_eq!(record.name.as_deref(), Some("Mine"));
    assert_eq!((record.stream_id.as_str(), record.date), ("s", 5));
    assert!(!record.zombi);
    assert_eq!(record.owner, Some(owned));
}

pub(crate) async fn an_old_epoch_is_fenced(f: &Fixture) {
    let old = f
        .store
        .claim(claim("s", "a", START_MS))
        .await
        .unwrap()
        .epoch;
    let new = f
        .store
        .claim(claim("s", "a", START_MS + 1))
        .await
        .unwrap()
        .epoch;
    let at = end(50, START_MS + 2);
    let fenced = |result| match result {
        Err(StoreError::Fenced { epoch, newest }) => assert_eq!((epoch, newest), (old, new)),
        other => panic!("{other:?}"),
    };
    fenced(
        f.store
            .update(&key("s"), old, Broadcast::default(), at)
            .await,
    );
    fenced(f.store.release(&key("s"), old, at).await);
    assert!(record(&*f.store, "s").await.status.is_live());
    assert!(matches!(
        f.store
            .update(&key("s"), new + 1, Broadcast::default(), at)
            .await,
        Err(StoreError::Fenced { .. })
    ));
}

pub(crate) async fn a_released_epoch_holds_nothing(f: &Fixture) {
    let owned = f.store.claim(claim("s", "a", START_MS)).await.unwrap();
    let at = end(1, START_MS + 1);
    f.store.release(&key("s"), owned.epoch, at).await.unwrap();
    assert!(matches!(
        f.store
            .update(&key("s"), owned.epoch, Broadcast::default(), at)
            .await,
        Err(StoreError::NotHeld { .. })
    ));
    assert_eq!(f.store.broadcast(&key("s")).await.unwrap(), None);
}

pub(crate) async fn epochs_and_numbers_never_repeat(f: &Fixture) {
    let mut now_ms = START_MS;
    let (mut last_epoch, mut next_number) = (0, 0);
    for round in 0..30 {
        // A clock that stutters and goes back now and then.
        now_ms += [1, 3_000, 0, -2_000, 500][round % 5];
        f.clock.set(now_ms);
        let owned = f.store.claim(claim("s", "a", now_ms)).await.unwrap();
        assert!(owned.epoch > last_epoch, "round {round}");
        assert!(owned.first_sequence_number >= next_number, "round {round}");
        last_epoch = owned.epoch;
        next_number = owned.first_sequence_number + 5;
        let at = end(next_number, now_ms);
        match round % 3 {
            0 => f.store.release(&key("s"), owned.epoch, at).await.unwrap(),
            1 => {
                let live = claim("s", "a", now_ms).broadcast;
                f.store
                    .update(&key("s"), owned.epoch, live, at)
                    .await
                    .unwrap();
            }
            _ => {
                f.store.release_all_of("a", now_ms).await.unwrap();
                // Cut five more since the claim, without a word: the margin covers them.
            }
        }
    }
}
