//! A `weir` process under test: its own directory, its own ports, its log kept.

use super::{get, request, wait_for, wait_within};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A running `weir`. Dropping it ends it.
pub struct Weir {
    child: Child,
    args: Vec<String>,
    env: BTreeMap<String, String>,
    listeners: BTreeMap<String, String>,
    log: Arc<Mutex<Vec<String>>>,
    dir: tempfile::TempDir,
}

/// Settings of a [`Weir`] before it starts.
pub struct Builder {
    args: Vec<String>,
    env: BTreeMap<String, String>,
}

impl Builder {
    /// One role instead of all.
    pub fn role(mut self, role: &str) -> Self {
        self.args.push(role.to_owned());
        match role {
            "lb" => self.set("lb.admin.listen", "127.0.0.1:0"),
            _ => self,
        }
    }

    /// A properties file.
    pub fn config(mut self, file: &Path) -> Self {
        self.args
            .extend(["-c".to_owned(), file.to_string_lossy().into_owned()]);
        self
    }

    /// A setting, by its properties key.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.env.insert(env_name(key), value.to_owned());
        self
    }

    /// Leaves a setting at its default.
    pub fn unset(mut self, key: &str) -> Self {
        self.env.remove(&env_name(key));
        self
    }

    /// A variable of the environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Starts the process and waits until every listener it announced answers.
    pub fn start(self) -> Weir {
        let dir = tempfile::tempdir().unwrap();
        let mut env = self.env;
        env.entry("WEIR_DATA_DIR".to_owned())
            .or_insert_with(|| dir.path().join("data").to_string_lossy().into_owned());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (child, listeners) = spawn(&self.args, &env, &log);
        Weir {
            child,
            args: self.args,
            env,
            listeners,
            log,
            dir,
        }
    }
}

impl Weir {
    /// All roles on ports the system chooses, in a directory of its own.
    pub fn builder() -> Builder {
        let env = [
            ("http.port", "0"),
            ("rtmp.port", "0"),
            ("edge.http.listen", "127.0.0.1:0"),
            ("origin.http.listen", "127.0.0.1:0"),
            ("origin.rtmp.listen", "127.0.0.1:0"),
        ];
        Builder {
            args: Vec::new(),
            env: env
                .iter()
                .map(|(k, v)| (env_name(k), (*v).to_owned()))
                .collect(),
        }
    }

    /// [`Weir::builder`] started as it is.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// `host:port` of a listener, named as the start-up lines name it: `lb http`, `origin rtmp`.
    pub fn address(&self, listener: &str) -> &str {
        self.listeners
            .get(listener)
            .unwrap_or_else(|| panic!("no listener {listener:?} in {:?}", self.listeners))
    }

    /// `host:port` of the first door for a protocol, if there is one.
    pub fn door(&self, protocol: &str) -> Option<String> {
        let doors = ["lb", "edge", "origin"].map(|role| format!("{role} {protocol}"));
        doors
            .iter()
            .find_map(|door| self.listeners.get(door).cloned())
    }

    /// URL at the viewers' door.
    pub fn url(&self, path: &str) -> String {
        let door = self.door("http");
        let door = door.unwrap_or_else(|| panic!("no door: {:?}", self.listeners));
        format!("http://{door}{path}")
    }

    /// URL for an encoder.
    pub fn rtmp(&self, name: &str) -> String {
        let door = self.door("rtmp");
        let door = door.unwrap_or_else(|| panic!("no door: {:?}", self.listeners));
        format!("rtmp://{door}/LiveApp/{name}")
    }

    /// Every line the process wrote so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Waits until a log line has all the words.
    pub fn wait_log(&self, words: &[&str]) -> String {
        wait_for(&format!("log line with {words:?}"), || {
            self.log()
                .into_iter()
                .find(|l| words.iter().all(|w| l.contains(w)))
        })
    }

    /// Sum of a metric's samples whose labels have all the words, from any door's `/metrics`.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        get(&self.url("/metrics"))
            .text()
            .lines()
            .filter(|l| {
                l.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with(['{', ' ']))
                    && labels.iter().all(|w| l.contains(w))
            })
            .filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// URL at the door where an lb answers for itself.
    pub fn admin_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address("lb admin"))
    }

    /// Waits until the stream's playlists can be had: the multivariant one and those it lists. (An
    /// edge may remember for a second that one of them was not there yet.)
    pub fn wait_live(&self, id: &str) {
        let url = |name: &str| self.url(&format!("/LiveApp/streams/{name}"));
        let there = |url: &str| request("GET", url).ok().filter(|a| a.status == 200);
        let multivariant = url(&format!("{id}.m3u8"));
        let text = wait_for(&format!("{id} live"), || there(&multivariant)).text();
        for track in ["video", "audio"] {
            let name = format!("{id}/{track}.m3u8");
            if text.contains(&name) {
                wait_for(&format!("{name} live"), || there(&url(&name)));
            }
        }
    }

    /// The directory of this process; its data lies in `data` in it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// CPU time the process has used, user and system, all threads, seconds.
    pub fn cpu_seconds(&self) -> f64 {
        /// Linux's USER_HZ.
        const TICKS_HZ: f64 = 100.0;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The name in parentheses may hold spaces; after it utime and stime are words 12 and 13.
        let (_, after) = stat.rsplit_once(')').unwrap();
        let words = after.split_whitespace().skip(11).take(2);
        words.map(|word| word.parse::<f64>().unwrap()).sum::<f64>() / TICKS_HZ
    }

    /// Waits for the process to end by itself.
    pub fn wait_exit(&mut self, limit: Duration) -> ExitStatus {
        let child = &mut self.child;
        wait_within(limit, "weir ends", || child.try_wait().unwrap())
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts again on the same ports and data, after [`Weir::kill`] or an exit.
    pub fn restart(&mut self) {
        let port = |address: &str| address.rsplit(':').next().unwrap().to_owned();
        for (protocol, key) in [("http", "http.port"), ("rtmp", "rtmp.port")] {
            if let Some(address) = self.door(protocol) {
                self.env.insert(env_name(key), port(&address));
            }
        }
        let (child, listeners) = spawn(&self.args, &self.env, &self.log);
        self.child = child;
        self.listeners = listeners;
    }
}

impl Drop for Weir {
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            let lines = self.log();
            eprintln!(
                "--- the last lines of the log of weir {} ---",
                self.args.join(" ")
            );
            for line in &lines[lines.len().saturating_sub(60)..] {
                eprintln!("{line}");
            }
        }
    }
}

/// The command, for tests that expect it not to start.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.stdin(Stdio::null());
    without_settings(&mut command);
    command
}

/// Keeps the settings in this process's environment (those of the tests among them) out of another.
pub fn without_settings(command: &mut Command) {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("WEIR_")) {
        command.env_remove(name);
    }
}

/// Name of the environment variable that overrides a properties key.
pub fn env_name(key: &str) -> String {
    format!("WEIR_{}", key.to_uppercase().replace(['.', '-'], "_"))
}

fn spawn(
    args: &[String],
    env: &BTreeMap<String, String>,
    log: &Arc<Mutex<Vec<String>>>,
) -> (Child, BTreeMap<String, String>) {
    let from = log.lock().unwrap().len();
    let mut child = command()
        .args(args)
        .envs(env)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("weir starts");
    keep_lines(child.stdout.take().unwrap(), log);
    keep_lines(child.stderr.take().unwrap(), log);
    let listeners = wait_for("weir's start-up lines", || {
        let lines = log.lock().unwrap()[from..].to_vec();
        if let Some(status) = child.try_wait().unwrap() {
            panic!("weir ended at start ({status}):\n{}", lines.join("\n"));
        }
        lines
            .iter()
            .any(|l| l.starts_with("Ready"))
            .then(|| listeners(&lines))
    });
    (child, listeners)
}

/// Start-up lines read `  ROLE  PROTOCOL  ADDRESS …`.
fn listeners(lines: &[String]) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [role @ ("lb" | "edge" | "origin"), protocol, address, ..] = words[..] {
            let address = address.replace("0.0.0.0", "127.0.0.1");
            all.insert(format!("{role} {protocol}"), address);
        }
    }
    all
}

fn keep_lines(from: impl Read + Send + 'static, log: &Arc<Mutex<Vec<String>>>) {
    let log = Arc::clone(log);
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            log.lock().unwrap().push(line);
        }
    });
}
