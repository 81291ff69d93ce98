//! Limits that the file sets for the process.

use super::{Nginx, free_address, nginx, write_conf};
use crate::support::wait_for;

#[test]
fn worker_rlimit_nofile_holds() {
    let dir = tempfile::tempdir().unwrap();
    let address = free_address();
    write_conf(
        dir.path(),
        &format!("server {{ listen {address}; return 200 well; }}"),
    );
    let child = nginx(dir.path())
        .args(["-g", "worker_rlimit_nofile 777;"])
        .spawn()
        .unwrap();
    let started = Nginx {
        child,
        dir,
        address,
    };
    wait_for("the pid file", || started.pid_file().exists().then_some(()));
    let limits = format!("/proc/{}/limits", started.child.id());
    let limits = std::fs::read_to_string(limits).unwrap();
    let line = limits.lines().find(|it| it.starts_with("Max open files"));
    let soft = line.unwrap().split_whitespace().nth(3);
    assert_eq!(soft, Some("777"), "{limits}");
}
