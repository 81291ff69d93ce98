//! `weir load` as a user runs it, and what it reported.

use super::{Weir, wait_within, weir::command};
use std::io::Read as _;
use std::process::{Child, Stdio};
use std::time::Duration;

/// A running `weir load`. Dropping it ends it.
pub struct Load {
    child: Child,
    dir: tempfile::TempDir,
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code.
    pub code: Option<i32>,
    /// The JSON report; null when there is none.
    pub report: serde_json::Value,
    /// Standard output.
    pub text: String,
    /// Standard error.
    pub complaint: String,
}

impl Load {
    /// Starts it with these arguments, split at spaces.
    pub fn start(arguments: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let child = command()
            .args(["load", "--json"])
            .arg(dir.path().join("report.json"))
            .args(arguments.split_whitespace())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("weir load starts");
        Self { child, dir }
    }

    /// Starts it against both doors of `weir`.
    pub fn on(weir: &Weir, arguments: &str) -> Self {
        let rtmp = weir.rtmp("");
        let (rtmp, http) = (rtmp.trim_end_matches('/'), weir.url("/LiveApp"));
        Self::start(&format!("--rtmp {rtmp} --http {http} {arguments}"))
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        super::run("kill", &["-s", name, &id]);
    }

    /// Waits for its end. What it writes is little, so that it never waits for a reader.
    pub fn wait(mut self, limit: Duration) -> Outcome {
        let child = &mut self.child;
        let status = wait_within(limit, "weir load ends", || child.try_wait().unwrap());
        let (mut text, mut complaint) = (String::new(), String::new());
        let (out, err) = (child.stdout.take(), child.stderr.take());
        out.unwrap().read_to_string(&mut text).unwrap();
        err.unwrap().read_to_string(&mut complaint).unwrap();
        let report = std::fs::read(self.dir.path().join("report.json")).unwrap_or_default();
        Outcome {
            code: status.code(),
            report: serde_json::from_slice(&report).unwrap_or_default(),
            text,
            complaint,
        }
    }
}

impl Outcome {
    /// A number of the report, by JSON pointer.
    pub fn number(&self, pointer: &str) -> f64 {
        let found = self.report.pointer(pointer);
        let number = found.and_then(serde_json::Value::as_f64);
        number.unwrap_or_else(|| panic!("no number at {pointer}: {self:?}"))
    }

    /// The errors of a kind: how many, and the first as JSON; zero when there were none.
    pub fn errors(&self, kind: &str) -> (u64, serde_json::Value) {
        let kinds = self.report["errors"]["kinds"].as_array().unwrap();
        let found = kinds.iter().find(|k| k["kind"] == kind);
        found.map_or((0, serde_json::Value::Null), |k| {
            (k["count"].as_u64().unwrap(), k["examples"][0].clone())
        })
    }

    /// Names of all kinds of errors.
    pub fn kinds(&self) -> Vec<&str> {
        let kinds = self.report["errors"]["kinds"].as_array().unwrap();
        kinds.iter().map(|k| k["kind"].as_str().unwrap()).collect()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
