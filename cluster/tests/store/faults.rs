//! What elections, outages and frozen servers do to leases: nothing, to those that are there.
//!
//! Two nodes keep their heartbeats on a real set. One owns a stream; the other tries to take it
//! all the time. It never may while the owner's heartbeat runs, whatever the store goes through;
//! every call ends in time; and it may as soon as the owner is gone.

use crate::contract::{claim, end, key};
use crate::servers::ReplicaSet;
use mongodb::bson::doc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use weir_cluster::mongo::CALL_TIMEOUT;
use weir_cluster::node::{
    BeatsTo, Heartbeat, HeartbeatOptions, NodeDirectory, NodeFigures, NodeId,
};
use weir_cluster::{
    MongoStore, NodeRole, Ownership, Store, StoreClock, StoreError, SystemClock, WallClock,
};

/// Far more than a call may take, and far less than for ever.
const LATEST: Duration = Duration::from_secs(2 * CALL_TIMEOUT.as_secs());
/// How long things may take to be well again.
const PATIENCE: Duration = Duration::from_secs(90);

/// A node: a store, and the real heartbeat on a thread and a client of its own.
struct Node {
    id: &'static str,
    store: Arc<dyn Store>,
    clock: StoreClock,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Node {
    async fn start(set: &ReplicaSet, id: &'static str) -> Self {
        let clock = StoreClock::new(Arc::new(SystemClock));
        let stop = CancellationToken::new();
        let options = HeartbeatOptions {
            node_id: NodeId::parse(id).unwrap(),
            ip: "127.0.0.1".to_owned(),
            role: NodeRole::Origin,
            version: "0.1.0".to_owned(),
            query_times: None,
            figures: Arc::new(NodeFigures::default()),
        };
        let to = BeatsTo::Mongo {
            options: set.options(),
            metered: None,
        };
        let thread = Heartbeat::spawn(options, to, clock.clone(), stop.clone()).unwrap();
        Self {
            id,
            store: Arc::new(MongoStore::connect(set.options()).await.unwrap()),
            clock,
            stop,
            thread: Some(thread),
        }
    }

    fn claim(&self, id: &str) -> impl Future<Output = Result<Ownership, StoreError>> {
        let claim = claim(id, self.id, self.clock.now_ms());
        self.store.claim(claim)
    }

    async fn may_judge(&self) {
        let judging = timeout(PATIENCE, async {
            loop {
                if let Ok(leases) = self.store.leases().await
                    && let Some(lease) = leases.of(self.id)
                    && lease.has_run_for(4_000, leases.now_ms)
                {
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            }
        });
        judging.await.expect("it may judge");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.cancel();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// An owner and its rival.
struct Contest {
    owner: Node,
    rival: Node,
    owned: Ownership,
}

impl Contest {
    async fn start(set: &ReplicaSet) -> Self {
        let owner = Node::start(set, "owner").await;
        let rival = Node::start(set, "rival").await;
        owner.may_judge().await;
        rival.may_judge().await;
        let owned = owner.claim("s").await.unwrap();
        Self {
            owner,
            rival,
            owned,
        }
    }

    /// The rival tries, while `fault` happens and until the store has been well for a while: at
    /// least as long as a judge must have been there. Returns how many tries the store answered.
    async fn held_through(&self, fault: impl Future<Output = ()>) -> u32 {
        let tried = async {
            let mut answered = 0;
            loop {
                let before = Instant::now();
                match self.rival.claim("s").await {
                    Ok(taken) => panic!("taken from a living owner: {taken:?}"),
                    Err(StoreError::Owned { .. }) => answered += 1,
                    Err(error) => assert!(error.is_retryable(), "{error}"),
                }
                assert!(
                    before.elapsed() < LATEST,
                    "blocked for {:?}",
                    before.elapsed()
                );
                sleep(Duration::from_millis(20)).await;
                if self.rival.stop.is_cancelled() {
                    break answered;
                }
            }
        };
        let faulted = async {
            fault.await;
            self.rival.may_judge().await;
            self.owner.may_judge().await;
            sleep(Duration::from_secs(1)).await;
        };
        tokio::pin!(tried);
        tokio::select! {
            answered = &mut tried => return answered,
            () = faulted => self.rival.stop.cancel(),
        }
        tried.await
    }

    /// The owner still holds its stream and writes to it; once it stops, the stream is free.
    async fn ends_well(self, set: &ReplicaSet) {
        let report = claim("s", "owner", 0).broadcast;
        let at = end(3, self.owner.clock.now_ms());
        let written = timeout(PATIENCE, async {
            loop {
                let report = report.clone();
                let epoch = self.owned.epoch;
                match self.owner.store.update(&key("s"), epoch, report, at).await {
                    Ok(()) => return,
                    Err(error) => assert!(error.is_retryable(), "{error}"),
                }
            }
        });
        written.await.expect("the owner writes again");
        drop(self.owner);
        let next = Node::start(set, "next").await;
        next.may_judge().await;
        assert_eq!(next.claim("s").await.unwrap().node_id, "next");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_primary_that_steps_down_costs_nobody_a_stream() {
    let Some(set) = ReplicaSet::start(3).await else {
        return;
    };
    let contest = Contest::start(&set).await;
    let primary = set.primary().await;
    let answered = contest.held_through(async {
        // The connection may end with the step.
        let _ = set
            .admin(primary, doc! { "replSetStepDown": 20, "force": true })
            .await;
        timeout(PATIENCE, async {
            while set.is_primary(primary).await {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .expect("it steps down");
        assert_ne!(set.primary().await, primary);
        // Calls succeed once there is a primary, without a new store.
        contest.owner.claim("another").await.unwrap();
    });
    assert!(answered.await > 0);
    contest.ends_well(&set).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_set_without_a_primary_for_twelve_seconds_lapses_no_lease() {
    let Some(set) = ReplicaSet::start(3).await else {
        return;
    };
    let contest = Contest::start(&set).await;
    let primary = set.primary().await;
    let others: Vec<usize> = (0..3).filter(|member| *member != primary).collect();
    let answered = contest.held_through(async {
        for other in &others {
            set.freeze(*other).await;
        }
        timeout(PATIENCE, async {
            while set.is_primary(primary).await {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .expect("a primary without a majority steps down");
        sleep(Duration::from_secs(12)).await;
        for other in &others {
            set.thaw(*other);
        }
        set.primary().await;
    });
    assert!(answered.await > 0);
    contest.ends_well(&set).await;
}

/// The only server stands still for `time`.
async fn frozen_for(time: Duration) {
    let Some(set) = ReplicaSet::start(1).await else {
        return;
    };
    let contest = Contest::start(&set).await;
    let clock = Arc::new(contest.rival.clock.clone());
    let period = Duration::from_millis(200);
    let stop = CancellationToken::new();
    let store = Arc::clone(&contest.rival.store);
    let nodes = NodeDirectory::spawn(store, clock, period, stop.clone());
    let mut seen = nodes.watch();
    let all = |n: &Arc<weir_cluster::NodesSeen>| !n.stale && n.alive().count() == 2;
    seen.wait_for(all).await.unwrap();
    let answered = contest.held_through(async {
        set.freeze(0).await;
        sleep(time).await;
        let stale = seen.borrow().clone();
        assert!(stale.stale, "it is said");
        assert_eq!(stale.alive().count(), 2, "and nobody is dead of it");
        set.thaw(0);
        let back = seen.wait_for(|nodes| !nodes.stale).await.unwrap().clone();
        assert_eq!(back.alive().count(), 2, "nor when it is back");
    });
    assert!(answered.await > 0);
    contest.ends_well(&set).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_frozen_server_blocks_nothing_and_lapses_no_lease() {
    frozen_for(Duration::from_secs(6)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "takes a minute: make soak"]
async fn a_server_frozen_for_half_a_minute_lapses_no_lease() {
    frozen_for(Duration::from_secs(30)).await;
}

/// A write that was done, and an answer that does not say so: the claim finds out.
#[tokio::test]
async fn a_claim_in_doubt_is_made_once_more_and_holds() {
    let commands = ["--setParameter", "enableTestCommands=1"].map(str::to_owned);
    let Some(set) = ReplicaSet::spawn(1, &commands, "").await else {
        return;
    };
    set.initiate().await;
    let store = MongoStore::connect(set.options()).await.unwrap();
    store.make_indexes(&[]).await.unwrap();
    let fail = doc! {
        "configureFailPoint": "failCommand",
        "mode": { "times": 1 },
        "data": {
            "failCommands": ["insert"],
            "writeConcernError": { "code": 64, "errmsg": "waiting for replication timed out" },
        },
    };
    set.admin(0, fail).await.unwrap();
    let now_ms = SystemClock.now_ms();
    let owned = store.claim(claim("s", "a", now_ms)).await.unwrap();
    let first = u64::try_from(now_ms).unwrap();
    assert_eq!(owned.epoch, first + 1, "the first was done, unsaid");
    let at = end(owned.first_sequence_number, now_ms);
    let live = claim("s", "a", now_ms).broadcast;
    let reported = store.update(&key("s"), owned.epoch, live, at).await;
    reported.unwrap();
}
