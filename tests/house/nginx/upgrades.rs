//! Another binary takes over (USR2), as nginx's documentation drives it; and sockets of systemd's.

use super::*;
use std::os::fd::OwnedFd;

const UPGRADES: usize = 5;

/// The process of a pid file, once it is another than `before`.
fn pid_after(file: &Path, before: &str) -> String {
    wait_for("another pid", || {
        let pid = std::fs::read_to_string(file).ok()?.trim().to_owned();
        (!pid.is_empty() && pid != before).then_some(pid)
    })
}

fn old_pid_file(nginx: &Nginx) -> PathBuf {
    nginx.dir.path().join("nginx.pid.oldbin")
}

fn send(signal: &str, pid: &str) {
    let done = Command::new("kill").args(["-s", signal, pid]).status();
    assert!(done.unwrap().success());
}

fn wait_until_gone(file: &Path) {
    wait_for("the old process to end", || (!file.exists()).then_some(()));
}

#[test]
fn upgrades_under_load_lose_no_request() {
    let nginx = Nginx::start(&server("zero"));
    let _end = Ends(nginx.dir.path());
    nginx.wait_for_answer("zero");
    let mut pid = nginx.child.id().to_string();
    let (asked, failures) = under_load(nginx.address, || {
        for upgrade in 1..=UPGRADES {
            let answer = format!("v{upgrade}");
            nginx.configure(&server(&answer));
            send("USR2", &pid);
            let new = pid_after(&nginx.pid_file(), &pid);
            assert_eq!(
                std::fs::read_to_string(old_pid_file(&nginx))
                    .unwrap()
                    .trim(),
                pid
            );
            // The old one accepts too until it is told to end.
            nginx.wait_for_answer(&answer);
            send("QUIT", &pid);
            wait_until_gone(&old_pid_file(&nginx));
            nginx.wait_for_answer(&answer);
            pid = new;
        }
    });
    println!("{asked} requests, {UPGRADES} upgrades");
    assert!(failures.is_empty(), "{failures:?}");
    nginx.order("quit");
    wait_for("the last one to end", || {
        let closed = TcpStream::connect(nginx.address).is_err();
        (closed && !nginx.pid_file().exists()).then_some(())
    });
}

#[test]
fn an_upgrade_is_taken_back() {
    let unix = "server { listen unix:SOCKET; location / { return 200 unix; } }";
    let mut nginx = Nginx::start(&server("old"));
    let socket = nginx.dir.path().join("s.sock");
    let unix = unix.replace("SOCKET", &socket.to_string_lossy());
    nginx.configure(&(server("old") + &unix));
    nginx.signal("HUP");
    wait_for("the unix socket", || socket.exists().then_some(()));
    let old = nginx.child.id().to_string();
    nginx.configure(&(server("new") + &unix));
    nginx.signal("USR2");
    let new = pid_after(&nginx.pid_file(), &old);
    nginx.signal("WINCH");
    // The old one has still to read the signal; then only the new one accepts.
    wait_for("the new one alone to answer", || {
        let mut answers = (0..10).map(|_| Client::new(nginx.address).ask().ok());
        answers.all(|it| it.as_deref() == Some("new")).then_some(())
    });
    // The old one comes back as it was, whatever the file says by now.
    nginx.signal("HUP");
    nginx.wait_for_answer("old");
    send("QUIT", &new);
    wait_until_gone(&old_pid_file(&nginx));
    let back = pid_after(&nginx.pid_file(), &new);
    assert_eq!(back, old);
    for _ in 0..10 {
        assert_eq!(Client::new(nginx.address).ask().unwrap(), "old");
    }
    assert!(socket.exists(), "it is the old one's still");
    // A file that cannot be served is the new one's fault: it ends, and nothing has changed.
    nginx.configure("nonsense on;");
    nginx.signal("USR2");
    wait_for("the new one to say why", || {
        nginx.log().contains("unknown directive").then_some(())
    });
    wait_for("the name to come back", || {
        let gone = !old_pid_file(&nginx).exists();
        (gone && nginx.pid_file().exists()).then_some(())
    });
    assert_eq!(Client::new(nginx.address).ask().unwrap(), "old");
    nginx.configure(&server("mended"));
    nginx.signal("HUP");
    nginx.wait_for_answer("mended");
    nginx.signal("QUIT");
    nginx.wait_for_end();
}

/// A client that comes before the process does is answered when it is there.
#[test]
fn sockets_of_systemd_are_taken() {
    let listener = TcpListener::bind("127.0.0.79:0").unwrap();
    let address = listener.local_addr().unwrap();
    let early = TcpStream::connect(address).unwrap();
    let dir = tempfile::tempdir().unwrap();
    write_conf(
        dir.path(),
        &server("taken").replace("LISTEN", &address.to_string()),
    );
    let started = nginx(dir.path());
    // As systemd does it: from number 3 on, for the process that it starts.
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]);
    shell.arg(started.get_program()).args(started.get_args());
    shell.stdin(OwnedFd::from(listener));
    let child = shell.spawn().unwrap();
    drop(shell);
    let mut nginx = Nginx {
        child,
        dir,
        address,
    };
    early
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let mut early = Client {
        address,
        stream: Some(BufReader::new(early)),
    };
    assert_eq!(early.ask().unwrap(), "taken");
    nginx.order("quit");
    nginx.wait_for_end();
}
