//! A real viewer: Chromium with the player page, told of once a second.

use super::wait_for;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// A browser that plays a page. Dropping it closes it.
pub struct Browser {
    child: Child,
    samples: Arc<Mutex<Vec<serde_json::Value>>>,
}

impl Browser {
    /// Opens `url` for at most `seconds`; a screenshot at the end, when a path is given.
    pub fn open(url: &str, seconds: u64, screenshot: Option<&Path>) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/browser/watch.mjs");
        let mut child = Command::new("node")
            .arg(script)
            .args([url, &seconds.to_string()])
            .args(screenshot)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("node starts");
        let samples = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&samples);
        let out = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                kept.lock()
                    .unwrap()
                    .push(serde_json::from_str(&line).unwrap_or_default());
            }
        });
        Self { child, samples }
    }

    /// Everything told so far.
    pub fn samples(&self) -> Vec<serde_json::Value> {
        self.samples.lock().unwrap().clone()
    }

    /// Waits for a sample that pleases.
    pub fn wait(
        &mut self,
        what: &str,
        please: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        let from = self.samples.lock().unwrap().len();
        wait_for(what, || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the browser ended ({status}) before: {what}");
            }
            self.samples()[from..].iter().find(|s| please(s)).cloned()
        })
    }

    /// Closes the page (taking the screenshot) and gives every sample.
    pub fn close(mut self) -> Vec<serde_json::Value> {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
        self.samples()
    }

    /// Waits until its time is over and gives every sample.
    pub fn wait_end(mut self) -> Vec<serde_json::Value> {
        // Keep stdin open: its end would close the page early.
        let stdin = self.child.stdin.take();
        let _ = self.child.wait();
        drop(stdin);
        self.samples()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // Closing stdin lets the script end Chromium too; killing node would orphan it.
        let _ = self.child.wait();
    }
}
