//! Real `mongod` processes, a replica set of one or of several, each in a directory of its own.
//!
//! It is the one that `WEIR_MONGOD` names or PATH has. Without one the test says that it was not
//! run; `make test` fetches one and sets `WEIR_REQUIRE_MONGOD`, so that there it cannot be missed.

use super::wait_for;
use mongodb::bson::{Bson, Document, doc};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running `mongod`. Dropping it ends it.
pub struct Mongod {
    program: PathBuf,
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Mongod {
    /// Starts one and waits until it is the primary.
    pub fn start() -> Option<Self> {
        Self::start_set(1)?.pop()
    }

    /// Starts the members of one replica set and waits for a primary.
    pub fn start_set(count: usize) -> Option<Vec<Self>> {
        let Some(program) = find() else {
            let required = std::env::var_os("WEIR_REQUIRE_MONGOD").is_some();
            assert!(!required, "no mongod on PATH or in WEIR_MONGOD");
            eprintln!(
                "not run: no mongod on PATH or in WEIR_MONGOD (scripts/mongod.sh fetches one)"
            );
            return None;
        };
        let set: Vec<Self> = (0..count).map(|_| Self::spawn(&program)).collect();
        for member in &set {
            member.wait_listening();
        }
        let members: Vec<Document> = (0_i32..)
            .zip(&set)
            .map(|(id, member)| doc! { "_id": id, "host": member.address() })
            .collect();
        let config = doc! { "_id": "rs0", "members": members };
        set[0].command(doc! { "replSetInitiate": config }).unwrap();
        wait_for("a primary", || {
            set.iter().any(Self::is_primary).then_some(())
        });
        Some(set)
    }

    fn spawn(program: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        Self {
            program: program.to_path_buf(),
            child: run(program, port, dir.path()),
            port,
            dir,
        }
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A directory that ends with it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Operations of a kind so far (`query`, `update`, …), by its own count.
    pub fn operations(&self, kind: &str) -> i64 {
        let status = self.command(doc! { "serverStatus": 1 }).unwrap();
        match status.get_document("opcounters").unwrap().get(kind) {
            Some(Bson::Int32(count)) => i64::from(*count),
            Some(Bson::Int64(count)) => *count,
            other => panic!("no count of {kind}: {other:?}"),
        }
    }

    /// Whether it takes writes.
    pub fn is_primary(&self) -> bool {
        let hello = self.command(doc! { "hello": 1 });
        hello.is_ok_and(|it| it.get_bool("isWritablePrimary").is_ok_and(|it| it))
    }

    /// Keeps, from now on, a line of each operation on a database, for [`Mongod::finds`].
    pub fn profile(&self, database: &str) {
        let off = self.command_on(database, doc! { "profile": 0 });
        off.unwrap();
        let _ = self.command_on(database, doc! { "drop": "system.profile" });
        let size_bytes = 64 << 20;
        let capped = doc! { "create": "system.profile", "capped": true, "size": size_bytes };
        self.command_on(database, capped).unwrap();
        self.command_on(database, doc! { "profile": 2 }).unwrap();
    }

    /// How often each collection of a profiled database was read since, most often first.
    pub fn finds(&self, database: &str) -> Vec<(String, i64)> {
        let by_collection = doc! { "$group": { "_id": "$ns", "count": { "$sum": 1_i64 } } };
        let read = doc! { "$match": { "op": "query", "ns": { "$not": { "$regex": "system" } } } };
        let aggregate = doc! {
            "aggregate": "system.profile",
            "pipeline": [read, by_collection, { "$sort": { "count": -1 } }],
            "cursor": {},
        };
        let answer = self.command_on(database, aggregate).unwrap();
        let cursor = answer.get_document("cursor").unwrap();
        let rows = cursor.get_array("firstBatch").unwrap().iter();
        let row = |row: &Bson| {
            let row = row.as_document()?;
            Some((
                row.get_str("_id").ok()?.to_owned(),
                row.get_i64("count").ok()?,
            ))
        };
        rows.filter_map(row).collect()
    }

    /// Runs a command on its `admin` database.
    pub fn command(&self, command: Document) -> mongodb::error::Result<Document> {
        self.command_on("admin", command)
    }

    /// Runs a command on a database.
    pub fn command_on(
        &self,
        database: &str,
        command: Document,
    ) -> mongodb::error::Result<Document> {
        let uri = format!("mongodb://{}/?directConnection=true", self.address());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let client = mongodb::Client::with_uri_str(uri).await?;
            let answer = client.database(database).run_command(command).await;
            client.shutdown().immediate(true).await;
            answer
        })
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts again on the same port and data, after [`Mongod::kill`].
    pub fn restart(&mut self) {
        self.child = run(&self.program, self.port, self.dir.path());
        self.wait_listening();
    }

    fn wait_listening(&self) {
        wait_for("mongod listens", || TcpStream::connect(self.address()).ok());
    }
}

impl Drop for Mongod {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(program: &Path, port: u16, dir: &Path) -> Child {
    Command::new(program)
        .args(["--replSet", "rs0", "--bind_ip", "127.0.0.1", "--quiet"])
        .args([
            "--networkMessageCompressors",
            "snappy,zstd",
            "--wiredTigerCacheSizeGB",
            "0.25",
        ])
        .args(["--port", &port.to_string(), "--dbpath"])
        .arg(dir)
        .stdout(Stdio::null())
        .spawn()
        .expect("mongod starts")
}

fn find() -> Option<PathBuf> {
    let named = std::env::var_os("WEIR_MONGOD").map(PathBuf::from);
    let paths = std::env::var_os("PATH").unwrap_or_default();
    named.or_else(|| {
        std::env::split_paths(&paths)
            .map(|dir| dir.join("mongod"))
            .find(|f| f.is_file())
    })
}
