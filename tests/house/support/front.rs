//! Somebody in front of the nodes of a cluster: `weir` as nginx, Debian's nginx or HAProxy, from a
//! file of its own in a folder of its own.

use super::weir::command;
use super::{Answer, request, wait_for};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

/// Who stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The binary under test, as nginx.
    Weir,
    /// Debian's nginx.
    Nginx,
    /// Debian's HAProxy.
    HaProxy,
}

/// A process in front. Dropping it ends it.
pub struct Front {
    who: Who,
    child: Child,
    dir: tempfile::TempDir,
    http: String,
    rtmp: String,
}

impl Front {
    /// Starts one with this file, in which `HTTP_ADDRESS` and `RTMP_ADDRESS` are its own, both on `ip`. Files
    /// beside it come first. Gives it when it listens.
    pub fn start(who: Who, ip: &str, conf: &str, beside: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (http, rtmp) = (free(ip), free(ip));
        for (name, text) in beside {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let mut front = Self {
            who,
            child: idle(),
            dir,
            http,
            rtmp,
        };
        front.configure(conf);
        front.end();
        front.child = front.command().spawn().expect("it starts");
        wait_for(&format!("{who:?} listens"), || {
            if let Some(status) = front.child.try_wait().unwrap() {
                panic!("{who:?} ended at start ({status}):\n{}", front.log());
            }
            std::net::TcpStream::connect(&front.http).ok()
        });
        front
    }

    /// What stands in an nginx.conf before its blocks, for a process that root starts in a folder
    /// of its own.
    pub const MAIN: &'static str = "daemon off; user root; pid nginx.pid; \
                                    error_log error.log info;\n\
                                    events { worker_connections 1024; }\n";

    /// Another file, read at the next HUP.
    pub fn configure(&self, conf: &str) {
        let conf = conf
            .replace("HTTP_ADDRESS", &self.http)
            .replace("RTMP_ADDRESS", &self.rtmp);
        std::fs::write(self.dir.path().join("conf"), conf).unwrap();
    }

    /// URL at its HTTP door.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    /// URL for an encoder.
    pub fn rtmp(&self, id: &str) -> String {
        format!("rtmp://{}/LiveApp/{id}", self.rtmp)
    }

    /// Its error log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("error.log")).unwrap_or_default()
    }

    /// Waits until one line of its log has all these words.
    pub fn wait_log(&self, words: &[&str]) {
        wait_for(&format!("a line with {words:?}"), || {
            let log = self.log();
            let mut lines = log.lines();
            lines
                .any(|line| words.iter().all(|word| line.contains(word)))
                .then_some(())
        });
    }

    /// Waits until a path is answered with 200.
    pub fn wait_there(&self, path: &str) -> Answer {
        let url = self.url(path);
        wait_for(&url, || {
            request("GET", &url).ok().filter(|it| it.status == 200)
        })
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        super::run("kill", &["-s", name, &pid]);
    }

    fn command(&self) -> Command {
        let dir = self.dir.path();
        let mut command = match self.who {
            Who::Weir => {
                let mut weir = command();
                weir.arg("nginx");
                weir
            }
            Who::Nginx => Command::new("/usr/sbin/nginx"),
            Who::HaProxy => Command::new("/usr/sbin/haproxy"),
        };
        match self.who {
            Who::Weir | Who::Nginx => {
                command.args(["-e", "error.log", "-c", "conf", "-p"]);
                command.arg(dir);
            }
            Who::HaProxy => {
                command.args(["-db", "-f"]).arg(dir.join("conf"));
            }
        }
        let err = std::fs::File::create(dir.join("stderr")).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(err);
        command
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            // nginx's workers end with their master only if it is told.
            let pid = self.child.id().to_string();
            let _ = Command::new("kill").args(["-s", "TERM", &pid]).status();
            let ended = (0..100).any(|_| {
                #[expect(clippy::disallowed_methods, reason = "polls a process from outside")]
                std::thread::sleep(std::time::Duration::from_millis(20));
                self.child.try_wait().ok().flatten().is_some()
            });
            if !ended {
                self.end();
            }
        }
        if std::thread::panicking() {
            let stderr = std::fs::read_to_string(self.dir.path().join("stderr"));
            eprintln!("--- {:?}: {}", self.who, stderr.unwrap_or_default());
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            for line in &lines[lines.len().saturating_sub(40)..] {
                eprintln!("{line}");
            }
        }
    }
}

/// An address that nothing listens on: nginx refuses port 0.
fn free(ip: &str) -> String {
    let listener = TcpListener::bind((ip, 0)).unwrap();
    listener.local_addr().unwrap().to_string()
}

/// A child that stands for none yet.
fn idle() -> Child {
    Command::new("true").spawn().unwrap()
}
