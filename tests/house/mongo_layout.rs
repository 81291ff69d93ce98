//! MongoDB as a user of Ant Media sees it: pymongo judges what a running weir writes, and weir reads what
//! pymongo wrote. What is looked for stands in `tests/mongo/`.

use crate::support::encoder::Pattern;
use crate::support::{Encoder, Mongod, Weir};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

#[test]
fn pymongo_finds_ant_medias_layout_and_weir_reads_what_it_wrote() {
    let Some(mongod) = Mongod::start() else {
        return;
    };
    let weir = Weir::builder()
        .set("db.type", "mongodb")
        .set("db.host", &mongod.address())
        .set("db.options", "replicaSet=rs0")
        .set("http.host", "127.0.0.1")
        .env("RUST_BACKTRACE", "0")
        .start();
    let pattern = Pattern {
        size: Some("160x90"),
        kbps: 100,
        ..Pattern::default()
    };
    let mut judge = judge(&mongod.address(), &weir.url(""));
    let _pushed = Encoder::publish(&weir.rtmp("pushed"), &pattern);
    let mut cam1 = None;
    let mut said = Vec::new();
    for line in BufReader::new(judge.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if line == "PUBLISH" {
            cam1 = Some(Encoder::publish(&weir.rtmp("cam1"), &pattern));
        }
        said.push(line);
    }
    let status = judge.wait().unwrap();
    let mut complaint = String::new();
    let mut errors = judge.stderr.take().unwrap();
    errors.read_to_string(&mut complaint).unwrap();
    assert!(status.success(), "{said:#?}\n{complaint}");
    assert!(cam1.is_some(), "it never asked for the second stream");
    let log = weir.log();
    let panics: Vec<_> = log.iter().filter(|l| l.contains("panicked")).collect();
    assert!(panics.is_empty(), "{panics:?}");
}

fn judge(mongod: &str, url: &str) -> Child {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    Command::new("python3")
        .arg(root.join("tests/mongo/judge.py"))
        .args([&format!("mongodb://{mongod}/"), url])
        .env("PYTHONPATH", pymongo(&root))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 starts")
}

/// The folder of pymongo; fetched by the first who asks.
fn pymongo(root: &Path) -> PathBuf {
    let script = Command::new(root.join("scripts/pymongo.sh"))
        .stderr(Stdio::inherit())
        .output()
        .expect("scripts/pymongo.sh starts");
    assert!(script.status.success(), "scripts/pymongo.sh failed");
    String::from_utf8(script.stdout).unwrap().trim().into()
}
