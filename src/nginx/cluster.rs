//! What a balancer that runs as nginx knows of the cluster: its nodes and who has which stream.
//!
//! `cluster_properties` names a node's properties file, of which the `db.*` keys and `data.dir` are
//! used (and their environment variables, which outrank it): the process only reads the store. It
//! is no node of the cluster, writes nothing there and holds no lease.
//!
//! One watch holds what was seen last, whatever the file becomes: a HUP keeps it, and a file that
//! names another store goes over to that. Without a store at the start the process begins with what
//! the last one saw ([`crate::last_seen`]).
//!
//! Limits: those of [`NodeDirectory`] and [`Directory`]. Failures: a file that cannot be read or
//! names no store is told as nginx would ([`At::read`]); a store that is away changes nothing.

use super::Fault;
use super::user::Becomes;
use crate::house::mongo_options;
use crate::last_seen;
use crate::roles::SEE_NODES_PERIOD;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use weir_cluster::{
    Directory, MongoOptions, MongoStore, NodeDirectory, NodesSeen, Store, StoreClock, StoreSource,
    SystemClock, WallClock,
};
use weir_conf::nginx::Config;
use weir_conf::node::{self, DbConfig, NodeConfig, Roles};
use weir_lb::{LbOptions, StreamOwners};

/// Where what was seen is kept, if `data.dir` does not say: beside nginx's own on Debian.
const DATA_DIR: &str = "/var/lib/nginx/weir";
/// How often the store's time is asked.
const TIME_PERIOD: Duration = Duration::from_secs(10);
/// How long the first answer is waited for; without it this machine's clock is used.
const TIME_TIMEOUT: Duration = Duration::from_secs(4);
/// How soon a store whose name cannot be looked up is tried again.
const CONNECT_AGAIN: Duration = Duration::from_secs(5);

/// Where the cluster is.
#[derive(Clone, PartialEq)]
pub(super) struct At {
    db: DbConfig,
    data_dir: PathBuf,
    /// Requests are to go to the owners of their streams.
    owners: bool,
}

impl At {
    /// What the file's `cluster_properties` says, if it has one.
    ///
    /// # Errors
    /// A properties file that cannot be read, is wrong, or names no store that nodes share.
    pub(super) fn read(config: &Config) -> Result<Option<Self>, Fault> {
        let Some(told) = &config.cluster_properties else {
            return Ok(None);
        };
        let lb = Roles {
            lb: true,
            edge: false,
            origin: false,
        };
        let env = std::env::vars_os();
        let env = env.filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let fault = |why: &str| {
            let why = why.lines().collect::<Vec<_>>().join("; ");
            Fault::emerg(format!("\"cluster_properties\": {why} in {}", told.pos))
        };
        let loaded = NodeConfig::load(Some(&told.path), Some(lb), env, node::read_file);
        let loaded = loaded.map_err(|errors| fault(&errors.to_string()))?.config;
        if mongo_options(&loaded.db).is_none() {
            let path = told.path.display();
            return Err(fault(&format!(
                "no store that nodes share: set db.type=mongodb and db.host in {path}"
            )));
        }
        Ok(Some(Self {
            db: loaded.db,
            data_dir: loaded.data_dir.unwrap_or_else(|| DATA_DIR.into()),
            owners: config.prefers_owners(),
        }))
    }

    /// Makes the folder of what was seen, while the process may.
    pub(super) fn make_dir(&self, becomes: Option<&Becomes>) {
        let made = std::fs::create_dir_all(&self.data_dir);
        let opened = made.and_then(|()| std::fs::File::open(&self.data_dir));
        match (opened, becomes) {
            (Ok(folder), Some(becomes)) => becomes.own(&folder),
            (Ok(_), None) => {}
            (Err(error), _) => {
                let folder = self.data_dir.display();
                tracing::warn!(%folder, %error, "the nodes seen cannot be kept for the next start");
            }
        }
    }
}

/// What is known of the cluster, over all files that the process has had.
pub(super) struct Cluster {
    seen: watch::Sender<Arc<NodesSeen>>,
    owners: StreamOwners,
    followed: Mutex<Option<(At, CancellationToken)>>,
}

impl Cluster {
    pub(super) fn new() -> Self {
        let nothing = NodesSeen {
            stale: true,
            ..NodesSeen::default()
        };
        Self {
            seen: watch::channel(Arc::new(nothing)).0,
            owners: StreamOwners::default(),
            followed: Mutex::default(),
        }
    }

    /// What a balancer is told.
    pub(super) fn options(&self) -> LbOptions {
        LbOptions {
            nodes: Some(self.seen.subscribe()),
            owners: self.owners.clone(),
            ..LbOptions::default()
        }
    }

    /// Follows the cluster of a file from now on. Needs a tokio runtime.
    pub(super) fn follow(&self, at: Option<At>) {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        let same = followed.as_ref().map(|(at, _)| at) == at.as_ref();
        if same {
            return;
        }
        if let Some((_, stop)) = followed.take() {
            stop.cancel();
        }
        let Some(at) = at else { return };
        let stop = CancellationToken::new();
        let (seen, owners) = (self.seen.clone(), self.owners.clone());
        let following = follow(at.clone(), seen, owners, stop.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(following));
        *followed = Some((at, stop));
    }
}

async fn follow(
    at: At,
    sender: watch::Sender<Arc<NodesSeen>>,
    owners: StreamOwners,
    stop: CancellationToken,
) {
    let Some(options) = mongo_options(&at.db) else {
        return;
    };
    let store = connect(options).await;
    let clock = StoreClock::new(Arc::new(SystemClock));
    if timeout(TIME_TIMEOUT, ask_time(&*store, &clock))
        .await
        .is_err()
    {
        tracing::warn!(
            "the cluster's store does not answer; this machine's clock is used until it does"
        );
    }
    let (asked, shown) = (Arc::clone(&store), clock.clone());
    let keeping = async move {
        let mut ticks = interval(TIME_PERIOD);
        loop {
            ticks.tick().await;
            let _ = timeout(TIME_TIMEOUT, ask_time(&*asked, &shown)).await;
        }
    };
    tokio::spawn(stop.clone().run_until_cancelled_owned(keeping));
    let clock: Arc<dyn WallClock> = Arc::new(clock);
    let nodes = NodeDirectory::spawn(
        Arc::clone(&store),
        Arc::clone(&clock),
        SEE_NODES_PERIOD,
        stop.clone(),
    );
    owners.ask(if at.owners {
        streams(store, clock, stop)
    } else {
        None
    });
    relay(&at.data_dir, nodes.watch(), sender).await;
}

/// Shows what is seen to whoever watches.
async fn relay(
    folder: &Path,
    nodes: watch::Receiver<Arc<NodesSeen>>,
    sender: watch::Sender<Arc<NodesSeen>>,
) {
    let mut seen = last_seen::follow(folder, nodes);
    loop {
        let view = Arc::clone(&seen.borrow_and_update());
        sender.send_replace(view);
        if seen.changed().await.is_err() {
            return;
        }
    }
}

/// Where streams are. Its figures are shown nowhere: nginx has no place for them.
fn streams(
    store: Arc<dyn Store>,
    clock: Arc<dyn WallClock>,
    stop: CancellationToken,
) -> Option<Directory> {
    let options = weir_cluster::directory::Options::default();
    let figures = prometheus::Registry::new();
    let source = Arc::new(StoreSource::new(store));
    // It fails where its figures are there already, which cannot be.
    Directory::spawn(source, clock, options, &figures, stop).ok()
}

/// The store; its options were found good, but looking up its name may fail for a while.
async fn connect(options: MongoOptions) -> Arc<dyn Store> {
    loop {
        // Changes are asked for, not watched: a balancer wants to know of few streams.
        let options = MongoOptions {
            poll_only: true,
            ..options.clone()
        };
        match MongoStore::connect(options).await {
            Ok(store) => return Arc::new(store),
            Err(error) => tracing::warn!(%error, "the cluster's store cannot be looked up"),
        }
        sleep(CONNECT_AGAIN).await;
    }
}

/// Puts the clock right by the store's time.
async fn ask_time(store: &dyn Store, clock: &StoreClock) {
    let local = SystemClock;
    let asked_ms = local.now_ms();
    match store.leases().await {
        Ok(leases) => clock.observe(asked_ms, leases.now_ms, local.now_ms()),
        Err(error) => tracing::debug!(%error, "the store's time cannot be had"),
    }
}
