//! What is heard over cuts: killed servers, elections, lost places, dropped databases.

use super::*;

#[tokio::test]
async fn after_a_kill_nothing_is_lost() {
    let Some(mut server) = Server::start(true).await else {
        return;
    };
    let watching = server.store().await;
    let edge = Edge::told(&watching).await;
    let store = server.store().await;
    let first = store.claim(claim("before", "a", now_ms())).await.unwrap();
    let located = async |id: &str| edge.directory.locate(&key(id)).await.unwrap();
    until("the claim is told", async || {
        located("before").await.is_some()
    })
    .await;
    // A look-up that fails would be kept for a second: the directory must be told instead.
    server.kill();
    server.restart().await;
    // Claims of whoever is back first, before the watcher is.
    let mut epochs = Vec::new();
    for i in 0..20 {
        let id = format!("during{i}");
        epochs.push((
            id.clone(),
            store.claim(claim(&id, "a", now_ms())).await.unwrap().epoch,
        ));
    }
    let end = end(3, now_ms());
    store
        .release(&key("before"), first.epoch, end)
        .await
        .unwrap();
    until("the end during the cut is told", async || {
        located("before").await.unwrap().status == BroadcastStatus::Finished
    })
    .await;
    let before = server.queries().await;
    for (id, epoch) in epochs {
        until("claims during the cut are told", async || {
            edge.metric("changes_total", "applied") >= 20.0
        })
        .await;
        assert_eq!(located(&id).await.unwrap().epoch, epoch);
    }
    assert_eq!(server.queries().await, before);
    assert_eq!(watching.changes_health().lost, 0);
}

#[tokio::test]
async fn after_a_long_cut_the_watcher_goes_on_where_it_was() {
    let Some(mut server) = Server::start(true).await else {
        return;
    };
    let watching = server.store().await;
    let edge = Edge::told(&watching).await;
    let store = server.store().await;
    let first = store.claim(claim("s", "a", now_ms())).await.unwrap();
    let located = async || edge.directory.locate(&key("s")).await.unwrap();
    until("the claim is told", async || located().await.is_some()).await;
    server.kill();
    // Longer than the driver tries by itself, and than a directory relies on a silent store.
    until("the directory asks", async || {
        edge.metric("told", "") == 0.0
    })
    .await;
    until("answers are marked", async || {
        located().await.unwrap().stale
    })
    .await;
    assert_eq!(
        located().await.unwrap().epoch,
        first.epoch,
        "and given all the same"
    );
    server.restart().await;
    let second = store.claim(claim("s", "a", now_ms())).await.unwrap();
    until("the next epoch is known", async || {
        let found = located().await.unwrap();
        found.epoch == second.epoch && !found.stale
    })
    .await;
    until("changes are told again", async || {
        edge.metric("told", "") == 1.0
    })
    .await;
    let health = watching.changes_health();
    assert_eq!((health.resumed >= 1, health.lost), (true, 0), "{health:?}");
    assert_eq!(edge.metric("resumes_total", "lost"), 0.0);
}

#[tokio::test]
async fn a_primary_that_steps_down_loses_nothing() {
    let Some(server) = Server::start(true).await else {
        return;
    };
    let watching = server.store().await;
    let edge = Edge::told(&watching).await;
    let admin = server.client().await.database("admin");
    let down = doc! { "replSetStepDown": 2, "force": true };
    admin.run_command(down).await.unwrap();
    let store = server.store().await;
    let owned = loop {
        match store.claim(claim("s", "a", now_ms())).await {
            Ok(owned) => break owned,
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
    };
    until("the claim is told", async || {
        edge.metric("changes_total", "applied") > 0.0
    })
    .await;
    let found = edge.directory.locate(&key("s")).await.unwrap().unwrap();
    assert_eq!(found.epoch, owned.epoch);
    assert_eq!(watching.changes_health().lost, 0);
}

#[tokio::test]
async fn when_the_place_is_lost_everything_known_is_read_again() {
    let Some(mut server) = Server::start(true).await else {
        return;
    };
    let watching = server.store().await;
    let edge = Edge::told(&watching).await;
    let located = async |id: &str| edge.directory.locate(&key(id)).await.unwrap();
    let store = server.store().await;
    let mut first = claim("s", "a", now_ms());
    let old = store.claim(first.clone()).await.unwrap();
    until("the claim is told", async || located("s").await.is_some()).await;
    // Restored without what it had: the place in its log means nothing to it.
    server.restart_empty().await;
    first.now_ms = now_ms();
    first.node_id = "b".to_owned();
    first.origin_adress = "b:5082".to_owned();
    let new = loop {
        match store.claim(first.clone()).await {
            Ok(new) => break new,
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
    };
    assert!(new.epoch > old.epoch);
    until("the new owner is known", async || {
        located("s").await.unwrap().epoch == new.epoch
    })
    .await;
    until("changes are told again", async || {
        store.claim(claim("t", "b", now_ms())).await.unwrap();
        edge.metric("told", "") == 1.0 && located("t").await.is_some()
    })
    .await;
    assert!(watching.changes_health().lost >= 1);
}

#[tokio::test]
async fn a_database_that_is_dropped_makes_everything_old() {
    let Some(server) = Server::start(true).await else {
        return;
    };
    let watching = server.store().await;
    let edge = Edge::told(&watching).await;
    let store = server.store().await;
    store.claim(claim("s", "a", now_ms())).await.unwrap();
    let located = async || edge.directory.locate(&key("s")).await.unwrap();
    until("the claim is told", async || located().await.is_some()).await;
    server
        .client()
        .await
        .database("liveapp")
        .drop()
        .await
        .unwrap();
    until("the stream has ended", async || {
        located().await.unwrap().status == BroadcastStatus::Finished
    })
    .await;
    assert!(watching.changes_health().lost >= 1);
}
