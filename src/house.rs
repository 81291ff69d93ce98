//! One process: opens the store, starts the roles, waits for a signal, stops in order.
//!
//! Runtimes: the first (origin, API, store) is this thread's; lb and edge have one each, so that a
//! flood at one door does not starve another; the heartbeat has a thread of its own.
//!
//! Stopping, all inside `shutdown.timeout` and each step beginning when the one before it did its
//! part: no new connections at the lb and no new publishers; streams end (open segment cut,
//! ENDLIST, ownership given back); viewers' requests under way are answered; the heartbeat ends.

use crate::banner::{self, Line};
use crate::figures::Figures;
use crate::network::Network;
use crate::roles::{self, Started};
use crate::settings::Settings;
use crate::signals::Signals;
use anyhow::Context as _;
use prometheus::Registry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use weir_cluster::apps::Apps;
use weir_cluster::embedded::EmbeddedStore;
use weir_cluster::metered::QueryTimes;
use weir_cluster::node::{
    BeatsTo, FiguresSource, Heartbeat, HeartbeatOptions, NodeFigures, NodeId,
};
use weir_cluster::{
    MeteredStore, MongoOptions, MongoStore, NodeRole, Store, StoreClock, SystemClock, WallClock,
};
use weir_conf::node::{DbConfig, DbType};

/// How long the start waits for the store's time; without it the node's own is used at first.
const FIRST_LEASE_TIMEOUT: Duration = Duration::from_secs(4);

/// What every role of the process shares.
pub(crate) struct House {
    pub(crate) settings: Settings,
    pub(crate) node_id: NodeId,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn WallClock>,
    pub(crate) registry: Registry,
    /// The rest of the cluster.
    pub(crate) network: Network,
    /// The applications, as all nodes have them.
    pub(crate) apps: Apps,
    /// When the process began, ms since the Unix epoch.
    pub(crate) started_ms: i64,
    /// Address of this node for other nodes and for links.
    pub(crate) ip: String,
}

impl House {
    /// A listener's address as others reach it: "every address" is this node's.
    pub(crate) fn reachable(&self, bound: SocketAddr) -> String {
        match (bound.ip().is_unspecified(), self.ip.contains(':')) {
            (false, _) => bound.to_string(),
            (true, false) => format!("{}:{}", self.ip, bound.port()),
            (true, true) => format!("[{}]:{}", self.ip, bound.port()),
        }
    }
}

/// Runs until a signal asks for the end.
pub(crate) fn run(settings: Settings) -> anyhow::Result<()> {
    let runtime = runtime("weir-main")?;
    let front = Runtimes {
        lb: self::runtime("weir-lb")?,
        edge: self::runtime("weir-edge")?,
    };
    let result = runtime.block_on(live(settings, &front));
    // Everything was asked to end and given its time: what still runs is cut.
    for runtime in [front.lb, front.edge, runtime] {
        runtime.shutdown_background();
    }
    result
}

/// Runtimes of the doors.
pub(crate) struct Runtimes {
    pub(crate) lb: Runtime,
    pub(crate) edge: Runtime,
}

async fn live(settings: Settings, runtimes: &Runtimes) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("signals")?;
    let stop = CancellationToken::new();
    let (house, beat) = furnish(settings, &stop).await?;
    let started = roles::start(&house, runtimes).await?;
    let figures = Arc::new(Figures::new(
        NodeFigures {
            http_address: started.http_address.clone(),
            rtmp_address: started.rtmp_address.clone(),
            node_group: Some(house.settings.config.cluster.node_group.clone()),
            ..NodeFigures::default()
        },
        started.origin.clone(),
        started.edge.clone(),
    ));
    let heartbeat = beat.start(&house, &figures, &stop)?;
    announce(&house, &started.lines);

    let name = signals.wait().await;
    signals.end_at_the_next();
    tracing::info!(signal = name, "stopping");
    figures.drain();
    end(&house, started).await;
    stop.cancel();
    let joined = tokio::task::spawn_blocking(move || heartbeat.join());
    let _ = timeout(house.settings.shutdown_timeout(), joined).await;
    tracing::info!("stopped");
    Ok(())
}

/// What the heartbeat needs beside the house.
struct Beat {
    to: BeatsTo,
    query_times: QueryTimes,
    clock: StoreClock,
}

impl Beat {
    fn start(
        self,
        house: &House,
        figures: &Arc<Figures>,
        stop: &CancellationToken,
    ) -> anyhow::Result<JoinHandle<()>> {
        let options = HeartbeatOptions {
            node_id: house.node_id.clone(),
            ip: house.ip.clone(),
            role: house.settings.node_role(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            query_times: Some(self.query_times),
            figures: Arc::clone(figures) as Arc<dyn FiguresSource>,
        };
        let started = Heartbeat::spawn(options, self.to, self.clock, stop.clone())?;
        Ok(started)
    }
}

/// Opens the store and everything that stands on it.
async fn furnish(
    settings: Settings,
    stop: &CancellationToken,
) -> anyhow::Result<(Arc<House>, Beat)> {
    let registry = Registry::new();
    let data_dir = settings.layout.data_dir.clone();
    std::fs::create_dir_all(&data_dir)
        .with_context(|| format!("cannot make the data folder {}", data_dir.display()))?;
    let configured = settings.config.cluster.node_id.as_deref();
    let node_id = NodeId::load_or_make(configured, &data_dir)?;
    let (opened, mongo) = open_store(&settings).await?;
    let metered = Arc::new(MeteredStore::new(opened, &registry)?);
    let store_clock = StoreClock::new(Arc::new(SystemClock));
    // What the origin frees and writes at its start is dated by the store already.
    let first_lease = store_clock.renew(&*metered, node_id.as_str());
    if timeout(FIRST_LEASE_TIMEOUT, first_lease).await.is_err() {
        tracing::warn!("the store does not answer; this node's clock is used until it does");
    }
    let beat = Beat {
        to: beats_to(&settings, &metered),
        query_times: metered.times(),
        clock: store_clock.clone(),
    };
    let clock: Arc<dyn WallClock> = Arc::new(store_clock);
    let store: Arc<dyn Store> = metered;
    let network = Network::start(&settings, &store, &clock, &registry, stop)?;
    let apps = Apps::open_at(
        Arc::<dyn Store>::clone(&store),
        settings.app_seeds(),
        settings.config.node_app_settings(),
        Arc::clone(&clock),
        stop.clone(),
    )
    .await;
    if let Some(mongo) = mongo
        && settings.node_role() != NodeRole::Lb
    {
        mongo.keep_indexes(&apps, stop.clone());
    }
    let ip = settings.config.cluster.node_ip.clone();
    let house = Arc::new(House {
        started_ms: clock.now_ms(),
        apps,
        node_id,
        store,
        ip: ip.unwrap_or_else(|| "127.0.0.1".to_owned()),
        clock,
        registry,
        network,
        settings,
    });
    Ok((house, beat))
}

/// The store, and the same once more when it is MongoDB.
async fn open_store(
    settings: &Settings,
) -> anyhow::Result<(Arc<dyn Store>, Option<Arc<MongoStore>>)> {
    if let Some(options) = mongo_options(&settings.config.db) {
        let store = Arc::new(MongoStore::connect(options).await?);
        return Ok((Arc::<MongoStore>::clone(&store), Some(store)));
    }
    let file = settings.layout.data_dir.join("weir.redb");
    let store = EmbeddedStore::open(&file, Arc::new(SystemClock))?;
    Ok((Arc::new(store), None))
}

/// The heartbeat's way to the store: in MongoDB one of its own.
fn beats_to(settings: &Settings, store: &Arc<MeteredStore>) -> BeatsTo {
    match mongo_options(&settings.config.db) {
        Some(options) => BeatsTo::Mongo {
            options,
            metered: Some(Arc::clone(store)),
        },
        None => BeatsTo::Shared(Arc::<MeteredStore>::clone(store)),
    }
}

/// How to reach MongoDB; `None` when the store is embedded.
pub(crate) fn mongo_options(db: &DbConfig) -> Option<MongoOptions> {
    (db.kind == DbType::MongoDb).then(|| MongoOptions {
        hosts_or_uri: db
            .host
            .as_ref()
            .map(|host| host.expose().to_owned())
            .unwrap_or_default(),
        name: Some(db.name.clone()),
        user: db.user.clone(),
        password: db
            .password
            .as_ref()
            .map(|password| password.expose().to_owned()),
        options: db
            .options
            .as_ref()
            .map(|options| options.expose().to_owned()),
        poll_only: !db.changes_watched,
        pool_max: None,
    })
}

fn announce(house: &House, lines: &[Line]) {
    let layout = &house.settings.layout;
    let Some(app) = house.settings.apps.first() else {
        return;
    };
    banner::print(
        &layout.roles.names(),
        house.node_id.as_str(),
        &layout.data_dir,
        lines,
        app,
    );
}

async fn end(house: &House, started: Started) {
    let deadline = Instant::now() + house.settings.shutdown_timeout();
    started.lb_stop.cancel();
    if let Some(origin) = &started.origin {
        let _ = timeout_at(deadline, origin.shutdown()).await;
    }
    started.rtmp_stop.cancel();
    started.edge_stop.cancel();
    for (name, task) in started.front {
        if timeout_at(deadline, task).await.is_err() {
            tracing::warn!(role = name, "did not drain in time");
        }
    }
    started.origin_http_stop.cancel();
    for (name, task) in started.back {
        if timeout_at(deadline, task).await.is_err() {
            tracing::warn!(role = name, "did not drain in time");
        }
    }
}

fn runtime(name: &str) -> anyhow::Result<Runtime> {
    Builder::new_multi_thread()
        .enable_all()
        .thread_name(name)
        .build()
        .with_context(|| format!("cannot start the threads of {name}"))
}
