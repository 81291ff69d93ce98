//! The binary as nginx: started, driven and stopped the way systemd, logrotate and people do it.

mod limits;
mod upgrades;

use crate::support::wait_for;
use crate::support::weir::command;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Clients that ask without a pause.
const CLIENTS: usize = 4;
const RELOADS: usize = 50;

/// A process that is nginx, in a folder of its own. Dropping it ends it.
struct Nginx {
    child: Child,
    dir: tempfile::TempDir,
    address: SocketAddr,
}

impl Nginx {
    /// Starts it in the foreground; `servers` are the contents of `http`, `LISTEN` its address.
    fn start(servers: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let address = free_address();
        write_conf(dir.path(), &servers.replace("LISTEN", &address.to_string()));
        let child = nginx(dir.path()).spawn().unwrap();
        let started = Self {
            child,
            dir,
            address,
        };
        wait_for("the pid file", || started.pid_file().exists().then_some(()));
        started
    }

    fn pid_file(&self) -> PathBuf {
        self.dir.path().join("nginx.pid")
    }

    fn configure(&self, servers: &str) {
        let servers = servers.replace("LISTEN", &self.address.to_string());
        write_conf(self.dir.path(), &servers);
    }

    /// `nginx -s ORDER`, in its folder.
    fn order(&self, order: &str) {
        let out = nginx(self.dir.path()).args(["-s", order]).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success(), "nginx -s {order}: {said}");
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let done = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(done.unwrap().success());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("error.log")).unwrap()
    }

    /// Waits until a new connection is answered so.
    fn wait_for_answer(&self, wanted: &str) {
        wait_for(wanted, || {
            let answer = Client::new(self.address).ask().ok()?;
            (answer == wanted).then_some(())
        });
    }

    fn wait_for_end(&mut self) {
        let status = wait_for("the process to end", || self.child.try_wait().unwrap());
        assert_eq!(status.code(), Some(0), "{}", self.log());
        assert!(!self.pid_file().exists(), "the pid file is taken away");
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ends a daemon however its test ends.
struct Ends<'a>(&'a Path);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = nginx(self.0).args(["-s", "stop"]).output();
    }
}

/// A client that keeps its connection for as long as it may.
struct Client {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    fn new(address: SocketAddr) -> Self {
        let stream = None;
        Self { address, stream }
    }

    /// One request; the body of its answer, which must be a 200.
    fn ask(&mut self) -> std::io::Result<String> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.address)?;
                stream.set_read_timeout(Some(Duration::from_secs(10)))?;
                BufReader::new(stream)
            }
        };
        stream
            .get_mut()
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")?;
        let (mut length, mut close, mut first) = (0, false, String::new());
        stream.read_line(&mut first)?;
        if !first.starts_with("HTTP/1.1 200") {
            return Err(std::io::Error::other(format!("answered {first:?}")));
        }
        loop {
            let mut line = String::new();
            stream.read_line(&mut line)?;
            let line = line.trim_end().to_ascii_lowercase();
            match line.split_once(": ") {
                Some(("content-length", text)) => length = text.parse().unwrap(),
                Some(("connection", text)) => close = text == "close",
                None if line.is_empty() => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        if !close {
            self.stream = Some(stream);
        }
        Ok(String::from_utf8(body).unwrap())
    }
}

fn nginx(dir: &Path) -> Command {
    let mut command = command();
    command.args(["nginx", "-c", "nginx.conf", "-e", "error.log"]);
    command.arg("-p").arg(dir);
    command
}

fn write_conf(dir: &Path, http: &str) {
    // Started by root it would become another user, whom this folder is not open to.
    let default = if http.contains("access_log") {
        ""
    } else {
        "access_log off;"
    };
    let text = format!(
        "daemon off; user root; pid nginx.pid; error_log error.log notice;\n\
         events {{ worker_connections 1024; }}\nhttp {{ {default} {http} }}\n"
    );
    std::fs::write(dir.join("nginx.conf"), text).unwrap();
}

/// An address that nothing listens on: nginx refuses port 0.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.79:0").unwrap();
    listener.local_addr().unwrap()
}

fn server(answer: &str) -> String {
    format!("server {{ listen LISTEN; location / {{ return 200 {answer}; }} }}")
}

/// Clients ask without a pause while `work` is done; how many requests, and what failed.
fn under_load(address: SocketAddr, work: impl FnOnce()) -> (usize, Vec<String>) {
    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let failures = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = Client::new(address);
                    let mut failures = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        match client.ask() {
                            Ok(_) => asked.fetch_add(1, Ordering::Relaxed),
                            Err(error) => {
                                failures.push(error.to_string());
                                0
                            }
                        };
                    }
                    failures
                })
            })
            .collect();
        work();
        stop.store(true, Ordering::Relaxed);
        let failures = clients.into_iter().flat_map(|it| it.join().unwrap());
        failures.collect()
    });
    (asked.load(Ordering::Relaxed), failures)
}

#[test]
fn reloads_under_load_lose_no_request() {
    let mut nginx = Nginx::start(&server("zero"));
    nginx.wait_for_answer("zero");
    let (asked, failures) = under_load(nginx.address, || {
        for reload in 1..=RELOADS {
            nginx.configure(&server(&format!("v{reload}")));
            nginx.signal("HUP");
            nginx.wait_for_answer(&format!("v{reload}"));
        }
    });
    println!("{asked} requests, {RELOADS} reloads");
    assert!(failures.is_empty(), "{failures:?}");
    nginx.order("quit");
    nginx.wait_for_end();
}

#[test]
fn a_bad_file_leaves_the_old_one_running() {
    let mut nginx = Nginx::start(&server("good"));
    nginx.wait_for_answer("good");
    for (bad, why) in [
        ("nonsense on;".to_owned(), "unknown directive \"nonsense\""),
        (
            // An address that is not this machine's.
            server("bad") + " server { listen 192.0.2.1:80; return 200 x; }",
            "bind() to 192.0.2.1:80 failed (99: ",
        ),
    ] {
        nginx.configure(&bad);
        nginx.signal("HUP");
        wait_for(why, || nginx.log().contains(why).then_some(()));
        nginx.wait_for_answer("good");
    }
    assert!(nginx.log().contains("[emerg]"), "{}", nginx.log());
    nginx.configure("nonsense on;");
    let refused = self::nginx(nginx.dir.path())
        .args(["-s", "reload"])
        .output();
    assert_eq!(
        refused.unwrap().status.code(),
        Some(1),
        "it reads the file too"
    );
    nginx.configure(&server("mended"));
    nginx.order("reload");
    nginx.wait_for_answer("mended");
    nginx.order("stop");
    nginx.wait_for_end();
}

/// A listener that a reload brings is opened, one that it takes away is closed.
#[test]
fn listeners_come_and_go_with_the_file() {
    let nginx = Nginx::start(&server("one"));
    let other = free_address();
    nginx.configure(&(server("two") + &server("other").replace("LISTEN", &other.to_string())));
    nginx.order("reload");
    wait_for("the new address", || {
        (Client::new(other).ask().ok()? == "other").then_some(())
    });
    nginx.wait_for_answer("two");
    nginx.configure(&server("three"));
    nginx.order("reload");
    nginx.wait_for_answer("three");
    wait_for("the old address to be let go", || {
        TcpStream::connect(other).is_err().then_some(())
    });
}

#[test]
fn logs_moved_away_are_opened_anew() {
    let nginx = Nginx::start(&server("x"));
    let log = nginx.dir.path().join("error.log");
    std::fs::rename(&log, nginx.dir.path().join("error.log.1")).unwrap();
    nginx.order("reopen");
    wait_for("a new log", || log.exists().then_some(()));
    nginx.order("reload");
    wait_for("lines in it", || {
        nginx.log().contains("(SIGHUP) received").then_some(())
    });
}

/// In the background the caller's process ends as soon as the other serves, and with its code if
/// it cannot.
#[test]
fn a_daemon_is_there_when_its_caller_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let address = free_address();
    let http = server("behind").replace("LISTEN", &address.to_string());
    write_conf(dir.path(), &http);
    let conf = dir.path().join("nginx.conf");
    let text = std::fs::read_to_string(&conf).unwrap();
    std::fs::write(&conf, text.replace("daemon off;", "")).unwrap();
    let started = nginx(dir.path()).output().unwrap();
    assert!(started.status.success(), "{started:?}");
    let _end = Ends(dir.path());
    assert_eq!(Client::new(address).ask().unwrap(), "behind");
    let again = nginx(dir.path()).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    let why = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(
        why.contains(&format!("bind() to {address} failed (98: ")),
        "{why}"
    );
    let stopped = nginx(dir.path()).args(["-s", "stop"]).status().unwrap();
    assert!(stopped.success());
    wait_for("the daemon to end", || {
        TcpStream::connect(address).is_err().then_some(())
    });
}

/// What `access_log` and `log_format` say, in a file that can be moved away.
#[test]
fn requests_are_logged_as_the_file_says() {
    let mut nginx = Nginx::start(
        "log_format j escape=json '{\"m\":\"$request_method\",\"a\":\"$http_agent\",\"s\":$status}';
         access_log access.log; access_log json.log j if=$arg_j;
         server { listen LISTEN; location / { return 200 x; }
           location /off { access_log off; return 200 x; } }",
    );
    let get = |target: &str| {
        let mut stream = TcpStream::connect(nginx.address).unwrap();
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: a\r\nAgent: a\"b\r\nConnection: close\r\n\
             User-Agent: \"q\"\r\nAuthorization: Basic bWU6eA==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
    };
    get("/a?j=0");
    get("/off");
    std::fs::rename(
        nginx.dir.path().join("access.log"),
        nginx.dir.path().join("access.log.1"),
    )
    .unwrap();
    nginx.order("reopen");
    let fresh = nginx.dir.path().join("access.log");
    wait_for("a new log", || fresh.exists().then_some(()));
    get("/b?j=1");
    nginx.order("quit");
    nginx.wait_for_end();
    let text = |name: &str| std::fs::read_to_string(nginx.dir.path().join(name)).unwrap();
    let (old, new) = (text("access.log.1"), text("access.log"));
    assert!(
        old.starts_with("127.0.0.1 - me [") || old.starts_with("127.0.0.79 - me ["),
        "{old}"
    );
    assert!(
        old.ends_with("] \"GET /a?j=0 HTTP/1.1\" 200 1 \"-\" \"\\x22q\\x22\"\n"),
        "{old}"
    );
    assert_eq!(
        (old.lines().count(), new.lines().count()),
        (1, 1),
        "{old}{new}"
    );
    assert!(new.contains("\"GET /b?j=1 HTTP/1.1\""), "{new}");
    assert_eq!(
        text("json.log"),
        "{\"m\":\"GET\",\"a\":\"a\\\"b\",\"s\":200}\n"
    );
}

#[test]
fn a_failed_upstream_is_told_of_in_nginxs_line() {
    let nginx = Nginx::start(
        "server { listen LISTEN; server_name s; location / { proxy_pass http://127.0.0.79:1; } }",
    );
    let error = Client::new(nginx.address).ask().unwrap_err().to_string();
    assert!(error.contains("502"), "{error}");
    let log = nginx.log();
    let line = log.lines().find(|it| it.contains("[error]")).unwrap();
    let (head, rest) = line.split_once(": *").unwrap();
    let (serial, told) = rest.split_once(' ').unwrap();
    assert!(
        head.ends_with(|it: char| it.is_ascii_digit()) && head.contains('#'),
        "{line}"
    );
    assert!(serial.parse::<u64>().is_ok(), "{line}");
    let client = told.replacen("client: 127.0.0.79,", "client: 127.0.0.1,", 1);
    let wanted = "connect() failed while connecting to upstream, client: 127.0.0.1, server: s, \
                  request: \"GET / HTTP/1.1\", upstream: \"http://127.0.0.79:1/\", host: \"a\"";
    assert!(client.starts_with(wanted), "{line}");
}
