//! A real `mongod`, a replica set of one, in a directory of its own.
//!
//! It is the one that `WEIR_MONGOD` names or PATH has. Without one the test says that it was not
//! run; `make test` fetches one and sets `WEIR_REQUIRE_MONGOD`, so that there it cannot be missed.

use super::wait_for;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running `mongod`. Dropping it ends it.
pub struct Mongod {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Mongod {
    /// Starts one and waits until it is the primary.
    pub fn start() -> Option<Self> {
        let Some(program) = find() else {
            let required = std::env::var_os("WEIR_REQUIRE_MONGOD").is_some();
            assert!(!required, "no mongod on PATH or in WEIR_MONGOD");
            eprintln!(
                "not run: no mongod on PATH or in WEIR_MONGOD (scripts/mongod.sh fetches one)"
            );
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let child = Command::new(program)
            .args(["--replSet", "rs0", "--bind_ip", "127.0.0.1", "--quiet"])
            .args([
                "--networkMessageCompressors",
                "snappy,zstd",
                "--wiredTigerCacheSizeGB",
                "0.25",
            ])
            .args(["--port", &port.to_string(), "--dbpath"])
            .arg(dir.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("mongod starts");
        let mongod = Self { child, port, dir };
        wait_for("mongod listens", || {
            TcpStream::connect(mongod.address()).ok()
        });
        mongod.initiate();
        Some(mongod)
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
        use mongodb::bson::{Bson, doc};
        let uri = format!("mongodb://{}/?directConnection=true", self.address());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let status = runtime.block_on(async {
            let client = mongodb::Client::with_uri_str(uri).await.unwrap();
            let status = doc! { "serverStatus": 1 };
            client.database("admin").run_command(status).await.unwrap()
        });
        match status.get_document("opcounters").unwrap().get(kind) {
            Some(Bson::Int32(count)) => i64::from(*count),
            Some(Bson::Int64(count)) => *count,
            other => panic!("no count of {kind}: {other:?}"),
        }
    }

    fn initiate(&self) {
        use mongodb::bson::doc;
        let uri = format!("mongodb://{}/?directConnection=true", self.address());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let client = mongodb::Client::with_uri_str(uri).await.unwrap();
            let admin = client.database("admin");
            let member = doc! { "_id": 0, "host": self.address() };
            let set = doc! { "_id": "rs0", "members": [member] };
            admin
                .run_command(doc! { "replSetInitiate": set })
                .await
                .unwrap();
        });
        wait_for("a primary", || {
            let hello = runtime.block_on(async {
                let client = mongodb::Client::with_uri_str(format!(
                    "mongodb://{}/?directConnection=true",
                    self.address()
                ));
                client
                    .await
                    .unwrap()
                    .database("admin")
                    .run_command(doc! { "hello": 1 })
                    .await
            });
            hello
                .ok()?
                .get_bool("isWritablePrimary")
                .ok()?
                .then_some(())
        });
    }
}

impl Drop for Mongod {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
