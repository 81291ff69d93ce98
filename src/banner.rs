//! What a person reads at start: which roles run, where they listen, where to watch; and one line
//! for what went wrong. The lines are for people and for scripts alike: `ROLE  PROTOCOL  ADDRESS`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use weir_cluster::AppName;

/// One open door.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// `lb`, `edge`, `origin`.
    pub(crate) role: &'static str,
    /// `http`, `rtmp`, or what else a balancer's `stream{}` carries; `admin` for its own door.
    pub(crate) protocol: &'static str,
    /// Where.
    pub(crate) address: String,
}

/// A line on stdout. A closed stdout is no reason to stop.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// A line on stderr, in the program's name.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "weir: {line}");
}

/// The start-up lines.
pub(crate) fn print(roles: &[&str], node_id: &str, data_dir: &Path, lines: &[Line], app: &AppName) {
    say(&format!(
        "weir {}: {}; node {node_id}; data in {}",
        env!("CARGO_PKG_VERSION"),
        roles.join(" + "),
        data_dir.display()
    ));
    for line in lines {
        say(&format!(
            "  {:<7} {:<5} {}",
            line.role, line.protocol, line.address
        ));
    }
    let door = |protocol: &str| lines.iter().find(|l| l.protocol == protocol);
    if let Some(rtmp) = door("rtmp") {
        let authority = authority(&rtmp.address, 1935);
        say(&format!("Publish  rtmp://{authority}/{app}/STREAM"));
    }
    if let Some(http) = door("http") {
        let authority = authority(&http.address, 80);
        say(&format!(
            "Watch    http://{authority}/{app}/play.html?id=STREAM"
        ));
        say(&format!("Live     http://{authority}/"));
    }
    say("Ready");
}

/// `host[:port]` that a person on this machine can use.
fn authority(address: &str, default_port: u16) -> String {
    let Ok(address) = address.parse::<SocketAddr>() else {
        return address.to_owned();
    };
    let host = match address.ip() {
        ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
        ip if ip.is_ipv6() => format!("[{ip}]"),
        ip => ip.to_string(),
    };
    if address.port() == default_port {
        host
    } else {
        format!("{host}:{}", address.port())
    }
}

#[cfg(test)]
mod tests {
    use super::authority;

    #[test]
    fn addresses_become_links() {
        assert_eq!(authority("0.0.0.0:5080", 80), "127.0.0.1:5080");
        assert_eq!(authority("0.0.0.0:1935", 1935), "127.0.0.1");
        assert_eq!(authority("[::1]:5080", 80), "[::1]:5080");
    }
}
