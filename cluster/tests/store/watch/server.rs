//! A real `mongod` that can be killed and come back, with or without change streams, and a
//! directory on it.

use mongodb::bson::{Bson, Document, doc};
use prometheus::Registry;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use weir_cluster::directory::Options;
use weir_cluster::{Directory, MongoOptions, MongoStore, StoreSource, SystemClock};

/// How long anything may take before a test gives up.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Ends with the value.
pub(crate) struct Server {
    process: Child,
    program: PathBuf,
    port: u16,
    folder: TempDir,
    replicates: bool,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Server {
    /// A replica set of one, or a server by itself, which has no change streams.
    pub(crate) async fn start(replicates: bool) -> Option<Self> {
        let Some(program) = super::super::mongo::find_mongod() else {
            let required = std::env::var_os("WEIR_REQUIRE_MONGOD").is_some();
            assert!(!required, "no mongod in WEIR_MONGOD or PATH");
            eprintln!("not run: no mongod in WEIR_MONGOD or PATH");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let process = run(&program, port, &folder, replicates);
        let server = Self {
            process,
            program,
            port,
            folder,
            replicates,
        };
        server.initiate().await;
        Some(server)
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Comes back on the same port, with what it had.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        self.process = run(&self.program, self.port, &self.folder, self.replicates);
        self.ready().await;
    }

    /// Comes back on the same port with nothing.
    pub(crate) async fn restart_empty(&mut self) {
        self.kill();
        self.folder = tempfile::tempdir().unwrap();
        self.process = run(&self.program, self.port, &self.folder, self.replicates);
        self.initiate().await;
    }

    pub(crate) async fn client(&self) -> mongodb::Client {
        let uri = format!("mongodb://127.0.0.1:{}/?directConnection=true", self.port);
        mongodb::Client::with_uri_str(uri).await.unwrap()
    }

    pub(crate) async fn store(&self) -> Arc<MongoStore> {
        let options = MongoOptions {
            hosts_or_uri: format!("127.0.0.1:{}", self.port),
            options: self.replicates.then(|| "replicaSet=rs0".to_owned()),
            ..MongoOptions::default()
        };
        Arc::new(MongoStore::connect(options).await.unwrap())
    }

    /// Queries of the streams' collection so far, as the server counts them.
    pub(crate) async fn queries(&self) -> i64 {
        let admin = self.client().await.database("admin");
        let top = admin.run_command(doc! { "top": 1 }).await.unwrap();
        let totals = top.get_document("totals").unwrap();
        let Ok(streams) = totals.get_document("liveapp.broadcast") else {
            return 0;
        };
        count(streams.get_document("queries").unwrap(), "count")
    }

    /// The server's own counter of operations of a kind.
    pub(crate) async fn operations(&self, kind: &str) -> i64 {
        let admin = self.client().await.database("admin");
        let status = admin.run_command(doc! { "serverStatus": 1 }).await.unwrap();
        count(status.get_document("opcounters").unwrap(), kind)
    }

    async fn initiate(&self) {
        let admin = self.client().await.database("admin");
        let host = format!("127.0.0.1:{}", self.port);
        let members = doc! { "_id": "rs0", "members": [{ "_id": 0, "host": host }] };
        let initiate = doc! { "replSetInitiate": members };
        let initiated = async {
            while self.replicates && admin.run_command(initiate.clone()).await.is_err() {
                sleep(Duration::from_millis(100)).await;
            }
        };
        timeout(DEADLINE, initiated).await.expect("mongod answers");
        self.ready().await;
    }

    async fn ready(&self) {
        let admin = self.client().await.database("admin");
        let ready = async {
            loop {
                let hello = admin.run_command(doc! { "hello": 1 }).await;
                if hello.is_ok_and(|h| h.get_bool("isWritablePrimary").unwrap_or(false)) {
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(DEADLINE, ready).await.expect("mongod is primary");
    }
}

/// A directory, as an edge has one.
pub(crate) struct Edge {
    pub(crate) directory: Directory,
    registry: Registry,
    _stop: DropGuard,
}

impl Edge {
    pub(crate) fn on(store: &Arc<MongoStore>) -> Self {
        let (registry, stop) = (Registry::new(), CancellationToken::new());
        let source = Arc::new(StoreSource::new(store.clone()));
        let directory = Directory::spawn(
            source,
            Arc::new(SystemClock),
            Options::default(),
            &registry,
            stop.clone(),
        );
        Self {
            directory: directory.unwrap(),
            registry,
            _stop: stop.drop_guard(),
        }
    }

    /// One that hears changes.
    pub(crate) async fn told(store: &Arc<MongoStore>) -> Self {
        let edge = Self::on(store);
        until("changes are told", async || edge.metric("told", "") == 1.0).await;
        edge
    }

    /// A figure of the directory; `label` is the value of its only label.
    pub(crate) fn metric(&self, name: &str, label: &str) -> f64 {
        let name = format!("weir_cluster_directory_{name}");
        let families = self.registry.gather();
        let family = families
            .iter()
            .find(|family| family.name() == name)
            .unwrap();
        let mut metrics = family.get_metric().iter();
        let metric = metrics.find(|m| m.get_label().iter().all(|l| l.value() == label));
        let metric = metric.unwrap();
        metric.get_counter().get_value() + metric.get_gauge().get_value()
    }
}

/// Waits until `what` is so.
pub(crate) async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !so().await {
        assert!(start.elapsed() < DEADLINE, "not in time: {what}");
        sleep(Duration::from_millis(1)).await;
    }
}

fn run(program: &PathBuf, port: u16, folder: &TempDir, replicates: bool) -> Child {
    let mut command = Command::new(program);
    if replicates {
        command.args(["--replSet", "rs0"]);
    }
    command
        .args(["--bind_ip", "127.0.0.1", "--quiet"])
        .args(["--networkMessageCompressors", "snappy,zstd"])
        .args(["--wiredTigerCacheSizeGB", "0.25"])
        .args(["--port", &port.to_string(), "--dbpath"])
        .arg(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn count(counters: &Document, name: &str) -> i64 {
    match counters.get(name) {
        Some(Bson::Int32(count)) => i64::from(*count),
        Some(Bson::Int64(count)) => *count,
        other => panic!("{name}: {other:?}"),
    }
}

impl Server {
    /// Processor time the server has used so far, ms.
    pub(crate) fn cpu_ms(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let (_, after_name) = stat.rsplit_once(')').unwrap();
        let mut fields = after_name.split_whitespace().skip(11);
        let mut ticks = || fields.next().unwrap().parse::<f64>().unwrap();
        // In ticks of 10 ms.
        (ticks() + ticks()) * 10.0
    }
}
