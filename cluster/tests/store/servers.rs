//! Replica sets of real `mongod`s, with members that can be stopped, frozen and asked to elect.
//!
//! Elections are quick (timeouts of 2 s in place of 10 s), so that tests need not wait for them.

use crate::mongo::{HOW_TO_GET_IT, find_mongod};
use mongodb::bson::{Document, doc};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep, timeout};
use weir_cluster::MongoOptions;

/// How long a set may take to start or to elect.
const PATIENCE: Duration = Duration::from_secs(90);
/// Three servers at a time are enough for one machine.
static ONE_SET: Mutex<()> = Mutex::const_new(());

/// A running set. Ends with the value.
pub(crate) struct ReplicaSet {
    members: Vec<Member>,
    /// Options that every client of it needs: user, TLS.
    pub(crate) access: String,
    _one: MutexGuard<'static, ()>,
}

struct Member {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Member {
    fn drop(&mut self) {
        // A stopped process takes the kill as well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until every thread of a process that was told to stop has stopped.
pub(crate) async fn wait_until_stopped(process: &Child) {
    let stat = format!("/proc/{}/stat", process.id());
    let deadline = Instant::now() + PATIENCE;
    // The state follows the name, which stands in parentheses.
    while !std::fs::read_to_string(&stat).unwrap().contains(") T ") {
        assert!(Instant::now() < deadline, "it does not stop");
        sleep(Duration::from_millis(5)).await;
    }
}

impl ReplicaSet {
    /// A set of `count` members; `None`, and said, where there is no mongod.
    pub(crate) async fn start(count: usize) -> Option<Self> {
        let set = Self::spawn(count, &[], "").await?;
        set.initiate().await;
        Some(set)
    }

    /// As [`ReplicaSet::start`], not yet initiated: with more arguments for `mongod`, and what
    /// clients then need.
    pub(crate) async fn spawn(count: usize, arguments: &[String], access: &str) -> Option<Self> {
        let Some(program) = find_mongod() else {
            let required = std::env::var_os("WEIR_REQUIRE_MONGOD").is_some();
            assert!(!required, "{HOW_TO_GET_IT}");
            eprintln!("not run: {HOW_TO_GET_IT}");
            return None;
        };
        let one = ONE_SET.lock().await;
        let members = (0..count).map(|_| {
            let folder = tempfile::tempdir().unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            drop(listener);
            let process = Command::new(&program)
                .args(["--replSet", "rs0", "--bind_ip", "127.0.0.1", "--quiet"])
                .args(["--networkMessageCompressors", "snappy,zstd"])
                .args(["--wiredTigerCacheSizeGB", "0.25"])
                .args(arguments)
                .args(["--port", &port.to_string(), "--dbpath"])
                .arg(folder.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            Member {
                process,
                port,
                _folder: folder,
            }
        });
        Some(Self {
            members: members.collect(),
            access: access.to_owned(),
            _one: one,
        })
    }

    /// Makes a set of the members and waits for its primary.
    pub(crate) async fn initiate(&self) {
        let members = (0_i32..).zip(&self.members);
        let members = members.map(|(id, member)| {
            let host = format!("127.0.0.1:{}", member.port);
            doc! { "_id": id, "host": host }
        });
        let members: Vec<Document> = members.collect();
        let settings = doc! { "electionTimeoutMillis": 2_000, "heartbeatIntervalMillis": 500 };
        let config = doc! { "_id": "rs0", "members": members, "settings": settings };
        let made = timeout(PATIENCE, async {
            while let Err(error) = self
                .admin(0, doc! { "replSetInitiate": config.clone() })
                .await
            {
                assert!(
                    !error.contains("already initialized"),
                    "somebody else did: {error}"
                );
                sleep(Duration::from_millis(200)).await;
            }
        });
        made.await.expect("the set is made");
        self.primary().await;
    }

    /// The primary, waited for.
    pub(crate) async fn primary(&self) -> usize {
        let found = timeout(PATIENCE, async {
            loop {
                for member in 0..self.members.len() {
                    if self.is_primary(member).await {
                        return member;
                    }
                }
                sleep(Duration::from_millis(50)).await;
            }
        });
        found.await.expect("a primary")
    }

    /// Whether a member says it is the primary; `false` when it does not answer within a second.
    pub(crate) async fn is_primary(&self, member: usize) -> bool {
        let hello = self.admin(member, doc! { "hello": 1 });
        let hello = timeout(Duration::from_secs(1), hello).await;
        matches!(hello, Ok(Ok(hello)) if hello.get_bool("isWritablePrimary").unwrap_or(false))
    }

    /// Runs a command of the admin database on one member.
    pub(crate) async fn admin(&self, member: usize, command: Document) -> Result<Document, String> {
        let uri = format!(
            "mongodb://127.0.0.1:{}/?directConnection=true&serverSelectionTimeoutMS=2000{}",
            self.members[member].port, self.access
        );
        let client = mongodb::Client::with_uri_str(uri).await.unwrap();
        let answer = client.database("admin").run_command(command).await;
        answer.map_err(|error| error.to_string())
    }

    /// A client of the whole set.
    pub(crate) async fn client(&self) -> mongodb::Client {
        let uri = format!("mongodb://{}/?replicaSet=rs0{}", self.hosts(), self.access);
        mongodb::Client::with_uri_str(uri).await.unwrap()
    }

    /// `host:port` of every member, with commas.
    pub(crate) fn hosts(&self) -> String {
        let hosts = self.members.iter();
        let hosts: Vec<_> = hosts.map(|m| format!("127.0.0.1:{}", m.port)).collect();
        hosts.join(",")
    }

    /// As an operator writes it: hosts, and the rest in `db.options`.
    pub(crate) fn options(&self) -> MongoOptions {
        MongoOptions {
            hosts_or_uri: self.hosts(),
            options: Some(format!("replicaSet=rs0{}", self.access)),
            ..MongoOptions::default()
        }
    }

    /// Stops a member where it stands; on return it does.
    pub(crate) async fn freeze(&self, member: usize) {
        self.signal(member, "-STOP");
        wait_until_stopped(&self.members[member].process).await;
    }

    pub(crate) fn thaw(&self, member: usize) {
        self.signal(member, "-CONT");
    }

    fn signal(&self, member: usize, signal: &str) {
        let pid = self.members[member].process.id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status();
        assert!(status.unwrap().success());
    }
}
